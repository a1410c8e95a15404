package storage

import (
	"cmp"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Bounds on a mailbox name: octets in all and levels.
const (
	maxNameLength = 1000
	maxNameLevels = 50
)

// CanonicalName checks a mailbox name and returns it as it is stored: NFC,
// with INBOX in capitals at the start. ErrMailboxName tells why it is not valid.
func CanonicalName(name string) (string, error) {
	if !utf8.ValidString(name) {
		return "", fmt.Errorf("%w: it is not UTF-8", ErrMailboxName)
	}
	name = norm.NFC.String(name)
	switch {
	case name == "":
		return "", fmt.Errorf("%w: it is empty", ErrMailboxName)
	case len(name) > maxNameLength:
		return "", fmt.Errorf("%w: it is longer than %d octets", ErrMailboxName, maxNameLength)
	case strings.Count(name, string(Delimiter)) >= maxNameLevels:
		return "", fmt.Errorf("%w: it has more than %d levels", ErrMailboxName, maxNameLevels)
	case name[0] == Delimiter || name[len(name)-1] == Delimiter || strings.Contains(name, "//"):
		return "", fmt.Errorf("%w: a level of it is empty", ErrMailboxName)
	}
	for level := range strings.SplitSeq(name, string(Delimiter)) {
		// They mean something to whoever keeps mail in folders: a program
		// that mirrors mailboxes refuses the whole account for one of these.
		if level == "." || level == ".." {
			return "", fmt.Errorf("%w: %q is no name of a level", ErrMailboxName, level)
		}
	}
	for _, r := range name {
		// RFC 5198, section 2, forbids control characters and line separators
		// in Net-Unicode, which RFC 9051, section 5.1, asks for.
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return "", fmt.Errorf("%w: it has a control character", ErrMailboxName)
		}
	}
	if first, rest, below := strings.Cut(name, string(Delimiter)); strings.EqualFold(first, Inbox) {
		name = Inbox
		if below {
			name += string(Delimiter) + rest
		}
	}
	return name, nil
}

// compareNames sorts INBOX first, then by name with a parent before all of
// its children.
func compareNames(a, b string) int {
	if a == b {
		return 0
	}
	if a == Inbox || b == Inbox {
		if a == Inbox {
			return -1
		}
		return 1
	}
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			switch {
			case a[i] == Delimiter:
				return -1
			case b[i] == Delimiter:
				return 1
			}
			return cmp.Compare(a[i], b[i])
		}
	}
	return cmp.Compare(len(a), len(b))
}
