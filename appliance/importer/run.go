package importer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"pillarbox/storage"
)

// run is one run of a task.
type run struct {
	*Engine

	*Task

	log    *slog.Logger
	origin string
	places []*place
	bytes  *rate.Limiter // nil: no limit
	pieces *rate.Limiter // messages; nil: no limit
	work   chan *batch
	order  chan *batch
	plenty chan struct{} // closed when there is work for more than one connection, or no more to come
	sent   int           // batches; the planner's
	dry    *estimate     // not nil: nothing is changed
	hasty  bool          // somebody waits: nothing is tried twice
	unused []*batch      // that the committer did not come to

	mu       sync.Mutex
	planned  bool // nothing more is to come
	report   *Report
	listed   map[string]*MailboxReport // by Mailbox.ID
	keywords map[string]int            // that were left off, by "mailbox: keyword"
}

// maxKeywordRemarks bounds the keywords that are named.
const maxKeywordRemarks = 200

// Run takes what is new, once. The report is there also with an error, as far
// as it came. What was done is durable whatever ends the run, and the next run
// goes on from there.
func (e *Engine) Run(ctx context.Context, t *Task) (*Report, error) {
	r, err := e.begin(t)
	if err != nil {
		return nil, err
	}
	done, err := e.turn(ctx, t.Account.ID())
	if err == nil {
		err = r.all(ctx)
		done()
	}
	r.end()
	if err != nil {
		return r.report, fmt.Errorf("move %s in: %w", t.Address, err)
	}
	return r.report, nil
}

func (e *Engine) begin(t *Task) (*run, error) {
	if err := t.Options.Validate(); err != nil {
		return nil, err
	}
	r := &run{
		Engine: e, Task: t, log: e.log.With("account", t.Address), origin: t.Source.Origin(),
		listed: map[string]*MailboxReport{}, keywords: map[string]int{},
		report: &Report{
			Source: t.Source.Origin(), Account: t.Address, Started: time.Now().UTC(),
			Mailboxes: []MailboxReport{}, Bad: []Bad{}, Remarks: []string{},
		},
	}
	if n := t.Options.BytesPerSecond; n > 0 {
		r.bytes = rate.NewLimiter(rate.Limit(n), int(min(max(n, piece), 1<<30)))
	}
	if n := t.Options.MessagesPerSecond; n > 0 {
		r.pieces = rate.NewLimiter(rate.Limit(n), 1)
	}
	return r, nil
}

// end finishes the report.
func (r *run) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Ended = time.Now().UTC()
	for _, p := range r.places {
		if m := r.listed[p.from.ID]; m != nil {
			r.report.Mailboxes = append(r.report.Mailboxes, *m)
			r.report.Total.add(m.Counts)
		}
	}
	for what, n := range r.keywords {
		r.report.Remarks = append(r.report.Remarks, fmt.Sprintf("The flag %s was left off, since a mailbox here cannot have it; messages: %d.", what, n))
	}
}

// remark adds a sentence to the report.
func (r *run) remark(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.report.Remarks) < MaxListed {
		r.report.Remarks = append(r.report.Remarks, fmt.Sprintf(format, args...))
	}
}

// count changes the counts of a mailbox.
func (r *run) count(p *place, f func(m *MailboxReport)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.listed[p.from.ID]
	if m == nil {
		m = &MailboxReport{From: p.from.ID, To: p.to, Namespace: p.from.Namespace, Skipped: p.skipped, ACL: p.from.ACL}
		r.listed[p.from.ID] = m
	}
	f(m)
}

// survey finds out what there is.
func (r *run) survey(ctx context.Context) error {
	r.Progress.phase(Listing, "")
	var boxes []Mailbox
	err := r.try(ctx, "list the mailboxes", func() (err error) {
		boxes, err = r.Source.Mailboxes(ctx)
		return err
	})
	if err != nil {
		return err
	}
	if teller, ok := r.Source.(Teller); ok {
		if r.report.Facts, err = teller.Facts(ctx); err != nil {
			r.log.WarnContext(ctx, "the source tells nothing of itself", "err", err)
		}
	}
	if noter, ok := r.Source.(Noter); ok {
		for _, n := range noter.Notes() {
			r.remark("%s", n)
		}
	}
	exchange := strings.Contains(r.report.Facts.Server, "Exchange")
	r.places = places(boxes, &r.Options, exchange)
	var messages int64
	n := 0
	for _, p := range r.places {
		if p.remark != "" {
			r.remark("%s", p.remark)
		}
		if p.skipped != "" {
			r.count(p, func(*MailboxReport) {})
			continue
		}
		n++
		messages += max(p.from.Messages, 0)
	}
	r.alone()
	r.Progress.update(func(s *Snapshot) {
		*s = Snapshot{Phase: Moving, Mailboxes: n, Messages: messages, Version: s.Version}
	})
	return nil
}

// alone finds the mailboxes here to which one of the source goes and no other.
func (r *run) alone() {
	target := func(p *place) string {
		if mb := p.find(r.Account); mb != nil {
			return mb.Name
		}
		return p.to
	}
	n := map[string]int{}
	for _, p := range r.places {
		if p.skipped == "" {
			n[target(p)]++
		}
	}
	for _, p := range r.places {
		p.alone = p.skipped == "" && n[target(p)] == 1
	}
}

// all runs the pipeline: who lists and compares, who fetches, and who commits
// in the order of the listing.
func (r *run) all(ctx context.Context) error {
	if err := r.survey(ctx); err != nil {
		return err
	}
	n := max(1, min(r.Source.Parallel(), MaxConnections))
	r.work, r.order, r.plenty = make(chan *batch), make(chan *batch, 2*n), make(chan struct{})
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(r.order)
		defer close(r.work)
		defer func() {
			r.mu.Lock()
			r.planned = true
			r.mu.Unlock()
			r.enough()
		}()
		return r.plan(ctx)
	})
	for i := range n {
		g.Go(func() error { return r.fetch(ctx, i == 0) })
	}
	g.Go(func() error { return r.commit(ctx) })
	err := g.Wait()
	for b := range r.order { // what was fetched and not committed
		b.drop()
	}
	for _, b := range r.unused {
		b.drop()
	}
	return err
}

// enough lets further connections be made, or know that none is needed.
func (r *run) enough() {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.plenty:
	default:
		close(r.plenty)
	}
}

// try calls f until it succeeds, or fails in a way that waiting does not mend,
// or too often.
func (r *run) try(ctx context.Context, what string, f func() error) error {
	for n := 1; ; n++ {
		err := f()
		if err == nil || permanent(err) || errors.Is(err, errRenumbered) || ctx.Err() != nil {
			return err
		}
		if r.hasty {
			return err
		}
		if n >= r.tries {
			return fmt.Errorf("%s, after %d tries: %w", what, n, err)
		}
		if err := r.rest(ctx, what, n, err); err != nil {
			return err
		}
	}
}

// rest waits before the next try.
func (r *run) rest(ctx context.Context, what string, n int, why error) error {
	wait := min(r.pause<<min(n-1, 10), time.Minute)
	wait += rand.N(wait/4 + 1)
	var busy *BusyError
	if errors.As(why, &busy) && busy.For > 0 {
		wait = busy.For
	}
	r.log.InfoContext(ctx, "trying again", "what", what, "in", wait, "err", why)
	var before Phase
	r.Progress.update(func(s *Snapshot) {
		before = s.Phase
		s.Phase, s.Note = Waiting, fmt.Sprintf("goes on at %s: %s", time.Now().Add(wait).UTC().Format(time.TimeOnly), cut(why.Error(), 300))
	})
	defer r.Progress.update(func(s *Snapshot) {
		if s.Phase == Waiting {
			s.Phase, s.Note = before, ""
			if before == Waiting {
				s.Phase = Moving
			}
		}
	})
	select {
	case <-time.After(wait):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// permanent tells whether it is of no use to try again.
func permanent(err error) bool {
	for _, e := range []error{
		ErrSignIn, ErrTrust, ErrRefused, storage.ErrDiskFull, storage.ErrOverQuota, storage.ErrClosed, storage.ErrNoAccount,
		storage.ErrCorrupt, storage.ErrUIDsExhausted, storage.ErrTooManyMailboxes, errStore, context.Canceled,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// errStore marks an error of storage's.
var errStore = errors.New("the message could not be stored")

// piece is how much is let through by the throttle at once, in octets.
const piece = 16 << 10

// slowed reads at the rate that was asked for, and remembers an error of the
// source's, so that it is told from one of storage's.
type slowed struct {
	ctx context.Context
	r   io.Reader
	l   *rate.Limiter
	err error
}

// Read implements io.Reader.
func (s *slowed) Read(p []byte) (int, error) {
	if s.l != nil && len(p) > piece {
		p = p[:piece]
	}
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	if s.l != nil && n > 0 {
		if werr := s.l.WaitN(s.ctx, n); werr != nil {
			s.err = werr
			return n, werr
		}
	}
	return n, err
}
