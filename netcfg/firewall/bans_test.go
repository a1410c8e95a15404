package firewall_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pillarbox/netcfg/firewall"
	"pillarbox/netcfg/netlab"
	"pillarbox/netcfg/policy"
)

// public is a policy with imaps and https open to anyone.
func public() *policy.Policy {
	p := policy.Default()
	p.Services[policy.IMAPS] = policy.Rule{From: policy.Anyone}
	p.Services[policy.HTTPS] = policy.Rule{From: policy.Anyone}

	return &p
}

// left returns how long a ban lasts, or 0.
func left(t testing.TB, fw *firewall.Firewall, source netip.Prefix) time.Duration {
	t.Helper()
	all, err := fw.Bans(t.Context())
	must(t, err)
	for _, b := range all {
		if b.Source == source {
			return b.Left
		}
	}

	return 0
}

func TestABanKeepsItsSourceOutUntilItEnds(t *testing.T) {
	l := newLab(t)
	fw := open(t)
	apply(t, fw, public(), l.network())
	for _, c := range []struct{ name, banned, same, other string }{
		{"IPv4", "198.51.100.7/32", "198.51.100.7", "198.51.100.8"},
		{"IPv6", "2001:db8:77:1::/64", "2001:db8:77:1::9", "2001:db8:77:2::9"},
		{"an address of IPv6 bans its /64", "2001:db8:78:1::5/128", "2001:db8:78:1:ffff::", "2001:db8:78::5"},
	} {
		t.Run(c.name, func(t *testing.T) {
			source := firewall.Source(addr(c.same))
			if !l.opens(l.wan, addr(c.same), 993) {
				t.Fatal("the source is out before it is banned")
			}
			must(t, fw.Ban(t.Context(), prefix(c.banned), time.Hour))
			for _, cable := range []*cable{l.lan, l.wan} {
				if l.opens(cable, addr(c.same), 993) || l.opens(cable, addr(c.same), 443) {
					t.Error("a banned source is let in")
				}
				if !l.opens(cable, addr(c.other), 993) {
					t.Error("its neighbour is banned, too")
				}
			}
			if d := left(t, fw, source); d <= 0 || d > time.Hour {
				t.Errorf("the ban lasts %s", d)
			}
			must(t, fw.Unban(t.Context(), prefix(c.banned)))
			if !l.opens(l.wan, addr(c.same), 993) || left(t, fw, source) != 0 {
				t.Error("the ban is not ended")
			}
			must(t, fw.Unban(t.Context(), prefix(c.banned)))

			must(t, fw.Ban(t.Context(), prefix(c.banned), 500*time.Millisecond))
			netlab.Until(t, "the ban ends by itself", func() bool {
				return left(t, fw, source) == 0 && l.opens(l.wan, addr(c.same), 993)
			})
		})
	}
	if counted(t, fw, "banned/ipv4") < 4 || counted(t, fw, "banned/ipv6") < 8 {
		t.Error("what bans have dropped is not counted")
	}
}

func TestABanThatIsGivenAgainHasTheNewTime(t *testing.T) {
	l := newLab(t)
	fw := open(t)
	apply(t, fw, public(), l.network())
	source := prefix("198.51.100.7/32")
	for _, d := range []time.Duration{5 * time.Hour, 10 * time.Hour, 2 * time.Hour} {
		must(t, fw.Ban(t.Context(), source, d))
		if got := left(t, fw, source); got > d || got < d-time.Hour {
			t.Errorf("a ban of %s lasts %s", d, got)
		}
	}
	bans := []firewall.Ban{{Source: source, Left: time.Hour}, {Source: prefix("198.51.100.8/32"), Left: time.Hour}, {Source: source, Left: 5 * time.Hour}}
	must(t, fw.BanAll(t.Context(), bans))
	if got := left(t, fw, source); got < 4*time.Hour || got > 5*time.Hour {
		t.Errorf("the last word does not count: %s", got)
	}
}

func TestWhoIsExemptIsLetInAlthoughBanned(t *testing.T) {
	l := newLab(t)
	fw := open(t)
	p := public()
	p.Services[policy.SMTP] = policy.Rule{From: policy.LAN}
	apply(t, fw, p, l.network())
	for _, a := range []netip.Addr{addr("198.51.100.7"), addr("2001:db8:77:1::9")} {
		must(t, fw.Ban(t.Context(), firewall.Source(a), time.Hour))
		must(t, fw.Exempt(t.Context(), a, time.Hour))
		if !l.opens(l.wan, a, 993) {
			t.Errorf("%s: the exemption is of no use", a)
		}
		if l.opens(l.wan, a, 25) {
			t.Errorf("%s: the exemption opens what the policy does not", a)
		}
		apply(t, fw, public(), l.network())
		if !l.opens(l.wan, a, 993) {
			t.Errorf("%s: the exemption is lost with another policy", a)
		}
		must(t, fw.Exempt(t.Context(), a, 0))
		if l.opens(l.wan, a, 993) {
			t.Errorf("%s: the exemption has no end", a)
		}
		must(t, fw.Exempt(t.Context(), a, 300*time.Millisecond))
		netlab.Until(t, "the exemption ends by itself", func() bool { return !l.opens(l.wan, a, 993) })
	}
}

func TestBansLiveOnInTheNextTable(t *testing.T) {
	l := newLab(t)
	fw := open(t)
	apply(t, fw, public(), l.network())
	var bans []firewall.Ban
	for i := range 3000 {
		bans = append(bans, firewall.Ban{Source: banned(i), Left: time.Hour})
	}
	must(t, fw.BanAll(t.Context(), bans))
	short := prefix("198.51.100.7/32")
	must(t, fw.Ban(t.Context(), short, 30*time.Minute))
	before := counted(t, fw, "banned/ipv4")
	l.opens(l.wan, short.Addr(), 993)
	next := public()
	next.Services[policy.IMAPS] = policy.Rule{From: policy.Anyone, Rate: 7}
	if r := apply(t, fw, next, l.network()); !r.Changed {
		t.Fatal("the table was not replaced")
	}
	if l.opens(l.wan, short.Addr(), 993) {
		t.Error("a ban is lost")
	}
	if d := left(t, fw, short); d <= 0 || d > 30*time.Minute {
		t.Errorf("the ban of half an hour lasts %s", d)
	}
	all, err := fw.Bans(t.Context())
	must(t, err)
	if len(all) != 3001 {
		t.Errorf("%d bans", len(all))
	}
	if got := counted(t, fw, "banned/ipv4"); got < before+2 {
		t.Errorf("the counter began anew: %d after %d", got, before)
	}

	// Another process takes them up.
	again := open(t)
	if all, err = again.Bans(t.Context()); err != nil || len(all) != 3001 {
		t.Errorf("a process that has just begun knows %d bans: %v", len(all), err)
	}
	if r := apply(t, again, next, l.network()); r.Changed {
		t.Error("the table was replaced although nothing has changed")
	}
}

func TestWhatCannotBeBanned(t *testing.T) {
	l := newLab(t)
	fw := open(t)
	if err := fw.Ban(t.Context(), prefix("198.51.100.7/32"), time.Hour); !errors.Is(err, firewall.ErrNoTable) {
		t.Errorf("without a table: %v", err)
	}
	apply(t, fw, public(), l.network())
	good := firewall.Ban{Source: prefix("198.51.100.7/32"), Left: time.Hour}
	for _, c := range []struct {
		name string
		ban  firewall.Ban
		want string
	}{
		{"half the world", firewall.Ban{Source: prefix("198.0.0.0/7"), Left: time.Hour}, "a /8 at the most"},
		{"half the world of IPv6", firewall.Ban{Source: prefix("2000::/15"), Left: time.Hour}, "a /16 at the most"},
		{"half the world in IPv6's clothes", firewall.Ban{Source: prefix("::ffff:0:0/95"), Left: time.Hour}, "at the most"},
		{"networks around the link", firewall.Ban{Source: prefix("fe80::/16"), Left: time.Hour}, "the whole LAN"},
		{"the machine itself", firewall.Ban{Source: prefix("127.0.0.1/32"), Left: time.Hour}, "no connection comes from there"},
		{"the link", firewall.Ban{Source: prefix("fe80::9/128"), Left: time.Hour}, "the whole LAN"},
		{"nobody", firewall.Ban{Left: time.Hour}, "no source"},
		{"no time", firewall.Ban{Source: prefix("198.51.100.9/32")}, "for a time"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := fw.BanAll(t.Context(), []firewall.Ban{good, c.ban})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
		})
	}
	if all, err := fw.Bans(t.Context()); err != nil || len(all) > 0 {
		t.Errorf("%d were banned beside one that cannot be: %v", len(all), err)
	}
	must(t, fw.Ban(t.Context(), prefix("::ffff:198.51.100.7/128"), time.Hour))
	if left(t, fw, good.Source) == 0 {
		t.Error("an IPv4 address in IPv6's clothes is not banned as such")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := fw.Ban(ctx, good.Source, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end of the context: %v", err)
	}
}

func TestNetworksAreBannedEachForItsTime(t *testing.T) {
	l := newLab(t)
	fw := open(t)
	apply(t, fw, public(), l.network())
	open := func(want bool, sources ...string) {
		t.Helper()
		for _, s := range sources {
			if got := l.opens(l.wan, addr(s), 993); got != want {
				t.Errorf("%s is let in: %t", s, got)
			}
			d, err := fw.Explain(t.Context(), &firewall.Packet{Source: addr(s), Interface: wanName, Protocol: firewall.TCP, Port: 993})
			if err != nil || d.Accepted != want {
				t.Errorf("%s is explained as %+v, %v", s, d, err)
			}
		}
	}
	// Networks that lie within each other, and beside each other.
	for _, text := range []string{"198.0.0.0/8", "198.51.100.0/24", "198.51.100.128/25", "45.9.9.128/31", "2001:db8::/32", "2001:db8:77::/48", "3fff::/20"} {
		must(t, fw.Ban(t.Context(), prefix(text), time.Hour))
	}
	must(t, fw.Ban(t.Context(), prefix("198.51.100.7/32"), 2*time.Hour))
	open(false, "198.0.0.0", "198.255.255.255", "198.51.100.200", "45.9.9.128", "45.9.9.129", "2001:db8:77::1", "2001:db8:ffff::1", "3fff:fff::1")
	open(true, "197.255.255.255", "199.0.0.0", "45.9.9.127", "45.9.9.130", "2001:db7::1", "2001:db9::1", "3fff:1000::1")
	must(t, fw.Unban(t.Context(), prefix("198.0.0.0/8")))
	must(t, fw.Unban(t.Context(), prefix("2001:db8::/32")))
	open(true, "198.0.0.0", "198.51.101.1", "2001:db8:ffff::1")
	open(false, "198.51.100.1", "198.51.100.7", "198.51.100.200", "2001:db8:77::1")
	must(t, fw.Unban(t.Context(), prefix("198.51.100.0/24")))
	open(true, "198.51.100.1")
	open(false, "198.51.100.7", "198.51.100.200")
	next := public()
	next.Services[policy.SMTP] = policy.Rule{From: policy.Nobody}
	if r := apply(t, fw, next, l.network()); !r.Changed {
		t.Error("the table was not replaced")
	}
	open(false, "198.51.100.7", "198.51.100.200", "45.9.9.128", "2001:db8:77::1", "3fff::1")
	if d := left(t, fw, prefix("198.51.100.128/25")); d <= 0 || d > time.Hour {
		t.Errorf("the ban of a network lasts %s", d)
	}
	must(t, fw.Ban(t.Context(), prefix("198.51.100.128/25"), 300*time.Millisecond))
	netlab.Until(t, "the ban of a network ends", func() bool { return l.opens(l.wan, addr("198.51.100.200"), 993) })
	must(t, fw.Exempt(t.Context(), addr("45.9.9.128"), time.Hour))
	if !l.opens(l.wan, addr("45.9.9.128"), 993) || l.opens(l.wan, addr("45.9.9.129"), 993) {
		t.Error("one of a banned network is not exempt alone")
	}
}

func TestAFullListOfBansIsTold(t *testing.T) {
	l := newLab(t)
	fw := open(t)
	apply(t, fw, public(), l.network())
	bans := make([]firewall.Ban, firewall.MaxBans+1)
	for i := range bans {
		bans[i] = firewall.Ban{Source: banned(i), Left: time.Hour}
	}
	if err := fw.BanAll(t.Context(), bans); err == nil || !strings.Contains(err.Error(), "full") {
		t.Errorf("%v", err)
	}
	if l.opens(l.wan, bans[0].Source.Addr(), 993) || !l.opens(l.wan, bans[len(bans)-1].Source.Addr(), 993) {
		t.Error("the list is not filled up to its end")
	}
}

// banned returns the i-th of many addresses, each of another network.
func banned(i int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, 0x2d000000+uint32(i)*37))), 32)
}
