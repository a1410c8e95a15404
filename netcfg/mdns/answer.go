package mdns

import (
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// How long a record is not told to all again (section 6), and how long where a
// name has to be defended.
const (
	quietTime   = time.Second
	defenceTime = 250 * time.Millisecond
)

// answer waits for its time.
type answer struct {
	at         time.Time
	to         netip.AddrPort
	from       netip.AddrPort // who asked; not set where nobody did
	records    map[identity]bool
	defends    bool     // it answers a probe
	more       bool     // the asker will tell more of what it knows
	extensions int      // of the wait for that
	legacy     *dns.Msg // the number and question to repeat; nil for others
}

// wait takes an answer into the queue. One too many is dropped: its asker will
// ask again.
func (l *link) wait(a *answer) {
	if len(a.records) > 0 && len(l.waiting) < maxWaiting {
		l.waiting = append(l.waiting, a)
	}
}

// hearMore takes what an asker knows off the answers that wait for it (section
// 7.2).
func (l *link) hearMore(now time.Time, p *Packet, known map[identity]bool, more bool) {
	for _, a := range l.waiting {
		if a.from != p.Peer || !a.more {
			continue
		}
		for id := range known {
			delete(a.records, id)
		}
		if more && a.extensions < maxExtensions {
			a.extensions++
			a.at = now.Add(between(minMore, maxMore))
		}
	}
}

// answer sends the answers that are due.
func (e *engine) answer(now time.Time, l *link) {
	var due []*answer
	l.waiting = slices.DeleteFunc(l.waiting, func(a *answer) bool {
		if a.at.After(now) {
			return false
		}
		due = append(due, a)
		return true
	})
	all := &answer{to: group(l.key), records: map[identity]bool{}} // in one packet
	for _, a := range due {
		if a.to != all.to {
			e.reply(l, a)
			continue
		}
		for id := range a.records {
			all.records[id] = true
		}
		all.defends = all.defends || a.defends
	}
	gap := quietTime
	if all.defends {
		gap = defenceTime
	}
	recent := l.toldWithin(now, gap)
	records := l.pick(all, recent)
	extra := l.additional(records)
	e.tell(now, l, records, slices.DeleteFunc(extra, func(r record) bool { return recent(&r) }))
}

// reply answers one asker alone.
func (e *engine) reply(l *link, a *answer) {
	records := l.pick(a, func(*record) bool { return false })
	m, first := toOne, &dns.Msg{}
	if a.legacy != nil {
		m, first = toLegacy, a.legacy
	}
	messages, _ := responseMessages(first, records, l.additional(records), m)
	if a.legacy != nil && len(messages) > 1 {
		messages = messages[:1] // more would not be waited for
	}
	e.send(l, a.to, messages)
}

// pick returns the records of an answer that are still to be told. All unique
// records of one name and type are told if one is: the others would be thrown
// out of caches otherwise (section 10.2).
func (l *link) pick(a *answer, recent func(*record) bool) []record {
	type set struct {
		name string
		kind uint16
	}
	whole := map[set]bool{}
	for i := range l.records {
		r := &l.records[i]
		if r.unique && a.records[r.identity] && !recent(r) {
			whole[set{r.name, r.kind}] = true
		}
	}
	var all []record
	for i := range l.records {
		r := &l.records[i]
		if !l.told(r.claim) {
			continue
		}
		if r.unique && whole[set{r.name, r.kind}] || !r.unique && a.records[r.identity] && !recent(r) {
			all = append(all, *r)
		}
	}

	return all
}

// additional returns what an asker will want to know next (RFC 6763, section
// 12, and RFC 6762, section 6.1).
func (l *link) additional(records []record) []record {
	names := map[string]bool{}
	for _, r := range records {
		switch rr := r.rr.(type) {
		case *dns.PTR:
			if !r.unique && r.name != enumeration {
				names[fold(rr.Ptr)] = true
			}
		case *dns.A, *dns.AAAA:
			names[r.name] = true
		}
	}
	services := slices.Clone(records)
	for _, r := range l.records {
		if names[r.name] {
			services = append(services, r)
		}
	}
	for _, r := range services {
		if rr, ok := r.rr.(*dns.SRV); ok {
			names[fold(rr.Target)] = true
		}
	}
	name := fold(l.host.name)
	oneFamily := !l.has(name, dns.TypeA) || !l.has(name, dns.TypeAAAA)
	var all []record
	for _, r := range l.records {
		wanted := names[r.name] && l.told(r.claim) && (!r.negative || oneFamily && r.claim == l.host)
		if wanted && !slices.ContainsFunc(records, func(o record) bool { return o.identity == r.identity }) {
			all = append(all, r)
		}
	}

	return all
}
