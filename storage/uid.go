package storage

import (
	"context"
	"fmt"

	"github.com/emersion/go-imap/v2"
)

// maxForeignValidity is the highest UIDVALIDITY that is taken over: values of
// our own, which must be higher than all before, have to fit above it.
const maxForeignValidity = 1 << 31

// maxForeignModSeq does the same for mod-sequences, which have 63 bits
// (RFC 7162, section 3.1).
const maxForeignModSeq = 1 << 62

// UIDs says how a mailbox was numbered where it comes from.
type UIDs struct {
	Validity uint32   // 0: a new one of our own
	Next     imap.UID // 0: as it is
	// ModSeq is the highest that programs may have seen there: ours go on above
	// it, so that what they know is older than all of it.
	ModSeq ModSeq
}

// SetUIDs numbers a mailbox as another server did, so that programs which know
// it from there need not read it anew. Only an empty mailbox can take another
// server's UIDVALIDITY (ErrNotEmpty); one that has it already can have its
// UIDNEXT raised, and every mailbox can have a new UIDVALIDITY of our own.
// ErrUIDValidity where a value is too high to be taken over.
func (a *Account) SetUIDs(ctx context.Context, id MailboxID, u UIDs) error {
	if err := a.do(ctx, func(t *txn) error { return t.setUIDs(id, u) }); err != nil {
		return fmt.Errorf("number mailbox: %w", err)
	}
	return nil
}

func (t *txn) setUIDs(id MailboxID, u UIDs) error {
	b, err := t.messages(id)
	if err != nil {
		return err
	}
	if u.Validity > maxForeignValidity || u.ModSeq > maxForeignModSeq {
		return ErrUIDValidity
	}
	foreign := u.Validity != 0 && u.Validity != b.mb.UIDValidity
	renumbered := foreign || u.Validity == 0
	switch {
	case foreign && b.mb.NumMessages > 0:
		return ErrNotEmpty
	case !renumbered && u.Next <= b.mb.UIDNext && u.ModSeq <= t.counters.modSeq:
		return nil
	case foreign:
		t.counters.uidValidity = max(t.counters.uidValidity, u.Validity)
		b.mb.UIDValidity, b.mb.UIDNext = u.Validity, 1
		b.entry.recent.Store(1)
	case renumbered:
		// RFC 9051, section 2.3.1.1: it must be higher than the one before.
		t.counters.uidValidity = max(t.counters.uidValidity+1, uint32(t.now), b.mb.UIDValidity+1)
		b.mb.UIDValidity = t.counters.uidValidity
	}
	b.mb.UIDNext = max(b.mb.UIDNext, u.Next)
	t.counters.modSeq = max(t.counters.modSeq, u.ModSeq)
	b.mb.HighestModSeq = t.nextModSeq()
	t.touch(b)
	if !renumbered {
		return nil
	}
	// What was expunged under these UIDs before shows only in what is absent.
	b.traces = traces{floor: b.mb.HighestModSeq}
	return t.deletePrefix(vanishedBucket, mailboxKey(id))
}
