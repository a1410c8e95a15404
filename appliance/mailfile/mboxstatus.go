package mailfile

import (
	"strconv"
	"strings"

	"github.com/emersion/go-imap/v2"
)

// Bounds of what a hostile header can make grow.
const (
	maxStatusLine = 16 << 10 // octets of a line that is looked at
	maxLetters    = 64
	maxWords      = 256
)

// mboxStatus gathers what a header tells of flags and UIDs.
type mboxStatus struct {
	letters  string
	mozilla  uint64
	words    []string
	uid      imap.UID
	validity uint32
	next     imap.UID
	length   int64 // Content-Length, 0 if there is none
	folder   bool  // the subject of a c-client's own message
}

// internalSubject is the subject of the message in which Pine, UW IMAP and
// others keep what they know of a folder.
const internalSubject = "DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA"

// field takes one header line.
func (s *mboxStatus) field(line []byte) {
	if len(line) > maxStatusLine || len(line) == 0 {
		return
	}
	switch line[0] | 0x20 {
	case 's', 'x', 'c':
	default:
		return
	}
	name, value, ok := strings.Cut(string(line), ":")
	if !ok {
		return
	}
	value = strings.TrimSpace(value)
	switch strings.ToLower(name) {
	case "status", "x-status":
		if len(value) <= maxLetters && len(s.letters) <= maxLetters {
			s.letters += value
		}
	case "x-mozilla-status":
		if n, err := strconv.ParseUint(value, 16, 16); err == nil {
			s.mozilla = n
		}
	case "x-keywords":
		s.keywords(value)
	case "x-mozilla-keys":
		s.keywords(value)
	case "x-uid":
		if n, err := strconv.ParseUint(value, 10, 32); err == nil {
			s.uid = imap.UID(n)
		}
	case "x-imap", "x-imapbase":
		f := strings.Fields(value)
		if len(f) < 2 {
			return
		}
		validity, err1 := strconv.ParseUint(f[0], 10, 32)
		last, err2 := strconv.ParseUint(f[1], 10, 32)
		if err1 == nil && err2 == nil && validity > 0 && last < 1<<32-1 {
			s.validity, s.next = uint32(validity), imap.UID(last+1)
		}
	case "content-length":
		if n, err := strconv.ParseInt(value, 10, 64); err == nil && n > 0 {
			s.length = n
		}
	case "subject":
		s.folder = value == internalSubject
	}
}

func (s *mboxStatus) keywords(value string) {
	for _, word := range strings.FieldsFunc(value, func(r rune) bool { return r == ' ' || r == ',' || r == '\t' }) {
		if len(s.words) < maxWords && isKeyword(word) {
			s.words = append(s.words, word)
		}
	}
}

// Mozilla's bits.
const (
	mozillaRead      = 0x0001
	mozillaReplied   = 0x0002
	mozillaMarked    = 0x0004
	mozillaExpunged  = 0x0008
	mozillaForwarded = 0x1000
)

func (s *mboxStatus) flags() []imap.Flag {
	var set flagSet
	for _, c := range s.letters {
		switch c {
		case 'R':
			set.add(imap.FlagSeen)
		case 'A':
			set.add(imap.FlagAnswered)
		case 'F':
			set.add(imap.FlagFlagged)
		case 'D':
			set.add(imap.FlagDeleted)
		case 'T':
			set.add(imap.FlagDraft)
		}
	}
	// Without "expunged" a folder that was never compacted would bring back
	// what its owner deleted.
	for bit, flag := range map[uint64]imap.Flag{
		mozillaRead: imap.FlagSeen, mozillaReplied: imap.FlagAnswered, mozillaMarked: imap.FlagFlagged,
		mozillaExpunged: imap.FlagDeleted, mozillaForwarded: imap.FlagForwarded,
	} {
		if s.mozilla&bit != 0 {
			set.add(flag)
		}
	}
	for _, word := range s.words {
		set.add(imap.Flag(word))
	}

	return set.sorted()
}

// expunged tells that Thunderbird does not show the message any more, and has
// not yet compacted the folder.
func (s *mboxStatus) expunged() bool { return s.mozilla&mozillaExpunged != 0 }

// internal tells that it is no mail but what a program knows of its folder.
func (s *mboxStatus) internal() bool { return s.folder && s.validity > 0 }
