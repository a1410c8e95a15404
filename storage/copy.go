package storage

import (
	"context"
	"fmt"

	"github.com/emersion/go-imap/v2"
)

// Copy copies the messages in uids that exist, without their bodies.
func (a *Account) Copy(ctx context.Context, from MailboxID, uids imap.UIDSet, to MailboxID) (CopyResult, error) {
	var res CopyResult
	err := a.do(ctx, func(t *txn) error {
		var err error
		res, err = t.copy(from, uids, to)
		return err
	})
	if err != nil {
		return CopyResult{}, fmt.Errorf("copy: %w", err)
	}
	return res, nil
}

// Move is Copy and removal in one transaction (RFC 6851).
func (a *Account) Move(ctx context.Context, from MailboxID, uids imap.UIDSet, to MailboxID) (CopyResult, error) {
	var res CopyResult
	// By moving to the trash most programs delete.
	err := a.free(ctx, func(t *txn) error {
		var err error
		res, err = t.move(from, uids, to)
		return err
	})
	if err != nil {
		return CopyResult{}, fmt.Errorf("move: %w", err)
	}
	return res, nil
}

func (t *txn) copy(from MailboxID, uids imap.UIDSet, to MailboxID) (CopyResult, error) {
	src, err := t.messages(from)
	if err != nil {
		return CopyResult{}, err
	}
	var msgs []Message
	var size int64
	src.content.each(uids, func(_, _ int, m *Message) {
		msgs = append(msgs, *m)
		size += m.Size
	})
	if err := t.room(size); err != nil {
		return CopyResult{}, err
	}
	res, err := t.file(src, msgs, to)
	if err != nil {
		return CopyResult{}, err
	}
	for i := range msgs {
		if err := t.ref(msgs[i].Data, 1); err != nil {
			return CopyResult{}, err
		}
	}
	return res, nil
}

func (t *txn) move(from MailboxID, uids imap.UIDSet, to MailboxID) (CopyResult, error) {
	src, err := t.messages(from)
	if err != nil {
		return CopyResult{}, err
	}
	if _, err := t.messages(to); err != nil {
		return CopyResult{}, err
	}
	// Taken out first: where source and target are the same mailbox, the new
	// messages must not be among those removed.
	msgs := src.content.remove(uids, func(*Message) bool { return true })
	if len(msgs) == 0 {
		return CopyResult{}, nil
	}
	t.touch(src)
	if err := t.remove(src, msgs, t.nextModSeq()); err != nil {
		return CopyResult{}, err
	}
	return t.file(src, msgs, to)
}

// file adds copies of another mailbox's messages to a mailbox.
func (t *txn) file(src *box, msgs []Message, to MailboxID) (CopyResult, error) {
	dst, err := t.messages(to)
	if err != nil {
		return CopyResult{}, err
	}
	if err := uidRoom(dst, len(msgs)); err != nil {
		return CopyResult{}, err
	}
	res := CopyResult{
		UIDValidity: dst.mb.UIDValidity,
		Source:      make([]imap.UID, 0, len(msgs)), Dest: make([]imap.UID, 0, len(msgs)),
	}
	if len(msgs) == 0 {
		return res, nil
	}
	seq := t.nextModSeq()
	for _, m := range msgs {
		res.Source = append(res.Source, m.UID)
		if m.Keywords, err = t.translate(src, dst, m.Keywords); err != nil {
			return CopyResult{}, err
		}
		m.UID, m.ModSeq, m.SaveDate = dst.mb.UIDNext, seq, t.now
		dst.mb.UIDNext++
		t.put(dst, m)
		res.Dest = append(res.Dest, m.UID)
	}
	return res, nil
}

// translate maps keyword bits from one mailbox's table to another's.
func (t *txn) translate(src, dst *box, k Keywords) (Keywords, error) {
	if src == dst || k == (Keywords{}) {
		return k, nil
	}
	var out Keywords
	for i, name := range src.keywords {
		if !k.Has(i) {
			continue
		}
		bit, err := t.bit(dst, name)
		if err != nil {
			return Keywords{}, err
		}
		out = out.With(bit)
	}
	return out, nil
}
