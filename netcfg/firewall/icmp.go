package firewall

// icmpRules returns what a host needs of ICMP and ICMPv6 (RFC 4890, section
// 4.4), and of IGMP. Redirects are not among it: a machine with one router has
// no use for them.
func icmpRules() []rule {
	errors := func(r rule) rule {
		r.why, r.verdict = "an ICMP error, about a packet that did not arrive or was too big", accept
		return r
	}
	// The kernel takes errors about connections that it does not know for
	// invalid, so they are let in before that is looked at: without them
	// connections hang where packets are too big (RFC 4890, section 4.3.1).
	all := []rule{
		errors(rule{name: "icmp/unreachable", family: ipv4, protocol: ICMP, kind: 3}),
		errors(rule{name: "icmp/time-exceeded", family: ipv4, protocol: ICMP, kind: 11}),
		errors(rule{name: "icmp/parameter-problem", family: ipv4, protocol: ICMP, kind: 12}),
		errors(rule{name: "icmpv6/unreachable", family: ipv6, protocol: ICMPv6, kind: 1}),
		errors(rule{name: "icmpv6/packet-too-big", family: ipv6, protocol: ICMPv6, kind: 2}),
		errors(rule{name: "icmpv6/time-exceeded", family: ipv6, protocol: ICMPv6, kind: 3}),
		errors(rule{name: "icmpv6/parameter-problem", family: ipv6, protocol: ICMPv6, kind: 4}),
		// RFC 4861, sections 6.1.2, 7.1.1 and 7.1.2: a hop limit of 255 proves
		// that no router has passed them on.
		{
			name: "icmpv6/router-advertisement", why: "a router of the link announces itself", family: ipv6, protocol: ICMPv6, kind: 134,
			hopLimit: 255, linkOnly: true, verdict: accept,
		},
		{
			name: "icmpv6/neighbour-solicitation", why: "a neighbour of the link looks for the machine", family: ipv6, protocol: ICMPv6,
			kind: 135, hopLimit: 255, verdict: accept,
		},
		{
			name: "icmpv6/neighbour-advertisement", why: "a neighbour of the link answers", family: ipv6, protocol: ICMPv6,
			kind: 136, hopLimit: 255, verdict: accept,
		},
	}
	// RFC 3810, section 5, and RFC 2710, section 3: from the link, with a hop
	// limit of 1.
	for _, k := range []struct {
		name string
		kind uint8
	}{{"query", 130}, {"report", 131}, {"done", 132}, {"report-v2", 143}} {
		all = append(all, rule{
			name: "icmpv6/multicast-" + k.name, why: "who of the link listens to which multicast group", family: ipv6, protocol: ICMPv6,
			kind: k.kind, hopLimit: 1, linkOnly: true, verdict: accept,
		})
	}
	all = append(all, rule{
		name: "igmp", why: "who of the link listens to which multicast group", family: ipv4, protocol: IGMP, hopLimit: 1, verdict: accept,
	})
	return all
}

// echoRules answer echo requests (ping) at a bounded rate. To the kernel those
// of one sender are an established connection, so they come before that.
func echoRules() []rule {
	var all []rule
	for _, r := range []rule{
		{name: "icmp/echo", family: ipv4, protocol: ICMP, kind: 8},
		{name: "icmpv6/echo", family: ipv6, protocol: ICMPv6, kind: 128},
	} {
		in, over := r, r
		in.why, in.verdict = "an echo request (ping), within the rate that is answered", accept
		in.limit = limit{perSecond: echoPerSecond, burst: echoBurst}
		over.name, over.why, over.verdict = r.name+"-over", "more echo requests than are answered", drop
		all = append(all, in, over)
	}

	return all
}
