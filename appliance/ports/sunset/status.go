package sunset

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"time"
)

// Status is a plan as it stands.
type Status struct {
	Plan

	Title   string   `json:"title"`
	Place   string   `json:"place"` // the step that holds, in words
	Next    *Step    `json:"next,omitempty"`
	Check   *Check   `json:"check,omitempty"` // of the next step
	Measure Measure  `json:"measure"`
	People  []Person `json:"people"`
	Unheld  string   `json:"unheld,omitempty"` // why the settings do not follow
}

// Status returns the plan of a kind as it stands.
func (p *Planner) Status(k Kind) (Status, error) {
	plan, err := p.plan(k)
	if err != nil {
		return Status{}, err
	}
	now := p.now()
	s := Status{Plan: *plan, Title: k.Title(), Place: plan.place(plan.At), Measure: p.measure(plan, now), People: []Person{}}
	if n := plan.next(); n != nil && plan.active() && plan.Outcome == "" {
		c := p.check(plan, plan.At+1, now)
		s.Next, s.Check = n, &c
	}
	for _, person := range p.persons(k) {
		s.People = append(s.People, person)
	}
	slices.SortFunc(s.People, func(a, b Person) int { return cmp.Compare(a.Account, b.Account) })
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.unheld[k]; err != nil {
		s.Unheld = err.Error()
	}

	return s, nil
}

// Plans returns all plans as they stand, also those that have ended.
func (p *Planner) Plans() []Status {
	all := []Status{}
	for _, k := range p.kinds() {
		if s, err := p.Status(k); err == nil {
			all = append(all, s)
		}
	}

	return all
}

// Caller is an address that knocks at a port that is closed.
type Caller struct {
	Remote netip.Addr `json:"remote"`
	Last   time.Time  `json:"last"`
	Count  int        `json:"count"` // since the last start
}

// Callers returns who knocks at a port that is closed, those who came last first.
func (p *Planner) Callers() []Caller {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := []Caller{}
	for remote, c := range p.callers {
		all = append(all, Caller{remote, c.last, c.count})
	}
	slices.SortFunc(all, func(a, b Caller) int { return cmp.Or(b.Last.Compare(a.Last), a.Remote.Compare(b.Remote)) })

	return all
}

// Row is a device in a report.
type Row struct {
	Account   string    `json:"account"`
	Device    string    `json:"device"`
	Address   string    `json:"address,omitempty"`
	Port      string    `json:"port"`
	TLS       string    `json:"tls,omitempty"`
	Mechanism string    `json:"mechanism,omitempty"`
	First     time.Time `json:"first"`
	Last      time.Time `json:"last"`
	Sessions  int       `json:"sessions"`
	Risks     []string  `json:"risks,omitempty"`
}

// Report is what an auditor wants to see.
type Report struct {
	Made      time.Time  `json:"made"`
	Server    string     `json:"server"`
	For       string     `json:"for"` // who asked for it
	Ownership Ownership  `json:"ownership"`
	Open      bool       `json:"open"` // port 990
	Plans     []Status   `json:"plans"`
	Since     time.Time  `json:"since"` // when the inventory began
	Inventory []Row      `json:"inventory"`
	Callers   []Caller   `json:"callers"`
	Changes   []Change   `json:"changes"`
	Evidence  []Evidence `json:"evidence"`
}

// maxRows bounds an inventory that is reported.
const maxRows = 5000

// Report tells everything that is known of the old ways.
func (p *Planner) Report(ctx context.Context, by string) Report {
	r := Report{
		Made: p.now(), Server: p.conf.Server(), For: by, Ownership: p.Ownership(), Open: p.conf.Settings.Way(Leave990).Open, Plans: p.Plans(),
		Since: p.conf.Inventory.Since(), Inventory: []Row{}, Callers: p.Callers(), Changes: p.conf.Settings.Changes(), Evidence: []Evidence{},
	}
	for _, u := range p.conf.Inventory.Uses(r.Made.Add(-90 * day)) {
		row := Row{
			Account: u.Account, Device: clean(cmp.Or(u.Device, u.Program)), Port: u.Port, TLS: u.TLS, Mechanism: u.Mechanism,
			First: u.First, Last: u.Last, Sessions: u.Sessions, Risks: u.Risks,
		}
		if u.Remote.IsValid() {
			row.Address = u.Remote.Unmap().String()
		}
		r.Inventory = append(r.Inventory, row)
	}
	slices.SortStableFunc(r.Inventory, func(a, b Row) int {
		return cmp.Or(cmp.Compare(b.Port, a.Port), cmp.Compare(a.Account, b.Account), b.Last.Compare(a.Last))
	})
	r.Inventory = r.Inventory[:min(len(r.Inventory), maxRows)]
	if p.conf.Evidence != nil {
		r.Evidence = append(r.Evidence, p.conf.Evidence(ctx)...)
	}

	return r
}

// Decided is a decision with what it was about.
type Decided struct {
	Decision

	About string `json:"about"`
}

// Decisions returns all of a report's, the oldest first.
func (r *Report) Decisions() []Decided {
	var all []Decided
	for _, d := range r.Ownership.Decisions {
		all = append(all, Decided{d, "port 990"})
	}
	for _, s := range r.Plans {
		for _, d := range s.Decisions {
			all = append(all, Decided{d, string(s.Kind)})
		}
	}
	slices.SortStableFunc(all, func(a, b Decided) int { return a.At.Compare(b.At) })

	return all
}
