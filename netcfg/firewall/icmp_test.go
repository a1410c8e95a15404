package firewall_test

import (
	"net/netip"
	"testing"
	"time"

	"pillarbox/netcfg/firewall"
)

// ping returns an echo request, always of the same identity: to the kernel all
// of them are one connection.
func ping(from, to netip.Addr) []byte {
	if from.Is4() {
		return ip(from, to, 1, 64, []byte{8, 0, 0, 0, 0, 1, 0, 1}, 2)
	}

	return ip(from, to, 58, 64, []byte{128, 0, 0, 0, 0, 1, 0, 1}, 2)
}

func TestEchoRequestsAreAnsweredAtABoundedRate(t *testing.T) {
	l := newLab(t)
	fw := open(t)
	apply(t, fw, public(), l.network())
	for _, c := range []struct {
		rule     string
		from, to netip.Addr
	}{{"icmp/echo", remote4, boxWAN4}, {"icmpv6/echo", remote6, boxWAN6}} {
		var pings [][]byte
		for range 500 {
			pings = append(pings, ping(c.from, c.to))
		}
		began := time.Now()
		l.answers(l.wan, pings...)
		in, over := counted(t, fw, c.rule), counted(t, fw, c.rule+"-over")
		most := 51 + 20*uint64(time.Since(began)/time.Second+1)
		if in < 50 || in > most || in+over != 500 {
			t.Errorf("%s: %d of 500 were let in, %d dropped", c.rule, in, over)
		}
	}
}

// TestWhatAHostNeedsOfTheLinkIsLetIn sends what RFC 4890 speaks of, in its right
// and its wrong forms, and looks which rule has counted it.
func TestWhatAHostNeedsOfTheLinkIsLetIn(t *testing.T) {
	l := newLab(t)
	fw := open(t)
	apply(t, fw, public(), l.network())
	icmp6 := func(kind byte, from netip.Addr, hops byte) []byte {
		to := boxLink
		if !from.IsLinkLocalUnicast() {
			to = boxLAN6
		}
		return ip(from, to, 58, hops, append([]byte{kind, 0, 0, 0}, make([]byte, 28)...), 2)
	}
	udp := func(from netip.Addr, source, port uint16) []byte {
		to := l.address(l.lan, from)
		return ip(from, to, 17, 255, []byte{byte(source >> 8), byte(source), byte(port >> 8), byte(port), 0, 12, 0, 0, 1, 2, 3, 4}, 6)
	}
	for _, c := range []struct {
		name   string
		cable  *cable
		packet []byte
		rule   string // that lets it in or drops it
	}{
		{"a neighbour asks", l.lan, icmp6(135, peer6, 255), "icmpv6/neighbour-solicitation"},
		{"a neighbour asks through a router", l.lan, icmp6(135, peer6, 254), "default"},
		{"a neighbour answers", l.wan, icmp6(136, peerLink, 255), "icmpv6/neighbour-advertisement"},
		{"a router announces itself", l.wan, icmp6(134, peerLink, 255), "icmpv6/router-advertisement"},
		{"a router from afar", l.wan, icmp6(134, peerLink, 64), "default"},
		{"a router with a global address", l.wan, icmp6(134, remote6, 255), "default"},
		{"a redirect", l.lan, icmp6(137, peerLink, 255), "invalid"},
		{"who listens", l.lan, icmp6(130, peerLink, 1), "icmpv6/multicast-query"},
		{"who listens, from afar", l.lan, icmp6(130, peer6, 1), "default"},
		{"who listens, through a router", l.lan, icmp6(130, peerLink, 64), "default"},
		{"a report of MLDv2", l.lan, icmp6(143, peerLink, 1), "icmpv6/multicast-report-v2"},
		{"too big", l.wan, icmp6(2, addr("2001:db8:ffff::1"), 57), "icmpv6/packet-too-big"},
		{"time exceeded", l.wan, icmp6(3, addr("2001:db8:ffff::1"), 57), "icmpv6/time-exceeded"},
		{"parameter problem", l.wan, icmp6(4, addr("2001:db8:ffff::1"), 57), "icmpv6/parameter-problem"},
		{"fragmentation needed", l.wan, ip(remote4, boxWAN4, 1, 57, append([]byte{3, 4, 0, 0, 0, 0, 5, 0}, make([]byte, 28)...), 2), "icmp/unreachable"},
		{"a redirect of IPv4", l.lan, ip(peer4, boxLAN4, 1, 64, append([]byte{5, 1, 0, 0, 192, 0, 2, 9}, make([]byte, 28)...), 2), "invalid"},
		{"IGMP", l.lan, ip(peer4, boxLAN4, 2, 1, []byte{0x11, 100, 0, 0, 0, 0, 0, 0}, 2), "igmp"},
		{"IGMP through a router", l.lan, ip(peer4, boxLAN4, 2, 2, []byte{0x11, 100, 0, 0, 0, 0, 0, 0}, 2), "default"},
		{"a DHCP server answers", l.wan, udp(peer4, 67, 68), "dhcp"},
		{"somebody plays a DHCP server", l.wan, udp(peer4, 6767, 68), "default"},
		{"a DHCPv6 server answers", l.lan, udp(peerLink, 547, 546), "dhcpv6"},
		{"a DHCPv6 server from afar", l.lan, udp(peer6, 547, 546), "default"},
		{"mDNS", l.lan, udp(peer4, 5353, 5353), "mdns/eth0/ipv4"},
		{"a question by mDNS", l.lan, udp(peer6, 40000, 5353), "mdns/eth0/ipv6"},
		{"mDNS of the link", l.lan, udp(peerLink, 5353, 5353), "mdns/eth0/link-local"},
		{"mDNS from outside", l.wan, udp(remote4, 5353, 5353), "default"},
		{"mDNS through a router", l.lan, udp(remote4, 5353, 5353), "default"},
		{"an answer to nothing", l.lan, udp(peer4, 5353, 40000), "default"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := counted(t, fw, c.rule)
			l.answers(c.cable, c.packet)
			if got := counted(t, fw, c.rule) - before; got != 1 {
				t.Errorf("the rule %s has counted %d packets", c.rule, got)
			}
			packet := parsed(c.cable, c.packet)
			if c.rule == "invalid" {
				packet.State = firewall.Invalid
			}
			d, err := fw.Explain(t.Context(), &packet)
			if err != nil || d.Rule != c.rule || d.Why == "" || d.Accepted != (c.rule != "default" && c.rule != "invalid") {
				t.Errorf("explained as %+v, %v", d, err)
			}
		})
	}
}
