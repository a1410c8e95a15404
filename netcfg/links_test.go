package netcfg_test

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pillarbox/netcfg"
	"pillarbox/netcfg/netlab"
)

// TestTheSecondWayOutCarriesOnWithoutTheFirst has two networks, each with a way
// out, and pulls the cable of the one that is preferred.
func TestTheSecondWayOutCarriesOnWithoutTheFirst(t *testing.T) {
	first, second := netlab.NewPeer(t), netlab.NewPeer(t)
	first.Plug("eth1", "192.0.2.1/24")
	second.Plug("eth0", "198.51.100.1/24")
	route(t, first, "prefix 2001:db8:1::/64 {};")
	route(t, second, "prefix 2001:db8:2::/64 {};")
	serve(first, t.TempDir(), "--dhcp-range=192.0.2.100,192.0.2.110,1h")
	serve(second, t.TempDir(), "--dhcp-range=198.51.100.50,198.51.100.60,1h")
	b := newBox(t)
	// Preferred is what comes first in the settings, whatever came first.
	b.run(*parse(t, `{"version":1,"interfaces":[
		{"name":"eth1","ipv4":{"method":"dhcp"}},{"name":"eth0","ipv4":{"method":"dhcp"}}]}`), nil)
	const far, far6 = "203.0.113.9", "2001:db8:ffff::9"
	out := func(link string) func() bool {
		return func() bool { return netlab.WayTo(t, far) == link && netlab.WayTo(t, far6) == link }
	}
	netlab.Until(t, "both have an address", func() bool {
		return inRange(t, "eth1", "192.0.2.100", "192.0.2.110") && inRange(t, "eth0", "198.51.100.50", "198.51.100.60")
	})
	netlab.Until(t, "the first is the way out", out("eth1"))
	first.SetCarrier(false)
	netlab.Until(t, "the second carries on", out("eth0"))
	first.SetCarrier(true)
	netlab.Until(t, "the first is the way out again", out("eth1"))
	want := []netip.Prefix{
		netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/24"),
		netip.MustParsePrefix("2001:db8:1::/64"), netip.MustParsePrefix("2001:db8:2::/64"),
	}
	netlab.Until(t, "the networks are told", func() bool {
		s := b.status()
		return slices.Equal(s.Connected(), want) && len(s.Managed()) == 2
	})
}

// TestACardThatIsKnownByItsAddressMayHaveAnyName renames one that has a lease.
func TestACardThatIsKnownByItsAddressMayHaveAnyName(t *testing.T) {
	peer := netlab.NewPeer(t)
	peer.Plug("eth0", "192.0.2.1/24")
	serve(peer, t.TempDir(), "--dhcp-range=192.0.2.100,192.0.2.110,1h", "--dhcp-authoritative")
	card, err := net.InterfaceByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	b := newBox(t)
	b.run(*parse(t, `{"version":1,"interfaces":[{"mac":"`+card.HardwareAddr.String()+`","ipv4":{"method":"dhcp"}}]}`), nil)
	netlab.Until(t, "an address is there", func() bool { return b.lease("eth0") != nil && inRange(t, "eth0", "192.0.2.100", "192.0.2.110") })
	before := netlab.Addresses(t, "eth0")
	netlab.Rename(t, "eth0", "lan7")
	netlab.Until(t, "the lease is held by the new name", func() bool { return b.lease("lan7") != nil && b.find("lan7").Up })
	if got := netlab.Addresses(t, "lan7"); !slices.Equal(before, got) {
		t.Errorf("the address was %v and is %v", before, got)
	}
	// Another card takes the old name, and is none of our business.
	netlab.NewPeer(t).Plug("eth0", "192.0.2.1/24")
	netlab.Until(t, "the other card is seen", func() bool { return b.find("eth0").Name != "" })
	if b.find("eth0").Managed || b.find("eth0").Up {
		t.Errorf("another card is managed: %+v", b.find("eth0"))
	}
	if p := b.problems(); p != "" {
		t.Errorf("problems: %s", p)
	}
}

// TestTheFirstWiredCardIsTheNextOneWhenItIsUnplugged moves from card to card.
func TestTheFirstWiredCardIsTheNextOneWhenItIsUnplugged(t *testing.T) {
	peer, other := netlab.NewPeer(t), netlab.NewPeer(t)
	peer.Plug("usb0", "192.0.2.1/24")
	other.Plug("usb1", "198.51.100.1/24")
	serve(peer, t.TempDir(), "--dhcp-range=192.0.2.100,192.0.2.110,1h")
	serve(other, t.TempDir(), "--dhcp-range=198.51.100.50,198.51.100.60,1h")
	b := newBox(t)
	b.run(onDHCP(), nil)
	netlab.Until(t, "the first one has an address", func() bool { return inRange(t, "usb0", "192.0.2.100", "192.0.2.110") })
	if b.find("usb1").Managed {
		t.Error("two are the first")
	}
	netlab.Unplug(t, "usb0")
	netlab.Until(t, "the second one has an address", func() bool { return inRange(t, "usb1", "198.51.100.50", "198.51.100.60") })
	netlab.Until(t, "the lease of the first is forgotten", func() bool { return b.find("usb0").Name == "" && b.lease("usb1") != nil })
}

// TestHostsThatSpokeAreNeighbours has a host speak to the box by both protocols.
func TestHostsThatSpokeAreNeighbours(t *testing.T) {
	peer := netlab.NewPeer(t)
	peer.Plug("eth0", "192.0.2.1/24", "2001:db8::1/64")
	apply(t, parse(t, `{"version":1,"interfaces":[{"name":"eth0","ipv4":{"method":"static","addresses":["192.0.2.2/24"]},
		"ipv6":{"method":"static","addresses":["2001:db8::2/64"]}}]}`))
	mac := ""
	peer.Do(func() error {
		l, err := net.InterfaceByName(netlab.Cable)
		if err == nil {
			mac = l.HardwareAddr.String()
		}
		return err
	})
	want := []netcfg.Neighbour{
		{Link: "eth0", IP: netip.MustParseAddr("192.0.2.1"), MAC: mac},
		{Link: "eth0", IP: netip.MustParseAddr("2001:db8::1"), MAC: mac},
	}
	netlab.Until(t, "both of its addresses are known", func() bool {
		for _, to := range []string{"192.0.2.2:9", "[2001:db8::2]:9"} {
			peer.Do(func() error {
				c, err := net.Dial("udp", to)
				if err != nil {
					return nil // its address is still being looked at
				}
				_, _ = c.Write([]byte{0}) // refused: nobody listens
				return c.Close()
			})
		}
		all, err := netcfg.Neighbours()
		if err != nil {
			t.Fatal(err)
		}
		all = slices.DeleteFunc(all, func(n netcfg.Neighbour) bool { return n.IP.IsLinkLocalUnicast() || strings.HasPrefix(n.Link, "lo") })
		for i := range all {
			all[i].Fresh = false // it may have been a while
		}
		return slices.Equal(all, want)
	})
}
