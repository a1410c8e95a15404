package importer

import (
	"context"
	"errors"

	"github.com/emersion/go-imap/v2"

	"pillarbox/storage"
)

// changeBatch is how many flag changes share a commit.
const changeBatch = 1000

// flagChanges collects what the source changed in flags, and does it here.
type flagChanges struct {
	r      *run
	t      *target
	groups map[flagGroup]imap.UIDSet
	notes  map[string]string // flags by key
}

// flagGroup is messages that change alike.
type flagGroup struct {
	box          storage.MailboxID
	set, removed string
}

func newChanges(r *run, t *target) *flagChanges {
	return &flagChanges{r: r, t: t, groups: map[flagGroup]imap.UIDSet{}, notes: map[string]string{}}
}

// add compares the flags of a known message with those of the last run.
func (c *flagChanges) add(ctx context.Context, k *known, m *Message) error {
	now := joinFlags(m.Flags)
	if k.fate == Quarantined || now == k.flags {
		return nil
	}
	set, removed := changes(splitFlags(k.flags), splitFlags(now))
	c.r.count(c.t.place, func(m *MailboxReport) { m.Flagged++ })
	if c.r.dry != nil {
		return nil
	}
	g := flagGroup{k.box, joinFlags(c.r.usable(c.t, set)), joinFlags(c.r.usable(c.t, removed))}
	uids := c.groups[g]
	uids.AddNum(k.uid)
	c.groups[g] = uids
	c.notes[m.Key] = now
	if len(c.notes) < changeBatch {
		return nil
	}
	return c.flush(ctx)
}

// flush makes the changes durable: first the flags, then that they are known.
// Between the two a crash does no harm, since the same is only done again.
func (c *flagChanges) flush(ctx context.Context) error {
	if len(c.notes) == 0 {
		return nil
	}
	byBox := map[storage.MailboxID][]storage.StoreRequest{}
	for g, uids := range c.groups {
		for op, flags := range map[imap.StoreFlagsOp]string{imap.StoreFlagsAdd: g.set, imap.StoreFlagsDel: g.removed} {
			if flags != "" {
				byBox[g.box] = append(byBox[g.box], storage.StoreRequest{UIDs: uids, Op: storage.FlagOp{Op: op, Flags: splitFlags(flags)}})
			}
		}
	}
	for id, reqs := range byBox {
		for i, out := range c.r.Account.StoreEach(ctx, id, reqs) {
			err := out.Err
			if errors.Is(err, storage.ErrTooManyKeywords) {
				op := reqs[i].Op
				op.Flags = c.r.systemOnly(c.t, op.Flags)
				_, err = c.r.Account.Store(ctx, id, reqs[i].UIDs, op)
			}
			if err != nil && !errors.Is(err, storage.ErrNoMailbox) { // it was deleted here
				return err
			}
		}
	}
	notes := make([]storage.Note, 0, len(c.notes))
	for key, flags := range c.notes {
		rec, ok, err := readRecord(c.r.Account, c.t.origin, key)
		if err != nil {
			return err
		}
		if ok {
			rec.Flags = flags
			notes = append(notes, storage.Note{Key: c.t.origin.key(key), Value: rec.Append(nil)})
		}
	}
	clear(c.groups)
	clear(c.notes)
	return c.r.Account.PutNotes(ctx, notes)
}

// usable returns the flags that storage can have, and lists the others.
func (r *run) usable(t *target, flags []imap.Flag) []imap.Flag {
	out := make([]imap.Flag, 0, len(flags))
	for _, f := range flags {
		if storable(f) {
			out = append(out, f)
		} else {
			r.leftOff(t, f)
		}
	}
	return out
}

// systemOnly drops keywords, which have no more room in a mailbox.
func (r *run) systemOnly(t *target, flags []imap.Flag) []imap.Flag {
	out := make([]imap.Flag, 0, len(flags))
	for _, f := range flags {
		if f != "" && f[0] == '\\' {
			out = append(out, f)
		} else {
			r.leftOff(t, f)
		}
	}
	return out
}

// leftOff notes that a message lacks a flag here.
func (r *run) leftOff(t *target, f imap.Flag) {
	r.mu.Lock()
	defer r.mu.Unlock()
	what := plainText(string(f)) + " of " + t.from.ID
	if _, ok := r.keywords[what]; !ok && len(r.keywords) >= maxKeywordRemarks {
		what = "and others"
	}
	r.keywords[what]++
}
