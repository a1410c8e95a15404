package ports

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// The longest texts that are kept, in octets.
const (
	maxProgram   = 100
	maxReason    = 200
	maxHost      = 253
	maxAccount   = 254
	maxDevice    = 200
	maxCipher    = 64
	maxPortName  = 32
	maxMechanism = 32
	maxNameBy    = 8
)

// clean makes what a stranger sent fit to be shown and stored: one line of what
// can be seen, not longer than that. What would steer a terminal or turn the
// direction of writing is left out.
func clean(text string, longest int) string {
	if isClean(text, longest) {
		return text
	}
	var b strings.Builder
	space := false
	for _, r := range text {
		switch {
		case unicode.IsSpace(r):
			space = b.Len() > 0
			continue
		case r == utf8.RuneError, !unicode.IsGraphic(r):
			continue
		}
		n := utf8.RuneLen(r)
		if space {
			n++
		}
		if b.Len()+n > longest {
			break
		}
		if space {
			b.WriteByte(' ')
			space = false
		}
		b.WriteRune(r)
	}
	return b.String()
}

// isClean finds what most texts are: short ASCII without anything odd.
func isClean(text string, longest int) bool {
	last := byte(' ')
	for i := range len(text) {
		c := text[i]
		if c < ' ' || c > '~' || c == ' ' && last == ' ' {
			return false
		}
		last = c
	}
	return len(text) <= longest && (text == "" || last != ' ')
}

// cleanHost returns the name of a machine, "" if it is none (RFC 952, with the
// underscores that people use).
func cleanHost(name string) string {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if len(name) > maxHost {
		return ""
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return ""
		}
		for _, c := range []byte(label) {
			if c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
				return ""
			}
		}
	}
	return name
}
