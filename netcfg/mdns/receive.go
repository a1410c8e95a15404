package mdns

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// Bounds of a packet. The largest is RFC 6762's own (section 17); the numbers
// leave room for whoever browses all there is in an office.
const (
	maxPacket    = 9000
	maxQuestions = 100
	maxRecords   = 500

	headerSize = 12
)

// receive acts on a packet.
func (e *engine) receive(now time.Time, p *Packet) {
	l := e.links[p.Link]
	from := p.Peer.Addr()
	if l == nil || p.Peer.Port() == 0 || !l.onLink(from) {
		return
	}
	if e.own[from] && p.Peer.Port() == port {
		return // our own, by a bridge or a second cable into the same switch
	}
	if !wellFormed(p.Payload) || !e.limits.packet(now, from) {
		return
	}
	var msg dns.Msg
	if err := msg.Unpack(p.Payload); err != nil {
		return
	}
	switch {
	case !msg.Response:
		e.asked(now, l, p, &msg)
	case p.Peer.Port() == port: // section 6: others do not count
		e.heard(now, l, p, &msg)
	}
	e.answer(now, l)
}

// wellFormed tells, before memory is taken for it, whether a packet has the
// form of one that matters (section 18) and is within the bounds.
func wellFormed(b []byte) bool {
	if len(b) < headerSize || len(b) > maxPacket {
		return false
	}
	const opcodeAndCode = 0x780f // both must be zero: sections 18.3 and 18.11
	if binary.BigEndian.Uint16(b[2:])&opcodeAndCode != 0 {
		return false
	}
	records := 0
	for at := 6; at < headerSize; at += 2 {
		records += int(binary.BigEndian.Uint16(b[at:]))
	}

	return int(binary.BigEndian.Uint16(b[4:])) <= maxQuestions && records <= maxRecords
}

// heard acts on what another host says.
func (e *engine) heard(now time.Time, l *link, p *Packet, msg *dns.Msg) {
	struck := map[*claim]bool{} // one packet is one conflict
	for _, rr := range slices.Concat(msg.Answer, msg.Extra) {
		h := rr.Header()
		id, ok := identify(rr)
		if !ok || h.Class&^flushBit != dns.ClassINET {
			continue
		}
		if r := l.find(id); r != nil {
			e.echoed(now, l, p, r, h.Ttl)
			continue
		}
		if h.Ttl == 0 || h.Rrtype == dns.TypeNSEC || e.ours(id) {
			continue
		}
		for _, c := range e.claimsOf([]dns.RR{rr}) {
			if s := l.standings[c]; !struck[c] && (s.held && l.has(id.name, id.kind) || !s.held && s.probes > 0) {
				struck[c] = true
				e.conflicts(now, l, c)
			}
		}
	}
}

// has tells whether there is a record of a name and type.
func (l *link) has(name string, kind uint16) bool {
	return slices.ContainsFunc(l.records, func(r record) bool { return r.name == name && r.kind == kind })
}

// echoed acts on one of our own records in another's mouth.
func (e *engine) echoed(now time.Time, l *link, p *Packet, r *record, ttl uint32) {
	switch {
	case !l.told(r.claim):
	case ttl < r.rr.Header().Ttl/2:
		// Section 6.6: caches would forget it too soon, or at once.
		if e.limits.answer(now, p.Peer.Addr()) {
			l.wait(&answer{at: now.Add(shareDelay()), to: group(l.key), records: map[identity]bool{r.identity: true}})
		}
	case r.name == enumeration:
		// Section 7.4. Only of this name do several hosts have the same record.
		for _, a := range l.waiting {
			if a.to == group(l.key) {
				delete(a.records, r.identity)
			}
		}
	}
}

// Delays of answers (sections 6 and 7.2).
const (
	minShare, maxShare = 20 * time.Millisecond, 120 * time.Millisecond
	minMore, maxMore   = 400 * time.Millisecond, 500 * time.Millisecond

	maxExtensions = 4 // of the wait for more known answers
	maxWaiting    = 64
)

func between(low, high time.Duration) time.Duration { return low + rand.N(high-low) }

func shareDelay() time.Duration { return between(minShare, maxShare) }

// asked acts on a question, a probe, or more answers that an asker knows.
func (e *engine) asked(now time.Time, l *link, p *Packet, msg *dns.Msg) {
	probed := e.claimsOf(msg.Ns)
	for _, c := range probed {
		e.compare(now, l, c, msg.Ns)
	}
	legacy := p.Peer.Port() != port
	if legacy && len(msg.Question) != 1 {
		return // the answer repeats it; programs of plain DNS ask one thing at a time
	}
	known := l.known(msg.Answer)
	if !legacy {
		l.hearMore(now, p, known, msg.Truncated)
	}
	multicast := &answer{to: group(l.key), from: p.Peer, records: map[identity]bool{}, defends: len(probed) > 0}
	unicast := &answer{to: p.Peer, from: p.Peer, records: map[identity]bool{}}
	if legacy {
		unicast.legacy = &dns.Msg{MsgHdr: dns.MsgHdr{Id: msg.Id}, Question: msg.Question}
	}
	shared := false
	for _, q := range msg.Question {
		for _, r := range l.answers(&q) {
			if known[r.identity] {
				continue
			}
			shared = shared || !r.unique
			alone := q.Qclass&unicastBit != 0 || !p.Multicast
			switch {
			case legacy, alone && l.refreshed(now, r):
				unicast.records[r.identity] = true
			default:
				multicast.records[r.identity] = true
			}
		}
	}
	if len(unicast.records)+len(multicast.records) == 0 || !e.limits.answer(now, p.Peer.Addr()) {
		return
	}
	delay := time.Duration(0)
	switch {
	case msg.Truncated && !legacy:
		delay = between(minMore, maxMore)
	case shared:
		delay = shareDelay()
	}
	for _, a := range []*answer{unicast, multicast} {
		a.at, a.more = now.Add(delay), msg.Truncated
		l.wait(a)
	}
}

// refreshed tells whether caches have a record for long still, so that the
// answer may go to the asker alone (section 5.4).
func (l *link) refreshed(now time.Time, r *record) bool {
	return l.toldWithin(now, time.Duration(r.rr.Header().Ttl)*time.Second/4)(r)
}

// answers returns the records that a question is about.
func (l *link) answers(q *dns.Question) []*record {
	class := q.Qclass &^ unicastBit
	if class != dns.ClassINET && class != dns.ClassANY {
		return nil
	}
	name := fold(q.Name)
	var all, negative []*record
	for i := range l.records {
		r := &l.records[i]
		switch {
		case r.name != name || !l.told(r.claim):
		case r.negative:
			negative = append(negative, r)
		case r.kind == q.Qtype || q.Qtype == dns.TypeANY:
			all = append(all, r)
		}
	}
	if len(all) == 0 {
		return negative
	}

	return all
}

// known returns those of our records that an asker knows for long still
// (section 7.1).
func (l *link) known(list []dns.RR) map[identity]bool {
	all := map[identity]bool{}
	for _, rr := range list {
		id, ok := identify(rr)
		if !ok {
			continue
		}
		if r := l.find(id); r != nil && rr.Header().Ttl >= r.rr.Header().Ttl/2 {
			all[id] = true
		}
	}

	return all
}
