package mailfile

import (
	"slices"

	"github.com/emersion/go-imap/v2"
)

// flagSet gathers flags, each once.
type flagSet []imap.Flag

func (s *flagSet) add(f imap.Flag) {
	if !slices.Contains(*s, f) {
		*s = append(*s, f)
	}
}

// sorted returns the flags, so that the same file always yields the same.
func (s flagSet) sorted() []imap.Flag {
	slices.Sort(s)

	return s
}
