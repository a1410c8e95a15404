package sunset

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Run carries the plans out until ctx ends, whose error it returns.
func (p *Planner) Run(ctx context.Context) error {
	for {
		p.tick(ctx)
		timer := time.NewTimer(p.untilNext())
		select {
		case <-ctx.Done():
			p.acting.Lock()
			defer p.acting.Unlock()
			// What is known of people outlives an orderly stop.
			return errors.Join(ctx.Err(), p.flush(context.WithoutCancel(ctx), true))
		case <-p.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// untilNext is how long there is nothing to do: a brown-out begins and ends on
// time.
func (p *Planner) untilNext() time.Duration {
	next, now := p.conf.Tick, p.now()
	for _, k := range p.kinds() {
		plan, err := p.view(k)
		if err != nil {
			continue
		}
		for _, b := range plan.Brownouts {
			if b.State == Planned && b.Begins.After(now) {
				next = min(next, b.Begins.Sub(now))
			}
			if b.State == On && b.Until().After(now) {
				next = min(next, b.Until().Sub(now))
			}
		}
	}

	return next
}

// tick does what the time has come for.
func (p *Planner) tick(ctx context.Context) {
	p.acting.Lock()
	defer p.acting.Unlock()
	now := p.now()
	p.look(ctx, now)
	p.rename(ctx)
	for _, k := range p.kinds() {
		for _, do := range []func(context.Context, *Plan, time.Time) error{p.brownouts, p.watch, p.forward, p.mails} {
			plan, err := p.view(k)
			if err == nil && plan.active() {
				err = do(ctx, plan, now)
			}
			if err != nil && ctx.Err() == nil {
				p.log.ErrorContext(ctx, "carry on with a plan", "plan", k, "err", err)
			}
		}
		p.settle(ctx, k)
		if plan, err := p.view(k); err == nil && plan.active() && (plan.step().Stage.refuses() || plan.brownout() != nil) {
			p.cut(k) // who came in while it began
		}
	}
	if err := errors.Join(p.remind(ctx, now), p.flush(ctx, false)); err != nil && ctx.Err() == nil {
		p.log.ErrorContext(ctx, "keep what plans know", "err", err)
	}
	p.complain()
}

const (
	// absence is after how long no step is made up for by itself.
	absence = 2 * day
	// seenEach is how often it is written down that the clock was looked at.
	seenEach = time.Hour
)

// look looks at the clock. After an absence, or where it has jumped as far, plans
// whose steps were due meanwhile pause.
func (p *Planner) look(ctx context.Context, now time.Time) {
	last := p.seen
	p.seen = now
	if !last.IsZero() && now.Sub(last) > absence {
		for _, k := range p.kinds() {
			plan, err := p.view(k)
			if err != nil || !plan.active() || plan.Hold != nil || plan.Started.IsZero() {
				continue
			}
			if n := plan.next(); n != nil && !n.Begins.IsZero() && !n.Begins.After(now) {
				why := fmt.Sprintf("nobody looked at the clock between %s and %s: the box was off, or its clock has jumped",
					last.In(p.zone()).Format(time.DateTime), now.In(p.zone()).Format(time.DateTime))
				p.pause(ctx, plan, why, false)
			}
		}
	}
	if d := now.Sub(p.kept); d >= seenEach || d < 0 {
		p.prune(ctx)
		if err := p.publish(ctx); err != nil { // an alias may lead to others now
			p.log.ErrorContext(ctx, "look up whom plans choose", "err", err)
		}
		if text, err := now.UTC().MarshalText(); err == nil && p.conf.Store.Save(ctx, map[string][]byte{seenKey: text}) == nil {
			p.kept = now
		}
	}
}

// rename tells people the server's name as the settings have it now.
func (p *Planner) rename(ctx context.Context) {
	if p.server == p.conf.Server() {
		return
	}
	if err := p.publish(ctx); err != nil {
		p.log.ErrorContext(ctx, "tell people the server's new name", "err", err)
	}
}

// prune forgets people who have no account any more.
func (p *Planner) prune(ctx context.Context) {
	for _, k := range p.kinds() {
		gone := map[string][]byte{}
		for name := range p.persons(k) {
			if _, err := p.conf.People.Members(ctx, name); errors.Is(err, ErrNoPerson) {
				gone[personKey+string(k)+"/"+name] = nil
			}
		}
		if len(gone) == 0 {
			continue
		}
		if err := p.conf.Store.Save(ctx, gone); err != nil {
			p.log.WarnContext(ctx, "people who have gone are not forgotten yet", "err", err)
			continue
		}
		p.mu.Lock()
		for key := range gone {
			name := strings.TrimPrefix(key, personKey+string(k)+"/")
			delete(p.people[k], name)
			delete(p.dirty[k], name)
		}
		p.mu.Unlock()
	}
}

// pause pauses a plan by itself.
func (p *Planner) pause(ctx context.Context, plan *Plan, why string, auto bool) {
	by, plan := actor(plan.Kind), plan.clone()
	plan.Hold = &Hold{Why: why, By: by, At: p.now(), Auto: auto}
	if err := p.commit(ctx, plan, Decision{What: WasPaused, By: by, Why: why}); err != nil {
		p.log.ErrorContext(ctx, "pause a plan", "plan", plan.Kind, "err", err)
	}
}

// brownouts begins and ends them.
func (p *Planner) brownouts(ctx context.Context, plan *Plan, now time.Time) error {
	i := slices.IndexFunc(plan.Brownouts, func(b Brownout) bool { return b.State == Planned || b.State == On })
	if i < 0 || plan.Brownouts[i].State == Planned && now.Before(plan.Brownouts[i].Begins) {
		return nil
	}
	plan = plan.clone()
	b := &plan.Brownouts[i]
	d := Decision{What: WasBrownout, By: actor(plan.Kind)}
	end := func(s BrownoutState, why string) error {
		b.State, b.Ended, b.Why = s, now, why
		d.To, d.Why = string(s), why
		if s == Over {
			d.Why = fmt.Sprintf("tried: %s; came by %s instead: %s", orNobody(b.Tried), plan.Kind.words().new, orNobody(b.Came))
		}
		p.letIn(plan.Kind, b.Began)
		return p.commit(ctx, plan, d)
	}
	if b.State == On {
		changed := p.count(plan.Kind, b)
		if r := p.gate.Load().rule(plan.Kind); r == nil || !r.outage.on(now) {
			return end(Over, "")
		}
		if changed {
			return p.save(ctx, plan)
		}
		return nil
	}
	switch {
	case now.Sub(b.Begins) > lateBy:
		return end(Missed, "the box was off, or its clock has jumped")
	case plan.Hold != nil:
		return end(Missed, "the plan is paused")
	case !p.conf.Settings.Works(plan.Kind, nil):
		return end(Missed, plan.Kind.words().new+" is not open")
	}
	b.State, b.Began = On, now
	d.To = string(On)
	d.Why = fmt.Sprintf("planned by %s", b.By)
	if err := p.commit(ctx, plan, d); err != nil {
		return err
	}
	p.cut(plan.Kind)

	return nil
}

func orNobody(all []string) string {
	if len(all) == 0 {
		return "nobody"
	}

	return some(all)
}

// count takes who was seen in a brown-out into the plan.
func (p *Planner) count(k Kind, b *Brownout) (changed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.tallies[k]
	if t == nil {
		return false
	}
	n := len(b.Tried) + len(b.Came)
	for _, who := range t.tried {
		add(&b.Tried, who)
	}
	for _, who := range t.came {
		if slices.Contains(b.Tried, who) {
			add(&b.Came, who)
		}
	}

	return len(b.Tried)+len(b.Came) > n
}

// watch pauses a plan when failures rise, and takes it back when they stay.
func (p *Planner) watch(ctx context.Context, plan *Plan, now time.Time) error {
	if plan.Outcome != "" || !plan.step().Stage.refuses() || plan.brownout() != nil {
		return nil
	}
	m := p.measure(plan, now)
	switch {
	case m.Bad == "":
		return nil
	case plan.Hold == nil:
		p.pause(ctx, plan, m.Bad, true)
	case plan.Hold.Auto && now.Sub(plan.Hold.At) >= time.Duration(plan.Measures.Patience):
		by := actor(plan.Kind)
		d := Decision{By: by, Why: m.Bad}
		plan = plan.clone()
		p.takeBack(plan, &d, &Hold{Why: m.Bad, By: by, At: now})
		return p.commit(ctx, plan, d)
	}

	return nil
}

// forward begins the next step, if its time has come and nothing stands in its way.
func (p *Planner) forward(ctx context.Context, plan *Plan, now time.Time) error {
	n := plan.next()
	var c Check
	due := n != nil && plan.Outcome == "" && plan.Hold == nil && plan.brownout() == nil && !plan.Started.IsZero() &&
		!n.Begins.IsZero() && !n.Begins.After(now) && !p.conf.Settings.Window(now).After(now)
	if due {
		c = p.check(plan, plan.At+1, now)
	}
	p.mu.Lock()
	p.waits[plan.Kind] = c
	p.mu.Unlock()
	if !due || len(c.Waits) > 0 {
		return nil
	}
	d := Decision{By: actor(plan.Kind), Why: "its date has come; approved by " + plan.approvedBy()}
	plan = plan.clone()
	p.advance(plan, &d, now)
	if err := p.commit(ctx, plan, d); err != nil {
		return err
	}
	p.cut(plan.Kind)

	return nil
}

// approvedBy returns who approved the plan last.
func (p *Plan) approvedBy() string {
	for _, d := range slices.Backward(p.Decisions) {
		if slices.Contains([]What{WasStarted, WasResumed, WasMoved}, d.What) && d.By != actor(p.Kind) {
			return d.By
		}
	}

	return p.By
}

// settle makes the settings follow a plan. What somebody changed by hand stays,
// and pauses it.
func (p *Planner) settle(ctx context.Context, k Kind) {
	plan, err := p.view(k)
	if err != nil || !plan.active() {
		return
	}
	err = p.follow(ctx, plan)
	p.mu.Lock()
	if err != nil {
		if p.unheld[k] == nil {
			p.log.WarnContext(ctx, "the settings do not follow a plan yet; it is tried again", "plan", k, "err", err)
		}
		p.unheld[k] = err
	} else {
		delete(p.unheld, k)
	}
	p.mu.Unlock()
}

func (p *Planner) follow(ctx context.Context, plan *Plan) error {
	by, way := actor(plan.Kind), p.conf.Settings.Way(plan.Kind)
	if way.Version == plan.Way.Version && (way.Open == plan.wantsOpen() || plan.ByHand) && plan.Outcome != Dropped && plan.next() != nil {
		return nil
	}
	plan = plan.clone()
	if way.Version != plan.Way.Version {
		hand := way.By != by && way.Open != plan.Way.Open
		plan.Way = way
		if hand {
			plan.ByHand = true
			done := map[bool]string{true: "opened", false: "closed"}[way.Open]
			why := fmt.Sprintf("%s was %s by hand (version %d of the settings, by %s)", plan.Kind.words().old, done, way.Version, way.By)
			if plan.Hold == nil {
				p.pause(ctx, plan, why, false)
				return nil
			}
		}
		if err := p.save(ctx, plan); err != nil {
			return err
		}
	}
	want := plan.wantsOpen()
	if way.Open != want && !plan.ByHand {
		now, err := p.conf.Settings.Set(ctx, plan.Kind, want, by, strings.TrimSpace(fmt.Sprintf("%s: %s; approved by %s",
			plan.Kind.Title(), plan.place(plan.At), plan.approvedBy())))
		if err != nil {
			return fmt.Errorf("%s: %w", plan.place(plan.At), err)
		}
		way, plan.Way = now, now
		if err := p.save(ctx, plan); err != nil {
			return err
		}
	}
	if way.Open != want {
		return nil // somebody wants it so
	}
	d := Decision{By: by}
	switch {
	case plan.Outcome == Dropped:
		d.What = WasDropped
		d.Why = "both ways are open"
	case plan.next() == nil && plan.Outcome == "":
		d.What, plan.Outcome = WasDone, Done
	default:
		return nil
	}
	plan.Ended = p.now()

	return p.commit(ctx, plan, d)
}

// complain tells what somebody should look at.
func (p *Planner) complain() {
	if p.conf.Trouble == nil {
		return
	}
	texts := map[Condition][]string{}
	tell := func(c Condition, format string, args ...any) {
		texts[c] = append(texts[c], fmt.Sprintf(format, args...))
	}
	for _, k := range p.kinds() {
		plan, err := p.view(k)
		if err != nil || !plan.active() {
			continue
		}
		if h := plan.Hold; h != nil {
			tell(PlanPaused, "%s is paused at %s since %s, by %s: %s. Look at it with pillarbox plan show, then resume or drop it.",
				k.Title(), plan.place(plan.At), h.At.In(p.zone()).Format(time.DateTime), h.By, h.Why)
		}
		p.mu.Lock()
		c, unheld := p.waits[k], p.unheld[k]
		p.mu.Unlock()
		if len(c.Waits) > 0 {
			tell(PlanWaits, "%s: %s does not begin: %s.", k.Title(), c.Step, strings.Join(c.Waits, "; "))
		}
		if unheld != nil {
			tell(PlanUnheld, "%s: %v. It is tried again by itself.", k.Title(), unheld)
		}
	}
	if len(p.damaged) > 0 {
		tell(PlanDamaged, "What is kept of plans cannot be read (%s): they are not carried out, and refuse nobody. Make them anew.", strings.Join(p.damaged, ", "))
	}
	if o := p.Ownership(); o.due(p.now()) {
		tell(ReviewDue, "Port 990 was to be looked at again by %s (owner %s, open because: %s). Then: pillarbox plan own --review DATE.",
			o.Review.In(p.zone()).Format(time.DateOnly), o.Owner, o.Why)
	}
	for _, c := range []Condition{PlanPaused, PlanWaits, PlanUnheld, PlanDamaged, ReviewDue} {
		text := strings.Join(texts[c], " ")
		if p.troubles[c] != text {
			p.troubles[c] = text
			p.conf.Trouble(c, text)
		}
	}
}
