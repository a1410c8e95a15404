package imap

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"

	"pillarbox/appliance/imap/command"
	"pillarbox/appliance/imap/wire"
	"pillarbox/storage"
)

const (
	// storesTogether bounds the STOREs that wait for one commit.
	storesTogether = 128
	// storesInRow bounds those that are carried out one behind the other before
	// the client is told of expunges.
	storesInRow = 1024
)

// storing is one STORE of those that a client sent without waiting for the
// answers.
type storing struct {
	command *command.Command
	args    *command.Store
	uids    imap.UIDSet // empty when there is nothing to do
	op      storage.FlagOp
	ghosts  bool // it names messages that are gone
	err     error

	modified []imap.UID // left alone, see UNCHANGEDSINCE
	set      messages   // in the view after the commit
	effect   effect
}

// store is STORE and UID STORE. What the client sends while the change is on
// its way to the disk is read meanwhile, and further STOREs share the next
// commit. All but the last of them are answered here, and c becomes the last.
func (s *session) store(ctx context.Context, c *command.Command, a *command.Store) error {
	if s.sel.readOnly {
		return errReadOnly()
	}
	first := *c // c changes
	row := []*storing{{command: &first, args: a}}
	for done := 0; ; {
		done += len(row)
		next, err := s.storeTogether(ctx, row, done < storesInRow)
		if err != nil {
			for _, st := range row {
				st.err = err
			}
			if fatal(err) {
				return err
			}
		}
		for i, st := range row {
			if err == nil {
				if err := s.tellStored(st); err != nil {
					return err
				}
			}
			if i == len(row)-1 && len(next) == 0 {
				*c = *st.command
				return s.outcome(st)
			}
			if err := s.concludeStore(ctx, st); err != nil {
				return err
			}
		}
		row = next
	}
}

// storeTogether carries out a row of STOREs with one commit and tells of what
// others changed. It returns the STOREs that came meanwhile.
func (s *session) storeTogether(ctx context.Context, row []*storing, more bool) (next []*storing, err error) {
	if err := s.refresh(ctx); err != nil {
		return nil, err
	}
	var reqs []storage.StoreRequest
	for _, st := range row {
		s.prepareStore(st)
		if len(st.uids) > 0 {
			reqs = append(reqs, storage.StoreRequest{UIDs: st.uids, Op: st.op})
		}
	}
	if len(reqs) > 0 {
		var outcomes []storage.StoreOutcome
		next = s.readStores(more, func() { outcomes = s.acct.StoreEach(ctx, s.sel.id, reqs) })
		for _, st := range row {
			if len(st.uids) == 0 {
				continue
			}
			st.modified, st.err = outcomes[0].Modified, outcomes[0].Err
			if outcomes = outcomes[1:]; st.err != nil {
				st.uids = nil
			}
			if errors.Is(st.err, context.Canceled) {
				st.err = context.Cause(ctx)
			}
		}
	}
	changed, old, err := s.advance(ctx, false)
	if err != nil {
		return next, err
	}
	for _, st := range row {
		st.set, st.effect = s.sel.uids(st.uids), newEffect(&st.op, s.sel.snap)
	}
	return next, s.tellOthers(row, changed, old)
}

// prepareStore finds out what a STORE is to change.
func (s *session) prepareStore(st *storing) {
	st.op = storage.FlagOp{Op: st.args.Flags.Op, Flags: storable(st.args.Flags.Flags)}
	if st.args.UnchangedSince != nil {
		// RFC 7162, section 3.1: the modifier makes the client aware of CONDSTORE.
		s.enabled.condstore = true
		since := storage.ModSeq(*st.args.UnchangedSince)
		st.op.UnchangedSince = &since
	}
	set, err := s.sel.resolve(st.args.Set)
	if st.err = err; err == nil {
		st.uids, st.ghosts = s.sel.uidSet(set), set.ghosts
	}
}

// readStores carries out a commit and reads what comes meanwhile: STOREs, which
// it returns, and at most one command that is none, or an error, which is kept
// for its turn.
func (s *session) readStores(more bool, commit func()) (next []*storing) {
	var failure any
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer s.link.interrupt()
		defer func() { failure = recover() }()
		commit()
	}()
	wait := s.link.wait
	s.link.wait = 0
	for more && s.ahead == nil && len(next) < storesTogether {
		whole, err := s.dec.Ahead()
		if err != nil && !errors.Is(err, errInterrupted) {
			s.ahead = &incoming{err: err}
		}
		if err != nil || !whole {
			break
		}
		in := s.read()
		if in.err != nil {
			s.ahead = in
		} else if a, ok := in.command.Args.(*command.Store); ok {
			next = append(next, &storing{command: in.command, args: a})
		} else {
			s.ahead = in
		}
	}
	<-done
	s.link.resume()
	s.link.wait = wait
	if failure != nil {
		panic(failure)
	}
	return next
}

// storable returns the flags that can be stored: \Recent cannot (RFC 3501,
// section 2.3.2), and some clients send back what they were told.
func storable(flags []imap.Flag) []imap.Flag {
	return slices.DeleteFunc(slices.Clone(flags), func(f imap.Flag) bool {
		return strings.EqualFold(string(f), `\Recent`)
	})
}

// tellOthers sends the flags of messages that changed otherwise than by the
// STOREs themselves, which answer for their own.
func (s *session) tellOthers(row []*storing, changed []imap.UID, old *storage.Snapshot) error {
	if err := s.tellFlags(changed, func(pos int) bool { return s.answered(row, pos) || s.explained(row, old, pos) }); err != nil {
		return err
	}
	if !s.enabled.condstore {
		return nil
	}
	// A silent STORE tells a client that is aware of CONDSTORE the new
	// mod-sequence (RFC 7162, section 3.1.3).
	for _, uid := range changed {
		pos, ok := s.sel.base.Find(uid)
		if !ok || s.answered(row, pos) || !s.explained(row, old, pos) {
			continue
		}
		m := s.sel.base.At(pos)
		b := s.appendFetchStart(s.out.Buf, pos, m)
		b = appendModSeq(append(b, ' '), m)
		s.out.Buf = append(b, ")\r\n"...)
		if err := s.out.Spill(); err != nil {
			return err
		}
	}
	return nil
}

// touches tells whether a STORE changed the message at a position.
func (st *storing) touches(pos int, uid imap.UID) bool {
	return st.set.contains(pos) && !has(st.modified, uid)
}

// answered tells whether the answer of one of the STOREs has the flags of a
// message.
func (s *session) answered(row []*storing, pos int) bool {
	return slices.ContainsFunc(row, func(st *storing) bool {
		return !st.args.Flags.Silent && st.touches(pos, s.sel.base.At(pos).UID)
	})
}

// explained tells whether the STOREs alone made a message what it is.
func (s *session) explained(row []*storing, old *storage.Snapshot, pos int) bool {
	m := s.sel.base.At(pos)
	before, ok := old.Find(m.UID)
	if !ok {
		return false
	}
	flags, keywords := old.At(before).Flags, old.At(before).Keywords
	touched := false
	for _, st := range row {
		if st.touches(pos, m.UID) {
			flags, keywords = st.effect.on(flags, keywords)
			touched = true
		}
	}
	return touched && flags == m.Flags && keywords == m.Keywords
}

// tellStored sends the flags after a STORE that is not silent.
func (s *session) tellStored(st *storing) error {
	if st.args.Flags.Silent {
		return nil
	}
	for _, sp := range st.set.spans {
		for pos, m := range s.sel.snap.All(sp.lo) {
			if pos >= sp.hi {
				break
			}
			if has(st.modified, m.UID) {
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

// outcome returns how a STORE ended; nil means plain OK.
func (s *session) outcome(st *storing) error {
	switch {
	case st.err != nil:
		return st.err
	case len(st.modified) > 0:
		return s.modified(st.modified, st.args.UID)
	case st.ghosts && !st.args.UID:
		return someGone()
	}
	return nil
}

// concludeStore writes the tagged answer of a STORE that others follow.
func (s *session) concludeStore(ctx context.Context, st *storing) error {
	r := &reply{Type: imap.StatusResponseTypeOK}
	if err := s.outcome(st); err != nil {
		var expected bool
		if r, expected = answer(err); !expected {
			s.log.ErrorContext(ctx, "command failed", "command", st.command.Name, "err", err)
		}
	}
	return s.conclude(st.command.Tag, st.command.Name, r)
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
