package netcfg_test

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pillarbox/netcfg"
	"pillarbox/netcfg/dhcp"
	"pillarbox/netcfg/netlab"
	"pillarbox/netcfg/state"
)

// box is a manager that runs.
type box struct {
	t      *testing.T
	resolv string
	leases string
	stop   func()

	mu   sync.Mutex
	last netcfg.Status
}

// newBox returns a box that is not running.
func newBox(t *testing.T) *box {
	dir := t.TempDir()
	return &box{t: t, resolv: filepath.Join(dir, "resolv.conf"), leases: filepath.Join(dir, "leases")}
}

// run starts a manager on a box. change may be nil.
func (b *box) run(d state.Desired, change func(*netcfg.Config)) *netcfg.Manager {
	b.t.Helper()
	if err := d.Validate(); err != nil {
		b.t.Fatal(err)
	}
	c := &netcfg.Config{
		Logger: slog.New(slog.NewTextHandler(b.t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})), Desired: d,
		Identity: "0123456789abcdef0123456789abcdef", Hostname: "box", ResolvFile: b.resolv, Leases: dhcp.Store{Dir: b.leases},
		Changed: func(s netcfg.Status) {
			b.mu.Lock()
			b.last = s
			b.mu.Unlock()
		},
	}
	if change != nil {
		change(c)
	}
	m := netcfg.New(c)
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = m.Run(ctx)
	}()
	b.stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	b.t.Cleanup(b.stop)

	return m
}

func (b *box) status() netcfg.Status {
	b.mu.Lock()
	defer b.mu.Unlock()

	return b.last
}

// lease returns what DHCP gave for an interface, or nil.
func (b *box) lease(name string) *dhcp.Lease {
	for _, i := range b.status().Interfaces {
		if i.Name == name {
			return i.Lease
		}
	}

	return nil
}

// serve starts a DHCP server on a peer.
func serve(p *netlab.Peer, dir string, args ...string) *netlab.Program {
	return p.Start("dnsmasq", append([]string{
		"--no-daemon", "--conf-file=/dev/null", "--log-facility=-", "--log-dhcp", "--port=0", "--user=root", "--no-ping",
		"--interface=" + netlab.Cable, "--bind-interfaces", "--pid-file=", "--no-hosts", "--no-resolv",
		"--dhcp-leasefile=" + filepath.Join(dir, "leases"),
	}, args...)...)
}

func has(t *testing.T, link string, prefixes ...string) func() bool {
	return func() bool {
		var want []netip.Prefix
		for _, p := range prefixes {
			want = append(want, netip.MustParsePrefix(p))
		}
		return slices.Equal(netlab.Addresses(t, link), want)
	}
}

func onDHCP() state.Desired { return state.Default() }

// askOn returns settings for one interface alone. Tests that wait for leases to
// end have one of their own, and so can wait together.
func askOn(name string) state.Desired {
	return state.Desired{Version: state.Version, Interfaces: []state.Interface{{Name: name, IPv4: state.IPv4{Method: state.MethodDHCP}}}}
}

// inRange tells whether an interface has an address between two, and only that.
func inRange(t *testing.T, link, low, high string) bool {
	all := netlab.Addresses(t, link)
	return len(all) == 1 && all[0].Addr().Compare(netip.MustParseAddr(low)) >= 0 &&
		all[0].Addr().Compare(netip.MustParseAddr(high)) <= 0
}

func TestAnAddressByDHCPWithAllThatComesWithIt(t *testing.T) {
	peer := netlab.NewPeer(t)
	peer.Plug("eth0", "192.0.2.1/24")
	server := serve(peer, t.TempDir(), "--dhcp-range=192.0.2.100,192.0.2.110,1h", "--domain=office.example",
		"--dhcp-option=option:router,192.0.2.1", "--dhcp-option=option:dns-server,192.0.2.1,192.0.2.7",
		"--dhcp-option=option:ntp-server,192.0.2.8", "--dhcp-option=option:mtu,1400",
		"--dhcp-option=option:domain-search,office.example,example")
	b := newBox(t)
	b.run(onDHCP(), nil)
	netlab.Until(t, "an address is there", func() bool { return inRange(t, "eth0", "192.0.2.100", "192.0.2.110") })
	netlab.Until(t, "the status tells all of it", func() bool {
		s := b.status()
		return b.lease("eth0") != nil && len(s.DNS) == 2 && len(s.NTP) == 1
	})
	want := "# written by pillarbox\nsearch office.example example\nnameserver 192.0.2.1\nnameserver 192.0.2.7\n"
	netlab.Until(t, "name servers are written", func() bool {
		text, err := os.ReadFile(b.resolv)
		return err == nil && string(text) == want
	})
	netlab.Until(t, "the MTU and the route are set", func() bool {
		l, err := net.InterfaceByName("eth0")
		routed := slices.ContainsFunc(b.status().Routes, func(r state.Route) bool {
			return r.To.Bits() == 0 && r.Gateway == netip.MustParseAddr("192.0.2.1") && r.Link == "eth0"
		})
		return err == nil && l.MTU == 1400 && routed
	})
	for _, i := range b.status().Interfaces {
		if i.Name != "eth0" {
			continue
		}
		for _, a := range i.Addresses {
			if a.Prefix.Addr().Is4() && (a.Origin != netcfg.FromDHCP || a.Expires.IsZero()) {
				t.Errorf("the address is told as %+v", a)
			}
		}
	}
	if said := server.Said(); !strings.Contains(said, "client provides name: box") {
		t.Error("the server does not know the box's name")
	}
	// Nothing is left to do.
	d := onDHCP()
	plan, problems, err := netcfg.Plan(&d)
	if err != nil || len(problems) > 0 {
		t.Fatal(err, problems)
	}
	if len(plan) > 0 {
		t.Errorf("a plan of the same settings:\n%s", plan)
	}
}

func TestALeaseIsRenewedAndItsServerLost(t *testing.T) {
	t.Parallel()
	peer := netlab.NewPeer(t)
	peer.Plug("renewed", "192.0.2.1/24")
	dir := t.TempDir()
	server := serve(peer, dir, "--dhcp-range=192.0.2.100,192.0.2.110,1h", "--dhcp-authoritative")
	b := newBox(t)
	b.run(askOn("renewed"), func(c *netcfg.Config) { c.MaxLease = 6 * time.Second })
	netlab.Until(t, "an address is there", func() bool { return inRange(t, "renewed", "192.0.2.100", "192.0.2.110") })
	// A DHCPACK that has no DHCPDISCOVER before it is a renewal.
	netlab.Until(t, "the lease is renewed twice", func() bool {
		return strings.Count(server.Said(), "DHCPACK(") >= strings.Count(server.Said(), "DHCPDISCOVER(")+2
	})
	if p := b.status().Problems; len(p) > 0 {
		t.Errorf("the address could not be extended: %q", p)
	}

	server.Kill()
	netlab.Until(t, "the address is given up without a server", func() bool { return len(netlab.Addresses(t, "renewed")) == 0 })
	netlab.Until(t, "the route and the name servers go with it", func() bool {
		return b.lease("renewed") == nil && len(b.status().DNS) == 0
	})

	serve(peer, t.TempDir(), "--dhcp-range=192.0.2.200,192.0.2.210,1h", "--dhcp-authoritative")
	netlab.Until(t, "another server gives another address", func() bool { return inRange(t, "renewed", "192.0.2.200", "192.0.2.210") })
}

// TestAnotherServerExtendsTheLeaseOfALostOne has a server die after whose T2
// another one answers, that has another address.
func TestAnotherServerExtendsTheLeaseOfALostOne(t *testing.T) {
	t.Parallel()
	peer := netlab.NewPeer(t)
	peer.Plug("extended", "198.51.100.1/24")
	dir := t.TempDir()
	server := serve(peer, dir, "--dhcp-range=198.51.100.100,198.51.100.110,1h", "--dhcp-authoritative")
	b := newBox(t)
	b.run(askOn("extended"), func(c *netcfg.Config) { c.MaxLease = 20 * time.Second })
	netlab.Until(t, "a lease is there", func() bool { return b.lease("extended") != nil })
	before := b.lease("extended")
	server.Kill()
	peer.Remove("198.51.100.1/24")
	peer.Add("198.51.100.2/24")
	server = serve(peer, dir, "--dhcp-range=198.51.100.100,198.51.100.110,1h", "--dhcp-authoritative")
	netlab.Until(t, "the other server has extended it", func() bool {
		l := b.lease("extended")
		return l != nil && l.Server == netip.MustParseAddr("198.51.100.2")
	})
	if after := b.lease("extended"); after.Address != before.Address {
		t.Errorf("the address was %s and is %s", before.Address, after.Address)
	}
	if strings.Contains(server.Said(), "DHCPDISCOVER(") {
		t.Error("the lease was not extended: it was given anew")
	}
}

func TestAServerTakesALeaseBack(t *testing.T) {
	t.Parallel()
	peer := netlab.NewPeer(t)
	peer.Plug("refused", "198.18.0.1/24", "198.18.1.1/24")
	server := serve(peer, t.TempDir(), "--dhcp-range=198.18.0.100,198.18.0.110,1h", "--dhcp-authoritative")
	b := newBox(t)
	b.run(askOn("refused"), func(c *netcfg.Config) { c.MaxLease = 12 * time.Second })
	netlab.Until(t, "an address is there", func() bool { return inRange(t, "refused", "198.18.0.100", "198.18.0.110") })
	server.Kill()
	server = serve(peer, t.TempDir(), "--dhcp-range=198.18.1.50,198.18.1.60,1h", "--dhcp-authoritative")
	netlab.Until(t, "the address of the other network is there alone", func() bool {
		return inRange(t, "refused", "198.18.1.50", "198.18.1.60")
	})
	if !strings.Contains(server.Said(), "DHCPNAK(") {
		t.Error("the server refused nothing")
	}
}

func TestTheLeaseOfAnEarlierRunIsTakenUp(t *testing.T) {
	peer := netlab.NewPeer(t)
	peer.Plug("eth0", "192.0.2.1/24")
	server := serve(peer, t.TempDir(), "--dhcp-range=192.0.2.100,192.0.2.110,1h", "--dhcp-authoritative")
	b := newBox(t)
	b.run(onDHCP(), nil)
	netlab.Until(t, "an address is there", func() bool { return inRange(t, "eth0", "192.0.2.100", "192.0.2.110") })
	first := netlab.Addresses(t, "eth0")
	netlab.Until(t, "the lease is kept", func() bool {
		files, err := filepath.Glob(filepath.Join(b.leases, "lease-*.json"))
		return err == nil && len(files) == 1
	})
	b.stop()
	if diff := cmp.Diff(first, netlab.Addresses(t, "eth0"), samePrefix); diff != "" {
		t.Errorf("the end of the program took the address away:\n%s", diff)
	}
	before := len(server.Said())
	b.run(onDHCP(), nil)
	netlab.Until(t, "the server was asked again", func() bool { return strings.Contains(server.Said()[before:], "DHCPACK(") })
	requested, discovered, _ := strings.Cut(server.Said()[before:], "DHCPDISCOVER(")
	if !strings.Contains(requested, "DHCPREQUEST(") {
		t.Errorf("the server was looked for anew: %s", discovered)
	}
	if diff := cmp.Diff(first, netlab.Addresses(t, "eth0"), samePrefix); diff != "" {
		t.Errorf("the address (-before +after):\n%s", diff)
	}
}

var samePrefix = cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })

func TestALeaseIsReleasedWhenAskedFor(t *testing.T) {
	peer := netlab.NewPeer(t)
	peer.Plug("eth0", "192.0.2.1/24")
	dir := t.TempDir()
	server := serve(peer, dir, "--dhcp-range=192.0.2.100,192.0.2.110,1h", "--dhcp-authoritative")
	b := newBox(t)
	b.run(onDHCP(), func(c *netcfg.Config) { c.Release = true })
	netlab.Until(t, "an address is there", func() bool { return inRange(t, "eth0", "192.0.2.100", "192.0.2.110") })
	leased := func() bool {
		text, err := os.ReadFile(filepath.Join(dir, "leases"))
		return err == nil && strings.Contains(string(text), " 192.0.2.1")
	}
	netlab.Until(t, "the server has it in its book", leased)
	b.stop()
	netlab.Until(t, "the server knows", func() bool { return strings.Contains(server.Said(), "DHCPRELEASE(") })
	netlab.Until(t, "it is in its book no more", func() bool { return !leased() })
	if got := netlab.Addresses(t, "eth0"); len(got) > 0 {
		t.Errorf("what was given back is still used: %v", got)
	}
	if kept, err := filepath.Glob(filepath.Join(b.leases, "lease-*.json")); err != nil || len(kept) > 0 {
		t.Errorf("what was given back is still kept: %v, %v", kept, err)
	}
}

func TestClasslessRoutesTakeThePlaceOfTheRouter(t *testing.T) {
	peer := netlab.NewPeer(t)
	peer.Plug("eth0", "192.0.2.1/24")
	serve(peer, t.TempDir(), "--dhcp-range=192.0.2.100,192.0.2.110,1h", "--dhcp-option=option:router,192.0.2.1",
		"--dhcp-option=option:classless-static-route,203.0.113.0/24,192.0.2.9,0.0.0.0/0,192.0.2.254")
	b := newBox(t)
	b.run(onDHCP(), nil)
	var got []string
	netlab.Until(t, "the routes are there", func() bool {
		got = nil
		for _, r := range b.status().Routes {
			if r.Protocol == state.ProtocolDHCP {
				got = append(got, r.String())
			}
		}
		return len(got) == 2
	})
	slices.Sort(got)
	want := []string{"203.0.113.0/24 via 192.0.2.9 metric 100", "default via 192.0.2.254 metric 100"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
}

func TestACableThatIsPluggedInElsewhereGetsThatNetworksAddress(t *testing.T) {
	peer := netlab.NewPeer(t)
	peer.Plug("eth0", "192.0.2.1/24", "198.51.100.1/24")
	server := serve(peer, t.TempDir(), "--dhcp-range=192.0.2.100,192.0.2.110,1h", "--dhcp-authoritative", "--dhcp-option=option:mtu,1400")
	b := newBox(t)
	b.run(onDHCP(), nil)
	netlab.Until(t, "an address is there", func() bool { return inRange(t, "eth0", "192.0.2.100", "192.0.2.110") })
	netlab.Until(t, "the network's MTU is set", func() bool { return b.find("eth0").MTU == 1400 })
	peer.SetCarrier(false)
	netlab.Until(t, "the cable is seen as pulled", func() bool {
		return slices.ContainsFunc(b.status().Interfaces, func(i netcfg.Interface) bool { return i.Name == "eth0" && !i.Carrier })
	})
	server.Kill()
	serve(peer, t.TempDir(), "--dhcp-range=198.51.100.50,198.51.100.60,1h", "--dhcp-authoritative")
	peer.SetCarrier(true)
	netlab.Until(t, "the other network's address is there", func() bool { return inRange(t, "eth0", "198.51.100.50", "198.51.100.60") })
	netlab.Until(t, "the MTU is that from before", func() bool { return b.find("eth0").MTU == 1500 })
}

func TestANetworkCardThatIsPluggedInLater(t *testing.T) {
	b := newBox(t)
	b.run(onDHCP(), nil)
	netlab.Until(t, "its absence is told", func() bool {
		return slices.ContainsFunc(b.status().Problems, func(p string) bool { return strings.Contains(p, "no such interface") })
	})
	peer := netlab.NewPeer(t)
	peer.Plug("usb0", "192.0.2.1/24")
	serve(peer, t.TempDir(), "--dhcp-range=192.0.2.100,192.0.2.110,1h")
	netlab.Until(t, "it has an address", func() bool { return inRange(t, "usb0", "192.0.2.100", "192.0.2.110") })
	netlab.Unplug(t, "usb0")
	netlab.Until(t, "its absence is told again", func() bool { return len(b.status().Problems) > 0 })
}

func TestSettingsThatChangeAreApplied(t *testing.T) {
	peer := netlab.NewPeer(t)
	peer.Plug("eth0", "192.0.2.1/24")
	serve(peer, t.TempDir(), "--dhcp-range=192.0.2.100,192.0.2.110,1h")
	b := newBox(t)
	m := b.run(onDHCP(), nil)
	netlab.Until(t, "an address is there", func() bool { return inRange(t, "eth0", "192.0.2.100", "192.0.2.110") })
	m.Set(state.Desired{Version: 1, Interfaces: []state.Interface{{Name: "eth0", IPv4: state.IPv4{
		Method: state.MethodStatic, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.20/24")},
		Gateway: netip.MustParseAddr("192.0.2.1"),
	}}}})
	netlab.Until(t, "only the static address is there", has(t, "eth0", "192.0.2.20/24"))
	m.Set(onDHCP())
	netlab.Until(t, "DHCP's address is there again", func() bool { return inRange(t, "eth0", "192.0.2.100", "192.0.2.110") })
}
