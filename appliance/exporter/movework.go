package exporter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/emersion/go-imap/v2"

	"pillarbox/appliance/importer"
	"pillarbox/storage"
)

// Between two tries of a person whose target cannot be reached, after the run
// itself has tried for a while.
const (
	minRetry = time.Minute
	maxRetry = 15 * time.Minute
)

// work moves everybody of a move, some at a time, until all are done or ctx ends.
func (m *Moves) work(ctx context.Context, r *running) {
	var g errgroup.Group
	g.SetLimit(r.together())
	for i := range r.People {
		if r.People[i].Stage != importer.StageDone {
			g.Go(func() error {
				m.person(ctx, r, i)
				return nil
			})
		}
	}
	_ = g.Wait() // each person's error is their own
	m.mu.Lock()
	defer m.mu.Unlock()
	r.stop = nil
	if r.State != importer.Running || ctx.Err() != nil { // paused, cancelled, or the server stops
		for i := range r.People {
			if s := &r.People[i].Stage; *s == importer.StageMoving || *s == importer.StageRetrying {
				*s = importer.StagePending
			}
		}
		return
	}
	r.State = importer.Ended
	for i := range r.People {
		if r.People[i].Stage == importer.StageLocked {
			r.State = importer.Locked
		}
	}
	if r.State == importer.Ended {
		m.forget(r)
	}
	m.keep(r)
}

// person moves one person's mail, and tries again while the target is away.
func (m *Moves) person(ctx context.Context, r *running, i int) {
	for failures := 0; ctx.Err() == nil; {
		report, err := m.once(ctx, r, i)
		switch {
		case ctx.Err() != nil:
			m.settle(r, i, report)
			return
		case err == nil:
			m.done(ctx, r, i, importer.StageDone, report, nil)
			return
		case errors.Is(err, importer.ErrSignIn):
			m.done(ctx, r, i, importer.StageLocked, report, err)
			return
		case r.To.Kind != KindIMAP || lasting(err):
			m.done(ctx, r, i, importer.StageFailed, report, err)
			return
		}
		m.settle(r, i, report)
		failures++
		wait := min(minRetry<<min(failures-1, 8), maxRetry)
		m.change(r, func() {
			p := &r.People[i]
			p.Stage, p.Error, p.Next = importer.StageRetrying, err.Error(), time.Now().Add(wait).UTC()
		})
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// lasting tells of errors that do not pass by waiting.
func lasting(err error) bool {
	var busy *importer.BusyError
	var no *imap.Error
	var usage *UsageError
	switch {
	case errors.As(err, &busy):
		return false
	case errors.As(err, &no), errors.As(err, &usage):
		return true
	}
	for _, known := range []error{importer.ErrTrust, importer.ErrRefused, errFull, errBox, errRecord} {
		if errors.Is(err, known) {
			return true
		}
	}

	return false
}

// errRecord says that it could not be recorded that mail leaves.
var errRecord = errors.New("it cannot be recorded that the mail leaves the box, so that it stays")

// once runs a person's export.
func (m *Moves) once(ctx context.Context, r *running, i int) (*Report, error) {
	var ask *Request
	var by string
	var id storage.AccountID
	m.change(r, func() {
		p := &r.People[i]
		p.Stage, p.Next = importer.StageMoving, time.Time{}
		ask, by, id = r.request(i, r.secrets), r.By, p.AccountID
	})
	r.meters[i].begin()
	account, address, err := m.conf.Account(ctx, ask.Account)
	if err == nil && id != "" && id != account.ID() {
		err = fmt.Errorf("%s is another account than the one for which this began; begin anew for it", address)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", importer.ErrRefused, err)
	}
	if ask.Kind != KindIMAP {
		if err := Reachable(ask.Dir, m.conf.Own); err != nil {
			return nil, err
		}
	}
	target, err := ask.Target(m.way(ctx))
	if err != nil {
		return nil, err
	}
	if err := m.record(ctx, Happening{What: MailLeaves, Move: r.ID, Account: address, By: by, Text: ask.Where()}); err != nil {
		return nil, fmt.Errorf("%w: %w", errRecord, err)
	}
	o := ask.Options()
	o.Account, o.Progress = address, r.meters[i].tell

	return Run(ctx, Stored(account), target, o)
}

// settle keeps the report of a run, and sums it up.
func (m *Moves) settle(r *running, i int, report *Report) {
	if report == nil {
		return
	}
	m.mu.Lock()
	p := &r.People[i]
	p.Runs++
	put, octets := p.Total.Put, p.Total.PutBytes
	p.Total = report.Total
	p.Total.Put += put
	p.Total.PutBytes += octets
	m.keep(r)
	m.mu.Unlock()
	if err := keep(m.shelf.report(r.ID, i), report); err != nil {
		m.log.Error("a report is not kept", "export", r.ID, "err", err)
	}
}

// change changes a move, and keeps it.
func (m *Moves) change(r *running, f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
	m.keep(r)
}

// done notes how a person's export ended.
func (m *Moves) done(ctx context.Context, r *running, i int, stage importer.Stage, report *Report, err error) {
	m.settle(r, i, report)
	text := "done"
	m.change(r, func() {
		p := &r.People[i]
		p.Stage, p.Error = stage, ""
		if err != nil {
			p.Error = err.Error()
			text = p.Error
			return
		}
		ok := report.OK()
		p.OK = &ok
		text = fmt.Sprintf("done: %d messages of %d were put there now, %d were refused", report.Total.Put, report.Total.Listed, report.Total.Refused)
		if len(report.Differences) > 0 {
			text += "; what is there is NOT what the box has"
		}
	})
	m.log.Info("a person's mail moved out", "export", r.ID, "account", r.People[i].Account, "stage", string(stage), "result", text)
	if err := m.record(ctx, Happening{What: MoveEnded, Move: r.ID, Account: r.People[i].Account, Text: text}); err != nil {
		m.log.Error("the end of an export is not recorded", "export", r.ID, "err", err)
	}
}
