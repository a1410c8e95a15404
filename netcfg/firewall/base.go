package firewall

import (
	"fmt"
	"net/netip"
)

// The table's chains and sets. A person sees the names in the counters and in
// what nft lists.
const (
	inputChain    = "input"
	forwardChain  = "forward"
	outputChain   = "output"
	adminChain    = "admin"
	bansChain     = "bans"
	revisionChain = "revision"

	wideChain4, wideChain6 = "bans-wide4", "bans-wide6"

	bans4, bans6     = "bans4", "bans6"
	exempt4, exempt6 = "exempt4", "exempt6"
)

const (
	// maxBans bounds each of the two lists of bans: some 10 MB of the kernel's.
	maxBans = 131_072
	// maxWideBans bounds each list of networks; there are 72.
	maxWideBans = 512
	// maxExempt is far above the administrators that there can be.
	maxExempt = 256

	// echoes are answered at this rate, all sources together.
	echoPerSecond, echoBurst = 20, 50

	httpPort, httpsPort, mdnsPort = 80, 443, 5353
)

// baseSets returns the sets that every ruleset has.
func baseSets(n *Network) []set {
	all := append(banSets(), exemptSets()...)
	for _, i := range n.Interfaces {
		all = append(all, networkSets(interfaceSet(i.Name), i.Networks)...)
	}

	return all
}

func exemptSets() []set {
	return []set{
		{name: exempt4, kind: sourcesSet, family: ipv4, bits: sourceBits(ipv4), size: maxExempt},
		{name: exempt6, kind: sourcesSet, family: ipv6, bits: sourceBits(ipv6), size: maxExempt},
	}
}

// banSets returns the sets of banned sources and networks.
func banSets() []set {
	var all []set
	for _, f := range []family{ipv4, ipv6} {
		for bits := sourceBits(f); bits >= widestBan(f); bits-- {
			all = append(all, banSet(f, bits))
		}
	}

	return all
}

// banSet returns the set of banned networks of a length: each has its own, so
// that networks may overlap and each ban ends by itself.
func banSet(f family, bits uint8) set {
	s := set{name: bans4, kind: sourcesSet, family: f, bits: bits, size: maxBans}
	if f == ipv6 {
		s.name = bans6
	}
	if bits != sourceBits(f) {
		s.name, s.size = fmt.Sprintf("%s-%d", s.name, bits), maxWideBans
	}

	return s
}

// widestBan is the length of the widest network that may be banned.
func widestBan(f family) uint8 {
	if f == ipv4 {
		return 8
	}

	return 16
}

// banRules returns the rules of a chain for the banned networks of a family.
func banRules(f family) []rule {
	var all []rule
	for _, s := range banSets() {
		if s.family == f && s.bits != sourceBits(f) {
			all = append(all, rule{
				name: fmt.Sprintf("banned/ipv%d/%d", f, s.bits), why: "the source's network is banned", family: f, source: s.name, verdict: drop,
			})
		}
	}

	return all
}

// interfaceSet is the name, without the family, of the set of the networks that
// an interface is connected to.
func interfaceSet(name string) string { return "on-" + setName(name) + "-v" }

// baseRules returns what a packet meets first, whatever a policy says.
func baseRules(n *Network, admins []string) []rule {
	all := []rule{{name: "loopback", why: "the machine talks to itself", iface: "lo", verdict: accept}}
	all = append(all, echoRules()...)
	all = append(all, rule{
		name: "established", why: "it belongs to a connection that was let in or that the machine made",
		states: []ConnState{Established, Related}, verdict: accept,
	})
	all = append(all, icmpRules()...)
	all = append(all,
		rule{
			name: "dhcp", why: "a DHCP server answers", family: ipv4, protocol: UDP, from: 67, port: 68, verdict: accept,
		},
		// RFC 8415, section 7.1: servers and relays answer from the link.
		rule{
			name: "dhcpv6", why: "a DHCPv6 server answers", family: ipv6, protocol: UDP, from: 547, port: 546, linkOnly: true,
			verdict: accept,
		},
		rule{
			name: "invalid", why: "it belongs to no connection that can be", states: []ConnState{Invalid}, verdict: drop,
		},
	)
	for _, name := range admins {
		all = append(all, fromInterface(n, name, rule{
			name: "admin/" + name, why: "from the networks of " + name + ", where the administrator's pages can always be reached",
			protocol: TCP, verdict: jump, target: adminChain,
		})...)
	}
	for _, i := range n.Interfaces {
		all = append(all, fromInterface(n, i.Name, rule{
			name: "mdns/" + i.Name, why: "multicast DNS on the LAN", protocol: UDP, port: mdnsPort, verdict: accept,
		})...)
	}

	return append(all, rule{name: "bans", why: "new connections meet the bans", verdict: jump, target: bansChain})
}

// fromInterface returns a rule for what comes from the networks that an
// interface is connected to: link-local IPv6 addresses are always among them.
func fromInterface(n *Network, name string, r rule) []rule {
	r.iface = name
	var all []rule
	for _, s := range networkSets(interfaceSet(name), n.networks(name)) {
		in := r
		in.family, in.source = s.family, s.name
		in.name += suffix(s.family)
		all = append(all, in)
	}
	r.family, r.linkOnly = ipv6, true
	r.name += "/link-local"

	return append(all, r)
}

func suffix(f family) string { return fmt.Sprintf("/ipv%d", f) }

// networks returns what an interface is connected to.
func (n *Network) networks(name string) []netip.Prefix {
	for _, i := range n.Interfaces {
		if i.Name == name {
			return i.Networks
		}
	}

	return nil
}

// baseChains returns the chains that every ruleset has beside input's.
func baseChains() []chain {
	return []chain{
		{name: adminChain, rules: []rule{
			{name: "admin/http", why: "the administrator's pages", protocol: TCP, port: httpPort, verdict: accept},
			{name: "admin/https", why: "the administrator's pages", protocol: TCP, port: httpsPort, verdict: accept},
		}},
		{name: bansChain, rules: []rule{
			{name: "exempt/ipv4", why: "the source is exempt from bans", family: ipv4, source: exempt4, verdict: back},
			{name: "exempt/ipv6", why: "the source is exempt from bans", family: ipv6, source: exempt6, verdict: back},
			{name: "banned/ipv4", why: "the source is banned", family: ipv4, source: bans4, verdict: drop},
			{name: "banned/ipv6", why: "the source is banned", family: ipv6, source: bans6, verdict: drop},
			{name: "bans/ipv4", why: "its network may be banned", family: ipv4, verdict: goTo, target: wideChain4},
			{name: "bans/ipv6", why: "its network may be banned", family: ipv6, verdict: goTo, target: wideChain6},
		}},
		{name: wideChain4, rules: banRules(ipv4)},
		{name: wideChain6, rules: banRules(ipv6)},
		{name: forwardChain, hook: forwardHook, rules: []rule{
			{name: "forward", why: "the machine is not a router", verdict: drop},
		}},
		{name: outputChain, hook: outputHook, accept: true},
	}
}

// Minimum is the ruleset that stands where no policy does; it needs none of the
// Features. The network may be empty.
func Minimum(n *Network) *Ruleset {
	if n.validate() != nil {
		n = &Network{} // what is wrong is told by Compile
	}
	admins := n.admins(nil)
	r := &Ruleset{sets: baseSets(n), chains: baseChains(), admins: admins, interfaces: n.Interfaces}
	input := chain{name: inputChain, hook: inputHook, rules: baseRules(n, admins)}
	input.rules = append(input.rules, rule{name: "default", why: "nothing else is open", verdict: drop})
	r.chains = append(r.chains, input)
	r.notes = append(r.notes, "the built-in minimum: only the administrator's pages can be reached, from the LAN")
	if len(admins) == 0 {
		r.notes = append(r.notes, noAdmin)
	}
	r.seal(MinimumStands)

	return r
}

const noAdmin = "no interface is managed: the administrator's pages can be reached from the machine itself only"
