package firewall

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"pillarbox/netcfg/policy"
)

// modelVersion is part of the revision; it grows when the same model means
// other rules of the kernel.
const modelVersion = 1

const (
	// maxSources bounds each of the 32 sets that packets fill. The kernel takes
	// 128 KB for each at once, and some 2 MB for one that is full.
	maxSources = 8192

	// A source is forgotten after its bound has filled up again, within these.
	minForget, maxForget = time.Minute, time.Hour

	// logPerSecond and logBurst bound the lines of each rule that logs.
	logPerSecond, logBurst = 1, 10
)

// serviceLine is what Words says of a service.
type serviceLine struct {
	service policy.Service
	port    uint16
	rule    policy.Rule
	rates   bool
	counts  bool
}

// Compile turns a policy into a ruleset for a network and a kernel.
func Compile(p *policy.Policy, n *Network, f Features) (*Ruleset, error) {
	if p == nil {
		return nil, errors.New("there is no policy")
	}
	if err := p.Validate(); err != nil {
		return nil, fmt.Errorf("check the policy: %w", err)
	}
	if err := n.validate(); err != nil {
		return nil, fmt.Errorf("check the network: %w", err)
	}
	admins := n.admins(p)
	r := &Ruleset{sets: baseSets(n), chains: baseChains(), admins: admins, interfaces: n.Interfaces, lan: p.LAN}
	r.sets = append(r.sets, networkSets("lan", p.LAN)...)
	c := compiler{Ruleset: r, policy: p, network: n, features: f}
	input := chain{name: inputChain, hook: inputHook, rules: baseRules(n, admins)}
	for _, s := range services() {
		input.rules = append(input.rules, c.service(s))
	}
	input.rules = append(input.rules, c.refused("default", "nothing listens there, or nothing that is open")...)
	r.chains = append(r.chains, input)
	c.note()
	r.seal(PolicyStands)

	return r, nil
}

// services returns all services in the order of their ports.
func services() []policy.Service {
	ports := policy.Ports()
	all := make([]policy.Service, 0, len(ports))
	for s := range ports {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b policy.Service) int { return cmp.Compare(ports[a], ports[b]) })

	return all
}

type compiler struct {
	*Ruleset
	policy   *policy.Policy
	network  *Network
	features Features
}

// service adds the chains and sets of a service and returns the rule that leads
// to them.
func (c *compiler) service(s policy.Service) rule {
	name, want, port := string(s), c.policy.Rule(s), policy.Ports()[s]
	line := serviceLine{service: s, port: port, rule: want, rates: c.features.Rates, counts: c.features.Counts}
	c.services = append(c.services, line)
	door := chain{name: name}
	open := name + "-open"
	switch want.From {
	case policy.Anyone:
		door.rules = []rule{{name: name + "/anyone", why: name + " is open to anyone", verdict: goTo, target: open}}
	case policy.LAN:
		door.rules = c.lan(name, open)
	case policy.Networks:
		door.rules = c.lan(name, open)
		for _, set := range networkSets(name+"-net", want.Networks) {
			c.sets = append(c.sets, set)
			door.rules = append(door.rules, rule{
				name: name + "/networks" + suffix(set.family), why: name + " is open to networks that the policy lists",
				family: set.family, source: set.name, verdict: goTo, target: open,
			})
		}
	}
	if want.From != policy.Nobody {
		c.chains = append(c.chains, c.open(name, open, &want))
	}
	if want.From != policy.Anyone {
		door.rules = append(door.rules, c.refused(name+"/refused", refusal(s, want.From))...)
	}
	c.chains = append(c.chains, door)

	return rule{
		name: name, why: fmt.Sprintf("port %d is %s", port, name), protocol: TCP, port: port, verdict: goTo, target: name,
	}
}

func refusal(s policy.Service, from policy.From) string {
	switch from {
	case policy.LAN:
		return string(s) + " is open to the LAN only"
	case policy.Networks:
		return string(s) + " is open to the LAN and the networks that the policy lists only"
	}

	return string(s) + " is open to nobody"
}

// lan returns rules that lead the LAN to a chain. Networks that somebody has
// listed may lie behind any interface, such as that of a tunnel; those that an
// interface is connected to are believed from that interface alone.
func (c *compiler) lan(name, target string) []rule {
	var all []rule
	for _, i := range c.network.Interfaces {
		all = append(all, fromInterface(c.network, i.Name, rule{
			name: name + "/lan/" + i.Name, why: name + " is open to the LAN, and the source is on " + i.Name,
			verdict: goTo, target: target,
		})...)
	}
	for _, set := range networkSets("lan", c.policy.LAN) {
		all = append(all, rule{
			name: name + "/lan" + suffix(set.family), why: name + " is open to the LAN, and the policy counts the source's network to it",
			family: set.family, source: set.name, verdict: goTo, target: target,
		})
	}

	return all
}

// open returns the chain that bounds what one source may do.
func (c *compiler) open(name, chainName string, want *policy.Rule) chain {
	all := chain{name: chainName, rules: []rule{
		{name: name + "/exempt/ipv4", why: "the source is exempt from bounds", family: ipv4, source: exempt4, verdict: accept},
		{name: name + "/exempt/ipv6", why: "the source is exempt from bounds", family: ipv6, source: exempt6, verdict: accept},
	}}
	add := func(kind setKind, label, why string, b bound) {
		for _, f := range []family{ipv4, ipv6} {
			s := set{name: fmt.Sprintf("%s-%s%d", name, label, f), kind: kind, family: f, bits: sourceBits(f), size: maxSources}
			if kind == ratesSet {
				s.timeout = forget(b)
			}
			c.sets = append(c.sets, s)
			b.set = s.name
			all.rules = append(all.rules, rule{
				name: name + "/over-" + label + suffix(f), why: why, family: f, protocol: TCP, opening: true, over: b, verdict: drop,
			})
		}
	}
	if c.features.Rates {
		add(ratesSet, "rate", fmt.Sprintf("the source opens more than %d connections a minute to %s", want.Rate, name),
			bound{perMinute: uint32(want.Rate), burst: uint32(want.Burst)})
	}
	if c.features.Counts {
		add(countsSet, "open", fmt.Sprintf("the source has %d connections to %s open", want.Connections, name),
			bound{count: uint32(want.Connections)})
	}
	all.rules = append(all.rules, rule{name: name + "/accepted", why: name + " is open to the source", verdict: accept})

	return all
}

// forget is how long a source's rate has to be remembered: until it could open
// as many connections at once as one that was never seen.
func forget(b bound) time.Duration {
	full := time.Duration(b.burst) * time.Minute / time.Duration(b.perMinute)

	return min(max(full, minForget), maxForget).Round(time.Second)
}

// refused returns rules that drop what arrives at them, and log it where that
// is wanted and of use.
func (c *compiler) refused(name, why string) []rule {
	var all []rule
	if c.policy.Log && c.features.Log {
		all = append(all, rule{
			name: name + "/log", why: "a line of the kernel's log", limit: limit{perSecond: logPerSecond, burst: logBurst},
			log: "pillarbox " + name + ": ",
		})
	}

	return append(all, rule{name: name, why: why, verdict: drop})
}

func (c *compiler) note() {
	if len(c.admins) == 0 {
		c.notes = append(c.notes, noAdmin)
	} else if a := c.policy.Admin; a != "" && !slices.Contains(c.admins, a) {
		c.notes = append(c.notes, fmt.Sprintf("the policy names %s for the administrator's pages, which is not managed here: %s is used",
			a, strings.Join(c.admins, ", ")))
	}
	c.notes = append(c.notes, c.features.notes(c.policy.Log)...)
}

// seal gives a ruleset its revision, and the chain that holds it.
func (r *Ruleset) seal(stands Stands) {
	h := sha256.New()
	fmt.Fprintf(h, "%d\n%+v\n%+v\n", modelVersion, r.sets, r.chains)
	r.stands, r.revision = stands, hex.EncodeToString(h.Sum(nil)[:16])
	n := sha256.Sum256(fmt.Append(nil, r.interfaces))
	r.network = hex.EncodeToString(n[:8])
	r.chains = append(r.chains, chain{name: revisionChain, rules: []rule{{name: r.label(), verdict: back}}})
}

// label is what the table in the kernel says of itself.
func (r *Ruleset) label() string { return fmt.Sprintf("%s %s %s", r.stands, r.revision, r.network) }

// networkSets returns the sets of some networks: one for each family that has
// any.
func networkSets(name string, networks []netip.Prefix) []set {
	var all []set
	for _, f := range []family{ipv4, ipv6} {
		s := set{name: fmt.Sprintf("%s%d", name, f), kind: networksSet, family: f}
		for _, n := range networks {
			if familyOf(n.Addr()) == f {
				s.networks = append(s.networks, n)
			}
		}
		if s.networks = outermost(s.networks); len(s.networks) > 0 {
			all = append(all, s)
		}
	}

	return all
}

// outermost returns networks in order without those that lie within another.
func outermost(networks []netip.Prefix) []netip.Prefix {
	slices.SortFunc(networks, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	var all []netip.Prefix
	for _, n := range networks {
		if last := len(all) - 1; last < 0 || !all[last].Contains(n.Addr()) {
			all = append(all, n)
		}
	}

	return all
}

// setName makes the name of an interface fit for the name of a set, without
// making two alike.
func setName(name string) string {
	var b strings.Builder
	for _, c := range []byte(name) {
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '.' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "_%02x", c)
		}
	}

	return b.String()
}
