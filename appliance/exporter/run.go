package exporter

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
	"golang.org/x/sync/errgroup"

	"pillarbox/storage"
)

// Target is where mail goes. A Target is used for one Run.
type Target interface {
	// String tells a person what and where it is.
	String() string
	// Begin prepares for these mailboxes, of an account.
	Begin(ctx context.Context, account string, boxes []Mailbox) error
	// Put brings a mailbox into line. It is called for as many mailboxes at once
	// as a method Together() int says, where the target has one.
	Put(ctx context.Context, j *Job, mb *Mailbox, msgs []Message) error
	// Finish ends the work when everything was put.
	Finish(ctx context.Context, r *Report) error
	// Close lets everything go, also after an error.
	Close() error
}

// Options say how a run goes.
type Options struct {
	Account   string           // whose mail it is; must not be empty
	Mailboxes []string         // by name; nil means all
	Expunge   bool             // remove at the target what is gone here and came from here
	VerifyAll bool             // read everything back, not only what moved in this run
	Progress  func(Progress)   // called now and then; nil means nobody wants to know
	Now       func() time.Time // nil means time.Now
}

// Run exports. The report tells also what was done before an error.
func Run(ctx context.Context, mail Mail, to Target, o *Options) (*Report, error) {
	j := newJob(mail, to, o)
	err := j.run(ctx, to)
	j.report.Ended = j.now()
	for i := range j.report.Mailboxes {
		j.report.Total.add(&j.report.Mailboxes[i].Counts)
	}
	if err == nil {
		err = to.Finish(ctx, j.report)
	}

	return j.report, plain(errors.Join(err, to.Close()))
}

// Job is the part of a run that is about one mailbox, as targets see it.
type Job struct {
	*shared

	box *MailboxReport
}

// shared is what the parts of a run have in common.
type shared struct {
	mail Mail
	o    *Options
	now  func() time.Time

	mu       sync.Mutex // for what follows
	report   *Report
	progress Progress
	shown    time.Time
}

func newJob(mail Mail, to Target, o *Options) *Job {
	j := &Job{shared: &shared{mail: mail, o: o, now: o.Now}}
	if j.now == nil {
		j.now = time.Now
	}
	j.report = &Report{
		Account: o.Account, Target: to.String(), Started: j.now(),
		Mailboxes: []MailboxReport{}, Bad: []Bad{}, Remarks: []string{}, Differences: []string{},
	}

	return j
}

func (j *Job) run(ctx context.Context, to Target) error {
	boxes, err := j.mail.Mailboxes(ctx)
	if err != nil {
		return fmt.Errorf("list mailboxes: %w", err)
	}
	if boxes, err = choose(boxes, j.o.Mailboxes); err != nil {
		return err
	}
	for _, mb := range boxes {
		j.progress.Total += mb.Messages
		j.progress.TotalBytes += mb.Bytes
	}
	if err := to.Begin(ctx, j.o.Account, boxes); err != nil {
		return err
	}
	together := 1
	if t, ok := to.(interface{ Together() int }); ok {
		together = t.Together()
	}
	parts := make([]*MailboxReport, len(boxes))
	work, inner := errgroup.WithContext(ctx)
	work.SetLimit(together)
	for i := range boxes {
		if inner.Err() != nil {
			break
		}
		work.Go(func() (err error) {
			parts[i], err = j.put(inner, to, &boxes[i])
			return err
		})
	}
	err = work.Wait()
	for _, part := range parts {
		if part != nil {
			j.report.Mailboxes = append(j.report.Mailboxes, *part)
		}
	}
	if err != nil {
		return err
	}
	j.show(true)

	return ctx.Err()
}

// put puts a mailbox. It returns nil for one that is gone.
func (j *Job) put(ctx context.Context, to Target, mb *Mailbox) (*MailboxReport, error) {
	msgs, err := j.mail.Messages(ctx, mb.ID)
	if errors.Is(err, storage.ErrNoMailbox) {
		return nil, nil // it was deleted since it was listed
	}
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", mb.Name, err)
	}
	part := &Job{shared: j.shared, box: &MailboxReport{Name: mb.Name}}
	j.mu.Lock()
	j.progress.Mailbox = mb.Name
	j.mu.Unlock()
	for _, m := range msgs {
		part.box.Listed++
		part.box.Bytes += m.Size
		// What came since the mailboxes were listed is not in their numbers.
		if m.UID >= mb.UIDNext {
			mb.UIDNext = m.UID + 1
		}
	}
	if err := to.Put(ctx, part, mb, msgs); err != nil {
		return part.box, fmt.Errorf("export %s: %w", mb.Name, err)
	}

	return part.box, nil
}

// choose keeps the mailboxes that are wanted.
func choose(boxes []Mailbox, names []string) ([]Mailbox, error) {
	if names == nil {
		return boxes, nil
	}
	var some []Mailbox
	for _, name := range names {
		canonical, err := storage.CanonicalName(name)
		if err != nil {
			return nil, fmt.Errorf("mailbox %q: %w", name, err)
		}
		found := false
		for _, mb := range boxes {
			if mb.Name == canonical {
				some, found = append(some, mb), true
			}
		}
		if !found {
			return nil, fmt.Errorf("mailbox %q: %w", name, storage.ErrNoMailbox)
		}
	}

	return some, nil
}

// bad notes a message that could not be exported.
func (j *Job) bad(m *Message, reason string) {
	j.box.Refused++
	j.mu.Lock()
	if len(j.report.Bad) < MaxListed {
		j.report.Bad = append(j.report.Bad, Bad{Mailbox: j.box.Name, UID: m.UID, Size: m.Size, Reason: reason})
	}
	j.mu.Unlock()
	j.done(m)
}

// differs notes what the comparison found.
func (j *Job) differs(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.report.Differences) < MaxListed {
		j.report.Differences = append(j.report.Differences, j.box.Name+": "+fmt.Sprintf(format, args...))
	}
}

// remark tells an administrator something of the mailbox.
func (j *Job) remark(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.report.Remarks) < MaxListed {
		j.report.Remarks = append(j.report.Remarks, j.box.Name+": "+fmt.Sprintf(format, args...))
	}
}

// done counts a message as dealt with.
func (j *Job) done(m *Message) {
	j.mu.Lock()
	j.progress.Done++
	j.progress.DoneBytes += m.Size
	j.mu.Unlock()
	j.show(false)
}

// showEvery is the time between two reports of progress.
const showEvery = 250 * time.Millisecond

func (j *Job) show(now bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.o.Progress == nil || !now && time.Since(j.shown) < showEvery {
		return
	}
	j.shown = time.Now()
	p := j.progress
	p.Total, p.TotalBytes = max(p.Total, p.Done), max(p.TotalBytes, p.DoneBytes)
	j.o.Progress(p)
}

// gone tells that an error of Mail.Read means that the message was deleted
// since it was listed.
func gone(err error) bool { return errors.Is(err, storage.ErrNoMessage) }

// dataOf are the messages as Mail.Read wants them.
func dataOf(msgs []Message) []storage.DataID {
	ids := make([]storage.DataID, len(msgs))
	for i := range msgs {
		ids[i] = msgs[i].Data
	}

	return ids
}

// byUID finds messages.
func byUID(msgs []Message) map[imap.UID]*Message {
	index := make(map[imap.UID]*Message, len(msgs))
	for i := range msgs {
		index[msgs[i].UID] = &msgs[i]
	}

	return index
}
