package firewall_test

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pillarbox/netcfg/firewall"
	"pillarbox/netcfg/policy"
)

// parsed returns what Explain has to know of a packet.
func parsed(c *cable, p []byte) firewall.Packet {
	k := firewall.Packet{Interface: c.name}
	var payload []byte
	if p[0]>>4 == 4 {
		k.Source, _ = netip.AddrFromSlice(p[12:16])
		k.Protocol, k.HopLimit, payload = firewall.Protocol(p[9]), p[8], p[20:]
	} else {
		k.Source, _ = netip.AddrFromSlice(p[8:24])
		k.Protocol, k.HopLimit, payload = firewall.Protocol(p[6]), p[7], p[40:]
	}
	switch k.Protocol {
	case firewall.TCP, firewall.UDP:
		k.SourcePort, k.Port = binary.BigEndian.Uint16(payload), binary.BigEndian.Uint16(payload[2:])
	case firewall.ICMP, firewall.ICMPv6:
		k.Type = payload[0]
	case firewall.IGMP:
	}

	return k
}

// TestWhatIsExplainedIsWhatTheKernelDoes sends connections and looks whether the
// rule that Explain names is the one that has counted them.
func TestWhatIsExplainedIsWhatTheKernelDoes(t *testing.T) {
	l := newLab(t)
	fw := open(t)
	if _, err := fw.Explain(t.Context(), &firewall.Packet{}); !errors.Is(err, firewall.ErrNoTable) {
		t.Errorf("without a ruleset: %v", err)
	}
	p := public()
	p.LAN = []netip.Prefix{prefix("10.9.0.0/16")}
	p.Services[policy.Submissions] = policy.Rule{From: policy.Networks, Networks: []netip.Prefix{prefix("198.51.100.0/24")}}
	p.Services[policy.SMTP] = policy.Rule{From: policy.Anyone, Rate: 1, Burst: 1}
	apply(t, fw, p, l.network())
	must(t, fw.Ban(t.Context(), prefix("198.51.100.66/32"), time.Hour))
	must(t, fw.Ban(t.Context(), prefix("2001:db8:66::/64"), time.Hour))
	must(t, fw.Ban(t.Context(), prefix("198.51.100.67/32"), time.Hour))
	must(t, fw.Exempt(t.Context(), addr("198.51.100.67"), time.Hour))
	for _, c := range []struct {
		cable  *cable
		source string
		port   uint16
		rule   string
		why    string
		path   string
	}{
		{l.wan, "203.0.113.2", 993, "imaps/accepted", "imaps is open to the source", "imaps/anyone"},
		{l.wan, "203.0.113.2", 990, "imaps-legacy/refused", "imaps-legacy is open to the LAN only", "imaps-legacy"},
		{l.wan, "203.0.113.2", 24, "lmtp/refused", "lmtp is open to nobody", "lmtp"},
		{l.wan, "203.0.113.2", 22, "default", "nothing listens there", "bans"},
		{l.wan, "203.0.113.2", 465, "submissions/refused", "open to the LAN and the networks that the policy lists only", "submissions"},
		{l.wan, "198.51.100.9", 465, "submissions/accepted", "open to the source", "submissions/networks/ipv4"},
		{l.lan, "192.0.2.2", 465, "submissions/accepted", "open to the source", "submissions/lan/eth0/ipv4"},
		{l.lan, "fe80::2", 465, "submissions/accepted", "open to the source", "submissions/lan/eth0/link-local"},
		{l.wan, "10.9.0.1", 587, "submission/accepted", "open to the source", "submission/lan/ipv4"},
		{l.wan, "192.0.2.2", 587, "submission/refused", "open to the LAN only", "submission"},
		{l.lan, "192.0.2.2", 443, "admin/https", "the administrator's pages", "admin/eth0/ipv4"},
		{l.lan, "192.0.2.2", 80, "admin/http", "the administrator's pages", "admin/eth0/ipv4"},
		{l.wan, "198.51.100.66", 993, "banned/ipv4", "the source is banned", "bans"},
		{l.wan, "2001:db8:66::99", 993, "banned/ipv6", "the source is banned", "bans"},
		{l.wan, "198.51.100.67", 993, "imaps/exempt/ipv4", "exempt", "exempt/ipv4"},
	} {
		name := label(c.cable, addr(c.source), c.port)
		packet := parsed(c.cable, l.syn(c.cable, addr(c.source), c.port))
		d, err := fw.Explain(t.Context(), &packet)
		must(t, err)
		if d.Rule != c.rule || !strings.Contains(d.Why, c.why) || !slices.Contains(d.Path, c.path) {
			t.Errorf("%s: %+v", name, d)
		}
		before := counted(t, fw, d.Rule)
		if in := l.opens(c.cable, addr(c.source), c.port); in != d.Accepted {
			t.Errorf("%s: the kernel lets it in: %t, explained: %+v", name, in, d)
		}
		if n := counted(t, fw, d.Rule) - before; n != 1 {
			t.Errorf("%s: the rule %s has counted %d packets", name, d.Rule, n)
		}
	}
	// Of three at once at least one is above the rate, however slow the machine.
	packet := firewall.Packet{Source: addr("198.51.100.90"), Interface: wanName, Protocol: firewall.TCP, Port: 25, OverRate: true}
	d, err := fw.Explain(t.Context(), &packet)
	if err != nil || d.Accepted || d.Rule != "smtp/over-rate/ipv4" || !strings.Contains(d.Why, "more than 1 connections a minute") {
		t.Errorf("%+v %v", d, err)
	}
	before := counted(t, fw, d.Rule)
	if n := l.answers(l.wan, l.syn(l.wan, packet.Source, 25), l.syn(l.wan, packet.Source, 25), l.syn(l.wan, packet.Source, 25)); n > 2 {
		t.Errorf("%d of three are let in", n)
	}
	if counted(t, fw, d.Rule) == before {
		t.Errorf("the rule %s has counted nothing", d.Rule)
	}
	// Where it arrives need not be known.
	for source, want := range map[string]string{
		"192.0.2.2": "admin/https", "2001:db8:a::2": "admin/https", "fe80::2": "admin/https", "127.0.0.1": "loopback",
		"203.0.113.2": "https/accepted", "2001:db8:66::99": "banned/ipv6", "10.9.0.1": "https/accepted",
	} {
		d, err := fw.Explain(t.Context(), &firewall.Packet{Source: addr(source), Protocol: firewall.TCP, Port: 443})
		if err != nil || d.Rule != want {
			t.Errorf("%s, without an interface: %+v %v", source, d, err)
		}
	}
	// What is open already is never asked about again.
	for _, state := range []firewall.ConnState{firewall.Established, firewall.Related} {
		d, err := fw.Explain(t.Context(), &firewall.Packet{
			Source: addr("198.51.100.66"), Interface: wanName, Protocol: firewall.TCP, Port: 993, State: state,
		})
		if err != nil || !d.Accepted || d.Rule != "established" {
			t.Errorf("%s: %+v %v", state, d, err)
		}
	}
	if d, err := fw.Explain(t.Context(), &firewall.Packet{Source: addr("127.0.0.1"), Interface: "lo", Protocol: firewall.TCP, Port: 24}); err != nil || d.Rule != "loopback" {
		t.Errorf("%+v %v", d, err)
	}
}
