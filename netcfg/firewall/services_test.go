package firewall_test

import (
	"net/netip"
	"testing"

	"pillarbox/netcfg/policy"
)

// TestEverySourceReachesWhatIsOpenToIt tries, for each service and each word of
// a policy, one source of every kind in both families.
func TestEverySourceReachesWhatIsOpenToIt(t *testing.T) {
	l := newLab(t)
	fw := open(t)
	type source struct {
		name  string
		cable *cable
		addr  netip.Addr
		lan   bool // it counts to the LAN
		list  bool // it is in a network that a rule lists
	}
	sources := []source{
		{"the LAN", l.lan, peer4, true, false},
		{"the LAN", l.lan, peer6, true, false},
		{"the LAN's link", l.lan, peerLink, true, false},
		{"a network that the policy counts to the LAN", l.lan, addr("10.9.1.1"), true, false},
		{"a network that the policy counts to the LAN", l.lan, addr("fd00:9::1"), true, false},
		{"such a network, through a tunnel", l.wan, addr("10.9.1.1"), true, false},
		{"a network that a rule lists", l.wan, addr("198.51.100.77"), false, true},
		{"a network that a rule lists", l.wan, addr("2001:db8:77::1"), false, true},
		{"the Internet", l.wan, remote4, false, false},
		{"the Internet", l.wan, remote6, false, false},
		{"the Internet, by a router that forwards a port", l.lan, addr("198.51.101.9"), false, false},
		{"the Internet, by a router", l.lan, addr("2001:db8:88::1"), false, false},
		{"the LAN's addresses from outside", l.wan, peer4, false, false},
		{"the LAN's addresses from outside", l.wan, peer6, false, false},
		{"the link outside", l.wan, peerLink, false, false},
	}
	for _, from := range []policy.From{policy.Nobody, policy.LAN, policy.Networks, policy.Anyone} {
		p := policy.Default()
		p.LAN = []netip.Prefix{prefix("10.9.0.0/16"), prefix("fd00:9::/32")}
		for s := range policy.Ports() {
			r := policy.Rule{From: from, Override: "a test"}
			if from == policy.Networks {
				r.Networks = []netip.Prefix{prefix("198.51.100.0/24"), prefix("2001:db8:77::/48")}
			}
			p.Services[s] = r
		}
		apply(t, fw, &p, l.network())
		for _, s := range sources {
			for service, port := range policy.Ports() {
				want := from == policy.Anyone || from == policy.LAN && s.lan || from == policy.Networks && (s.lan || s.list)
				admin := (port == 80 || port == 443) && s.cable == l.lan && (s.addr == peer4 || s.addr == peer6 || s.addr == peerLink)
				if got := l.opens(s.cable, s.addr, port); got != (want || admin) {
					t.Errorf("%s is for %s: %s (%s): reached: %t", service, from, s.name, label(s.cable, s.addr, port), got)
				}
			}
			if l.opens(s.cable, s.addr, closedPort) {
				t.Errorf("a port of no service is open, %s", label(s.cable, s.addr, closedPort))
			}
		}
	}
}
