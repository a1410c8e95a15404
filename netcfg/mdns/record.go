package mdns

import (
	"net/netip"
	"slices"

	"github.com/miekg/dns"
)

// Times to live, in seconds (RFC 6762, section 10).
const (
	hostTTL  = 120  // of what holds a host's name or address
	otherTTL = 4500 // of all else: 75 minutes
)

const (
	// flushBit of a record's class says that it is the whole truth (RFC 6762,
	// section 10.2).
	flushBit = 1 << 15
	// unicastBit of a question's class wishes for an answer to the asker alone
	// (section 5.4).
	unicastBit = 1 << 15
)

// identity is what makes two records the same but for their times to live:
// name, type and data, in one case of letters.
type identity struct {
	name string
	kind uint16
	data string
}

// record is one of ours on a link.
type record struct {
	identity
	rr     dns.RR // with its full time to live and a plain class
	claim  *claim // it is told while that is held
	unique bool
	// negative marks an NSEC record, which says that there is nothing else of
	// its name (section 6.1). Nobody asks for it.
	negative bool
}

// identify returns a record's identity. Records that cannot be written down
// have none.
func identify(rr dns.RR) (identity, bool) {
	switch r := rr.(type) {
	case *dns.PTR:
		folded := *r
		folded.Ptr = fold(r.Ptr)
		rr = &folded
	case *dns.SRV:
		folded := *r
		folded.Target = fold(r.Target)
		rr = &folded
	}
	data, ok := rdata(rr)
	h := rr.Header()

	return identity{name: fold(h.Name), kind: h.Rrtype, data: string(data)}, ok
}

// rdata returns a record's data without compression.
func rdata(rr dns.RR) ([]byte, bool) {
	buf := make([]byte, dns.Len(rr)+64)
	end, err := dns.PackRR(rr, buf, 0, nil, false)
	if err != nil {
		return nil, false
	}
	at := 0
	for at < end && buf[at] != 0 { // the labels of the name
		at += 1 + int(buf[at])
	}
	const fixed = 10 // type, class, time to live, length
	if at += 1 + fixed; at > end {
		return nil, false
	}

	return buf[at:end], true
}

func header(name string, kind uint16, ttl uint32) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: kind, Class: dns.ClassINET, Ttl: ttl}
}

// catalogue gathers the records of a link.
type catalogue struct {
	all []record
}

func (c *catalogue) add(rr dns.RR, owner *claim, unique bool) {
	id, ok := identify(rr)
	if !ok || slices.ContainsFunc(c.all, func(r record) bool { return r.identity == id }) {
		return
	}
	c.all = append(c.all, record{identity: id, rr: rr, claim: owner, unique: unique})
}

// addNegatives adds, for each unique name, what says that it has no more.
func (c *catalogue) addNegatives() {
	types := map[string][]uint16{}
	for _, r := range c.all {
		if r.unique {
			types[r.name] = append(types[r.name], r.kind)
		}
	}
	for _, r := range slices.Clone(c.all) {
		kinds := types[r.name]
		if !r.unique || kinds == nil {
			continue
		}
		delete(types, r.name)
		slices.Sort(kinds)
		h := r.rr.Header()
		rr := &dns.NSEC{Hdr: header(h.Name, dns.TypeNSEC, h.Ttl), NextDomain: h.Name, TypeBitMap: slices.Compact(kinds)}
		if id, ok := identify(rr); ok {
			c.all = append(c.all, record{identity: id, rr: rr, claim: r.claim, unique: true, negative: true})
		}
	}
}

// records returns all that is to be told on a link of an interface with these
// addresses, by the names of the claims.
func records(host *claim, services []*claim, addresses []netip.Prefix) []record {
	var c catalogue
	for _, p := range addresses {
		a := p.Addr()
		if a.Is4() {
			c.add(&dns.A{Hdr: header(host.name, dns.TypeA, hostTTL), A: a.AsSlice()}, host, true)
		} else {
			c.add(&dns.AAAA{Hdr: header(host.name, dns.TypeAAAA, hostTTL), AAAA: a.AsSlice()}, host, true)
		}
		reverse, err := dns.ReverseAddr(a.String())
		if err == nil {
			// It is not probed for: the address itself is unique.
			c.add(&dns.PTR{Hdr: header(reverse, dns.TypePTR, hostTTL), Ptr: host.name}, host, true)
		}
	}
	for _, s := range services {
		c.add(&dns.SRV{Hdr: header(s.name, dns.TypeSRV, hostTTL), Port: s.service.Port, Target: host.name}, s, true)
		c.add(&dns.TXT{Hdr: header(s.name, dns.TypeTXT, otherTTL), Txt: texts(s.service.TXT)}, s, true)
		kind := typeName(s.service)
		c.add(&dns.PTR{Hdr: header(kind, dns.TypePTR, otherTTL), Ptr: s.name}, s, false)
		c.add(&dns.PTR{Hdr: header(enumeration, dns.TypePTR, otherTTL), Ptr: kind}, s, false)
	}
	c.addNegatives()

	return c.all
}

// texts returns strings as the DNS library takes them. A TXT record has at
// least one, though it may be empty (RFC 6763, section 6.1).
func texts(all []string) []string {
	if len(all) == 0 {
		return []string{""}
	}
	var out []string
	for _, t := range all {
		out = append(out, escape(t))
	}

	return out
}

// usable returns the addresses that can be told, each once, in order, and no
// more than there is room for.
func usable(all []netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range all {
		a := p.Addr().WithZone("")
		if a.Is4In6() || !p.IsValid() || a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() {
			continue
		}
		p = netip.PrefixFrom(a, p.Bits())
		if !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })

	return out[:min(len(out), maxAddresses)]
}
