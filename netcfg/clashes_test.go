package netcfg_test

import (
	"bytes"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"pillarbox/netcfg"
	"pillarbox/netcfg/arp"
	"pillarbox/netcfg/netlab"
)

// TestAnAddressThatAnotherHostHasIsToldUntilItIsFree sets addresses by hand that
// another host has, which then gives them up.
func TestAnAddressThatAnotherHostHasIsToldUntilItIsFree(t *testing.T) {
	peer := netlab.NewPeer(t)
	peer.Plug("eth0", "192.0.2.2/24", "2001:db8::2/64")
	b := newBox(t)
	b.run(*parse(t, `{"version":1,"interfaces":[{"name":"eth0","ipv4":{"method":"static","addresses":["192.0.2.2/24","192.0.2.3/24"]},
		"ipv6":{"method":"static","addresses":["2001:db8::2/64","2001:db8::3/64"]}}]}`), func(c *netcfg.Config) { c.Audit = 2 * time.Second })
	clashing := func() []string {
		var all []string
		for _, a := range b.find("eth0").Addresses {
			if a.Clashes {
				all = append(all, a.Prefix.Addr().String())
			}
		}
		slices.Sort(all)
		return all
	}
	netlab.Until(t, "both addresses are known to be another's", func() bool {
		return slices.Equal(clashing(), []string{"192.0.2.2", "2001:db8::2"})
	})
	for _, want := range []string{"eth0: another host has the address 192.0.2.2", "eth0: another host has the address 2001:db8::2"} {
		if !strings.Contains(b.problems(), want) {
			t.Errorf("%q is not said: %q", want, b.problems())
		}
	}
	peer.Remove("192.0.2.2/24")
	peer.Remove("2001:db8::2/64")
	netlab.Until(t, "both are free", func() bool { return len(clashing()) == 0 && b.problems() == "" })
}

// TestWhoHasAnAddressIsAsked has the box answer itself, too, on its other
// interface: the kernel does so for all of its addresses.
func TestWhoHasAnAddressIsAsked(t *testing.T) {
	netlab.NewPeer(t).Plug("eth0", "192.0.2.1/24")
	netlab.Loop(t, "eth1", "eth2")
	apply(t, parse(t, `{"version":1,"interfaces":[{"name":"eth0"},{"name":"eth2"},
		{"name":"eth1","ipv4":{"method":"static","addresses":["198.51.100.1/24"]}}]}`))
	taken := func(link, address string) bool {
		t.Helper()
		l, err := net.InterfaceByName(link)
		if err != nil {
			t.Fatal(err)
		}
		taken, err := arp.Taken(t.Context(), l, netip.MustParseAddr(address))
		if err != nil {
			t.Fatal(err)
		}
		return taken
	}
	// A machine under load may answer too late now and then.
	netlab.Until(t, "the claim is heard", func() bool { return taken("eth0", "192.0.2.1") })
	if taken("eth0", "192.0.2.2") {
		t.Error("a free address is said to be taken")
	}
	if taken("eth1", "198.51.100.1") {
		t.Error("the box is said to be another host")
	}
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := arp.Taken(t.Context(), lo, netip.MustParseAddr("192.0.2.1")); err == nil {
		t.Error("there is nobody to ask on the loopback interface")
	}
}

// TestAnAddressOfDHCPThatAnotherHostHasIsDeclined has somebody claim the first
// address that the server gives.
func TestAnAddressOfDHCPThatAnotherHostHasIsDeclined(t *testing.T) {
	t.Parallel()
	peer := netlab.NewPeer(t)
	peer.Plug("declined", "203.0.113.1/24")
	squatted := squatOnTheFirst(t, peer)
	server := serve(peer, t.TempDir(), "--dhcp-range=203.0.113.100,203.0.113.101,1h", "--dhcp-authoritative")
	b := newBox(t)
	b.run(askOn("declined"), nil)
	netlab.Until(t, "an address is there", func() bool { return inRange(t, "declined", "203.0.113.100", "203.0.113.101") })
	if got := netlab.Addresses(t, "declined")[0].Addr(); got == squatted() {
		t.Errorf("the box took %s, which another host has", got)
	}
	if want := "DHCPDECLINE(lan0) " + squatted().String(); !strings.Contains(server.Said(), want) {
		t.Errorf("the server did not hear %q", want)
	}
}

// squatOnTheFirst claims the first address that is asked for by ARP from no
// address, as a host does that was given it by hand. It returns which it is.
func squatOnTheFirst(t *testing.T, p *netlab.Peer) func() netip.Addr {
	t.Helper()
	var (
		c  *packet.Conn
		mu sync.Mutex
		a  netip.Addr
	)
	p.Do(func() error {
		link, err := net.InterfaceByName(netlab.Cable)
		if err != nil {
			return err
		}
		c, err = packet.Listen(link, packet.Datagram, unix.ETH_P_ARP, nil)
		return err
	})
	t.Cleanup(func() { _ = c.Close() })
	mac := []byte{2, 0, 0, 0, 0, 99}
	go func() {
		buf := make([]byte, 64)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			// A request (1) from nobody.
			if n < 28 || buf[7] != 1 || !bytes.Equal(buf[14:18], []byte{0, 0, 0, 0}) {
				continue
			}
			asked := netip.AddrFrom4([4]byte(buf[24:28]))
			mu.Lock()
			if !a.IsValid() {
				a = asked
			}
			mine := a == asked
			mu.Unlock()
			if !mine {
				continue
			}
			reply := slices.Concat([]byte{0, 1, 8, 0, 6, 4, 0, 2}, mac, asked.AsSlice(), buf[8:14], buf[14:18])
			if _, err := c.WriteTo(reply, from); err != nil {
				t.Error(err)
			}
		}
	}()

	return func() netip.Addr {
		mu.Lock()
		defer mu.Unlock()

		return a
	}
}
