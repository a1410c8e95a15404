package imap

import (
	"context"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"

	"pillarbox/appliance/imap/command"
	"pillarbox/appliance/imap/wire"
	"pillarbox/storage"
)

// store is STORE and UID STORE.
func (s *session) store(ctx context.Context, c *command.Store) error {
	sel := s.sel
	if sel.readOnly {
		return errReadOnly()
	}
	op := storage.FlagOp{Op: c.Flags.Op, Flags: storable(c.Flags.Flags)}
	if c.UnchangedSince != nil {
		// RFC 7162, section 3.1: the modifier makes the client aware of CONDSTORE.
		s.enabled.condstore = true
		since := storage.ModSeq(*c.UnchangedSince)
		op.UnchangedSince = &since
	}
	if err := s.refresh(ctx); err != nil {
		return err
	}
	set, err := sel.resolve(c.Set)
	if err != nil {
		return err
	}
	var res storage.StoreResult
	if len(set.spans) > 0 {
		uids := sel.uidSet(set)
		if res, err = s.acct.Store(ctx, sel.id, uids, op); err != nil {
			return err
		}
		if err := s.tellStored(ctx, uids, &op, c.Flags.Silent, res.Modified); err != nil {
			return err
		}
	}
	switch {
	case len(res.Modified) > 0:
		return s.modified(res.Modified, c.UID)
	case set.ghosts && !c.UID:
		return someGone()
	}
	return nil
}

// storable returns the flags that can be stored: \Recent cannot (RFC 3501,
// section 2.3.2), and some clients send back what they were told.
func storable(flags []imap.Flag) []imap.Flag {
	return slices.DeleteFunc(slices.Clone(flags), func(f imap.Flag) bool {
		return strings.EqualFold(string(f), `\Recent`)
	})
}

// tellStored sends the flags after a STORE. A silent one is told only what it
// cannot know: what another session did at the same time, and, if it is
// CONDSTORE-aware, the new mod-sequence (RFC 7162, section 3.1.3).
func (s *session) tellStored(ctx context.Context, uids imap.UIDSet, op *storage.FlagOp, silent bool, modified []imap.UID) error {
	changed, old, err := s.advance(ctx, false)
	if err != nil {
		return err
	}
	sel := s.sel
	set := sel.uids(uids)
	if silent {
		return s.tellSilent(changed, old, set, newEffect(op, sel.snap), modified)
	}
	if err := s.tellFlags(changed, set.contains); err != nil {
		return err
	}
	for _, sp := range set.spans {
		for pos, m := range sel.snap.All(sp.lo) {
			if pos >= sp.hi {
				break
			}
			if has(modified, m.UID) {
				continue
			}
			s.appendFlagsAnswer(pos)
			if err := s.out.Spill(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *session) tellSilent(changed []imap.UID, old *storage.Snapshot, set messages, e effect, modified []imap.UID) error {
	sel := s.sel
	expected := func(pos int) bool {
		m := sel.base.At(pos)
		before, ok := old.Find(m.UID)
		return ok && set.contains(pos) && !has(modified, m.UID) && e.explains(old.At(before), m)
	}
	if err := s.tellFlags(changed, expected); err != nil || !s.enabled.condstore {
		return err
	}
	for _, uid := range changed {
		pos, ok := sel.base.Find(uid)
		if !ok || !expected(pos) {
			continue
		}
		m := sel.base.At(pos)
		b := s.appendFetchStart(s.out.Buf, pos, m)
		b = appendModSeq(append(b, ' '), m)
		s.out.Buf = append(b, ")\r\n"...)
		if err := s.out.Spill(); err != nil {
			return err
		}
	}
	return nil
}

// modified answers a STORE that left messages alone because they had changed
// (RFC 7162, section 3.1.3).
func (s *session) modified(uids []imap.UID, byUID bool) error {
	code := []byte("MODIFIED ")
	if byUID {
		code = wire.AppendNums(code, uids)
		return ok(string(code), "Some messages had changed and were left alone")
	}
	seqs := make([]uint32, 0, len(uids))
	for _, uid := range uids {
		if pos, found := s.sel.base.Find(uid); found {
			seqs = append(seqs, s.sel.seq(pos))
		}
	}
	if len(seqs) == 0 {
		return someGone()
	}
	return ok(string(wire.AppendNums(code, seqs)), "Some messages had changed and were left alone")
}

func has(uids []imap.UID, uid imap.UID) bool {
	_, found := slices.BinarySearch(uids, uid)
	return found
}
