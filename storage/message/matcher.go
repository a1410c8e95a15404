package message

import (
	"bytes"
	"encoding/binary"
	"unicode"
	"unicode/utf8"
)

// Matcher finds a text within others without regard to case, as SEARCH does
// (RFC 9051, section 6.4.4, by the simple mappings of i;unicode-casemap). It
// may be used by several goroutines.
type Matcher struct {
	needle []byte // folded
	ascii  bool
}

// NewMatcher makes a Matcher for a needle in UTF-8. An empty one is in every text.
func NewMatcher(needle string) *Matcher {
	m := &Matcher{needle: appendFolded(nil, []byte(needle)), ascii: true}
	for _, c := range m.needle {
		m.ascii = m.ascii && c < utf8.RuneSelf
	}
	return m
}

// MatchString tells whether the needle is in s, which is UTF-8.
func (m *Matcher) MatchString(s string) bool { return m.match([]byte(s)) }

// MatchHeaderValue tells whether the needle is in a header field's value as
// it stands: it is unfolded, and its encoded words are decoded.
func (m *Matcher) MatchHeaderValue(value []byte) bool {
	value = unfold(value)
	if !isPlain(value) || bytes.Contains(value, []byte("=?")) {
		value = []byte(DecodeHeader(string(value)))
	}
	return m.match(value)
}

func (m *Matcher) match(text []byte) bool {
	var buf [512]byte
	return bytes.Contains(appendFolded(buf[:0], text), m.needle)
}

// isPlain tells whether text is ASCII.
func isPlain(text []byte) bool {
	for len(text) >= 8 {
		if binary.LittleEndian.Uint64(text)&highBits != 0 {
			return false
		}
		text = text[8:]
	}
	for _, c := range text {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// appendFolded appends text with the differences of case taken away. Octets
// that are not UTF-8 stay as they are.
func appendFolded(b, text []byte) []byte {
	for len(text) > 0 {
		n := asciiPrefix(text)
		start := len(b)
		b = append(b, text[:n]...)
		foldASCII(b[start:])
		text = text[n:]
		for len(text) > 0 && text[0] >= utf8.RuneSelf {
			r, size := utf8.DecodeRune(text)
			if r == utf8.RuneError && size == 1 {
				b = append(b, text[0])
			} else {
				b = utf8.AppendRune(b, foldRune(r))
			}
			text = text[size:]
		}
	}
	return b
}

// foldRune folds a rune that is not ASCII to one that is not ASCII, so that
// a needle of ASCII can be looked for octet by octet. By way of upper case,
// final and other sigmas meet.
func foldRune(r rune) rune {
	if f := unicode.ToLower(unicode.ToUpper(r)); f >= utf8.RuneSelf {
		return f
	}
	return r
}

const (
	highBits = 0x8080808080808080
	lowBits  = 0x0101010101010101
)

// asciiPrefix returns how many octets of text are ASCII up to the first that is not.
func asciiPrefix(text []byte) int {
	n := 0
	for n+8 <= len(text) && binary.LittleEndian.Uint64(text[n:])&highBits == 0 {
		n += 8
	}
	for n < len(text) && text[n] < utf8.RuneSelf {
		n++
	}
	return n
}

// foldASCII puts the ASCII letters of b into lower case, eight octets at a
// time: in each, adding what is missing to 0x80 sets the high bit from 'A'
// on, and again behind 'Z'; where only the first did, 0x20 is added.
func foldASCII(b []byte) {
	for len(b) >= 8 {
		x := binary.LittleEndian.Uint64(b)
		seven := x &^ highBits
		fromA := seven + (0x80-'A')*lowBits
		behindZ := seven + (0x80-'Z'-1)*lowBits
		upper := (fromA ^ behindZ) & ^x & highBits
		binary.LittleEndian.PutUint64(b, x|upper>>2)
		b = b[8:]
	}
	for i, c := range b {
		b[i] = lower(c)
	}
}
