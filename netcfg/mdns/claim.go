package mdns

import (
	"bytes"
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// Times of RFC 6762, section 8.
const (
	probes        = 3
	probeTime     = 250 * time.Millisecond // between probes, and at most before the first
	deferTime     = time.Second            // after a lost comparison
	announcements = 3
	announceTime  = time.Second // after the first; doubled after each

	// After so many conflicts within a time each attempt waits. How long the
	// waiting goes on after the last conflict the RFC leaves open.
	manyConflicts = 15
	conflictTime  = 10 * time.Second
	slowTime      = 5 * time.Second
	slowPeriod    = time.Minute
)

// claim is a name that shall be ours alone.
type claim struct {
	service *Service // nil for the host
	base    string   // the host's wished label
	n       int      // the number of the choice, from 1
	name    string
}

// next takes the next choice of a name.
func (c *claim) next() {
	c.n++
	if c.service == nil {
		c.name = hostName(c.base, c.n)
	} else {
		c.name = instanceName(c.service, c.n)
	}
}

// standing is how far a claim is on a link.
type standing struct {
	probes    int  // sent
	held      bool // nobody objected
	announced int  // how often since
	at        time.Time
	said      time.Time // the last announcement
}

// start begins to probe at a time.
func (s *standing) start(at time.Time) {
	s.probes, s.held, s.announced, s.at = 0, false, 0, at
}

// announce begins to announce, but no sooner than one second after the last
// time (section 6).
func (s *standing) announce(now time.Time) {
	s.announced, s.at = 0, now
	if soonest := s.said.Add(announceTime); soonest.After(now) {
		s.at = soonest
	}
}

// claimsOf returns those whose names are in a list of records.
func (e *engine) claimsOf(list []dns.RR) []*claim {
	var all []*claim
	for _, c := range e.claims() {
		if slices.ContainsFunc(list, func(rr dns.RR) bool { return fold(rr.Header().Name) == fold(c.name) }) {
			all = append(all, c)
		}
	}

	return all
}

// conflicts acts on a record of a claimed name that is somebody else's.
func (e *engine) conflicts(now time.Time, l *link, c *claim) {
	wait := e.conflictDelay(now)
	s := l.standings[c]
	if s.held {
		// Section 9: find out who else is there. If that one stays, it will
		// answer a probe.
		e.log.Info("another host speaks for a name of this one", "name", c.name, "link", l.name)
		s.start(now.Add(wait))
		return
	}
	old := c.name
	c.next()
	e.log.Warn("a name is taken by another host", "name", old, "new", c.name, "link", l.name)
	if wait == 0 {
		wait = rand.N(probeTime)
	}
	for _, l := range e.links {
		l.standings[c].start(now.Add(wait))
		e.rebuild(l)
	}
	if c == e.host && e.conflict != nil {
		e.conflict(plain(c.name))
	}
}

// conflictDelay counts a conflict and returns how long to wait for it.
func (e *engine) conflictDelay(now time.Time) time.Duration {
	e.recent = append(e.recent, now)
	if len(e.recent) > manyConflicts {
		e.recent = slices.Delete(e.recent, 0, len(e.recent)-manyConflicts)
	}
	if len(e.recent) == manyConflicts && now.Sub(e.recent[0]) <= conflictTime || now.Before(e.slowUntil) {
		e.slowUntil = now.Add(slowPeriod)
		return slowTime
	}

	return 0
}

// compare settles who of two that probe for a name at once shall have it
// (section 8.2).
func (e *engine) compare(now time.Time, l *link, c *claim, authority []dns.RR) {
	if l.standings[c].held {
		return // that is a question, which is answered
	}
	var theirs, ours []entry
	foreign := false
	for _, rr := range authority {
		if fold(rr.Header().Name) != fold(c.name) {
			continue
		}
		id, ok := identify(rr)
		if !ok {
			return
		}
		foreign = foreign || !e.ours(id)
		theirs = append(theirs, entryOf(rr))
	}
	for _, r := range l.records {
		if r.claim == c && r.name == fold(c.name) && !r.negative {
			ours = append(ours, entryOf(r.rr))
		}
	}
	slices.SortFunc(theirs, compareEntries)
	slices.SortFunc(ours, compareEntries)
	// A reflector may bring our own probe from another of our links.
	if foreign && slices.CompareFunc(ours, theirs, compareEntries) < 0 {
		e.log.Debug("another host probes for the same name and goes first", "name", c.name, "link", l.name)
		l.standings[c].start(now.Add(deferTime))
	}
}

// entry is what of a record is compared.
type entry struct {
	class, kind uint16
	data        []byte
}

func entryOf(rr dns.RR) entry {
	h := rr.Header()
	data, _ := rdata(rr)

	return entry{class: h.Class &^ flushBit, kind: h.Rrtype, data: data}
}

func compareEntries(a, b entry) int {
	return cmp.Or(cmp.Compare(a.class, b.class), cmp.Compare(a.kind, b.kind), bytes.Compare(a.data, b.data))
}
