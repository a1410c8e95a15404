package sunset

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Check is what stands in the way of a step.
type Check struct {
	Step   string   `json:"step"`
	Waits  []string `json:"waits,omitempty"`   // in words; nothing if it can begin
	CutOff []CutOff `json:"cut_off,omitempty"` // who still comes by the old way and would be refused
	// Unexpected are those of them who were neither told nor accepted, or are stuck.
	Unexpected []string `json:"unexpected,omitempty"`

	firm bool // and nobody can have it begin all the same
}

// CutOff is somebody whom a step refuses.
type CutOff struct {
	Account  string    `json:"account"`
	Devices  []string  `json:"devices,omitempty"` // with where they were, in words
	Last     time.Time `json:"last"`
	Told     bool      `json:"told"`
	Stuck    bool      `json:"stuck,omitempty"` // they cannot come by the new way, by what is set
	Expected bool      `json:"expected"`
}

// check finds out whether a step can begin.
func (p *Planner) check(plan *Plan, at int, now time.Time) Check {
	c := Check{Step: plan.place(at)}
	step := &plan.Steps[at]
	about := plan.Kind.words()
	if step.Stage.refuses() && !p.conf.Settings.Works(plan.Kind, nil) {
		c.firm = true
		c.Waits = append(c.Waits, about.new+" is not open: nobody could read mail any more")
	}
	if !step.Stage.refuses() || step.Stage == Silent { // everybody is refused already
		return c
	}
	quiet := now.Add(-time.Duration(plan.Measures.Quiet))
	if since := p.conf.Inventory.Since(); since.After(quiet) {
		c.Waits = append(c.Waits, fmt.Sprintf("who uses %s is known only since %s; a whole picture takes until %s", about.old,
			since.In(p.zone()).Format(time.DateTime), since.Add(time.Duration(plan.Measures.Quiet)).In(p.zone()).Format(time.DateTime)))
	}
	m := p.measure(plan, now)
	if m.Bad != "" {
		c.Waits = append(c.Waits, m.Bad)
	}
	if least := plan.Measures.MinMoved; m.Moved+m.Remaining > 0 && 100*m.Moved < least*(m.Moved+m.Remaining) {
		c.Waits = append(c.Waits, fmt.Sprintf("%d of %d people have moved, and %d %% are to have", m.Moved, m.Moved+m.Remaining, least))
	}
	p.cutOff(plan, at, now, &c)
	var stuck, untold []string
	for _, f := range c.CutOff {
		switch {
		case f.Expected:
		case f.Stuck:
			stuck = append(stuck, f.Account)
		default:
			untold = append(untold, f.Account)
		}
	}
	if n := len(untold); n > 0 {
		c.Waits = append(c.Waits, fmt.Sprintf("%d would be cut off without having been told: %s", n, some(untold)))
	}
	if n := len(stuck); n > 0 {
		c.Waits = append(c.Waits, fmt.Sprintf("%d cannot come by %s from where they are: %s", n, about.new, some(stuck)))
	}

	return c
}

// some names the first of many.
func some(all []string) string {
	const shown = 10
	if len(all) <= shown {
		return strings.Join(all, ", ")
	}

	return fmt.Sprintf("%s and %d more", strings.Join(all[:shown], ", "), len(all)-shown)
}

// cutOff finds those whom a step would refuse and who are let in now.
func (p *Planner) cutOff(plan *Plan, at int, now time.Time, c *Check) {
	before, after := p.chosen(plan, plan.At), p.chosen(plan, at)
	in := func(all []chosen, u *Contact) bool {
		return slices.ContainsFunc(all, func(c chosen) bool { return c.has(u.Account, u.Remote) })
	}
	people := p.persons(plan.Kind)
	found := map[string]*CutOff{}
	for _, u := range p.concerned(plan, now) {
		if in(before, &u.Contact) || !in(after, &u.Contact) {
			continue
		}
		name := strings.ToLower(u.Account)
		f := found[name]
		if f == nil {
			person := people[name]
			told := person.told()
			f = &CutOff{Account: name, Told: told, Expected: told || slices.Contains(plan.Accepted, name)}
			found[name] = f
		}
		if !p.conf.Settings.Works(plan.Kind, &u.Contact) { // to be told is of no use
			f.Stuck, f.Expected = true, slices.Contains(plan.Accepted, name)
		}
		if u.Last.After(f.Last) {
			f.Last = u.Last
		}
		if d := u.described(); d != "" {
			add(&f.Devices, d)
		}
	}
	for _, f := range found {
		c.CutOff = append(c.CutOff, *f)
		if !f.Expected {
			c.Unexpected = append(c.Unexpected, f.Account)
		}
	}
	slices.SortFunc(c.CutOff, func(a, b CutOff) int { return cmp.Compare(a.Account, b.Account) })
	slices.Sort(c.Unexpected)
}

// chosen resolves who is refused at a step.
func (p *Planner) chosen(plan *Plan, at int) []chosen {
	var all []chosen
	for _, w := range plan.scope(at) {
		all = append(all, p.choose(context.Background(), &w))
	}

	return all
}

// month is how far back those are looked for who were not told: what comes once a
// month is not seen in a week.
const month = 31 * day

// concerned returns how people still come by the old way; those who were told count
// only as long as they are not quiet.
func (p *Planner) concerned(plan *Plan, now time.Time) []Use {
	quiet, people := now.Add(-time.Duration(plan.Measures.Quiet)), p.persons(plan.Kind)

	return slices.DeleteFunc(p.usesOf(plan, now.Add(-max(month, time.Duration(plan.Measures.Quiet)))), func(u Use) bool {
		person := people[strings.ToLower(u.Account)]
		return u.Last.Before(quiet) && person.told()
	})
}

// usesOf returns how people came by the old way, as the inventory and the plan
// itself know it.
func (p *Planner) usesOf(plan *Plan, since time.Time) []Use {
	var all []Use
	known := map[string]bool{}
	for _, u := range p.conf.Inventory.Uses(since) {
		if plan.Kind.Old(&u.Contact) && u.Account != "" {
			all = append(all, u)
			known[strings.ToLower(u.Account)] = true
		}
	}
	for name, person := range p.persons(plan.Kind) {
		if person.Old.After(since) && !known[name] {
			all = append(all, Use{Contact: Contact{Account: name}, Last: person.Old, First: person.Old})
		}
	}

	return all
}

// described names a device for people.
func (u *Use) described() string {
	var parts []string
	for _, part := range []string{u.Device, u.Program} {
		if part = clean(part); part != "" && !slices.Contains(parts, part) {
			parts = append(parts, part)
		}
	}
	if u.Remote.IsValid() {
		if at := u.Remote.Unmap().String(); !slices.Contains(parts, at) {
			parts = append(parts, "at "+at)
		}
	}

	return strings.Join(parts, ", ")
}

// clean makes a name that a program gave itself fit to be shown.
func clean(text string) string {
	const most = 100
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == '\u2028' || r == '\u2029' || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}

	return strings.TrimSpace(text)
}

// Measure is how a plan does.
type Measure struct {
	Tried     int       `json:"tried"`          // sign-ins by the new way, within a window
	Failed    int       `json:"failed"`         // of them
	Rate      int       `json:"rate"`           // percent; of nothing if not judged
	Base      int       `json:"base"`           // the rate before the step, percent; -1 if it is not known
	Judged    bool      `json:"judged"`         // there were enough to tell
	Moved     int       `json:"moved"`          // people who came by the new way after the old, and no more by that
	Remaining int       `json:"remaining"`      // people who still come by the old way
	Refused   []string  `json:"refused"`        // people who were refused in this step
	Broken    []string  `json:"broken"`         // of them, who did not come by the new way within a window
	Bad       string    `json:"bad,omitempty"`  // why the plan is to be paused, in words
	Since     time.Time `json:"since,omitzero"` // from when on failures are counted
}

// measure finds out how a plan does.
func (p *Planner) measure(plan *Plan, now time.Time) Measure {
	limits := plan.Measures
	m := Measure{Base: plan.Base, Refused: []string{}, Broken: []string{}, Since: now.Add(-time.Duration(limits.Window))}
	if plan.Since.After(m.Since) && plan.step().Stage.refuses() {
		m.Since = plan.Since // what was before is not this step's fault
	}
	t := p.conf.Inventory.Traffic(plan.Kind.words().other, m.Since, now)
	m.Tried, m.Failed = t.SignIns+t.Failed, t.Failed
	if m.Tried >= limits.MinTries {
		m.Judged, m.Rate = true, 100*m.Failed/m.Tried
	}
	quiet := now.Add(-time.Duration(limits.Quiet))
	people := p.persons(plan.Kind)
	old := map[string]time.Time{}
	for _, u := range p.usesOf(plan, now.Add(-90*day)) {
		name := strings.ToLower(u.Account)
		if u.Last.After(old[name]) {
			old[name] = u.Last
		}
	}
	for name, last := range old {
		switch person := people[name]; {
		case person.New.After(last) && (last.Before(quiet) || !person.Refused.IsZero()):
			m.Moved++
		default:
			m.Remaining++
		}
	}
	for name, person := range people {
		if person.Refused.IsZero() {
			continue
		}
		m.Refused = append(m.Refused, name)
		if person.broken() && now.Sub(person.Refused) >= time.Duration(limits.Window) {
			m.Broken = append(m.Broken, name)
		}
	}
	slices.Sort(m.Refused)
	slices.Sort(m.Broken)
	switch {
	case !plan.step().Stage.refuses():
	case m.Judged && m.Rate >= max(plan.Base, 0)+limits.Rise:
		m.Bad = fmt.Sprintf("%d %% of %d sign-ins by %s fail since %s, and %d %% did before the step",
			m.Rate, m.Tried, plan.Kind.words().new, m.Since.In(p.zone()).Format(time.TimeOnly), max(plan.Base, 0))
	case len(m.Broken) > limits.MaxBroken:
		m.Bad = fmt.Sprintf("%d people were refused and have not come by %s since: %s", len(m.Broken), plan.Kind.words().new, some(m.Broken))
	}

	return m
}
