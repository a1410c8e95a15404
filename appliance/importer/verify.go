package importer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/emersion/go-imap/v2"

	"pillarbox/storage"
)

// Verify compares what is here with what the source lists now: that each of
// its messages was taken or quarantined, and that those taken are here with the
// octets that came, read from the disk. It changes nothing.
func (e *Engine) Verify(ctx context.Context, t *Task) (*Report, error) {
	r, err := e.begin(t)
	if err != nil {
		return nil, err
	}
	r.dry = &estimate{}
	v := &verifier{run: r, v: &Verification{When: time.Now().UTC(), Differences: []string{}}}
	err = v.all(ctx)
	r.end()
	v.v.OK = err == nil && v.n == 0
	r.report.Verified = v.v
	if err != nil {
		return r.report, fmt.Errorf("verify what moved to %s: %w", t.Address, err)
	}
	return r.report, nil
}

type verifier struct {
	*run

	v *Verification
	n int // differences
}

func (v *verifier) differ(format string, args ...any) {
	v.n++
	if len(v.v.Differences) < MaxListed {
		v.v.Differences = append(v.v.Differences, fmt.Sprintf(format, args...))
	}
}

func (v *verifier) all(ctx context.Context) error {
	if err := v.survey(ctx); err != nil {
		return err
	}
	v.Progress.phase(Verifying, "")
	for _, p := range v.places {
		if p.skipped != "" {
			if p.skipped == p.from.Unfit {
				v.differ("%q was left out: %s", p.from.ID, p.skipped)
			}
			continue
		}
		var list []listed
		err := v.try(ctx, fmt.Sprintf("list %q", p.from.ID), func() (err error) {
			list, err = v.list(ctx, p)
			return err
		})
		if errors.Is(err, errOneMailbox) {
			v.differ("%q cannot be compared: %v", p.from.ID, err)
			continue
		}
		if err != nil {
			return err
		}
		if err := v.compare(ctx, p, list); err != nil {
			return err
		}
		v.Progress.update(func(s *Snapshot) { s.MailboxesIn++; s.Mailbox = p.from.ID })
	}
	return nil
}

// listed is what is needed of a Message: there may be millions.
type listed struct {
	key, name string
	size      int64
	uid       imap.UID
	sum       []byte
}

// list lists a mailbox of the source.
func (v *verifier) list(ctx context.Context, p *place) ([]listed, error) {
	reader, err := v.Source.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	var out []listed
	for m, err := range reader.Messages(ctx, &p.from) {
		var bad *MessageError
		if err != nil && !errors.As(err, &bad) {
			return nil, oneMailbox(err)
		}
		out = append(out, listed{m.Key, m.Name, m.Size, m.UID, m.Sum})
	}
	return out, ctx.Err()
}

func (v *verifier) compare(ctx context.Context, p *place, list []listed) error {
	origin := OriginOf(v.origin, p.from.ID)
	boxes := map[storage.MailboxID]*storage.Snapshot{}
	var c Counts
	for i := range list {
		if err := ctx.Err(); err != nil {
			return err
		}
		m := &Message{Key: list[i].key, Name: list[i].name, UID: list[i].uid, Size: list[i].size, Sum: list[i].sum}
		c.Listed++
		c.Bytes += max(m.Size, 0)
		rec, ok, err := readRecord(v.Account, origin, m.Key)
		switch {
		case err != nil:
			return err
		case !ok:
			v.differ("%s of %q has not come", m.where(), p.from.ID)
		case rec.Fate == Quarantined:
			c.Quarantined++
			v.listBad(origin, p, m.where(), m.Key, &rec)
		default:
			c.Known++
			if err := v.message(ctx, p, m, &rec, boxes); err != nil {
				return err
			}
		}
		if i%100 == 99 {
			v.Progress.passed(100)
		}
	}
	v.Progress.passed(int64(len(list) % 100))
	if p.from.Lost != "" {
		v.differ("%q lacks %s that its own list names", p.from.ID, p.from.Lost)
	}
	v.count(p, func(m *MailboxReport) {
		m.Counts = c
		if mb := p.find(v.Account); mb != nil {
			m.To = mb.Name
		}
	})
	return nil
}

// message compares one that was taken.
func (v *verifier) message(ctx context.Context, p *place, m *Message, rec *Record, boxes map[storage.MailboxID]*storage.Snapshot) error {
	s, ok := boxes[rec.Mailbox]
	if !ok {
		var err error
		if s, err = v.Account.Snapshot(ctx, rec.Mailbox); err != nil && !errors.Is(err, storage.ErrNoMailbox) {
			return err
		}
		boxes[rec.Mailbox] = s
	}
	if s == nil {
		v.v.Left++
		return nil
	}
	i, found := s.Find(rec.UID)
	if !found {
		v.v.Left++
		return nil
	}
	if m.damaged(rec.Hash) {
		v.differ("%s of %q was damaged before it came: it is not as it was when it was exported", m.where(), p.from.ID)
	}
	here := s.At(i)
	v.v.Messages++
	v.v.Bytes += rec.Size
	if m.Size >= 0 && m.Size != rec.Size {
		v.v.Sizes++
	}
	switch {
	case here.Size != rec.Size:
		v.differ("%s of %q has %d octets here, and %d came", m.where(), p.from.ID, here.Size, rec.Size)
	case hashOf(v.Account, here.Data) != rec.Hash:
		// It may have been expunged just now.
		if now, err := v.Account.Snapshot(ctx, rec.Mailbox); err == nil {
			if _, there := now.Find(rec.UID); !there {
				v.v.Left++
				return nil
			}
		}
		v.differ("%s of %q has other octets here than those that came", m.where(), p.from.ID)
	}
	return nil
}
