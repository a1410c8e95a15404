package storage

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
)

// maxKeywordLength bounds a keyword in octets; Gmail's and Thunderbird's stay
// far below.
const maxKeywordLength = 128

// StoreRequest is a flag change of some messages.
type StoreRequest struct {
	UIDs imap.UIDSet
	Op   FlagOp
}

// StoreOutcome is what became of a StoreRequest.
type StoreOutcome struct {
	StoreResult

	Err error
}

// Store changes flags of the messages in uids that exist; messages that the
// operation leaves as they are keep their mod-sequence.
func (a *Account) Store(ctx context.Context, id MailboxID, uids imap.UIDSet, op FlagOp) (StoreResult, error) {
	out := a.StoreEach(ctx, id, []StoreRequest{{uids, op}})
	return out[0].StoreResult, out[0].Err
}

// StoreEach carries out several flag changes as Store does, in their order and
// each by itself: one that fails does not hinder the others. They share a
// commit.
func (a *Account) StoreEach(ctx context.Context, id MailboxID, reqs []StoreRequest) []StoreOutcome {
	out := make([]StoreOutcome, len(reqs))
	ops := make([]*operation, len(reqs))
	for i := range reqs {
		r, o := &reqs[i], &out[i]
		ops[i] = &operation{frees: r.Op.marksDeleted(), run: func(t *txn) (err error) {
			o.StoreResult, err = t.store(id, r.UIDs, r.Op)
			return err
		}}
	}
	none := a.queuedAll(ctx, ops)
	for i, op := range ops {
		err := none
		if err == nil {
			err = diskError(op.err)
		}
		if err != nil {
			out[i] = StoreOutcome{Err: fmt.Errorf("store flags: %w", err)}
		}
	}
	return out
}

// marksDeleted tells whether the change prepares an expunge.
func (o *FlagOp) marksDeleted() bool {
	return o.Op != imap.StoreFlagsDel && slices.ContainsFunc(o.Flags, func(f imap.Flag) bool {
		return strings.EqualFold(string(f), string(imap.FlagDeleted))
	})
}

func (t *txn) store(id MailboxID, uids imap.UIDSet, op FlagOp) (StoreResult, error) {
	var res StoreResult
	b, err := t.messages(id)
	if err != nil {
		return res, err
	}
	flags, keywords, err := t.flags(b, op.Flags, op.Op != imap.StoreFlagsDel)
	if err != nil {
		return res, err
	}
	b.content.each(uids, func(ci, mi int, m *Message) {
		if op.UnchangedSince != nil && m.ModSeq > *op.UnchangedSince {
			res.Modified = append(res.Modified, m.UID)
			return
		}
		newFlags, newKeywords := flags, keywords
		switch op.Op {
		case imap.StoreFlagsAdd:
			newFlags |= m.Flags
			newKeywords = Keywords{m.Keywords[0] | keywords[0], m.Keywords[1] | keywords[1]}
		case imap.StoreFlagsDel:
			newFlags = m.Flags &^ flags
			newKeywords = Keywords{m.Keywords[0] &^ keywords[0], m.Keywords[1] &^ keywords[1]}
		}
		if newFlags == m.Flags && newKeywords == m.Keywords {
			return
		}
		if res.ModSeq == 0 {
			res.ModSeq = t.nextModSeq()
		}
		b.count(m, -1)
		n := &b.content.mutable(ci).msgs[mi]
		n.Flags, n.Keywords, n.ModSeq = newFlags, newKeywords, res.ModSeq
		b.count(n, 1)
	})
	if res.ModSeq != 0 {
		b.mb.HighestModSeq = res.ModSeq
		t.touch(b)
	}
	return res, nil
}

// flags translates names to bits; keywords that are new are added to the
// mailbox's table with add, else left out. So is \Recent: nobody can store it.
func (t *txn) flags(b *box, names []imap.Flag, add bool) (SystemFlags, Keywords, error) {
	var flags SystemFlags
	var keywords Keywords
	for _, name := range names {
		if strings.HasPrefix(string(name), `\`) {
			bit, ok := systemFlag(name)
			if !ok {
				return 0, Keywords{}, fmt.Errorf("flag %q: %w", name, ErrKeyword)
			}
			flags |= bit
			continue
		}
		if !validKeyword(string(name)) {
			return 0, Keywords{}, fmt.Errorf("flag %q: %w", name, ErrKeyword)
		}
		i := b.keyword(string(name))
		if i < 0 && add {
			var err error
			if i, err = t.bit(b, string(name)); err != nil {
				return 0, Keywords{}, err
			}
		}
		if i >= 0 {
			keywords = keywords.With(i)
		}
	}
	return flags, keywords, nil
}

// systemFlag returns the bit of a system flag in any case, 0 for \Recent.
func systemFlag(name imap.Flag) (SystemFlags, bool) {
	for i, f := range systemFlagNames {
		if equalFoldASCII(string(f), string(name)) {
			return 1 << i, true
		}
	}
	return 0, equalFoldASCII(string(name), `\Recent`)
}

// validKeyword tells whether s is an atom (RFC 9051, section 9) of sane length.
func validKeyword(s string) bool {
	if s == "" || len(s) > maxKeywordLength {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`(){%*"\]`, c) >= 0 {
			return false
		}
	}
	return true
}

func equalFoldASCII(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		x, y := a[i], b[i]
		if 'A' <= x && x <= 'Z' {
			x += 'a' - 'A'
		}
		if 'A' <= y && y <= 'Z' {
			y += 'a' - 'A'
		}
		if x != y {
			return false
		}
	}
	return true
}
