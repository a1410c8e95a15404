package state

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Verb is what a step does.
type Verb string

// The verbs.
const (
	Create Verb = "create" // a link
	Delete Verb = "delete" // a link that we made
	Set    Verb = "set"    // one of a link's properties
	Add    Verb = "add"    // an address or a route
	Remove Verb = "remove"
	Extend Verb = "extend" // the time of an address, which a person need not see
)

// Thing is what a step is about.
type Thing string

// The things, in the order in which they are done.
const (
	TheLink    Thing = "link"
	TheSetting Thing = "setting"
	TheMTU     Thing = "mtu"
	TheMaster  Thing = "master"
	TheState   Thing = "state" // up
	TheAddress Thing = "address"
	TheRoute   Thing = "route"
)

// Step is one change. What fields beside the first three are set depends on
// the thing.
type Step struct {
	Do   Verb   `json:"do"`
	What Thing  `json:"what"`
	Link string `json:"link"`
	Key  string `json:"key,omitempty"` // of a setting
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`

	Address *Address    `json:"address,omitempty"`
	Route   *Route      `json:"route,omitempty"`
	Make    *LinkTarget `json:"make,omitempty"` // of a link to be created
}

// String is one line of a diff.
func (s Step) String() string {
	switch s.Do {
	case Create:
		text := "+ " + s.Make.Kind
		if s.Make.Kind == KindVLAN {
			text += fmt.Sprintf(" %d on %s", s.Make.VLANID, s.Make.Parent)
		}
		return text
	case Delete:
		return "- " + s.From
	case Extend:
		return fmt.Sprintf("~ address %s stays until %s", s.Address, s.Address.Expires.UTC().Format(time.RFC3339))
	case Set:
		name := string(s.What)
		if s.What == TheSetting {
			name = s.Key
		}
		return fmt.Sprintf("~ %s %s -> %s", name, orNone(s.From), orNone(s.To))
	}
	sign := "+"
	if s.Do == Remove {
		sign = "-"
	}
	if s.Route != nil {
		return fmt.Sprintf("%s route %s", sign, s.Route)
	}

	return fmt.Sprintf("%s address %s", sign, s.Address)
}

func orNone(v string) string {
	if v == "" {
		return "none"
	}

	return v
}

// Plan is what is to be done, in order.
type Plan []Step

// String is the plan for a person, by interface.
func (p Plan) String() string {
	if len(p) == 0 {
		return "Nothing to change.\n"
	}
	var (
		out   strings.Builder
		names []string
	)
	for _, s := range p {
		if !slices.Contains(names, s.Link) {
			names = append(names, s.Link)
		}
	}
	for _, name := range names {
		fmt.Fprintf(&out, "%s\n", name)
		for _, s := range p {
			if s.Link == name {
				fmt.Fprintf(&out, "  %s\n", s)
			}
		}
	}

	return out.String()
}

// The kernel counts in whole seconds, which are rounded up, so an address may
// end a little late, but never early.
const (
	early = 500 * time.Millisecond
	late  = 3 * time.Second
)

// Diff returns what must be done so that what is observed becomes the target.
func Diff(t *Target, o *Observed) Plan {
	var p Plan
	for i := range o.Links {
		l := &o.Links[i]
		if l.Ours && t.Find(l.Name) == nil {
			p = append(p, Step{Do: Delete, What: TheLink, Link: l.Name, From: l.Kind})
		}
	}
	for i := range t.Links {
		want := &t.Links[i]
		have := o.Find(want.Name)
		if have != nil && have.Ours && (have.Kind != want.Kind || have.VLANID != want.VLANID || have.Parent != want.Parent) {
			p = append(p, Step{Do: Delete, What: TheLink, Link: have.Name, From: have.Kind})
			have = nil
		}
		if have == nil {
			p = append(p, Step{Do: Create, What: TheLink, Link: want.Name, Make: want})
			have = &Link{Name: want.Name}
		}
		p = append(p, want.properties(have)...)
		p = append(p, want.addresses(have)...)
		p = append(p, want.routes(o.Routes)...)
	}
	slices.SortStableFunc(p, func(a, b Step) int { return cmp.Compare(a.phase(), b.phase()) })

	return p
}

// phase orders the steps of all links: what is made must be there before what
// uses it, and a network must be reachable before a gateway in it.
func (s Step) phase() int {
	order := []Thing{TheLink, TheSetting, TheMTU, TheMaster, TheState, TheAddress, TheRoute}
	n := 2 * slices.Index(order, s.What)
	if s.Do == Add || s.Do == Create || s.Do == Extend {
		n++
	}

	return n
}

func (l *LinkTarget) properties(have *Link) Plan {
	var p Plan
	set := func(what Thing, from, to string) {
		if from != to {
			p = append(p, Step{Do: Set, What: what, Link: l.Name, From: from, To: to})
		}
	}
	for _, key := range Settings() {
		to, wanted := l.Settings[key]
		// A kernel without IPv6 has none of them.
		from, there := have.Settings[key]
		if wanted && from != to && (there || have.Index == 0) {
			p = append(p, Step{Do: Set, What: TheSetting, Link: l.Name, Key: key, From: from, To: to})
		}
	}
	if l.MTU != 0 {
		set(TheMTU, number(have.MTU), number(l.MTU))
	}
	set(TheMaster, have.Master, l.Master)
	if !have.Up {
		set(TheState, "down", "up")
	}

	return p
}

func number(n int) string {
	if n == 0 {
		return ""
	}

	return strconv.Itoa(n)
}

func (l *LinkTarget) addresses(have *Link) Plan {
	var p Plan
	for _, a := range have.Addresses {
		wanted := slices.ContainsFunc(l.Addresses, func(w Address) bool { return w.Prefix == a.Prefix })
		if !wanted && !l.leaves(a) {
			p = append(p, Step{Do: Remove, What: TheAddress, Link: l.Name, Address: &a})
		}
	}
	for _, w := range l.Addresses {
		i := slices.IndexFunc(have.Addresses, func(a Address) bool { return a.Prefix == w.Prefix })
		switch {
		case i < 0:
			p = append(p, Step{Do: Add, What: TheAddress, Link: l.Name, Address: &w})
		case !sameEnd(w, have.Addresses[i]):
			p = append(p, Step{Do: Extend, What: TheAddress, Link: l.Name, Address: &w})
		}
	}

	return p
}

// leaves tells whether an address that is not asked for is left alone.
func (l *LinkTarget) leaves(a Address) bool {
	if a.Prefix.Addr().Is4() {
		return l.Undecided && a.Dynamic
	}

	return a.Prefix.Addr().IsLinkLocalUnicast() || l.SLAAC && a.Dynamic
}

func sameEnd(want, have Address) bool {
	if want.Expires.IsZero() || have.Expires.IsZero() {
		return want.Expires.IsZero() == have.Expires.IsZero()
	}
	difference := have.Expires.Sub(want.Expires)

	return -early <= difference && difference <= late
}

func (l *LinkTarget) routes(observed []Route) Plan {
	var p Plan
	for _, r := range observed {
		if r.Link != l.Name || r.Protocol == ProtocolKernel || r.Protocol == ProtocolRA && l.SLAAC {
			continue
		}
		if l.Undecided && r.Protocol == ProtocolDHCP || slices.ContainsFunc(l.Routes, r.same) {
			continue
		}
		p = append(p, Step{Do: Remove, What: TheRoute, Link: l.Name, Route: &r})
	}
	for _, r := range l.Routes {
		if !slices.ContainsFunc(observed, r.same) {
			p = append(p, Step{Do: Add, What: TheRoute, Link: l.Name, Route: &r})
		}
	}

	return p
}

// same compares what makes a route: the kernel tells the flag of an on-link
// gateway only sometimes.
func (r Route) same(s Route) bool {
	return r.Link == s.Link && r.To == s.To && r.Gateway == s.Gateway && r.Metric == s.Metric && r.Protocol == s.Protocol
}
