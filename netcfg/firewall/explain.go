package firewall

import (
	"context"
	"net/netip"
	"slices"

	"pillarbox/netcfg/policy"
)

// Lists are what is banned and exempt.
type Lists struct {
	Bans, Exempt []netip.Prefix
}

// maxHops bounds how many chains a packet goes through; no ruleset has loops.
const maxHops = 16

// Explain tells which rule of a ruleset decides about a packet, and why. Without
// lists nobody is banned or exempt.
func (r *Ruleset) Explain(k *Packet, l *Lists) Decision {
	if l == nil {
		l = &Lists{}
	}
	e := explanation{Ruleset: r, packet: *k, lists: l}
	e.packet.Source = k.Source.Unmap().WithZone("")
	if e.packet.State == "" {
		e.packet.State = New
	}
	if e.packet.Interface == "" {
		e.packet.Interface = r.arrival(e.packet.Source)
	}
	d, decided := e.walk(inputChain, 0)
	if !decided {
		d = Decision{Rule: "end", Why: "nothing lets it in"}
	}
	d.Path = e.path

	return d
}

// arrival returns the interface of the LAN at which packets of a source arrive,
// as far as that can be known from its address.
func (r *Ruleset) arrival(source netip.Addr) string {
	name, bits := "", -1
	for _, i := range r.interfaces {
		for _, n := range i.Networks {
			if n.Contains(source) && n.Bits() > bits {
				name, bits = i.Name, n.Bits()
			}
		}
	}
	switch {
	case bits >= 0:
		return name
	case source.IsLoopback():
		return "lo"
	case source.Is6() && source.IsLinkLocalUnicast() && len(r.interfaces) > 0:
		return r.interfaces[0].Name
	}

	return ""
}

// Explain tells what a policy would do with a packet.
func Explain(p *policy.Policy, n *Network, f Features, k *Packet, l *Lists) (Decision, error) {
	r, err := Compile(p, n, f)
	if err != nil {
		return Decision{}, err
	}

	return r.Explain(k, l), nil
}

// Explain tells what happens to a packet now, with the bans that there are.
func (f *Firewall) Explain(ctx context.Context, k *Packet) (Decision, error) {
	r := f.Ruleset()
	if r == nil {
		return Decision{}, ErrNoTable
	}
	var l Lists
	bans, err := f.Bans(ctx)
	if err != nil {
		return Decision{}, err
	}
	for _, b := range bans {
		l.Bans = append(l.Bans, b.Source)
	}
	exempt, err := f.Exemptions(ctx)
	if err != nil {
		return Decision{}, err
	}
	for _, b := range exempt {
		l.Exempt = append(l.Exempt, b.Source)
	}

	return r.Explain(k, &l), nil
}

type explanation struct {
	*Ruleset
	packet Packet
	lists  *Lists
	path   []string
}

// walk follows a packet through a chain; decided is false when it comes back
// from it.
func (e *explanation) walk(name string, hops int) (d Decision, decided bool) {
	c := e.chain(name)
	if c == nil || hops > maxHops {
		return Decision{Rule: name, Why: "the ruleset is broken there"}, true
	}
	for i := range c.rules {
		r := &c.rules[i]
		if !e.matches(r) {
			continue
		}
		switch r.verdict {
		case accept, drop:
			return Decision{Accepted: r.verdict == accept, Rule: r.name, Why: r.why}, true
		case next:
			continue
		case back, jump, goTo:
		}
		e.path = append(e.path, r.name)
		switch r.verdict {
		case back:
			return d, false
		case jump:
			if d, decided = e.walk(r.target, hops+1); decided {
				return d, true
			}
		case goTo:
			// Who comes back from there goes on where this chain was called.
			return e.walk(r.target, hops+1)
		case accept, drop, next:
		}
	}
	if c.hook != noHook {
		return Decision{Accepted: c.accept, Rule: "end", Why: "no rule speaks of it"}, true
	}

	return d, false
}

func (e *explanation) matches(r *rule) bool {
	k := &e.packet
	switch {
	case r.iface != "" && r.iface != k.Interface,
		r.family != 0 && r.family != familyOf(k.Source),
		r.protocol != 0 && r.protocol != k.Protocol,
		r.port != 0 && r.port != k.Port,
		r.from != 0 && r.from != k.SourcePort,
		r.kind != 0 && r.kind != k.Type,
		r.hopLimit != 0 && r.hopLimit != k.HopLimit,
		r.linkOnly && !k.Source.IsLinkLocalUnicast(),
		len(r.states) > 0 && !slices.Contains(r.states, k.State),
		r.source != "" && !e.in(r.source),
		r.limit != (limit{}) && k.OverLimit,
		r.over.perMinute > 0 && !k.OverRate,
		r.over.count > 0 && !k.OverConnections:
		return false
	}

	return true
}

// in tells whether the packet's source is in a set.
func (e *explanation) in(name string) bool {
	s := e.find(name)
	switch {
	case s == nil:
		return false
	case s.kind == networksSet:
		return s.has(e.packet.Source)
	}
	list := e.lists.Bans
	if name == exempt4 || name == exempt6 {
		list = e.lists.Exempt
	}
	p, err := e.packet.Source.Prefix(int(s.bits))

	return err == nil && slices.Contains(list, p)
}
