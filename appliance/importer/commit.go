package importer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"

	"pillarbox/storage"
)

// commit puts batches into their mailboxes, in the order of the listing.
func (r *run) commit(ctx context.Context) error {
	for b := range r.order {
		select {
		case <-b.done:
		case <-ctx.Done():
			r.unused = append(r.unused, b) // somebody may still work on it
			return ctx.Err()
		}
		var err error
		if b.ending != nil {
			err = r.close(ctx, b)
		} else {
			err = r.put(ctx, b)
			b.drop()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// put commits a batch: messages and what is known of them together.
func (r *run) put(ctx context.Context, b *batch) error {
	t := b.place
	var msgs []storage.AppendMessage
	var recs []Record // of msgs
	var keys []string
	var notes []storage.Note // of the others
	var c Counts
	changed := newChanges(r, t) // of messages that have another number now
	for i := range b.slots {
		s, m := &b.slots[i], &b.msgs[i]
		switch {
		case s.gone:
			c.Gone++
		case s.bad != nil:
			c.Quarantined++
			r.quarantined(t, m, s)
			rec := Record{Fate: Quarantined, Size: s.size, Reason: s.bad.Error()}
			notes = append(notes, storage.Note{Key: t.origin.key(m.Key), Value: rec.Append(nil)})
		default:
			rec := Record{Fate: Taken, Mailbox: t.id, Size: s.staged.Size(), Hash: s.staged.Hash(), Flags: joinFlags(m.Flags)}
			if m.damaged(rec.Hash) {
				c.Damaged++
				r.remark("%s of %q is damaged: it is not as it was when it was exported. It came as it is.", m.where(), t.from.ID)
			}
			if d := t.claims.claim(rec.Size, rec.Hash, m.Date); d != nil {
				c.Claimed++
				rec.Fate, rec.UID = Claimed, d.uid
				notes = append(notes, storage.Note{Key: t.origin.key(m.Key), Value: rec.Append(nil)})
				if d.key != "" {
					notes = append(notes, storage.Note{Key: t.origin.key(d.key)})
					if err := changed.add(ctx, &known{flags: d.flags, box: t.id, uid: d.uid}, m); err != nil {
						return err
					}
				}
				continue
			}
			c.Taken++
			c.TakenBytes += rec.Size
			recs, keys = append(recs, rec), append(keys, m.Key)
			a := storage.AppendMessage{Body: s.staged, Flags: r.usable(t, m.Flags), InternalDate: m.Date}
			if t.keep && !s.again {
				a.UID = m.UID
			}
			msgs = append(msgs, a)
		}
	}
	if err := changed.flush(ctx); err != nil {
		return err
	}
	if err := r.append(ctx, t, msgs, func(res storage.AppendResult) []storage.Note {
		all := slices.Clone(notes)
		for i := range recs {
			recs[i].UID = res.UIDs[i]
			all = append(all, storage.Note{Key: t.origin.key(keys[i]), Value: recs[i].Append(nil)})
		}
		return all
	}); err != nil {
		return fmt.Errorf("put messages into %q: %w", t.to, err)
	}
	for i := range b.slots {
		if s := &b.slots[i]; s.again && s.staged != nil {
			r.unkeep(t.origin, b.msgs[i].Key)
		}
	}
	r.count(t.place, func(m *MailboxReport) { m.add(c) })
	r.Progress.took(c.Taken, c.TakenBytes)
	r.Progress.update(func(s *Snapshot) {
		s.MessagesIn += c.Gone + c.Quarantined + c.Claimed
		s.Quarantined += c.Quarantined
	})
	return nil
}

// append appends, with fewer keywords or other UIDs where it must be.
func (r *run) append(ctx context.Context, t *target, msgs []storage.AppendMessage, notes func(storage.AppendResult) []storage.Note) error {
	if len(msgs) == 0 {
		return r.Account.PutNotes(ctx, notes(storage.AppendResult{}))
	}
	for {
		_, err := r.Account.AppendNoted(ctx, t.id, msgs, notes)
		switch {
		case errors.Is(err, storage.ErrTooManyKeywords):
			if err := r.fewerKeywords(ctx, t, msgs); err != nil {
				return err
			}
		case errors.Is(err, storage.ErrUIDTaken) && t.keep:
			// Somebody delivered to the mailbox. A program that knows these UIDs
			// from the source must not take them for what they are there.
			if err := r.Account.SetUIDs(ctx, t.id, storage.UIDs{}); err != nil {
				return err
			}
			t.keep = false
			r.remark("%q no longer keeps its UIDs: mail was delivered to it here before the cut-over. Mail programs fetch it again.", t.from.ID)
			r.count(t.place, func(m *MailboxReport) { m.KeptUIDs = false })
			for i := range msgs {
				msgs[i].UID = 0
			}
		default:
			return err
		}
	}
}

// fewerKeywords leaves off the keywords that the mailbox does not have yet, or
// all where that is of no use.
func (r *run) fewerKeywords(ctx context.Context, t *target, msgs []storage.AppendMessage) error {
	s, err := r.Account.Snapshot(ctx, t.id)
	if err != nil {
		return err
	}
	had := s.Keywords()
	dropped := false
	for i := range msgs {
		msgs[i].Flags = slices.DeleteFunc(slices.Clone(msgs[i].Flags), func(f imap.Flag) bool {
			fits := f[0] == '\\' || slices.ContainsFunc(had, func(k string) bool { return strings.EqualFold(k, string(f)) })
			if !fits {
				dropped = true
				r.leftOff(t, f)
			}
			return !fits
		})
	}
	if dropped {
		return nil
	}
	for i := range msgs {
		msgs[i].Flags = r.systemOnly(t, msgs[i].Flags)
	}
	return nil
}

// close does what comes behind the messages of a mailbox, and notes its state.
func (r *run) close(ctx context.Context, b *batch) error {
	t := b.place
	if r.Options.Expunge {
		if err := r.expunge(ctx, t, b.records); err != nil {
			return err
		}
	}
	if t.keep {
		u := storage.UIDs{Validity: t.from.UIDValidity, Next: t.from.UIDNext, ModSeq: storage.ModSeq(min(t.from.ModSeq, 1<<61))}
		if err := r.Account.SetUIDs(ctx, t.id, u); err != nil {
			return err
		}
	}
	b.ending.KeepsUIDs = t.keep
	r.count(t.place, func(m *MailboxReport) { b.ending.Bad = m.Quarantined })
	return b.ending.write(ctx, r.Account, t.origin)
}
