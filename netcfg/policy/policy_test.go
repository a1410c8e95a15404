package policy_test

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pillarbox/netcfg/policy"
)

func networks(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, t := range texts {
		all = append(all, netip.MustParsePrefix(t))
	}
	return all
}

func TestWhatIsWrongIsToldAllAtOnceWithItsPlace(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*policy.Policy)
		want   []string // beginnings of the lines
	}{
		{"the default", func(*policy.Policy) {}, nil},
		{"no services at all", func(p *policy.Policy) { p.Services = nil }, nil},
		{"everything for anyone but 990", func(p *policy.Policy) {
			for s := range policy.Ports() {
				if s != policy.IMAPSLegacy {
					p.Services[s] = policy.Rule{From: policy.Anyone}
				}
			}
		}, nil},
		{"an unknown service", func(p *policy.Policy) { p.Services["gopher"] = policy.Rule{From: policy.LAN} },
			[]string{"services.gopher: there is no such service"}},
		{"a rule that says nothing", func(p *policy.Policy) { p.Services[policy.SMTP] = policy.Rule{} },
			[]string{`services.smtp.from: "" is none of`}},
		{"a word that is none", func(p *policy.Policy) { p.Services[policy.SMTP] = policy.Rule{From: "everybody"} },
			[]string{`services.smtp.from: "everybody" is none of`}},
		{"networks for anyone", func(p *policy.Policy) {
			p.Services[policy.SMTP] = policy.Rule{From: policy.Anyone, Networks: networks("192.0.2.0/24")}
		}, []string{"services.smtp.networks: they belong"}},
		{"networks without one", func(p *policy.Policy) { p.Services[policy.SMTP] = policy.Rule{From: policy.Networks} },
			[]string{"services.smtp.networks: from: networks needs one"}},
		{"a host's address for a network", func(p *policy.Policy) {
			p.Services[policy.SMTP] = policy.Rule{From: policy.Networks, Networks: networks("192.0.2.1/24")}
		}, []string{"services.smtp.networks[0]: 192.0.2.1/24 is not a network"}},
		{"IPv4 in IPv6's clothes", func(p *policy.Policy) {
			p.Services[policy.SMTP] = policy.Rule{From: policy.Networks, Networks: networks("::ffff:192.0.2.0/120")}
		}, []string{"services.smtp.networks[0]: ::ffff:192.0.2.0/120 is not a network"}},
		{"bounds below and above", func(p *policy.Policy) {
			p.Services[policy.SMTP] = policy.Rule{From: policy.LAN, Rate: -1, Burst: 60_001, Connections: 10_001}
		}, []string{"services.smtp.rate: -1", "services.smtp.burst: 60001", "services.smtp.connections: 10001"}},
		{"990 for anyone", func(p *policy.Policy) { p.Services[policy.IMAPSLegacy] = policy.Rule{From: policy.Anyone} },
			[]string{"services.imaps-legacy: port 990"}},
		{"990 for anyone, with blanks for a reason", func(p *policy.Policy) {
			p.Services[policy.IMAPSLegacy] = policy.Rule{From: policy.Anyone, Override: "  "}
		}, []string{"services.imaps-legacy: port 990"}},
		{"990 for anyone, with a reason", func(p *policy.Policy) {
			p.Services[policy.IMAPSLegacy] = policy.Rule{From: policy.Anyone, Override: "the branch's scanners, until May"}
		}, nil},
		{"990 for a public network", func(p *policy.Policy) {
			p.Services[policy.IMAPSLegacy] = policy.Rule{From: policy.Networks, Networks: networks("10.0.0.0/8", "203.0.113.0/24")}
		}, []string{"services.imaps-legacy: port 990"}},
		{"990 for a network that holds a private one", func(p *policy.Policy) {
			p.Services[policy.IMAPSLegacy] = policy.Rule{From: policy.Networks, Networks: networks("10.0.0.0/7")}
		}, []string{"services.imaps-legacy: port 990"}},
		{"990 for private networks", func(p *policy.Policy) {
			p.Services[policy.IMAPSLegacy] = policy.Rule{From: policy.Networks, Networks: networks("10.0.0.0/8", "fd00::/8")}
		}, nil},
		{"everybody as the LAN", func(p *policy.Policy) { p.LAN = networks("0.0.0.0/0", "::/0") },
			[]string{"lan[0]: 0.0.0.0/0 is wider", "lan[1]: ::/0 is wider"}},
		{"the halves of everybody as the LAN", func(p *policy.Policy) { p.LAN = networks("0.0.0.0/1", "128.0.0.0/1", "2000::/3") },
			[]string{"lan[0]: 0.0.0.0/1 is wider", "lan[1]: 128.0.0.0/1 is wider", "lan[2]: 2000::/3 is wider"}},
		{"an office's own networks as the LAN", func(p *policy.Policy) {
			p.LAN = networks("10.0.0.0/8", "198.51.0.0/16", "2001:db8::/32", "fc00::/7")
		}, nil},
		{"an interface with a path for a name", func(p *policy.Policy) { p.Admin = "../eth0" },
			[]string{`admin_interface: "../eth0" is not`}},
		{"an interface with too long a name", func(p *policy.Policy) { p.Admin = strings.Repeat("e", 16) },
			[]string{"admin_interface:"}},
		{"a reason without end", func(p *policy.Policy) {
			p.Services[policy.SMTP] = policy.Rule{From: policy.LAN, Override: strings.Repeat("x", 501)}
		}, []string{"services.smtp.override: longer"}},
		{"too many networks", func(p *policy.Policy) {
			for i := range 257 {
				p.LAN = append(p.LAN, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), byte(i >> 8), 0}), 24))
			}
		}, []string{"lan: more than 256"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := policy.Default()
			c.change(&p)
			var got []string
			if err := p.Validate(); err != nil {
				got = strings.Split(err.Error(), "\n")
			}
			if len(got) != len(c.want) {
				t.Fatalf("problems: %q, want %d beginning with %q", got, len(c.want), c.want)
			}
			for i, line := range got {
				if !strings.HasPrefix(line, c.want[i]) {
					t.Errorf("%q does not begin with %q", line, c.want[i])
				}
			}
		})
	}
}

func TestARuleHasTheUsualBoundsWhereItSaysNone(t *testing.T) {
	p := policy.Policy{Services: map[policy.Service]policy.Rule{
		policy.IMAPS: {From: policy.LAN}, policy.SMTP: {From: policy.Anyone, Rate: 6, Burst: 2, Connections: 4},
	}}
	for s, want := range map[policy.Service]policy.Rule{
		policy.IMAPS: {
			From: policy.LAN, Rate: policy.UsualRate, Burst: policy.UsualBurst, Connections: policy.UsualConnections,
		},
		policy.SMTP: {From: policy.Anyone, Rate: 6, Burst: 2, Connections: 4},
		policy.LMTP: {
			From: policy.Nobody, Rate: policy.UsualRate, Burst: policy.UsualBurst, Connections: policy.UsualConnections,
		},
	} {
		if diff := cmp.Diff(want, p.Rule(s)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", s, diff)
		}
	}
}

func TestTheDefaultIsForTheLANAlone(t *testing.T) {
	p := policy.Default()
	for s := range policy.Ports() {
		r, ok := p.Services[s]
		if !ok || r.Public() || r.From != policy.LAN && r.From != policy.Nobody {
			t.Errorf("%s: %+v", s, r)
		}
	}
	if p.Services[policy.LMTP].From != policy.Nobody {
		t.Error("lmtp is open")
	}
}

func TestAPolicyIsTheSameAfterJSON(t *testing.T) {
	p := policy.Default()
	p.LAN, p.Admin = networks("10.0.0.0/8", "fd00::/8"), "eth0"
	p.Services[policy.SMTP] = policy.Rule{
		From: policy.Networks, Networks: networks("203.0.113.0/24"), Rate: 5, Burst: 6, Connections: 7, Override: "why",
	}
	first, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var q policy.Policy
	if err := json.Unmarshal(first, &q); err != nil {
		t.Fatal(err)
	}
	samePrefix := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
	if diff := cmp.Diff(p, q, samePrefix); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
	second, err := json.Marshal(q)
	if err != nil || string(first) != string(second) {
		t.Errorf("%v: %s\nis not\n%s", err, second, first)
	}
	if want := `"smtp":{"from":"networks","networks":["203.0.113.0/24"],"rate":5,"burst":6,"connections":7,"override":"why"}`; !strings.Contains(string(first), want) {
		t.Errorf("%s does not hold %s", first, want)
	}
}

func TestEveryServiceHasAPortOfItsOwn(t *testing.T) {
	seen := map[uint16]policy.Service{}
	for s, port := range policy.Ports() {
		if other, ok := seen[port]; ok || port == 0 {
			t.Errorf("%s and %s have port %d", s, other, port)
		}
		seen[port] = s
	}
	if seen[993] != policy.IMAPS || seen[990] != policy.IMAPSLegacy {
		t.Error("993 is imaps, and 990 what some call so")
	}
}

func TestACloneSharesNothing(t *testing.T) {
	p := policy.Default()
	p.LAN = networks("10.0.0.0/8")
	p.Services[policy.SMTP] = policy.Rule{From: policy.Networks, Networks: networks("203.0.113.0/24")}
	before, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	c, other := p.Clone(), netip.MustParsePrefix("192.168.0.0/16")
	if same, err := json.Marshal(c); err != nil || string(same) != string(before) {
		t.Errorf("%v: %s", err, same)
	}
	c.LAN[0] = other
	c.Services[policy.SMTP].Networks[0] = other
	c.Services[policy.IMAPS] = policy.Rule{From: policy.Anyone}
	if after, err := json.Marshal(p); err != nil || string(after) != string(before) {
		t.Errorf("%v: the policy changes with its clone: %s", err, after)
	}
}
