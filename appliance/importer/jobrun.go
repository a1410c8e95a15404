package importer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// Between two tries of a person whose source cannot be reached, after the
// engine has tried for a while.
const (
	minRetry = time.Minute
	maxRetry = 15 * time.Minute
)

// maxListeners bounds the people of a job whose source is listened to over a
// connection that stays; at the others' it is only looked from time to time.
const maxListeners = 50

// work moves everybody of a job, some at a time, until all are done or ctx ends.
func (j *Jobs) work(ctx context.Context, r *running) {
	var g errgroup.Group
	// Who is followed waits most of the time, and must not keep others from moving.
	turn := make(chan struct{}, r.together())
	for i := range r.People {
		if r.People[i].Stage != StageDone {
			g.Go(func() error {
				j.person(ctx, r, i, turn)
				return nil
			})
		}
	}
	_ = g.Wait() // each person's error is their own
	defer j.dropUpload(r)
	j.mu.Lock()
	defer j.mu.Unlock()
	r.stop, r.tokens = nil, nil
	if r.State != Running || ctx.Err() != nil {
		return // paused, cancelled, or the server stops
	}
	r.State = Ended
	for i := range r.People {
		if r.People[i].Stage == StageLocked {
			r.State = Locked
		}
	}
	if r.State == Ended {
		j.forget(r)
	}
	j.keep(r)
}

// person moves one person's mail.
func (j *Jobs) person(ctx context.Context, r *running, i int, turn chan struct{}) {
	defer r.progress[i].phase(Done, "")
	for failures := 0; ; {
		select {
		case turn <- struct{}{}:
		case <-ctx.Done():
			return
		}
		last := !r.Follow || isClosed(r.cutOver)
		src, report, err := j.once(ctx, r, i, last)
		<-turn
		if src == nil && err == nil {
			err = ctx.Err()
		}
		wait := time.Duration(0)
		switch {
		case ctx.Err() != nil:
			closeSource(src)
			return
		case err == nil && last:
			closeSource(src)
			j.ended(ctx, r, i, StageDone, report, nil)
			return
		case errors.Is(err, ErrSignIn):
			closeSource(src)
			j.ended(ctx, r, i, StageLocked, report, err)
			return
		case err != nil && permanent(err):
			closeSource(src)
			j.ended(ctx, r, i, StageFailed, report, err)
			return
		case err != nil:
			closeSource(src)
			src = nil
			failures++
			wait = min(minRetry<<min(failures-1, 8), maxRetry)
			j.set(r, func() {
				p := &r.People[i]
				p.Stage, p.Error, p.Next = StageRetrying, err.Error(), time.Now().Add(wait).UTC()
			})
		default:
			failures = 0
			j.set(r, func() {
				p := &r.People[i]
				p.Stage, p.Error, p.Next = StageFollowing, "", time.Time{}
			})
			r.progress[i].phase(Following, "")
			if i >= maxListeners {
				closeSource(src)
				src, wait = nil, r.poll()
			}
		}
		j.await(ctx, r, src, wait, err != nil)
		closeSource(src)
	}
}

func closeSource(s Source) {
	if s != nil {
		s.Close()
	}
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// await waits for the next run: until the source tells of a change, the time is
// over, or the last run is asked for. A last run that failed waits all the same.
func (j *Jobs) await(ctx context.Context, r *running, src Source, wait time.Duration, failed bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if !failed || !isClosed(r.cutOver) {
		go func() {
			select {
			case <-r.cutOver:
				cancel()
			case <-ctx.Done():
			}
		}()
	}
	if src == nil {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
		return
	}
	begin := time.Now()
	if err := src.Wait(ctx, r.poll()); err != nil && ctx.Err() == nil {
		j.log.Info("a source cannot be listened to", "job", r.ID, "err", err)
		select {
		case <-time.After(max(0, r.poll()-time.Since(begin))):
		case <-ctx.Done():
		}
	}
}

// once runs the engine, and after the last run compares everything.
func (j *Jobs) once(ctx context.Context, r *running, i int, last bool) (Source, *Report, error) {
	var job Job
	var keys secrets
	var t *tokens
	j.set(r, func() {
		p := &r.People[i]
		if p.Stage != StageFollowing { // who follows looks often, and mostly in vain
			p.Stage, p.Next = StageMoving, time.Time{}
		}
		job, keys, t = r.Job, r.secrets, r.tokens
	})
	account, address, err := j.conf.Account(ctx, job.People[i].Account)
	if err == nil {
		err = job.People[i].same(account)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	src, err := j.open(&job, i, keys, t)
	if err != nil {
		return nil, nil, err
	}
	task := &Task{Source: src, Account: account, Address: address, Options: job.Options, Thorough: last || job.People[i].Runs == 0, Progress: r.progress[i]}
	report, err := j.conf.Engine.Run(ctx, task)
	var verified *Report
	if err == nil && last {
		if verified, err = j.conf.Engine.Verify(ctx, task); verified != nil {
			report.Verified, report.Bad, report.Ended = verified.Verified, verified.Bad, verified.Ended
		}
	}
	if report != nil {
		j.settle(r, i, report, err == nil)
	}
	return src, report, err
}

// settle keeps the report of a run, and sums it up. One that was cut off has
// not seen all that an earlier one saw.
func (j *Jobs) settle(r *running, i int, report *Report, whole bool) {
	idle := report.Total.Taken+report.Total.Flagged+report.Total.Expunged == 0
	var before Person
	j.mu.Lock()
	p := &r.People[i]
	before = *p
	p.Runs++
	if whole || report.Total.Listed >= before.Total.Listed {
		p.Total = report.Total
	}
	p.Total.Taken = before.Total.Taken + report.Total.Taken
	p.Total.TakenBytes = before.Total.TakenBytes + report.Total.TakenBytes
	p.Bad = report.Total.Quarantined
	if v := report.Verified; v != nil {
		p.OK = &v.OK
	}
	if !idle || before.Runs == 0 || report.Verified != nil {
		j.keep(r)
	}
	j.mu.Unlock()
	if idle && before.Runs > 0 && report.Verified == nil {
		return // a follower that found nothing new writes nothing
	}
	if err := writeFile(j.shelf.report(r.ID, i), report); err != nil {
		j.log.Error("a report is not kept", "job", r.ID, "err", err)
	}
}

// set changes a job, and keeps it where a person's stage changed.
func (j *Jobs) set(r *running, f func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	before := make([]Stage, len(r.People))
	for i := range r.People {
		before[i] = r.People[i].Stage
	}
	f()
	for i := range r.People {
		if r.People[i].Stage != before[i] {
			j.keep(r)
			return
		}
	}
}

// ended notes how a person's move ended.
func (j *Jobs) ended(ctx context.Context, r *running, i int, stage Stage, report *Report, err error) {
	text := "done"
	j.set(r, func() {
		p := &r.People[i]
		p.Stage, p.Next, p.Error = stage, time.Time{}, ""
		if err != nil {
			p.Error = err.Error()
			text = p.Error
		}
	})
	if err == nil && report != nil {
		c := report.Total
		text = fmt.Sprintf("done: %d messages of %d were taken now, %d are quarantined", c.Taken, c.Listed, c.Quarantined)
		if v := report.Verified; v != nil && !v.OK {
			text += "; what is here is NOT what the source has"
		}
	}
	j.log.Info("a person's mail", "job", r.ID, "account", r.People[i].Account, "stage", string(stage), "result", text)
	j.record(ctx, Happening{What: JobEnded, Job: r.ID, Account: r.People[i].Account, Text: text})
}
