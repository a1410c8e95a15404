package netcfg_test

import (
	"slices"
	"strings"
	"testing"

	"pillarbox/netcfg"
	"pillarbox/netcfg/netlab"
)

// problems returns what is told to be wrong.
func (b *box) problems() string { return strings.Join(b.status().Problems, "\n") }

// find returns what the status tells of an interface.
func (b *box) find(name string) netcfg.Interface {
	for _, i := range b.status().Interfaces {
		if i.Name == name {
			return i
		}
	}
	return netcfg.Interface{}
}

// TestABridgeWhosePortsComeAndGo has DHCP over a bridge: the server is behind
// the port that is plugged in last.
func TestABridgeWhosePortsComeAndGo(t *testing.T) {
	other := netlab.NewPeer(t)
	other.Plug("eth0")
	b := newBox(t)
	d := parse(t, `{"version":1,"interfaces":[{"name":"br0","bridge":{"ports":["eth0","eth1"]},"ipv4":{"method":"dhcp"}}]}`)
	m := b.run(*d, nil)
	netlab.Until(t, "the bridge is up and a port is missed", func() bool {
		return b.find("br0").Carrier && b.problems() == "eth1, port of br0: no such interface is there"
	})

	peer := netlab.NewPeer(t)
	peer.Plug("eth1", "192.0.2.1/24")
	server := serve(peer, t.TempDir(), "--dhcp-range=192.0.2.100,192.0.2.110,1h", "--dhcp-authoritative")
	netlab.Until(t, "the bridge has an address", func() bool { return inRange(t, "br0", "192.0.2.100", "192.0.2.110") })
	netlab.Until(t, "nothing is missed any more", func() bool { return b.problems() == "" })
	if got := netlab.Addresses(t, "eth1"); len(got) > 0 {
		t.Errorf("a port has %v", got)
	}
	before, mac := netlab.Addresses(t, "br0"), b.find("br0").MAC
	if want := "DHCPACK(lan0) " + before[0].Addr().String() + " " + mac; !strings.Contains(server.Said(), want) {
		t.Errorf("the server did not say %q", want)
	}
	for _, port := range []string{"eth0", "eth1"} {
		if b.find(port).MAC == mac {
			t.Errorf("the bridge has the hardware address of %s, which may leave it", port)
		}
	}

	// A port less: the address stays, for the server is behind the other one.
	m.Set(*parse(t, `{"version":1,"interfaces":[{"name":"br0","bridge":{"ports":["eth1"]},"ipv4":{"method":"dhcp"}},
		{"name":"eth0","ipv4":{"method":"static","addresses":["198.51.100.2/24"]}}]}`))
	netlab.Until(t, "the port is an interface of its own", has(t, "eth0", "198.51.100.2/24"))
	netlab.Until(t, "the bridge has its address", func() bool { return inRange(t, "br0", "192.0.2.100", "192.0.2.110") })
	if got := netlab.Addresses(t, "br0"); !slices.Equal(before, got) || b.find("br0").MAC != mac {
		t.Errorf("the bridge had %v and %s, and has %v and %s", before, mac, got, b.find("br0").MAC)
	}

	// No bridge any more.
	m.Set(*parse(t, `{"version":1,"interfaces":[{"name":"eth1","ipv4":{"method":"dhcp"}}]}`))
	netlab.Until(t, "the port asks by itself", func() bool { return inRange(t, "eth1", "192.0.2.100", "192.0.2.110") })
	netlab.Until(t, "the bridge is gone", func() bool { return b.find("br0").Name == "" })
}

// TestWhatOneInterfaceCannotDoKeepsNoOtherFromItsOwn asks for what this kernel
// or these devices do not have.
func TestWhatOneInterfaceCannotDoKeepsNoOtherFromItsOwn(t *testing.T) {
	netlab.NewPeer(t).Plug("eth0")
	netlab.NewPeer(t).Plug("eth1")
	netlab.Tap(t, "tap0")
	b := newBox(t)
	b.run(*parse(t, `{"version":1,"interfaces":[
		{"name":"office","vlan":{"parent":"eth0","id":7},"ipv4":{"method":"static","addresses":["203.0.113.2/24"]}},
		{"name":"tap0","mtu":65535,"ipv4":{"method":"static","addresses":["198.51.100.2/24"]}},
		{"name":"eth0","mtu":1400,"ipv4":{"method":"static","addresses":["192.0.2.2/24"],"gateway":"192.0.2.1"}},
		{"name":"usb0"}]}`), nil)
	netlab.Until(t, "all else is there", func() bool {
		return has(t, "eth0", "192.0.2.2/24")() && has(t, "tap0", "198.51.100.2/24")() && b.find("eth0").MTU == 1400
	})
	want := []string{
		"usb0: no such interface is there",
		"tap0: ~ mtu 1500 -> 65535: the device cannot send packets of this size",
	}
	if b.find("office").Name == "" {
		want = append(want, "office: + vlan 7 on eth0: this machine's kernel has no VLANs (8021q): that network needs an interface of its own")
	}
	for _, w := range want {
		netlab.Until(t, "it is said that "+w, func() bool { return strings.Contains(b.problems(), w) })
	}
}
