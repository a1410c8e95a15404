package imap

import (
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"

	"pillarbox/storage"
)

// effect is what a flag change does to a message's bits.
type effect struct {
	op       imap.StoreFlagsOp
	flags    storage.SystemFlags
	keywords storage.Keywords
}

var systemBits = map[string]storage.SystemFlags{
	`\seen`:     storage.Seen,
	`\answered`: storage.Answered,
	`\flagged`:  storage.Flagged,
	`\deleted`:  storage.Deleted,
	`\draft`:    storage.Draft,
}

// newEffect looks the flags of op up in a snapshot.
func newEffect(op *storage.FlagOp, snap *storage.Snapshot) effect {
	e := effect{op: op.Op}
	for _, f := range op.Flags {
		if bit, ok := systemBits[strings.ToLower(string(f))]; ok {
			e.flags |= bit
		} else if i := keywordIndex(snap, string(f)); i >= 0 {
			e.keywords = e.keywords.With(i)
		}
	}
	return e
}

// keywordIndex returns the bit of a keyword, -1 if the mailbox has not got it.
func keywordIndex(snap *storage.Snapshot, name string) int {
	return slices.IndexFunc(snap.Keywords(), func(k string) bool { return strings.EqualFold(k, name) })
}

// on returns what the effect makes of a message's bits.
func (e effect) on(flags storage.SystemFlags, keywords storage.Keywords) (storage.SystemFlags, storage.Keywords) {
	switch e.op {
	case imap.StoreFlagsSet:
		flags, keywords = e.flags, e.keywords
	case imap.StoreFlagsAdd:
		flags |= e.flags
		for i := range keywords {
			keywords[i] |= e.keywords[i]
		}
	case imap.StoreFlagsDel:
		flags &^= e.flags
		for i := range keywords {
			keywords[i] &^= e.keywords[i]
		}
	}
	return flags, keywords
}
