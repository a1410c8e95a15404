package importer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"

	"pillarbox/storage"
)

// target is a mailbox of the source with where it goes.
type target struct {
	*place

	origin    Origin
	note      boxNote // as it was before, or empty
	first     bool    // there was none
	id        storage.MailboxID
	keep      bool // UIDs; the committer's from the first batch on
	claims    *claims
	claimed   uint32          // UIDVALIDITY of which claims is, at least 1; 0: it is not made yet
	sent      map[string]bool // keys of messages that are on their way
	told      map[string]bool // keys of quarantined ones that are in the report
	messages  int64
	bytes     int64
	passed    int64 // messages that needed nothing
	passedBad int64 // of them, those that are quarantined
}

// plan lists the mailboxes one after the other, and hands on what is new.
func (r *run) plan(ctx context.Context) error {
	var reader Reader
	defer func() {
		if reader != nil {
			reader.Close()
		}
	}()
	for _, p := range r.places {
		if p.skipped != "" {
			continue
		}
		t := &target{place: p, origin: OriginOf(r.origin, p.from.ID), sent: map[string]bool{}, told: map[string]bool{}}
		err := r.try(ctx, fmt.Sprintf("list %q", p.from.ID), func() error {
			if reader == nil {
				var err error
				if reader, err = r.Source.Open(ctx); err != nil {
					return err
				}
			}
			err := r.mailbox(ctx, reader, t)
			if err != nil && !errors.Is(err, errOneMailbox) {
				reader.Close()
				reader = nil
			}
			return err
		})
		switch {
		case errors.Is(err, errOneMailbox):
			r.remark("%q was left out: %v.", p.from.ID, err)
			r.count(p, func(m *MailboxReport) { m.Skipped = err.Error() })
		case err != nil:
			return err
		}
		r.Progress.update(func(s *Snapshot) { s.MailboxesIn++ })
	}
	return nil
}

// origins are those of the source's mailboxes.
func (r *run) origins() map[Origin]bool {
	out := make(map[Origin]bool, len(r.places))
	for _, p := range r.places {
		out[OriginOf(r.origin, p.from.ID)] = true
	}
	return out
}

// errOneMailbox is of one mailbox, and not to be tried again.
var errOneMailbox = errors.New("it cannot be taken")

// mailbox compares one with what is known of it.
func (r *run) mailbox(ctx context.Context, reader Reader, t *target) error {
	note, err := readBox(r.Account, t.origin)
	if err != nil {
		return err
	}
	if t.id != 0 {
		return r.compare(ctx, reader, t) // the listing was cut off before
	}
	if t.first = note == nil; !t.first {
		t.note = *note
	}
	r.Progress.update(func(s *Snapshot) { s.Mailbox = t.from.ID })
	if t.unchanged(r) {
		n := t.note
		r.count(t.place, func(m *MailboxReport) {
			m.To, m.Unchanged, m.KeptUIDs = r.Account.MailboxByID(n.Mailbox).Name, true, n.KeepsUIDs
			m.Counts = Counts{Listed: n.Messages, Bytes: n.Bytes, Known: n.Messages - n.Bad, Quarantined: n.Bad}
		})
		if n.Bad > 0 {
			if err := r.listAllBad(t); err != nil {
				return err
			}
		}
		r.Progress.passed(n.Messages)
		return nil
	}
	return r.compare(ctx, reader, t)
}

// unchanged tells whether nothing happened at the source since the last run.
func (t *target) unchanged(r *run) bool {
	n := &t.note
	return n.Done && (n.Mark != "" && n.Mark == t.from.Mark || t.quiet(r)) && n.Subscribed == t.from.Subscribed &&
		!(r.Options.Retry && n.Bad > 0) && (n.Expunged || !r.Options.Expunge) && r.Account.MailboxByID(n.Mailbox) != nil
}

// flagsEvery is how often flags are compared where the source does not tell
// that one changed: it means that every message is listed.
const flagsEvery = 10 * time.Minute

// quiet tells whether a source without mod-sequences has neither a message
// more nor one less, and was listed not long ago.
func (t *target) quiet(r *run) bool {
	n, mb := &t.note, &t.from
	age := time.Since(time.Unix(n.Listed, 0))
	return !r.Thorough && n.Mark == "" && mb.Mark == "" && mb.UIDNext != 0 && mb.UIDNext == n.UIDNext &&
		mb.UIDValidity == n.Validity && mb.Messages == n.Messages && age >= 0 && age < flagsEvery
}

// compare lists a mailbox and finds what is new, changed and gone.
func (r *run) compare(ctx context.Context, reader Reader, t *target) error {
	r.again(t)
	var records map[string]*known
	var b *batch
	changed := newChanges(r, t)
	begin := func() error {
		var err error
		if err = r.open(ctx, t); err != nil {
			return err
		}
		if records, err = readRecords(r.Account, t.origin, t.from.UIDValidity); err != nil {
			return err
		}
		switch { // once, as who commits works with it
		case t.claimed == 0:
			t.claims, err = newClaims(ctx, r.Account, t, records, r.origins())
			t.claimed = max(t.from.UIDValidity, 1)
		case t.claimed != max(t.from.UIDValidity, 1):
			return fmt.Errorf("list mailbox %q: %w", t.from.ID, errRenumbered)
		}
		return err
	}
	for m, err := range reader.Messages(ctx, &t.from) {
		var bad *MessageError
		if err != nil && !errors.As(err, &bad) {
			return oneMailbox(err)
		}
		if records == nil {
			if err := begin(); err != nil {
				return err
			}
		}
		t.messages++
		t.bytes += max(m.Size, 0)
		r.count(t.place, func(c *MailboxReport) { c.Listed++; c.Bytes += max(m.Size, 0) })
		if t.sent[m.Key] {
			if k := records[m.Key]; k != nil {
				k.seen = true
			}
			continue // the source lists it twice, or the listing was cut off before
		}
		if k := records[m.Key]; k != nil && !(k.fate == Quarantined && r.Options.Retry) {
			if k.seen {
				continue
			}
			k.seen = true
			if err := r.passed(t, k, &m); err != nil {
				return err
			}
			if bad == nil && !strings.Contains(m.Lacks, "flags") { // else they are not known
				if err := changed.add(ctx, k, &m); err != nil {
					return err
				}
			}
			continue
		}
		if len(m.Key) > MaxKey || m.Key == "" {
			r.remark("%s of %q was left out: the source gives it no key that can be kept.", m.where(), t.from.ID)
			continue
		}
		t.sent[m.Key] = true
		again := records[m.Key] != nil
		if again {
			records[m.Key].seen = true
		}
		if b == nil {
			b = newBatch(t)
		}
		b.add(m)
		if m.Lacks != "" {
			r.remark("Of %s of %q the source's %s cannot be read; it came without.", m.where(), t.from.ID, m.Lacks)
		}
		last := &b.slots[len(b.slots)-1]
		last.again = again
		if bad != nil {
			last.bad = bad
		}
		if b.full() {
			if err := r.send(ctx, b); err != nil {
				return err
			}
			b = nil
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if records == nil {
		if err := begin(); err != nil {
			return err
		}
	}
	if b != nil {
		if err := r.send(ctx, b); err != nil {
			return err
		}
	}
	if err := changed.flush(ctx); err != nil {
		return err
	}
	if t.from.Lost != "" {
		r.remark("%q lacks %s that its own list names: they were lost or deleted before.", t.from.ID, t.from.Lost)
	}
	return r.finish(ctx, t, records)
}

// oneMailbox finds that an error concerns a mailbox alone: the server answers,
// and does not open it.
func oneMailbox(err error) error {
	var no *imap.Error
	if errors.As(err, &no) && !permanent(err) {
		return fmt.Errorf("%w: %s", errOneMailbox, plainText(no.Text))
	}
	return err
}

// passed counts a message that is known.
func (r *run) passed(t *target, k *known, m *Message) error {
	if k.fate == Quarantined && !t.told[m.Key] {
		rec, _, err := readRecord(r.Account, t.origin, m.Key)
		if err != nil {
			return err
		}
		t.told[m.Key] = true
		r.listBad(t.origin, t.place, m.where(), m.Key, &rec)
	}
	r.count(t.place, func(m *MailboxReport) {
		if k.fate == Quarantined {
			m.Quarantined++
		} else {
			m.Known++
		}
	})
	t.passed++
	if k.fate == Quarantined {
		t.passedBad++
	}
	r.Progress.passed(1)
	return nil
}

// again begins a listing that may have been cut off before.
func (r *run) again(t *target) {
	r.count(t.place, func(m *MailboxReport) {
		m.Listed, m.Bytes, m.Known, m.Quarantined = 0, 0, 0, m.Quarantined-t.passedBad
		if t.messages == 0 {
			m.Counts = Counts{}
		}
	})
	r.Progress.passed(-t.passed)
	t.messages, t.bytes, t.passed, t.passedBad = 0, 0, 0, 0
}

// finish says that a mailbox is at its end, behind its messages.
func (r *run) finish(ctx context.Context, t *target, records map[string]*known) error {
	b := newBatch(t)
	close(b.done)
	b.records = records
	b.ending = &boxNote{
		Mailbox: t.id, Validity: t.from.UIDValidity, Mark: t.from.Mark, Subscribed: t.from.Subscribed,
		Messages: t.messages, Bytes: t.bytes, Done: true, Listed: time.Now().Unix(), UIDNext: t.from.UIDNext, Expunged: r.Options.Expunge,
	}
	if r.dry != nil {
		return nil
	}
	select {
	case r.order <- b:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// send hands a batch to whoever fetches, and its place to who commits.
func (r *run) send(ctx context.Context, b *batch) error {
	if r.dry != nil {
		r.dry.add(r, b)
		return nil
	}
	if r.sent++; r.sent == 2 {
		r.enough()
	}
	select {
	case r.order <- b:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case r.work <- b:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// open finds or makes the mailbox to which a target goes.
func (r *run) open(ctx context.Context, t *target) error {
	mb := r.Account.MailboxByID(t.note.Mailbox)
	if mb == nil {
		mb = t.find(r.Account)
	}
	if r.dry != nil {
		if mb != nil {
			t.id = mb.ID
			r.count(t.place, func(m *MailboxReport) { m.To = mb.Name })
		}
		return nil
	}
	if mb == nil {
		var err error
		if mb, err = r.Account.CreateMailbox(ctx, storage.NewMailbox{Name: t.to}); err != nil {
			return err
		}
	}
	t.id = mb.ID
	if t.from.Subscribed && (t.first || !t.note.Subscribed) {
		if err := r.Account.SetSubscribed(ctx, mb.Name, true); err != nil {
			return err
		}
	}
	if !t.first && !t.from.Subscribed && t.note.Subscribed {
		if err := r.Account.SetSubscribed(ctx, mb.Name, false); err != nil {
			return err
		}
	}
	if err := r.number(ctx, t, mb); err != nil {
		return err
	}
	r.count(t.place, func(m *MailboxReport) { m.To, m.KeptUIDs = mb.Name, t.keep })
	if t.first {
		// From here on a mailbox that is renamed here is still found.
		t.note = boxNote{Mailbox: mb.ID, Validity: t.from.UIDValidity, Subscribed: t.from.Subscribed, KeepsUIDs: t.keep}
		return t.note.write(ctx, r.Account, t.origin)
	}
	return nil
}

// number gives a mailbox the source's UIDVALIDITY where that is asked for.
func (r *run) number(ctx context.Context, t *target, mb *storage.Mailbox) error {
	if !r.Options.KeepUIDs || t.from.UIDValidity == 0 {
		return nil
	}
	var why string
	switch {
	case !t.alone:
		why = "several mailboxes go there"
	case mb.UIDValidity != t.from.UIDValidity && mb.NumMessages > 0:
		why = "it holds messages already"
	}
	if why == "" {
		err := r.Account.SetUIDs(ctx, mb.ID, storage.UIDs{Validity: t.from.UIDValidity, ModSeq: storage.ModSeq(min(t.from.ModSeq, 1<<61))})
		switch {
		case err == nil:
			t.keep = true
			return nil
		case errors.Is(err, storage.ErrNotEmpty):
			why = "it holds messages already"
		case errors.Is(err, storage.ErrUIDValidity):
			why = "the source's UIDVALIDITY is too high"
		default:
			return err
		}
	}
	r.remark("%q does not keep its UIDs: %s. Mail programs fetch it again.", t.from.ID, why)
	return nil
}

// expungeSafety is how many messages a source may lose at once and have none
// left, before it is rather the source that is broken.
const expungeSafety = 10

// expunge removes here what is gone at the source.
func (r *run) expunge(ctx context.Context, t *target, records map[string]*known) error {
	var gone []string
	uids := map[storage.MailboxID]imap.UIDSet{}
	for key, k := range records {
		if k.seen || t.claims.took(key) {
			continue
		}
		gone = append(gone, key)
		if k.fate != Quarantined {
			set := uids[k.box]
			set.AddNum(k.uid)
			uids[k.box] = set
		}
	}
	if t.messages == 0 && len(gone) > expungeSafety {
		r.remark("%q lists no message any more, and %d were taken from it. They were not expunged here: if that is right, delete them by hand.", t.from.ID, len(gone))
		return nil
	}
	if len(gone) == 0 || r.dry != nil {
		return nil
	}
	slices.Sort(gone)
	for id, set := range uids {
		if r.Account.MailboxByID(id) == nil {
			continue
		}
		op := storage.FlagOp{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}
		if _, err := r.Account.Store(ctx, id, set, op); err != nil {
			return err
		}
		out, _, err := r.Account.Expunge(ctx, id, set)
		if err != nil {
			return err
		}
		r.count(t.place, func(m *MailboxReport) { m.Expunged += int64(len(out)) })
	}
	for some := range slices.Chunk(gone, 1000) {
		notes := make([]storage.Note, len(some))
		for i, key := range some {
			notes[i] = storage.Note{Key: t.origin.key(key)}
		}
		if err := r.Account.PutNotes(ctx, notes); err != nil {
			return err
		}
	}
	return nil
}
