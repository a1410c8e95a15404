package ra

import (
	"net/netip"
	"slices"
	"time"
)

// Bounds on what is kept of one link.
const (
	maxServers = 4
	maxDomains = 6 // what resolvers read
)

// Table is what routers have advertised. Its zero value is empty. It is not for
// several goroutines at once.
type Table struct {
	links map[int]*entries
}

// entries are those of one link, the oldest first.
type entries struct {
	servers []entry[netip.Addr]
	domains []entry[string]
}

type entry[T comparable] struct {
	value T
	ends  time.Time
}

// Learn takes an option, and tells whether another thing holds now than before.
func (t *Table) Learn(o *Option, now time.Time) bool {
	if t.links == nil {
		t.links = map[int]*entries{}
	}
	e := t.links[o.Link]
	if e == nil {
		e = &entries{}
		t.links[o.Link] = e
	}
	ends := now.Add(o.Lifetime)
	changed := false
	for _, s := range o.Servers {
		changed = learn(&e.servers, s, ends, now, maxServers) || changed
	}
	for _, d := range o.Domains {
		changed = learn(&e.domains, d, ends, now, maxDomains) || changed
	}

	return changed
}

// learn notes a value until some moment, and tells whether it is new or gone.
func learn[T comparable](all *[]entry[T], value T, ends, now time.Time, most int) bool {
	n := len(*all)
	*all = slices.DeleteFunc(*all, func(e entry[T]) bool { return !now.Before(e.ends) })
	changed := len(*all) != n
	i := slices.IndexFunc(*all, func(e entry[T]) bool { return e.value == value })
	switch {
	case i >= 0 && now.Before(ends):
		(*all)[i].ends = ends
		return changed
	case i >= 0:
		*all = slices.Delete(*all, i, i+1)
		return true
	case !now.Before(ends) || len(*all) >= most:
		return changed
	}
	*all = append(*all, entry[T]{value: value, ends: ends})

	return true
}

// Of returns what holds for a link.
func (t *Table) Of(link int, now time.Time) (servers []netip.Addr, domains []string) {
	if e := t.links[link]; e != nil {
		return holding(e.servers, now), holding(e.domains, now)
	}

	return nil, nil
}

func holding[T comparable](all []entry[T], now time.Time) []T {
	var out []T
	for _, e := range all {
		if now.Before(e.ends) {
			out = append(out, e.value)
		}
	}

	return out
}

// Forget leaves out a link: it is gone, or its cable leads elsewhere now.
func (t *Table) Forget(link int) { delete(t.links, link) }

// Links returns the links of which something is known.
func (t *Table) Links() []int {
	var all []int
	for link := range t.links {
		all = append(all, link)
	}

	return all
}

// Next returns when the first of what holds ends; false if nothing holds.
func (t *Table) Next(now time.Time) (time.Time, bool) {
	var first time.Time
	see := func(ends time.Time) {
		if now.Before(ends) && (first.IsZero() || ends.Before(first)) {
			first = ends
		}
	}
	for _, e := range t.links {
		for _, s := range e.servers {
			see(s.ends)
		}
		for _, d := range e.domains {
			see(d.ends)
		}
	}

	return first, !first.IsZero()
}
