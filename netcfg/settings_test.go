package netcfg_test

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pillarbox/netcfg"
	"pillarbox/netcfg/link"
	"pillarbox/netcfg/netlab"
	"pillarbox/netcfg/state"
)

func parse(t *testing.T, text string) *state.Desired {
	t.Helper()
	d, err := state.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return &d
}

// apply brings the kernel into a state, and returns what was done.
func apply(t *testing.T, d *state.Desired) state.Plan {
	t.Helper()
	plan, problems, err := netcfg.Plan(d)
	if err != nil || len(problems) > 0 {
		t.Fatal(err, problems)
	}
	if err := link.Apply(plan); err != nil {
		t.Fatal(err)
	}
	return plan
}

// TestASecondApplyFindsNothingToDo runs through settings one after the other on
// the same interfaces: each must get rid of what the one before left.
func TestASecondApplyFindsNothingToDo(t *testing.T) {
	for _, name := range []string{"eth0", "eth1"} {
		netlab.NewPeer(t).Plug(name)
	}
	for _, c := range []struct{ name, text string }{
		{"static", `{"version":1,"interfaces":[{"name":"eth0","mtu":1400,
			"ipv4":{"method":"static","addresses":["192.0.2.2/24","198.51.100.2/24"],"gateway":"192.0.2.1"},
			"ipv6":{"method":"static","addresses":["2001:db8::2/64"],"gateway":"2001:db8::1"}}]}`},
		{"another address and gateway", `{"version":1,"interfaces":[{"name":"eth0","mtu":1500,
			"ipv4":{"method":"static","addresses":["192.0.2.3/24"],"gateway":"192.0.2.254"},
			"ipv6":{"addresses":["fd00:1:2:3::4/64"]}}]}`},
		{"a longer prefix", `{"version":1,"interfaces":[{"name":"eth0",
			"ipv4":{"method":"static","addresses":["192.0.2.3/25"]}}]}`},
		{"a bridge of both", `{"version":1,"interfaces":[{"name":"br0","bridge":{"ports":["eth0","eth1"]},
			"ipv4":{"method":"static","addresses":["192.0.2.3/24"],"gateway":"192.0.2.1"}}]}`},
		{"the bridge with one", `{"version":1,"interfaces":[{"name":"br0","bridge":{"ports":["eth0"]},
			"ipv4":{"method":"static","addresses":["192.0.2.3/24"]}},
			{"name":"eth1","ipv4":{"method":"static","addresses":["198.51.100.3/24"]},"ipv6":{"method":"off"}}]}`},
		{"no bridge any more", `{"version":1,"interfaces":[{"name":"eth0","ipv4":{"method":"static","addresses":["192.0.2.9/24"]}},{"name":"eth1"}]}`},
	} {
		d := parse(t, c.text)
		if plan := apply(t, d); len(plan) == 0 {
			t.Errorf("%s: nothing was done", c.name)
		}
		if again := apply(t, d); len(again) > 0 {
			t.Errorf("%s: a second time finds\n%s", c.name, again)
		}
	}
	if got, want := netlab.Addresses(t, "eth0"), []netip.Prefix{netip.MustParsePrefix("192.0.2.9/24")}; !slices.Equal(got, want) {
		t.Errorf("addresses %v, want %v", got, want)
	}
	s, err := netcfg.Observe()
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(s.Interfaces, func(i netcfg.Interface) bool { return i.Name == "br0" }) {
		t.Error("the bridge was left behind")
	}
}

func TestWhatOthersMadeIsLeftAlone(t *testing.T) {
	netlab.NewPeer(t).Plug("eth0")
	netlab.NewPeer(t).Plug("eth1")
	apply(t, parse(t, `{"version":1,"interfaces":[{"name":"eth1","ipv4":{"method":"static","addresses":["198.51.100.3/24"]}}]}`))
	apply(t, parse(t, `{"version":1,"interfaces":[{"name":"eth0","ipv4":{"method":"static","addresses":["192.0.2.3/24"]}}]}`))
	if got := netlab.Addresses(t, "eth1"); len(got) != 1 {
		t.Errorf("an interface that is not managed has %v", got)
	}
}

func TestAnInterfaceByItsHardwareAddress(t *testing.T) {
	netlab.NewPeer(t).Plug("eth0")
	netlab.NewPeer(t).Plug("eth1")
	s, err := netcfg.Observe()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(s.Interfaces, func(i netcfg.Interface) bool { return i.Name == "eth1" })
	apply(t, parse(t, `{"version":1,"interfaces":[{"mac":"`+strings.ToUpper(s.Interfaces[i].MAC)+`",
		"ipv4":{"method":"static","addresses":["192.0.2.3/24"]}}]}`))
	if got := netlab.Addresses(t, "eth1"); len(got) != 1 {
		t.Errorf("it has %v", got)
	}
	if got := netlab.Addresses(t, "eth0"); len(got) != 0 {
		t.Errorf("the other one has %v", got)
	}
}

func TestAVLANWorksOrTheKernelIsSaidToHaveNone(t *testing.T) {
	netlab.NewPeer(t).Plug("eth0")
	d := parse(t, `{"version":1,"interfaces":[{"name":"eth0"},{"name":"office","vlan":{"parent":"eth0","id":7},
		"ipv4":{"method":"static","addresses":["192.0.2.3/24"]}}]}`)
	plan, problems, err := netcfg.Plan(d)
	if err != nil || len(problems) > 0 {
		t.Fatal(err, problems)
	}
	if !strings.Contains(plan.String(), "+ vlan 7 on eth0") {
		t.Errorf("the plan says\n%s", plan)
	}
	err = link.Apply(plan)
	switch {
	case err == nil:
		netlab.Until(t, "nothing is left to do", func() bool { return len(apply(t, d)) == 0 })
	case !errors.Is(err, link.ErrNoVLAN):
		t.Errorf("apply: %v", err)
	case strings.Count(err.Error(), "\n") > 0:
		t.Errorf("more went wrong than the VLAN: %v", err)
	}
}

func TestARouterAdvertisesAnAddress(t *testing.T) {
	peer := netlab.NewPeer(t)
	peer.Plug("eth0", "192.0.2.1/24", "fd00:1:2:3::1/64")
	// Without DNS and DHCPv4 of its own, dnsmasq is the router of an IPv6 network.
	serve(peer, t.TempDir(), "--enable-ra", "--dhcp-range=fd00:1:2:3::,ra-only,64")
	b := newBox(t)
	b.run(*parse(t, `{"version":1,"interfaces":[{"first_wired":true,"ipv6":{"addresses":["fd00:9::9/64"]}}]}`), nil)
	want := map[string]netcfg.Origin{"fd00:1:2:3::/64": netcfg.FromRouter, "fd00:9::/64": netcfg.FromSettings, "fe80::/64": netcfg.FromKernel}
	netlab.Until(t, "all addresses are there and their origins told", func() bool {
		got := map[string]netcfg.Origin{}
		for _, i := range b.status().Interfaces {
			for _, a := range i.Addresses {
				if i.Name == "eth0" {
					got[a.Prefix.Masked().String()] = a.Origin
				}
			}
		}
		return cmp.Equal(want, got)
	})
}
