package command

import (
	"strings"

	"github.com/emersion/go-imap/v2"
)

func (r *Reader) store(uid bool) Args {
	r.dec.Space()
	s := &Store{Set: r.dec.NumSet(uid), UID: uid}
	r.dec.Space()
	if r.dec.Peek() == '(' {
		r.list1(maxListItems, false, func() { r.storeModifier(s) })
		r.dec.Space()
	}
	w := r.word()
	rest := w
	switch {
	case strings.HasPrefix(w, "+"):
		s.Flags.Op, rest = imap.StoreFlagsAdd, w[1:]
	case strings.HasPrefix(w, "-"):
		s.Flags.Op, rest = imap.StoreFlagsDel, w[1:]
	}
	switch rest {
	case "FLAGS":
	case "FLAGS.SILENT":
		s.Flags.Silent = true
	default:
		r.unknown("data item", w)
	}
	r.dec.Space()
	if r.dec.Peek() == '(' {
		s.Flags.Flags = r.dec.FlagList()
	} else {
		s.Flags.Flags = r.dec.Flags()
	}
	return s
}

// storeModifier: RFC 7162, section 3.1.3.
func (r *Reader) storeModifier(s *Store) {
	switch w := r.word(); w {
	case "UNCHANGEDSINCE":
		r.dec.Space()
		n := r.dec.Number64()
		s.UnchangedSince = &n
	default:
		r.unknown("modifier", w)
	}
}
