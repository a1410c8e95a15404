package sunset

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// actor is who decides by itself.
func actor(k Kind) string { return "the plan " + string(k) }

// Make makes a plan, which begins when it is started.
func (p *Planner) Make(ctx context.Context, s *Spec, by string) (Plan, error) {
	if by == "" {
		return Plan{}, ErrNobody
	}
	spec, err := s.Complete()
	if err != nil {
		return Plan{}, fmt.Errorf("%w: %w", ErrSpec, err)
	}
	for _, step := range spec.Steps {
		if b := step.Begins; !b.IsZero() && b.Before(p.now().Add(-day)) {
			return Plan{}, fmt.Errorf("%w: steps (%s): %s has gone by", ErrSpec, step.Stage, b.In(p.zone()).Format(time.DateOnly))
		}
		for _, address := range step.Who.People {
			if _, err := p.conf.People.Members(ctx, address); err != nil {
				return Plan{}, fmt.Errorf("%w: steps (%s): %w", ErrSpec, step.Stage, err)
			}
		}
	}
	p.acting.Lock()
	defer p.acting.Unlock()
	if old, err := p.plan(spec.Kind); err == nil && old.active() {
		return Plan{}, fmt.Errorf("%w: %s", ErrExists, spec.Kind)
	}
	if other, err := p.plan(spec.Kind.opposite()); err == nil && other.active() {
		return Plan{}, ErrOpposite
	}
	way := p.conf.Settings.Way(spec.Kind)
	if !way.Open {
		return Plan{}, fmt.Errorf("%w: %s", ErrGone, spec.Kind.words().old)
	}
	if err := p.forgetPeople(ctx, spec.Kind); err != nil {
		return Plan{}, err
	}
	plan := &Plan{Spec: spec, By: by, Made: p.now(), Since: p.now(), Way: way, Base: -1}
	if err := p.commit(ctx, plan, Decision{What: WasMade, By: by, Why: spec.Why}); err != nil {
		return Plan{}, err
	}

	return *plan, nil
}

// forgetPeople forgets what an earlier plan of a kind knew.
func (p *Planner) forgetPeople(ctx context.Context, k Kind) error {
	p.mu.Lock()
	gone := map[string][]byte{}
	for name := range p.people[k] {
		gone[personKey+string(k)+"/"+name] = nil
	}
	delete(p.people, k)
	delete(p.dirty, k)
	delete(p.waits, k)
	delete(p.unheld, k)
	p.mu.Unlock()
	if len(gone) == 0 {
		return nil
	}

	return p.conf.Store.Save(ctx, gone)
}

// decide carries out what somebody decides about the plan of a kind: change says
// what, or why not.
func (p *Planner) decide(ctx context.Context, k Kind, by, why string, change func(*Plan, *Decision) error) (Plan, error) {
	if by == "" {
		return Plan{}, ErrNobody
	}
	if len(why) > maxWhy {
		return Plan{}, fmt.Errorf("%w: the reason is longer than %d octets", ErrSpec, maxWhy)
	}
	p.acting.Lock()
	defer p.acting.Unlock()
	defer p.nudge()
	plan, err := p.plan(k)
	if err != nil {
		return Plan{}, err
	}
	d := Decision{By: by, Why: why}
	if err := change(plan, &d); err != nil {
		return Plan{}, err
	}
	if err := p.commit(ctx, plan, d); err != nil {
		return Plan{}, err
	}
	p.cut(k)
	p.settle(ctx, k)

	return p.planOr(k, plan), nil
}

func (p *Planner) planOr(k Kind, plan *Plan) Plan {
	if now, err := p.plan(k); err == nil {
		return *now
	}

	return *plan
}

// state refuses what cannot be done now.
func state(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrState, fmt.Sprintf(format, args...))
}

func going(plan *Plan) error {
	switch {
	case plan.Outcome == Dropped:
		return state("the plan was dropped")
	case plan.Outcome == Done || !plan.active():
		return state("the plan is done")
	}

	return nil
}

// Start approves a plan: from now on its steps begin when their dates come. The
// first begins at once if it has none.
func (p *Planner) Start(ctx context.Context, k Kind, by, why string) (Plan, error) {
	return p.decide(ctx, k, by, why, func(plan *Plan, d *Decision) error {
		if err := going(plan); err != nil {
			return err
		}
		if !plan.Started.IsZero() {
			return state("the plan was started on %s", plan.Started.In(p.zone()).Format(time.DateOnly))
		}
		plan.Started = p.now()
		if n := plan.next(); n.Begins.IsZero() {
			n.Begins = p.now()
		}
		d.What = WasStarted
		return nil
	})
}

// Going is how somebody wants the next step to begin.
type Going struct {
	Now    bool `json:"now,omitempty"`    // do not wait for the window for changes
	Anyway bool `json:"anyway,omitempty"` // although its check finds something
}

// Next has the next step begin now, or when the window for changes opens. A check
// that finds something is a *CheckError, unless Going says anyway.
func (p *Planner) Next(ctx context.Context, k Kind, g Going, by, why string) (Plan, error) {
	return p.decide(ctx, k, by, why, func(plan *Plan, d *Decision) error {
		if err := going(plan); err != nil {
			return err
		}
		n := plan.next()
		switch {
		case n == nil:
			return state("there is no further step")
		case plan.brownout() != nil:
			return state("a brown-out is on until %s", plan.brownout().Until().In(p.zone()).Format(time.TimeOnly))
		}
		now := p.now()
		check := p.check(plan, plan.At+1, now)
		if len(check.Waits) > 0 && (!g.Anyway || check.firm) {
			return &CheckError{check}
		}
		if g.Anyway && len(check.Waits) > 0 {
			d.Why = strings.TrimSpace(d.Why + " (although: " + strings.Join(check.Waits, "; ") + ")")
			for _, who := range check.Unexpected {
				add(&plan.Accepted, who)
			}
		}
		plan.Started = orNow(plan.Started, now)
		plan.Hold, plan.ByHand = nil, false
		if begins := p.conf.Settings.Window(now); begins.After(now) && !g.Now {
			n.Begins = begins
			d.What, d.Why = WasResumed, strings.TrimSpace(d.Why+" (the next step begins when changes are allowed, "+begins.In(p.zone()).Format(time.DateTime)+")")
			return nil
		}
		p.advance(plan, d, now)
		return nil
	})
}

func orNow(t, now time.Time) time.Time {
	if t.IsZero() {
		return now
	}

	return t
}

// advance has the next step begin.
func (p *Planner) advance(plan *Plan, d *Decision, now time.Time) {
	if m := p.measure(plan, now); m.Judged {
		plan.Base = m.Rate
	} else {
		plan.Base = max(plan.Base, 0)
	}
	d.What, d.From = WasMoved, plan.place(plan.At)
	plan.At++
	plan.Since = now
	d.To = plan.place(plan.At)
	plan.spread(plan.At+1, plan.step().Begins, now)
	if n := plan.next(); n != nil && n.Stage == Silent && n.Begins.IsZero() {
		n.Begins = now.Add(time.Duration(plan.Grace))
	}
}

// spread keeps steps, from a first one on, from following on the heels of the one
// before them, which begins now and so late that their dates have gone by: they
// keep the distance that they had from what was planned for it. Where there was
// none they are for an administrator to begin.
func (p *Plan) spread(first int, planned, now time.Time) {
	last := now
	for i := first; i < len(p.Steps); i++ {
		switch b := &p.Steps[i].Begins; {
		case b.IsZero():
		case b.After(now) && !b.Before(last):
			last = *b
		case planned.IsZero() || b.Before(planned):
			*b = time.Time{}
		default:
			*b = now.Add(b.Sub(planned))
			last = *b
		}
	}
}

// Pause keeps a plan from going on; what its step does stays.
func (p *Planner) Pause(ctx context.Context, k Kind, by, why string) (Plan, error) {
	return p.decide(ctx, k, by, why, func(plan *Plan, d *Decision) error {
		if err := going(plan); err != nil {
			return err
		}
		if plan.Hold != nil && !plan.Hold.Auto {
			return state("the plan is paused already")
		}
		plan.Hold = &Hold{Why: why, By: by, At: p.now()}
		d.What = WasPaused
		return nil
	})
}

// Resume ends a pause.
func (p *Planner) Resume(ctx context.Context, k Kind, by, why string) (Plan, error) {
	return p.decide(ctx, k, by, why, func(plan *Plan, d *Decision) error {
		if err := going(plan); err != nil {
			return err
		}
		if plan.Hold == nil {
			return state("the plan is not paused")
		}
		plan.Hold, plan.ByHand = nil, false
		if n := plan.next(); n != nil && !n.Begins.IsZero() && n.Begins.Before(p.now()) {
			planned, now := n.Begins, p.now()
			n.Begins = now // a date that has gone by is no surprise any more
			plan.spread(plan.At+2, planned, now)
		}
		d.What = WasResumed
		return nil
	})
}

// Rollback lets everybody in by both ways again, at once. The plan is paused at
// announce. A plan that is done is taken up again.
func (p *Planner) Rollback(ctx context.Context, k Kind, by, why string) (Plan, error) {
	return p.decide(ctx, k, by, why, func(plan *Plan, d *Decision) error {
		if plan.Outcome == Dropped {
			return state("the plan was dropped")
		}
		if other, err := p.plan(k.opposite()); err == nil && other.active() {
			return ErrOpposite
		}
		p.takeBack(plan, d, &Hold{Why: why, By: by, At: p.now()})
		return nil
	})
}

// takeBack is Rollback for whoever does it.
func (p *Planner) takeBack(plan *Plan, d *Decision, h *Hold) {
	now := p.now()
	d.What, d.From = WasTaken, plan.place(plan.At)
	for i := min(plan.At, 1) + 1; i < len(plan.Steps); i++ {
		// What was in the past by then is for an administrator to begin.
		if b := plan.Steps[i].Begins; i <= plan.At || b.Before(now) || plan.Steps[i].Stage == Silent {
			plan.Steps[i].Begins = time.Time{}
		}
	}
	plan.At = min(plan.At, 1)
	plan.Since, plan.Hold, plan.ByHand = now, h, false
	plan.Outcome, plan.Ended = "", time.Time{}
	for i := range plan.Brownouts {
		if b := &plan.Brownouts[i]; b.State == On || b.State == Planned {
			b.State, b.Ended, b.Why = Cancelled, now, "the plan was taken back"
		}
	}
	d.To = plan.place(plan.At)
	p.letIn(plan.Kind, time.Time{})
}

// letIn notes that those whom a plan has refused since some time are not kept out
// by that any more; who still is will be refused again.
func (p *Planner) letIn(k Kind, since time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, person := range p.of(k) {
		if !person.Refused.IsZero() && !person.Refused.Before(since) {
			person.Refused, p.urgent = time.Time{}, true
			p.dirty[k][name] = true
		}
	}
}

// Accept lets people be cut off who were not told.
func (p *Planner) Accept(ctx context.Context, k Kind, people []string, by, why string) (Plan, error) {
	return p.decide(ctx, k, by, why, func(plan *Plan, d *Decision) error {
		if err := going(plan); err != nil {
			return err
		}
		if len(people) == 0 || len(people) > maxPeople {
			return fmt.Errorf("%w: say whom", ErrSpec)
		}
		for _, who := range people {
			if _, err := p.conf.People.Members(ctx, who); err != nil {
				return fmt.Errorf("%w: %w", ErrSpec, err)
			}
			add(&plan.Accepted, strings.ToLower(who))
		}
		d.What, d.To = WasAccepted, strings.Join(people, ", ")
		return nil
	})
}

// Drop ends a plan: both ways stay, and nobody is told anything any more.
func (p *Planner) Drop(ctx context.Context, k Kind, by, why string) (Plan, error) {
	return p.decide(ctx, k, by, why, func(plan *Plan, d *Decision) error {
		if err := going(plan); err != nil {
			return err
		}
		p.takeBack(plan, d, nil)
		plan.At, plan.Outcome = 0, Dropped
		d.What, d.To = WasDropped, plan.place(0)
		return nil
	})
}

// Bounds of brown-outs.
const (
	maxBrownouts = 50
	longest      = time.Hour
	lateBy       = 5 * time.Minute // one that could not begin by then is missed
	usualLength  = Span(10 * time.Minute)
)

// Brownout plans a short time in which the old way is refused to everybody; where
// begins is zero, it begins now.
func (p *Planner) Brownout(ctx context.Context, k Kind, begins time.Time, length Span, by, why string) (Plan, error) {
	fill(&length, usualLength)

	return p.decide(ctx, k, by, why, func(plan *Plan, d *Decision) error {
		if err := going(plan); err != nil {
			return err
		}
		now := p.now()
		if begins.IsZero() {
			begins = now
		}
		switch d := time.Duration(length); {
		case plan.Started.IsZero():
			return state("the plan is not started yet")
		case plan.step().Stage == Closed || plan.step().Stage == Silent:
			return state("the old way is closed already")
		case d < time.Second || d > longest:
			return fmt.Errorf("%w: a brown-out takes between a second and %s", ErrSpec, longest)
		case begins.Before(now.Add(-lateBy)) || begins.After(now.Add(366*day)):
			return fmt.Errorf("%w: a brown-out begins within a year from now", ErrSpec)
		case len(plan.Brownouts) >= maxBrownouts:
			return fmt.Errorf("%w: there are %d already", ErrSpec, maxBrownouts)
		}
		for _, b := range plan.Brownouts {
			if b.State == Planned || b.State == On {
				return state("another brown-out is planned for %s", b.Begins.In(p.zone()).Format(time.DateTime))
			}
		}
		plan.Brownouts = append(plan.Brownouts, Brownout{State: Planned, Begins: begins, For: length, By: by})
		d.What, d.To = WasBrownout, fmt.Sprintf("planned for %s, for %s", begins.UTC().Format(time.RFC3339), length)
		return nil
	})
}

// EndBrownout ends the brown-out that is on, or cancels the one that is planned.
func (p *Planner) EndBrownout(ctx context.Context, k Kind, by, why string) (Plan, error) {
	return p.decide(ctx, k, by, why, func(plan *Plan, d *Decision) error {
		i := slices.IndexFunc(plan.Brownouts, func(b Brownout) bool { return b.State == Planned || b.State == On })
		if i < 0 {
			return state("no brown-out is planned")
		}
		b := &plan.Brownouts[i]
		if b.State == On {
			p.letIn(k, b.Began)
		}
		b.State, b.Ended, b.Why = Cancelled, p.now(), "ended by "+by
		d.What, d.To = WasBrownout, string(Cancelled)
		return nil
	})
}
