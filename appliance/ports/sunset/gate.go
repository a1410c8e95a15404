package sunset

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// gate is what holds for those who come, made anew whenever a plan changes.
type gate struct{ rules []rule }

// rule is what a plan does to those who come by the old way.
type rule struct {
	kind     Kind
	announce bool
	alert    string
	refuse   string
	farewell string // "" where the port is served
	scope    []chosen
	outage   outage
	warning  string // of the brown-out that comes
	warned   time.Time
}

// outage is a brown-out. It ends by the wall clock, and by the one that never
// jumps.
type outage struct {
	from, until time.Time
	length      time.Duration
	start       time.Time // by the program's own clock; zero if none is on
}

func (o *outage) on(now time.Time) bool {
	return !o.start.IsZero() && !now.Before(o.from) && now.Before(o.until) && time.Since(o.start) < o.length
}

// publish makes the gate of what the plans are. p.acting is held, or nobody else
// is there yet.
func (p *Planner) publish(ctx context.Context) error {
	old := p.gate.Load()
	next := &gate{}
	p.server = p.conf.Server()
	for _, k := range p.kinds() {
		plan, err := p.view(k)
		if err != nil {
			return err
		}
		if !plan.active() || plan.Outcome == Dropped {
			continue
		}
		r := rule{
			kind: k, announce: plan.announced(),
			alert: plan.said(plan.Words.Announce, p.server, p.zone()), refuse: plan.said(plan.Words.Refuse, p.server, p.zone()),
			warning: plan.warned(p.now(), p.zone()), warned: plan.warnedUntil(p.now()),
		}
		for _, w := range plan.scope(plan.At) {
			r.scope = append(r.scope, p.choose(ctx, &w))
		}
		if plan.farewell() {
			r.farewell = plan.said(plan.Words.Farewell, p.server, p.zone())
		}
		if b := plan.brownout(); b != nil {
			r.outage = outage{b.Began, b.Until(), min(time.Duration(b.For), max(0, b.Until().Sub(p.now()))), time.Now()}
			if was := old.rule(k); was != nil && was.outage.from.Equal(b.Began) {
				r.outage = was.outage
			} else {
				p.mu.Lock()
				p.tallies[k] = &tally{}
				p.mu.Unlock()
			}
		}
		next.rules = append(next.rules, r)
	}
	p.gate.Store(next)

	return nil
}

func (g *gate) rule(k Kind) *rule {
	if g == nil {
		return nil
	}
	for i := range g.rules {
		if g.rules[i].kind == k {
			return &g.rules[i]
		}
	}

	return nil
}

// choose resolves aliases. One that leads nowhere any more chooses itself.
func (p *Planner) choose(ctx context.Context, w *Who) chosen {
	c := chosen{people: map[string]bool{}, networks: w.Networks, everybody: w.Everybody}
	for _, address := range w.People {
		c.people[strings.ToLower(address)] = true
		members, err := p.conf.People.Members(ctx, address)
		if err != nil {
			p.log.DebugContext(ctx, "nobody is found whom a plan names", "address", address, "err", err)
		}
		for _, m := range members {
			c.people[strings.ToLower(m)] = true
		}
	}

	return c
}

// refused tells whether somebody is refused.
func (p *Planner) refused(r *rule, c *Contact, now time.Time) bool {
	meant := r.outage.on(now) || slices.ContainsFunc(r.scope, func(s chosen) bool { return s.has(c.Account, c.Remote) })

	return meant && r.kind.Old(c) && p.conf.Settings.Works(r.kind, c) // nobody is left without any way
}

// Turned returns why nobody is served on a port, "" if people are.
func (p *Planner) Turned(port string, remote netip.Addr) string {
	for _, r := range p.gate.Load().rules {
		about := r.kind.words()
		if r.farewell == "" || about.port != port || !p.conf.Settings.Works(r.kind, &Contact{Remote: remote, Port: port}) {
			continue
		}
		p.called(remote)
		return r.farewell
	}

	return ""
}

// Leaving tells whether people are told to leave a port, and whether some of them
// or all are refused there.
func (p *Planner) Leaving(port string) (told, refuses bool) {
	for _, k := range p.kinds() {
		if plan, err := p.view(k); err == nil && k.words().port == port && plan.announced() {
			return true, plan.step().Stage.refuses()
		}
	}

	return false, false
}

// maxCallers bounds how many of them are told apart.
const maxCallers = 256

// called notes who knocks at a closed port.
func (p *Planner) called(remote netip.Addr) {
	remote = remote.Unmap().WithZone("")
	p.mu.Lock()
	defer p.mu.Unlock()
	c, known := p.callers[remote]
	if !known && len(p.callers) >= maxCallers {
		oldest, last := netip.Addr{}, p.now()
		for a, other := range p.callers {
			if other.last.Before(last) {
				oldest, last = a, other.last
			}
		}
		delete(p.callers, oldest)
	}
	p.callers[remote] = caller{p.now(), c.count + 1}
}

// Arrived returns what somebody is told who has shown who they are, and whether
// they are refused.
func (p *Planner) Arrived(c *Contact) (alerts []string, refuse bool) {
	g, now := p.gate.Load(), p.now()
	if len(g.rules) == 0 {
		return nil, false
	}
	for i := range g.rules {
		if r := &g.rules[i]; p.refused(r, c, now) {
			p.note(r.kind, c, true, false)
			return []string{r.refuse}, true
		}
	}
	for i := range g.rules {
		r := &g.rules[i]
		told := false
		if r.kind.Old(c) {
			warning := ""
			if now.Before(r.warned) {
				warning = r.warning
			}
			if told = r.announce || warning != ""; told {
				alerts = append(alerts, strings.TrimSpace(r.alert+warning))
			}
		}
		p.note(r.kind, c, false, told)
	}

	return alerts, false
}

// note keeps in mind that somebody came.
func (p *Planner) note(k Kind, c *Contact, refused, told bool) {
	now := p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.of(k)
	name := strings.ToLower(c.Account)
	person := all[name]
	if person == nil {
		person = &Person{Account: name}
		all[name] = person
	}
	p.dirty[k][name] = true
	switch old := k.Old(c); {
	case refused:
		person.Refusals++
		person.RefusedLast = now
		if person.Refused.IsZero() {
			person.Refused, p.urgent = now, true
		}
		if t := p.tallies[k]; t != nil && !slices.Contains(t.tried, name) {
			add(&t.tried, name)
			p.nudge() // to be written down
		}
	case old:
		person.Old = now
		if told && person.Told.IsZero() {
			person.Told, p.urgent = now, true
		}
	case k.New(c):
		person.New = now
		if t := p.tallies[k]; t != nil && !slices.Contains(t.came, name) {
			add(&t.came, name)
			p.nudge()
		}
	}
}

// tally is who did what in a brown-out, as far as it is not in the plan yet.
type tally struct{ tried, came []string }

func add(all *[]string, who string) {
	if len(*all) < maxPeople && !slices.Contains(*all, who) {
		*all = append(*all, who)
	}
}

// cut ends the sessions of those who would be refused now.
func (p *Planner) cut(k Kind) {
	r := p.gate.Load().rule(k)
	if r == nil || p.conf.Disconnect == nil {
		return
	}
	now := p.now()
	ended := p.conf.Disconnect(func(c *Contact) bool { return p.refused(r, c, now) }, "[ALERT] "+r.refuse)
	if ended > 0 {
		p.log.Info("sessions by the old way ended", "plan", k, "count", ended)
	}
}

// persons returns copies of what is known of a plan's people, by address.
func (p *Planner) persons(k Kind) map[string]Person {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make(map[string]Person, len(p.people[k]))
	for name, person := range maps.All(p.people[k]) {
		all[name] = *person
	}

	return all
}
