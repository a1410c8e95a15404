package storage

import (
	"context"
	"fmt"

	"github.com/emersion/go-imap/v2"
)

// Expunge removes the messages marked \Deleted, of those in uids only if uids
// is not nil, and leaves a trace of each. It returns the UIDs removed and the
// mod-sequence of the change (0 if nothing was removed).
func (a *Account) Expunge(ctx context.Context, id MailboxID, uids imap.UIDSet) ([]imap.UID, ModSeq, error) {
	var gone []imap.UID
	var seq ModSeq
	err := a.free(ctx, func(t *txn) error {
		var err error
		gone, seq, err = t.expunge(id, uids)
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("expunge: %w", err)
	}
	return gone, seq, nil
}

func (t *txn) expunge(id MailboxID, uids imap.UIDSet) ([]imap.UID, ModSeq, error) {
	b, err := t.box(id)
	if err != nil || b.mb.NumDeleted == 0 {
		return nil, 0, err
	}
	if b, err = t.messages(id); err != nil {
		return nil, 0, err
	}
	msgs := b.content.remove(uids, func(m *Message) bool { return m.Flags&Deleted != 0 })
	if len(msgs) == 0 {
		return nil, 0, nil
	}
	seq := t.nextModSeq()
	if err := t.remove(b, msgs, seq); err != nil {
		return nil, 0, err
	}
	gone := make([]imap.UID, len(msgs))
	for i := range msgs {
		gone[i] = msgs[i].UID
		if err := t.unref(msgs[i].Data); err != nil {
			return nil, 0, err
		}
	}
	return gone, seq, nil
}

// SetQuota sets the limit in octets; 0 means none.
func (a *Account) SetQuota(ctx context.Context, limit int64) error {
	err := a.do(ctx, func(t *txn) error {
		t.counters.quota.LimitBytes = max(limit, 0)
		t.writes++
		return nil
	})
	if err != nil {
		return fmt.Errorf("set quota: %w", err)
	}
	return nil
}
