package firewall_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"pillarbox/netcfg/firewall"
	"pillarbox/netcfg/policy"
)

// pool are networks, from which policies and sources are drawn, so that they
// meet: some within others, some side by side.
func pool() []netip.Prefix {
	var all []netip.Prefix
	for _, text := range []string{
		"10.0.0.0/8", "10.1.0.0/16", "10.1.128.0/17", "10.2.0.0/16", "10.3.0.0/16", "172.16.5.4/32", "172.16.5.5/32", "192.168.0.0/24",
		"192.168.1.0/24", "198.51.100.0/25", "198.51.100.128/25", "198.18.4.64/26", "fd00:1::/32", "fd00:1:2::/48", "fd00:1:3::/48",
		"2001:db8:10::/48", "2001:db8:10:1::/64", "2001:db8:11::/48", "2001:db8:12::7/128",
	} {
		all = append(all, prefix(text))
	}

	return all
}

// end returns the last address of a network.
func end(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(b)*8; bit++ {
		b[bit/8] |= 1 << (7 - bit%8)
	}
	a, _ := netip.AddrFromSlice(b)

	return a
}

// edges are the addresses around a network's ends.
func edges(p netip.Prefix) []netip.Addr {
	return []netip.Addr{p.Addr(), p.Addr().Next(), p.Addr().Prev(), end(p), end(p).Prev(), end(p).Next()}
}

// sources are what packets come from. They leave out what no host may have for
// an address, and the box's own.
func sources() []netip.Addr {
	all := []netip.Addr{peer4, peer6, peerLink, remote4, remote6}
	for _, p := range pool() {
		for _, a := range edges(p) {
			if !slices.Contains(all, a) {
				all = append(all, a)
			}
		}
	}

	return all
}

func drawNetworks(t *rapid.T, label string, most int) []netip.Prefix {
	return rapid.SliceOfN(rapid.SampledFrom(pool()), 0, most).Draw(t, label)
}

// drawPolicy draws a policy that is valid.
func drawPolicy(t *rapid.T) *policy.Policy {
	p := &policy.Policy{
		Services: map[policy.Service]policy.Rule{}, LAN: drawNetworks(t, "lan", 4), Log: rapid.Bool().Draw(t, "log"),
		Admin: rapid.SampledFrom([]string{"", lanName, wanName, "nowhere"}).Draw(t, "admin"),
	}
	services := []policy.Service{}
	for s := range policy.Ports() {
		services = append(services, s)
	}
	slices.Sort(services)
	for _, s := range services {
		if rapid.IntRange(0, 9).Draw(t, "absent "+string(s)) == 0 {
			continue
		}
		r := policy.Rule{
			From:  rapid.SampledFrom([]policy.From{policy.Nobody, policy.LAN, policy.Networks, policy.Anyone}).Draw(t, string(s)),
			Burst: 50_000, Rate: 60_000, Override: "a test",
		}
		if r.From == policy.Networks {
			r.Networks = append(drawNetworks(t, string(s)+" networks", 4), prefix("198.51.100.0/25"))
		}
		p.Services[s] = r
	}
	if err := p.Validate(); err != nil {
		t.Fatalf("the test draws policies that are not valid: %v", err)
	}

	return p
}

// drawNetwork draws what the box is connected to: eth0 always, and wan0, which
// then is one of the LAN's.
func drawNetwork(t *rapid.T) firewall.Network {
	var n firewall.Network
	n.Add(lanName, append(drawNetworks(t, lanName, 3), prefix("192.0.2.0/24"), prefix("2001:db8:a::/64"))...)
	if rapid.Bool().Draw(t, "wan0 is managed") {
		n.Add(wanName, drawNetworks(t, wanName, 3)...)
	}
	n.Admin = rapid.SampledFrom([]string{"", lanName, "nowhere"}).Draw(t, "the machine's admin")

	return n
}

// allowed says what a policy means, from its words: it knows nothing of rules.
func allowed(p *policy.Policy, n firewall.Network, iface string, source netip.Addr, port uint16) bool {
	in := func(networks []netip.Prefix) bool {
		return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(source) })
	}
	connected := false // the source is on the interface, which is managed
	var managed []string
	for _, i := range n.Interfaces {
		managed = append(managed, i.Name)
		if i.Name == iface {
			connected = in(i.Networks) || source.Is6() && source.IsLinkLocalUnicast()
		}
	}
	if port == 80 || port == 443 {
		named := []string{}
		for _, name := range []string{p.Admin, n.Admin} {
			if slices.Contains(managed, name) {
				named = append(named, name)
			}
		}
		if len(named) == 0 {
			named = managed[:1]
		}
		if connected && slices.Contains(named, iface) {
			return true
		}
	}
	for service, its := range policy.Ports() {
		if its != port {
			continue
		}
		r, ok := p.Services[service]
		switch {
		case !ok || r.From == policy.Nobody:
			return false
		case r.From == policy.Anyone:
			return true
		}
		return connected || in(p.LAN) || r.From == policy.Networks && in(r.Networks)
	}

	return false
}

func drawPort(t *rapid.T) uint16 {
	ports := []uint16{closedPort, 22}
	for _, port := range policy.Ports() {
		ports = append(ports, port)
	}
	slices.Sort(ports)

	return rapid.SampledFrom(ports).Draw(t, "port")
}

// TestTheKernelDecidesAsThePolicySays has the kernel, Explain and the words of
// the policy decide about the same packets.
func TestTheKernelDecidesAsThePolicySays(t *testing.T) {
	l := newLab(t)
	fw := open(t)
	all := sources()
	rapid.Check(t, func(t *rapid.T) {
		p, n := drawPolicy(t), drawNetwork(t)
		if r, err := fw.Apply(l.t.Context(), p, n); err != nil || r.Stands != firewall.PolicyStands {
			t.Fatalf("%+v %v", r, err)
		}
		for range 40 {
			cable := rapid.SampledFrom([]*cable{l.lan, l.wan}).Draw(t, "cable")
			source := rapid.SampledFrom(all).Draw(t, "source")
			port := drawPort(t)
			want := allowed(p, n, cable.name, source, port)
			if got := l.opens(cable, source, port); got != want {
				t.Errorf("%s: the kernel lets it in: %t, the policy: %t", label(cable, source, port), got, want)
			}
			packet := firewall.Packet{Source: source, Interface: cable.name, Protocol: firewall.TCP, Port: port}
			d, err := firewall.Explain(p, &n, fw.Features(), &packet, nil)
			if err != nil || d.Accepted != want {
				t.Errorf("%s: explained as %+v (%v), the policy lets it in: %t", label(cable, source, port), d, err, want)
			}
		}
	})
}

// TestNoPolicyLocksTheAdministratorOut tries whatever can be written down, valid
// or not, with bans on top.
func TestNoPolicyLocksTheAdministratorOut(t *testing.T) {
	l := newLab(t)
	fw := open(t)
	rapid.Check(t, func(t *rapid.T) {
		p := drawPolicy(t)
		// What is wrong is as good as what is right.
		switch rapid.IntRange(0, 5).Draw(t, "wrong") {
		case 0:
			p.Services["gopher"] = policy.Rule{From: policy.Anyone}
		case 1:
			p.Services[policy.HTTPS] = policy.Rule{From: policy.From(rapid.String().Draw(t, "from")), Rate: rapid.Int().Draw(t, "rate")}
		case 2:
			p.LAN = append(p.LAN, netip.PrefixFrom(remote4, rapid.IntRange(-1, 40).Draw(t, "bits")))
		case 3:
			p.Admin = rapid.String().Draw(t, "admin")
		}
		var n firewall.Network
		n.Add(lanName, prefix("192.0.2.1/24"), prefix("2001:db8:a::1/64"))
		n.Admin = lanName
		if rapid.Bool().Draw(t, "another interface") {
			n.Add(wanName, drawNetworks(t, wanName, 3)...)
		}
		r, err := fw.Apply(l.t.Context(), p, n)
		if (err == nil) != (r.Stands == firewall.PolicyStands) || r.Stands == firewall.NothingStands {
			t.Fatalf("%+v %v", r, err)
		}
		for _, a := range []netip.Addr{peer4, peer6} {
			if rapid.Bool().Draw(t, "banned") {
				if err := fw.Ban(l.t.Context(), firewall.Source(a), time.Hour); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, source := range []netip.Addr{peer4, peer6, peerLink} {
			for _, port := range []uint16{80, 443} {
				if !l.opens(l.lan, source, port) {
					t.Errorf("the administrator is locked out %s", label(l.lan, source, port))
				}
			}
		}
		// The way in is pinned to the interface and its networks.
		if err == nil && p.Rule(policy.HTTPS).From == policy.Nobody {
			for _, c := range []*cable{l.lan, l.wan} {
				if l.opens(c, addr("198.18.0.9"), 443) || l.opens(c, addr("2001:db8:99::9"), 443) {
					t.Errorf("what is for the administrator is open to everybody on %s", c.name)
				}
			}
		}
	})
}
