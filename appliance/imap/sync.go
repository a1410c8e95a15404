package imap

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/emersion/go-imap/v2"

	"pillarbox/appliance/imap/wire"
	"pillarbox/storage"
)

// sync tells the client what has happened to the selected mailbox since it
// was last told: by other sessions, and by its own command where that has not
// answered itself. Without expunge, messages that are gone keep their
// sequence numbers until a later sync (RFC 9051, section 7.5.1).
//
// A mailbox that another session deleted ends this one: nothing the client
// could ask of it has an answer any more, and BYE is what clients recover
// from (RFC 2180, section 3.3).
func (s *session) sync(ctx context.Context, expunge bool) error {
	if s.sel == nil {
		return nil
	}
	changed, _, err := s.advance(ctx, expunge)
	if err != nil {
		return err
	}
	return s.tellFlags(changed, func(int) bool { return false })
}

// refresh brings the view up to date before a command, so that it works with
// what is there and not with what the last command saw.
func (s *session) refresh(ctx context.Context) error { return s.sync(ctx, false) }

// advance moves the view to the mailbox's newest content and tells of
// keywords, expunged messages (with expunge) and new ones. Whose flags
// changed it only returns, with the snapshot before, since a command may
// answer for some of them itself.
func (s *session) advance(ctx context.Context, expunge bool) (changed []imap.UID, old *storage.Snapshot, err error) {
	sel := s.sel
	old = sel.snap
	next, err := s.acct.Snapshot(ctx, sel.id)
	if errors.Is(err, storage.ErrNoMailbox) {
		return nil, nil, &ending{code: imap.ResponseCodeNonExistent, text: "The selected mailbox was deleted"}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read mailbox: %w", err)
	}
	if next == old {
		if expunge {
			err = s.tellExpunged()
		}
		return nil, old, err
	}

	diff := next.Since(old)
	var recent imap.UID
	if diff.Added > 0 && !s.enabled.rev2 {
		// What is taken as \Recent must be told of, or nobody ever is: so
		// take first and look again.
		recent = s.acct.TakeRecent(sel.id, sel.readOnly)
		if next, err = s.acct.Snapshot(ctx, sel.id); err != nil {
			return nil, nil, fmt.Errorf("read mailbox: %w", err)
		}
		diff = next.Since(old)
	}
	s.fragile = true
	sel.view.advance(next, diff.Vanished)
	sel.snap = next
	sel.tellable()
	sel.addRecent(recent)
	s.fragile = false

	if !slices.Equal(next.Keywords(), old.Keywords()) {
		s.tellKeywords()
	}
	if expunge {
		if err := s.tellExpunged(); err != nil {
			return nil, nil, err
		}
	}
	if diff.Added > 0 {
		s.tellExists()
	}
	return diff.Changed, old, s.out.Spill()
}

// tellable notes up to where the client is told of everything, unless
// expunges are held back.
func (sel *selected) tellable() {
	if len(sel.ghosts) == 0 {
		sel.told = sel.snap.Mailbox().HighestModSeq
	}
}

// tellExpunged sends EXPUNGE for every message that is gone, or VANISHED for
// all of them (RFC 7162, section 3.2.10.2).
func (s *session) tellExpunged() error {
	if len(s.sel.ghosts) == 0 {
		return nil
	}
	defer s.sel.tellable()
	if s.enabled.qresync {
		var gone imap.UIDSet
		for _, g := range s.sel.ghosts {
			if n := len(gone); n > 0 && gone[n-1].Stop+1 == g.uid {
				gone[n-1].Stop++
			} else {
				gone = append(gone, imap.UIDRange{Start: g.uid, Stop: g.uid})
			}
		}
		s.sel.ghosts = nil
		return s.tellVanished("* VANISHED ", gone)
	}
	var err error
	s.fragile = true
	s.sel.lay(func(seq uint32, _ imap.UID) {
		if err != nil {
			return
		}
		b := append(s.out.Buf, "* "...)
		b = wire.AppendUint(b, seq)
		s.out.Buf = append(b, " EXPUNGE\r\n"...)
		err = s.out.Spill()
	})
	s.fragile = false
	return err
}

// tellExists sends the number of messages after some were added.
func (s *session) tellExists() {
	b := appendCount(s.out.Buf, s.sel.len(), "EXISTS")
	if !s.enabled.rev2 {
		b = appendCount(b, s.sel.numRecent(), "RECENT")
	}
	s.out.Buf = b
}

// tellKeywords sends FLAGS and PERMANENTFLAGS after a keyword was added:
// clients are to know every flag before a message shows it.
func (s *session) tellKeywords() {
	b := appendFlagList(s.out.Buf, s.sel.snap.Keywords())
	s.out.Buf = appendPermanentFlags(b, s.sel)
}

// tellFlags sends the flags of messages that changed, except those at
// positions that skip.
func (s *session) tellFlags(changed []imap.UID, skip func(pos int) bool) error {
	for _, uid := range changed {
		pos, ok := s.sel.base.Find(uid)
		if !ok || skip(pos) {
			continue
		}
		s.appendFlagsAnswer(pos)
		if err := s.out.Spill(); err != nil {
			return err
		}
	}
	return nil
}

// appendFlagsAnswer appends the FETCH response that tells of changed flags.
// It has the UID, which RFC 9051, section 7.5.2 recommends, and which answers
// UID commands as they demand it.
func (s *session) appendFlagsAnswer(pos int) {
	m := s.sel.base.At(pos)
	b := s.appendFetchStart(s.out.Buf, pos, m)
	b = s.appendFlags(append(b, ' '), m)
	if s.enabled.condstore {
		b = appendModSeq(append(b, ' '), m)
	}
	s.out.Buf = append(b, ")\r\n"...)
}

// appendFetchStart appends "* n FETCH (UID u".
func (s *session) appendFetchStart(b []byte, pos int, m *storage.Message) []byte {
	b = append(b, "* "...)
	b = wire.AppendUint(b, s.sel.seq(pos))
	b = append(b, " FETCH (UID "...)
	return wire.AppendUint(b, m.UID)
}

func appendCount(b []byte, n int, what string) []byte {
	b = append(b, "* "...)
	b = wire.AppendInt(b, n)
	b = append(b, ' ')
	b = append(b, what...)
	return append(b, "\r\n"...)
}
