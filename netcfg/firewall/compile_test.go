package firewall_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pillarbox/netcfg/firewall"
	"pillarbox/netcfg/policy"
)

func everything() firewall.Features {
	return firewall.Features{Rates: true, Counts: true, Log: true}
}

func office() firewall.Network {
	var n firewall.Network
	n.Add("eth0", prefix("192.0.2.1/24"), prefix("2001:db8:a::1/64"), prefix("fe80::1/64"))
	return n
}

func TestWhatCannotBeCompiled(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*policy.Policy, *firewall.Network)
		want   string
	}{
		{"990 for anyone without a reason", func(p *policy.Policy, _ *firewall.Network) {
			p.Services[policy.IMAPSLegacy] = policy.Rule{From: policy.Anyone}
		}, "port 990"},
		{"a word that is none", func(p *policy.Policy, _ *firewall.Network) {
			p.Services[policy.SMTP] = policy.Rule{From: "all"}
		}, "services.smtp.from"},
		{"an interface without a name", func(_ *policy.Policy, n *firewall.Network) { n.Add("") }, "interfaces[1]"},
		{"an interface with too long a name", func(_ *policy.Policy, n *firewall.Network) { n.Add("0123456789abcdef") }, "interfaces[1]"},
		{"an interface twice", func(_ *policy.Policy, n *firewall.Network) { n.Add("eth0") }, "there twice"},
		{"everybody on an interface", func(_ *policy.Policy, n *firewall.Network) {
			n.Interfaces[0].Networks = append(n.Interfaces[0].Networks, prefix("0.0.0.0/0"))
		}, "0.0.0.0/0 is not a network"},
		{"a host for a network", func(_ *policy.Policy, n *firewall.Network) {
			n.Interfaces[0].Networks = append(n.Interfaces[0].Networks, prefix("192.0.2.1/24"))
		}, "192.0.2.1/24 is not a network"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, n := policy.Default(), office()
			c.change(&p, &n)
			if _, err := firewall.Compile(&p, &n, everything()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v does not say %q", err, c.want)
			}
		})
	}
	n := office()
	if _, err := firewall.Compile(nil, &n, everything()); err == nil {
		t.Error("no policy is one")
	}
}

func TestARevisionTellsRulesetsApartAndNothingElse(t *testing.T) {
	compile := func(change func(*policy.Policy, *firewall.Network, *firewall.Features)) string {
		p, n, f := policy.Default(), office(), everything()
		p.LAN = []netip.Prefix{prefix("10.0.0.0/8"), prefix("172.16.0.0/12")}
		change(&p, &n, &f)
		r, err := firewall.Compile(&p, &n, f)
		must(t, err)
		return r.Revision()
	}
	first := compile(func(*policy.Policy, *firewall.Network, *firewall.Features) {})
	for name, change := range map[string]func(*policy.Policy, *firewall.Network, *firewall.Features){
		"nothing":               func(*policy.Policy, *firewall.Network, *firewall.Features) {},
		"the order of networks": func(p *policy.Policy, _ *firewall.Network, _ *firewall.Features) { slices.Reverse(p.LAN) },
		"a network in a network": func(p *policy.Policy, _ *firewall.Network, _ *firewall.Features) {
			p.LAN = append(p.LAN, prefix("10.1.0.0/16"))
		},
		"the usual bound, written down": func(p *policy.Policy, _ *firewall.Network, _ *firewall.Features) {
			p.Services[policy.SMTP] = policy.Rule{From: policy.LAN, Rate: policy.UsualRate}
		},
		"the first interface, named": func(p *policy.Policy, _ *firewall.Network, _ *firewall.Features) { p.Admin = "eth0" },
	} {
		if compile(change) != first {
			t.Errorf("%s makes another revision", name)
		}
	}
	seen := map[string]string{first: "the first"}
	for name, change := range map[string]func(*policy.Policy, *firewall.Network, *firewall.Features){
		"a network":      func(p *policy.Policy, _ *firewall.Network, _ *firewall.Features) { p.LAN = p.LAN[:1] },
		"an interface":   func(_ *policy.Policy, n *firewall.Network, _ *firewall.Features) { n.Add("eth1") },
		"an address":     func(_ *policy.Policy, n *firewall.Network, _ *firewall.Features) { n.Interfaces[0].Networks = nil },
		"the log":        func(p *policy.Policy, _ *firewall.Network, _ *firewall.Features) { p.Log = false },
		"another kernel": func(_ *policy.Policy, _ *firewall.Network, f *firewall.Features) { f.Counts = false },
		"a rate": func(p *policy.Policy, _ *firewall.Network, _ *firewall.Features) {
			p.Services[policy.SMTP] = policy.Rule{From: policy.LAN, Rate: 9}
		},
		"a burst": func(p *policy.Policy, _ *firewall.Network, _ *firewall.Features) {
			p.Services[policy.SMTP] = policy.Rule{From: policy.LAN, Burst: 9}
		},
		"a closed port":   func(p *policy.Policy, _ *firewall.Network, _ *firewall.Features) { delete(p.Services, policy.SMTP) },
		"another service": func(p *policy.Policy, _ *firewall.Network, _ *firewall.Features) { delete(p.Services, policy.IMAPS) },
	} {
		r := compile(change)
		if other, ok := seen[r]; ok {
			t.Errorf("%s and %s have the same revision", name, other)
		}
		seen[r] = name
	}
}

func TestRulesHaveNamesOfTheirOwn(t *testing.T) {
	p, n := policy.Default(), office()
	p.LAN = []netip.Prefix{prefix("10.0.0.0/8"), prefix("fd00::/8")}
	n.Add("http", prefix("198.51.100.1/24"))
	n.Add("eth0.v4", prefix("198.51.101.1/24"))
	for s := range policy.Ports() {
		p.Services[s] = policy.Rule{From: policy.Networks, Networks: []netip.Prefix{prefix("192.168.0.0/16"), prefix("fd00:1::/32")}}
	}
	r, err := firewall.Compile(&p, &n, everything())
	must(t, err)
	seen := map[string]bool{}
	for _, name := range r.RuleNames() {
		if name == "" || seen[name] {
			t.Errorf("a rule is called %q", name)
		}
		seen[name] = true
	}
}

func TestWhatAKernelLacksIsSaid(t *testing.T) {
	p, n := policy.Default(), office()
	r, err := firewall.Compile(&p, &n, firewall.Features{})
	must(t, err)
	want := []string{
		"this kernel cannot bound the rate of new connections of a source: the mail server does",
		"this kernel cannot count the open connections of a source: the mail server does",
		"this kernel keeps no log of packets: what is dropped is counted only",
	}
	if diff := cmp.Diff(want, r.Notes()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, name := range r.RuleNames() {
		if strings.Contains(name, "/over-rate") || strings.Contains(name, "/over-open") || strings.HasSuffix(name, "/log") {
			t.Errorf("%s needs what the kernel lacks", name)
		}
	}
	p.Admin = "wan7"
	r, err = firewall.Compile(&p, &n, everything())
	must(t, err)
	want = []string{"the policy names wan7 for the administrator's pages, which is not managed here: eth0 is used"}
	if diff := cmp.Diff(want, r.Notes()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTheRulesetInWords(t *testing.T) {
	p, n := policy.Default(), office()
	p.LAN = []netip.Prefix{prefix("10.0.0.0/8")}
	p.Services[policy.SMTP] = policy.Rule{From: policy.Anyone, Rate: 60, Burst: 20, Connections: 10}
	p.Services[policy.Submissions] = policy.Rule{From: policy.Networks, Networks: []netip.Prefix{prefix("198.51.100.0/24")}}
	f := everything()
	f.Counts = false
	r, err := firewall.Compile(&p, &n, f)
	must(t, err)
	usual := "; of one source 300 new connections a minute, 100 at once"
	want := strings.Join([]string{
		"stands: the policy, revision " + r.Revision(),
		"",
		"always: loopback, established connections, ICMP, DHCP",
		"always: the administrator's pages (80, 443), from the networks of eth0",
		"LAN: eth0, 192.0.2.0/24, 2001:db8:a::/64",
		"LAN: 10.0.0.0/8, by the policy",
		"",
		"lmtp (24): nobody",
		"smtp (25): anyone; of one source 60 new connections a minute, 20 at once",
		"    let in: 7 packets",
		"    above the rate: 5 packets",
		"http (80): the LAN" + usual,
		"https (443): the LAN" + usual,
		"submissions (465): the LAN, 198.51.100.0/24" + usual,
		"submission (587): the LAN" + usual,
		"imaps-legacy (990): the LAN" + usual,
		"    refused: 3 packets",
		"imaps (993): the LAN" + usual,
		"metrics (9464): the LAN" + usual,
		"",
		"all else is dropped, and nothing is forwarded",
		"    dropped: 11 packets",
		"banned: 4 sources",
		"    dropped: 9 packets",
		"note: this kernel cannot count the open connections of a source: the mail server does",
		"",
	}, "\n")
	got := r.Words(&firewall.State{
		Notes: r.Notes(),
		Counters: []firewall.Counter{
			{Name: "smtp/accepted", Packets: 6}, {Name: "smtp/exempt/ipv6", Packets: 1}, {Name: "smtp/over-rate/ipv4", Packets: 5},
			{Name: "imaps-legacy/refused", Packets: 3}, {Name: "default", Packets: 10}, {Name: "invalid", Packets: 1},
			{Name: "banned/ipv4", Packets: 5}, {Name: "banned/ipv6/48", Packets: 4},
		},
		Sets: []firewall.SetState{{Name: "bans4", Elements: 3}, {Name: "bans6-48", Elements: 1}, {Name: "exempt4"}},
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// Without a state only what the ruleset says.
	if words := r.Words(nil); strings.Contains(words, "packets") || strings.Contains(words, "banned") || !strings.Contains(words, "note: ") {
		t.Error(words)
	}
	minimum := firewall.Minimum(&n).Words(nil)
	if !strings.HasPrefix(minimum, "stands: the minimum, revision ") || !strings.Contains(minimum, "pages (80, 443), from the networks of eth0\n") ||
		strings.Contains(minimum, "imaps") {
		t.Error(minimum)
	}
}
