package mdns

import (
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// engine is the protocol. Its caller tells it what came and when, sends what
// lies in out, and calls wake at the time that due returns.
type engine struct {
	log      *slog.Logger
	conflict func(string)

	host     *claim
	services []*claim
	links    map[Link]*link
	own      map[netip.Addr]bool // all addresses of the machine that are known
	limits   limits
	out      []Packet

	recent    []time.Time // conflicts
	slowUntil time.Time
}

// link is a link that is in use.
type link struct {
	key       Link
	name      string
	host      *claim
	addresses []netip.Prefix
	records   []record
	standings map[*claim]*standing   // of all claims
	multicast map[identity]time.Time // when a record was last told to all
	waiting   []*answer
}

func newEngine(c *Config) *engine {
	e := &engine{log: c.Logger, conflict: c.Conflict, host: &claim{base: c.Host}, links: map[Link]*link{}, own: map[netip.Addr]bool{}}
	e.host.next()

	return e
}

// claims returns the host's, then the services'.
func (e *engine) claims() []*claim { return append([]*claim{e.host}, e.services...) }

// told tells whether a claim's records are known to be ours alone. A service is
// nothing without its host.
func (l *link) told(c *claim) bool { return l.standings[l.host].held && l.standings[c].held }

func (l *link) find(id identity) *record {
	for i := range l.records {
		if l.records[i].identity == id {
			return &l.records[i]
		}
	}

	return nil
}

// onLink tells whether an address can be that of a neighbour (section 11).
func (l *link) onLink(a netip.Addr) bool {
	if a.Is6() && a.IsLinkLocalUnicast() {
		return l.key.IPv6
	}

	return a.Is6() == l.key.IPv6 && slices.ContainsFunc(l.addresses, func(p netip.Prefix) bool { return p.Contains(a) })
}

// ours tells whether a record is one of ours on any link.
func (e *engine) ours(id identity) bool {
	for _, l := range e.links {
		if l.find(id) != nil {
			return true
		}
	}

	return false
}

func (e *engine) rebuild(l *link) {
	l.records = records(e.host, e.services, l.addresses)
	for id := range l.multicast {
		if l.find(id) == nil {
			delete(l.multicast, id)
		}
	}
}

// linksOf returns the links of a network.
func linksOf(n *Network) map[Link]Interface {
	all := map[Link]Interface{}
	for _, i := range n.Interfaces[:min(len(n.Interfaces), maxInterfaces)] {
		if i.Index <= 0 {
			continue // it does not exist
		}
		i.Addresses = usable(i.Addresses)
		for _, p := range i.Addresses {
			all[Link{Index: i.Index, IPv6: p.Addr().Is6()}] = i
		}
	}

	return all
}

// set takes the links that are to be used from now on.
func (e *engine) set(now time.Time, links map[Link]Interface) {
	for key, l := range e.links {
		if _, ok := links[key]; !ok {
			e.goodbye(l, l.records)
			delete(e.links, key)
		}
	}
	clear(e.own)
	for _, i := range links {
		for _, p := range i.Addresses {
			e.own[p.Addr()] = true
		}
	}
	first := map[int]time.Time{} // one for both families: they are one cable
	for key, i := range links {
		l := e.links[key]
		if l == nil {
			if first[i.Index].IsZero() {
				first[i.Index] = now.Add(rand.N(probeTime))
			}
			e.add(key, i, first[i.Index])
		} else if !slices.Equal(l.addresses, i.Addresses) {
			e.change(now, l, i)
		}
	}
}

// add begins to probe on a link at a time: hosts that were switched on together
// shall not speak together, so it is a random one.
func (e *engine) add(key Link, i Interface, first time.Time) {
	l := &link{
		key: key, name: i.Name, host: e.host, addresses: i.Addresses,
		standings: map[*claim]*standing{}, multicast: map[identity]time.Time{},
	}
	for _, c := range e.claims() {
		l.standings[c] = &standing{at: first} // in one packet
	}
	e.links[key] = l
	e.rebuild(l)
}

// change takes other addresses. The names stay ours, so nothing is probed
// (section 8.4).
func (e *engine) change(now time.Time, l *link, i Interface) {
	before := l.records
	l.addresses = i.Addresses
	e.rebuild(l)
	e.goodbyeLost(l, before)
	if host := l.standings[e.host]; host.held {
		host.announce(now)
	}
}

// offer takes the services that are announced from now on.
func (e *engine) offer(now time.Time, services []Service) {
	old := e.services
	e.services = nil
	changed := map[*claim]bool{} // or new
	for _, s := range services {
		var c *claim
		if i := slices.IndexFunc(old, func(c *claim) bool { return c.service.id() == s.id() }); i >= 0 {
			c = old[i]
			changed[c] = c.service.Port != s.Port || !slices.Equal(c.service.TXT, s.TXT)
			c.service = &s
		} else {
			c = &claim{service: &s}
			c.next()
			changed[c] = true
		}
		e.services = append(e.services, c)
	}
	first := now.Add(rand.N(probeTime))
	for _, l := range e.links {
		before := l.records
		e.rebuild(l)
		e.goodbyeLost(l, before)
		for _, c := range old {
			if !slices.Contains(e.services, c) {
				delete(l.standings, c)
			}
		}
		for _, c := range e.services {
			switch s := l.standings[c]; {
			case s == nil:
				l.standings[c] = &standing{at: first}
			case s.held && changed[c]:
				s.announce(now)
			}
		}
	}
}

// stop takes all back that was said.
func (e *engine) stop() {
	for _, l := range e.links {
		e.goodbye(l, l.records)
	}
	clear(e.links)
}

// due returns when wake has to be called, if ever.
func (e *engine) due() (time.Time, bool) {
	var first time.Time
	sooner := func(at time.Time) {
		if !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	for _, l := range e.links {
		for _, s := range l.standings {
			sooner(s.at)
		}
		for _, a := range l.waiting {
			sooner(a.at)
		}
	}

	return first, !first.IsZero()
}

// wake does what is due.
func (e *engine) wake(now time.Time) {
	for _, l := range e.links {
		var probing, announcing []*claim
		for _, c := range e.claims() {
			s := l.standings[c]
			if s.at.IsZero() || s.at.After(now) {
				continue
			}
			if !s.held && s.probes == probes {
				e.win(now, l, c)
			}
			switch {
			case !s.held:
				s.probes++
				s.at = now.Add(probeTime)
				probing = append(probing, c)
			case !l.told(c):
				s.at = time.Time{} // until the host's name is won
			case !s.at.After(now):
				s.said = now
				s.at = now.Add(announceTime << s.announced)
				if s.announced++; s.announced == announcements {
					s.at = time.Time{}
				}
				announcing = append(announcing, c)
			}
		}
		e.probe(l, probing)
		e.announce(now, l, announcing)
		e.answer(now, l)
	}
}

// win takes a name on a link.
func (e *engine) win(now time.Time, l *link, c *claim) {
	s := l.standings[c]
	s.held = true
	s.announce(now)
	if c != e.host {
		return
	}
	for _, service := range e.services {
		if s := l.standings[service]; s.held {
			s.announce(now)
		}
	}
}

// name returns the host name that is held on a link at least, or "".
func (e *engine) name() string {
	for _, l := range e.links {
		if l.standings[e.host].held {
			return plain(e.host.name)
		}
	}

	return ""
}

// plain is a name as people write it.
func plain(name string) string { return strings.TrimSuffix(name, ".") }

// probe asks whether somebody else has a name (section 8.1).
func (e *engine) probe(l *link, claims []*claim) {
	var parts []part
	for _, c := range claims {
		p := part{question: &dns.Question{Name: c.name, Qtype: dns.TypeANY, Qclass: dns.ClassINET | unicastBit}}
		for _, r := range l.records {
			if r.claim == c && r.name == fold(c.name) && !r.negative {
				p.authority = append(p.authority, dns.Copy(r.rr))
			}
		}
		parts = append(parts, p)
	}
	e.send(l, group(l.key), probeMessages(parts))
}

// announce tells all of some claims, unasked (section 8.3).
func (e *engine) announce(now time.Time, l *link, claims []*claim) {
	all := &answer{records: map[identity]bool{}}
	var extra []record
	for _, r := range l.records {
		switch {
		case !slices.Contains(claims, r.claim):
		case r.negative:
			extra = append(extra, r)
		default:
			all.records[r.identity] = true
		}
	}
	e.tell(now, l, l.pick(all, l.toldWithin(now, quietTime)), extra)
}

// tell sends records to all.
func (e *engine) tell(now time.Time, l *link, records, extra []record) {
	messages, said := responseMessages(&dns.Msg{}, records, extra, toAll)
	for _, r := range said {
		l.multicast[r.identity] = now
	}
	e.send(l, group(l.key), messages)
}

// toldWithin returns what tells whether a record was told to all a while ago at
// most.
func (l *link) toldWithin(now time.Time, d time.Duration) func(*record) bool {
	return func(r *record) bool {
		last, ok := l.multicast[r.identity]
		return ok && now.Sub(last) < d
	}
}

// goodbye takes records back, as far as they were told (section 10.1).
func (e *engine) goodbye(l *link, records []record) {
	records = slices.DeleteFunc(slices.Clone(records), func(r record) bool {
		return !l.told(r.claim) || l.standings[r.claim].said.IsZero()
	})
	messages, _ := responseMessages(&dns.Msg{}, records, nil, takenBack)
	e.send(l, group(l.key), messages)
}

// goodbyeLost takes back what is no more.
func (e *engine) goodbyeLost(l *link, before []record) {
	e.goodbye(l, slices.DeleteFunc(before, func(r record) bool { return l.find(r.identity) != nil }))
}

// send hands packets out.
func (e *engine) send(l *link, to netip.AddrPort, messages [][]byte) {
	for _, m := range messages {
		e.out = append(e.out, Packet{Link: l.key, Peer: to, Payload: m})
	}
}
