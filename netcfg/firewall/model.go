package firewall

import (
	"net/netip"
	"time"
)

// Ruleset is what a table shall hold, in terms that a person and a test can
// reckon with. Only Compile and Minimum make one.
type Ruleset struct {
	stands   Stands // PolicyStands or MinimumStands
	revision string
	network  string // tells networks apart
	sets     []set
	chains   []chain
	notes    []string
	// For Words alone.
	services   []serviceLine
	admins     []string
	interfaces []Interface
	lan        []netip.Prefix
}

// Revision tells rulesets apart: two that decide alike have the same.
func (r *Ruleset) Revision() string { return r.revision }

// Notes are what a person should know of the ruleset, such as what the kernel
// cannot do.
func (r *Ruleset) Notes() []string { return r.notes }

// family is an IP version; 0 means both.
type family uint8

const (
	ipv4 family = 4
	ipv6 family = 6
)

func (f family) String() string {
	switch f {
	case ipv4:
		return "IPv4"
	case ipv6:
		return "IPv6"
	}

	return "IP"
}

func familyOf(a netip.Addr) family {
	if a.Is4() {
		return ipv4
	}

	return ipv6
}

// setKind is what a set is for.
type setKind uint8

const (
	networksSet setKind = iota // networks, fixed with the ruleset
	sourcesSet                 // single sources with an end, kept by Ban and Exempt
	ratesSet                   // filled by packets: the rate of each source
	countsSet                  // filled by packets: the connections of each source
)

// set is a set of source addresses of one family.
type set struct {
	name     string
	kind     setKind
	family   family
	networks []netip.Prefix // of a networksSet; sorted, none within another
	bits     uint8          // how much of an address its elements have; not of a networksSet
	size     uint32         // how many elements it may have; not of a networksSet
	timeout  time.Duration  // of a ratesSet: after how long without a packet a source is forgotten
}

// hook is where the kernel calls a chain.
type hook uint8

const (
	noHook hook = iota
	inputHook
	forwardHook
	outputHook
)

// chain is a list of rules; the first that decides, decides.
type chain struct {
	name   string
	hook   hook
	accept bool // what a chain with a hook does at its end
	rules  []rule
}

// verdict is what a rule does with a packet that matches.
type verdict uint8

const (
	next verdict = iota // goes on with the next rule
	accept
	drop
	back // goes on in the chain that jumped here
	jump // goes on in another chain, and then here
	goTo // goes on in another chain for good
)

// rule is a list of conditions and what is done with a packet that meets all.
// The zero value of a condition is met by any packet.
type rule struct {
	name string // unique in a ruleset: what its counters are called
	why  string // in plain words: what the packet is and why that is done with it

	family   family
	iface    string
	protocol Protocol
	states   []ConnState
	opening  bool // TCP: the first packet of a connection
	port     uint16
	from     uint16 // the source's port
	kind     uint8  // ICMP's type
	hopLimit uint8
	linkOnly bool   // IPv6: from a link-local address
	source   string // the name of a set that the source must be in

	limit limit  // packets of all sources together that are within it
	over  bound  // a source that is above it
	log   string // the prefix of a line in the kernel's log

	verdict verdict
	target  string // the chain of jump and goTo
}

// limit is a rate of packets. The zero value is none.
type limit struct {
	perSecond uint32
	burst     uint32
}

// bound is what one source may do, reckoned in a set. The zero value is none.
type bound struct {
	set string
	// perMinute and burst bound new connections; else count bounds those that
	// are open.
	perMinute uint32
	burst     uint32
	count     uint32
}

// find returns the set with a name, or nil.
func (r *Ruleset) find(name string) *set {
	for i := range r.sets {
		if r.sets[i].name == name {
			return &r.sets[i]
		}
	}

	return nil
}

// chain returns the chain with a name, or nil.
func (r *Ruleset) chain(name string) *chain {
	for i := range r.chains {
		if r.chains[i].name == name {
			return &r.chains[i]
		}
	}

	return nil
}

// has tells whether a networksSet has an address.
func (s *set) has(a netip.Addr) bool {
	for _, n := range s.networks {
		if n.Contains(a) {
			return true
		}
	}

	return false
}

// Source is what counts as one source: an IPv4 address, or the /64 of an IPv6
// address (RFC 6177: the least that a subscriber is given).
func Source(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	p, err := a.Prefix(int(sourceBits(familyOf(a))))
	if err != nil {
		return netip.Prefix{} // of the zero Addr
	}

	return p
}

func sourceBits(f family) uint8 {
	if f == ipv4 {
		return 32
	}

	return 64
}
