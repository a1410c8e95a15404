package netlab

import (
	"net"
	"net/netip"
	"os"
	"testing"

	"github.com/vishvananda/netlink"
)

// Unplug removes an interface of the box if it is there.
func Unplug(t *testing.T, name string) {
	t.Helper()
	l, err := netlink.LinkByName(name)
	if err != nil {
		return
	}
	if err := netlink.LinkDel(l); err != nil {
		t.Error(err)
	}
}

// Tap makes an interface of the box that leads nowhere. Where that cannot be
// made the test is skipped, but not in CI.
func Tap(t *testing.T, name string) {
	t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	err := netlink.LinkAdd(&netlink.Tuntap{LinkAttrs: attrs, Mode: netlink.TUNTAP_MODE_TAP})
	switch {
	case err != nil && os.Getenv("CI") == "true":
		t.Fatalf("make a tap: %v", err)
	case err != nil:
		t.Skipf("no tap can be made here: %v", err)
	}
	t.Cleanup(func() { Unplug(t, name) })
}

// Rename gives an interface of the box another name, as a system does that has
// found out more about it. Older kernels allow it only while it is down.
func Rename(t *testing.T, from, to string) {
	t.Helper()
	l, err := netlink.LinkByName(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetDown(l); err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetName(l, to); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Unplug(t, to) })
}

// WayTo returns the interface by which the box would send to an address, "" for
// none.
func WayTo(t *testing.T, address string) string {
	t.Helper()
	routes, err := netlink.RouteGet(net.ParseIP(address))
	if err != nil || len(routes) == 0 {
		return ""
	}
	l, err := netlink.LinkByIndex(routes[0].LinkIndex)
	if err != nil {
		return "" // it has just gone
	}

	return l.Attrs().Name
}

// Addresses returns the IPv4 addresses of an interface of the box.
func Addresses(t *testing.T, name string) []netip.Prefix {
	t.Helper()
	l, err := net.InterfaceByName(name)
	if err != nil {
		return nil
	}
	list, err := l.Addrs()
	if err != nil {
		t.Fatal(err)
	}
	var all []netip.Prefix
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() {
			all = append(all, p)
		}
	}

	return all
}

// Loop lays a cable from one interface of the box to another one, both of which
// are made.
func Loop(t *testing.T, name, other string) {
	t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: other}); err != nil {
		t.Fatalf("lay a cable: %v", err)
	}
	t.Cleanup(func() { Unplug(t, name) })
}

// Flap gives an interface of the box an address and takes it away.
func Flap(t *testing.T, name string, address netip.Prefix) {
	t.Helper()
	l, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	a, err := netlink.ParseAddr(address.String())
	if err != nil {
		t.Fatal(err)
	}
	for _, do := range []func(netlink.Link, *netlink.Addr) error{netlink.AddrAdd, netlink.AddrDel} {
		if err := do(l, a); err != nil {
			t.Fatal(err)
		}
	}
}

// Master returns of what bridge an interface of the box is a port, "" for none.
func Master(t *testing.T, name string) string {
	t.Helper()
	l, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	master, err := netlink.LinkByIndex(l.Attrs().MasterIndex)
	if err != nil {
		return "" // it has none, or has just lost it
	}

	return master.Attrs().Name
}
