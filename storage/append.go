package storage

import (
	"context"
	"fmt"
	"time"

	"github.com/emersion/go-imap/v2"
)

// Append puts messages into a mailbox, all or none (RFC 3502). They are
// durable when it returns.
func (a *Account) Append(ctx context.Context, id MailboxID, msgs []AppendMessage) (AppendResult, error) {
	var res AppendResult
	err := a.do(ctx, func(t *txn) error {
		var err error
		res, err = t.append(id, msgs)
		return err
	})
	if err != nil {
		return AppendResult{}, fmt.Errorf("append: %w", err)
	}
	return res, nil
}

func (t *txn) append(id MailboxID, msgs []AppendMessage) (AppendResult, error) {
	b, err := t.messages(id)
	if err != nil {
		return AppendResult{}, err
	}
	var size int64
	for i := range msgs {
		size += msgs[i].size()
	}
	if err := t.room(size); err != nil {
		return AppendResult{}, err
	}
	if err := uidRoom(b, len(msgs)); err != nil {
		return AppendResult{}, err
	}
	res := AppendResult{UIDValidity: b.mb.UIDValidity, UIDs: make([]imap.UID, 0, len(msgs))}
	seq := t.nextModSeq()
	for i := range msgs {
		uid, err := t.appendOne(b, &msgs[i], seq)
		if err != nil {
			return AppendResult{}, err
		}
		res.UIDs = append(res.UIDs, uid)
	}
	return res, nil
}

func (m *AppendMessage) size() int64 { return m.Body.size + int64(len(m.Prefix)) }

// room tells whether the quota allows size octets more.
func (t *txn) room(size int64) error {
	if q := t.counters.quota; q.LimitBytes > 0 && q.UsedBytes+size > q.LimitBytes {
		return ErrOverQuota
	}
	return nil
}

// uidRoom refuses to run out of UIDs, which would break their order.
func uidRoom(b *box, n int) error {
	if uint64(b.mb.UIDNext)+uint64(n) > 1<<32-1 {
		return ErrUIDsExhausted
	}
	return nil
}

func (t *txn) appendOne(b *box, m *AppendMessage, seq ModSeq) (imap.UID, error) {
	id := t.counters.nextData
	t.counters.nextData++
	key := dataKey(id)
	data := t.tx.Bucket(dataBucket)
	data.FillPercent = sequentialFill
	if err := data.Put(key, appendDataRecord(nil, m.Body, m.Prefix)); err != nil {
		return 0, err
	}
	if m.Body.path == "" {
		bodies := t.tx.Bucket(bodiesBucket)
		bodies.FillPercent = sequentialFill
		if err := bodies.Put(key, m.Body.inline); err != nil {
			return 0, err
		}
	} else if err := t.keep(id, m.Body); err != nil {
		return 0, err
	}
	switch {
	case m.UID == 0:
	case m.UID < b.mb.UIDNext:
		return 0, ErrUIDTaken
	case m.UID == 1<<32-1:
		return 0, ErrUIDsExhausted
	default:
		b.mb.UIDNext = m.UID
	}
	msg := Message{UID: b.mb.UIDNext, ModSeq: seq, Data: id, Size: m.size(), SaveDate: t.now}
	msg.InternalDate, msg.Zone = splitTime(m.InternalDate, t.now)
	var err error
	if msg.Flags, msg.Keywords, err = t.flags(b, m.Flags, true); err != nil {
		return 0, err
	}
	b.mb.UIDNext++
	t.put(b, msg)
	return msg.UID, nil
}

// splitTime returns a date as it is stored; the zero time means now, in UTC.
func splitTime(when time.Time, now int64) (unix int64, zone int16) {
	if when.IsZero() {
		return now, 0
	}
	_, offset := when.Zone()
	return when.Unix(), int16(offset / 60)
}
