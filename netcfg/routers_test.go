package netcfg_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pillarbox/netcfg"
	"pillarbox/netcfg/netlab"
	"pillarbox/netcfg/state"
)

// route starts a router that advertises what is in the braces of radvd.conf(5)'s
// interface.
func route(t *testing.T, p *netlab.Peer, advertises string) *netlab.Program {
	t.Helper()
	dir := t.TempDir()
	conf := filepath.Join(dir, "radvd.conf")
	// RFC 4861, section 6.2.1: no router advertises more often than this.
	text := "interface " + netlab.Cable + " { AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4;\n" + advertises + "\n};\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p.Do(func() error { return os.WriteFile("/proc/sys/net/ipv6/conf/all/forwarding", []byte("1"), 0) })

	return p.Start("radvd", "--nodaemon", "--config", conf, "--pidfile", filepath.Join(dir, "pid"), "--logmethod", "stderr", "--debug", "4")
}

// byRouter returns the addresses of eth0 that a router gave.
func (b *box) byRouter() []netcfg.Address {
	var all []netcfg.Address
	for _, i := range b.status().Interfaces {
		for _, a := range i.Addresses {
			if i.Name == "eth0" && a.Origin == netcfg.FromRouter {
				all = append(all, a)
			}
		}
	}

	return all
}

// hasIn tells whether one of some addresses is in a network.
func hasIn(all []netcfg.Address, network string) bool {
	p := netip.MustParsePrefix(network)
	return slices.ContainsFunc(all, func(a netcfg.Address) bool { return a.Prefix.Masked() == p })
}

// defaultRoutes returns the gateways of the default routes, in the kernel's
// order.
func (b *box) defaultRoutes(protocol int) []string {
	var all []string
	for _, r := range b.status().Routes {
		if r.To.Bits() == 0 && r.Protocol == protocol {
			all = append(all, r.Gateway.String()+"%"+r.Link)
		}
	}

	return all
}

// advertisements returns how many have come to an interface.
func advertisements(t *testing.T, link string) int {
	t.Helper()
	text, err := os.ReadFile("/proc/thread-self/net/dev_snmp6/" + link)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == "Icmp6InRouterAdvertisements" {
			n, err := strconv.Atoi(f[1])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("the kernel does not count:\n%s", text)

	return 0
}

// TestARouterSaysAll has a router come, change its mind and go.
func TestARouterSaysAll(t *testing.T) {
	peer := netlab.NewPeer(t)
	peer.Plug("eth0", "192.0.2.1/24", "fe80::1/64")
	serve(peer, t.TempDir(), "--dhcp-range=192.0.2.100,192.0.2.110,1h", "--dhcp-option=option:dns-server,192.0.2.1", "--domain=office.example")
	router := route(t, peer, `prefix fd00:1:2:3::/64 {}; prefix 2001:db8:1:2::/64 {};
		RDNSS fe80::1 { AdvRDNSSLifetime 600; }; RDNSS fd00:1:2:3::53 { AdvRDNSSLifetime 6; };
		DNSSL lan.example office.example { AdvDNSSLLifetime 6; };`)
	b := newBox(t)
	b.run(onDHCP(), nil)
	netlab.Until(t, "addresses of both networks are there", func() bool {
		all := b.byRouter()
		return len(all) == 2 && hasIn(all, "fd00:1:2:3::/64") && hasIn(all, "2001:db8:1:2::/64")
	})
	netlab.Until(t, "the router is the way out", func() bool {
		all := b.defaultRoutes(state.ProtocolRA)
		return len(all) == 1 && strings.HasPrefix(all[0], "fe80::") && strings.HasSuffix(all[0], "%eth0")
	})
	wrote := func(want string) func() bool {
		return func() bool {
			text, err := os.ReadFile(b.resolv)
			return err == nil && string(text) == "# written by pillarbox\n"+want
		}
	}
	netlab.Until(t, "the router's name servers follow DHCP's",
		wrote("search office.example lan.example\nnameserver 192.0.2.1\nnameserver fe80::1%eth0\nnameserver fd00:1:2:3::53\n"))
	d := onDHCP()
	if plan, problems, err := netcfg.Plan(&d); err != nil || len(problems) > 0 || slices.ContainsFunc(plan, func(s state.Step) bool {
		return s.What != state.TheRoute && s.What != state.TheAddress // of DHCP, which a plan knows nothing of
	}) {
		t.Errorf("a plan of the same settings: %v, %v\n%s", err, problems, plan)
	}

	// Its power goes, and what it said has an end.
	router.Kill()
	netlab.Until(t, "what is not said again is over", wrote("search office.example\nnameserver 192.0.2.1\nnameserver fe80::1%eth0\n"))

	// Another one knows a way to one network only, which is given up, and takes
	// a name server back.
	route(t, peer, `AdvDefaultLifetime 0; prefix fd00:1:2:3::/64 { AdvPreferredLifetime 0; }; RDNSS fe80::1 { AdvRDNSSLifetime 0; };`)
	netlab.Until(t, "the network is being given up", func() bool {
		return slices.ContainsFunc(b.byRouter(), func(a netcfg.Address) bool { return a.Deprecated && hasIn([]netcfg.Address{a}, "fd00:1:2:3::/64") })
	})
	netlab.Until(t, "the router is no way out any more", func() bool { return len(b.defaultRoutes(state.ProtocolRA)) == 0 })
	netlab.Until(t, "the name server is taken back", wrote("search office.example\nnameserver 192.0.2.1\n"))
}

// TestARestartAsksTheRouters has a router that says nothing for long unless it
// is asked.
func TestARestartAsksTheRouters(t *testing.T) {
	peer := netlab.NewPeer(t)
	peer.Plug("eth0", "fe80::1/64")
	router := route(t, peer, `MaxRtrAdvInterval 1800; MinRtrAdvInterval 1000; prefix fd00:1:2:3::/64 {}; RDNSS fd00:1:2:3::53 {};`)
	d := *parse(t, `{"version":1,"interfaces":[{"name":"eth0"}]}`)
	knows := func(b *box) func() bool {
		return func() bool { return slices.Equal(b.status().DNS, []netip.Addr{netip.MustParseAddr("fd00:1:2:3::53")}) }
	}
	first := newBox(t)
	first.run(d, nil)
	netlab.Until(t, "the name server is known", knows(first))
	first.stop()
	// Now the link is up, and the kernel has no reason to ask.
	before := strings.Count(router.Said(), "received RS")
	second := newBox(t)
	second.run(d, nil)
	netlab.Until(t, "the router was asked", func() bool { return strings.Count(router.Said(), "received RS") > before })
	netlab.Until(t, "the name server is known again", knows(second))
	second.stop()
	// The cable is pulled, and what was said is not believed any more.
	b := newBox(t)
	b.run(d, nil)
	netlab.Until(t, "the name server is known once more", knows(b))
	peer.SetCarrier(false)
	netlab.Until(t, "it is forgotten", func() bool { return len(b.status().DNS) == 0 })
	text, err := os.ReadFile(b.resolv)
	if err != nil || strings.Contains(string(text), "nameserver") {
		t.Errorf("resolv.conf says %q, %v", text, err)
	}
}

// TestWhereRoutersAreNotHeardNothingIsTaken has static settings alone.
func TestWhereRoutersAreNotHeardNothingIsTaken(t *testing.T) {
	heard, deaf := netlab.NewPeer(t), netlab.NewPeer(t)
	heard.Plug("eth0", "fe80::1/64")
	deaf.Plug("eth1", "fe80::1/64")
	route(t, heard, `prefix fd00:1:2:3::/64 {}; RDNSS fd00:1:2:3::53 {};`)
	route(t, deaf, `prefix fd00:66::/64 {}; RDNSS fd00:66::53 {};`)
	b := newBox(t)
	b.run(*parse(t, `{"version":1,"interfaces":[{"name":"eth0"},
		{"name":"eth1","ipv6":{"method":"static","addresses":["2001:db8::2/64"],"gateway":"fe80::1"}}]}`), nil)
	netlab.Until(t, "the one is heard", func() bool { return len(b.status().DNS) > 0 && len(b.byRouter()) == 1 })
	netlab.Until(t, "the other one's settings are there", func() bool {
		return slices.Equal(b.defaultRoutes(state.ProtocolStatic), []string{"fe80::1%eth1"})
	})
	netlab.Until(t, "the other one has spoken", func() bool { return advertisements(t, "eth1") > 0 })
	s := b.status()
	if len(s.DNS) != 1 || len(b.defaultRoutes(state.ProtocolRA)) != 1 {
		t.Errorf("name servers %v, routes %v", s.DNS, s.Routes)
	}
	for _, p := range s.Connected() {
		if p == netip.MustParsePrefix("fd00:66::/64") {
			t.Error("an address of the router that is not to be heard was taken")
		}
	}
	want := []netip.Prefix{netip.MustParsePrefix("2001:db8::/64"), netip.MustParsePrefix("fd00:1:2:3::/64")}
	if got := s.Connected(); !slices.Equal(got, want) {
		t.Errorf("connected to %v, want %v", got, want)
	}
}
