package policy

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// Policy is who may reach what. The zero value is not valid; begin with Default.
type Policy struct {
	// Services has a rule for each service; a service without one is closed.
	Services map[Service]Rule `json:"services"`

	// LAN are networks that belong to the office beside those that the managed
	// interfaces are connected to.
	LAN []netip.Prefix `json:"lan,omitempty"`

	// Admin is the interface from which the administrator's pages can always be
	// reached; "" means the first that is managed.
	Admin string `json:"admin_interface,omitempty"`

	// Log has dropped packets counted and logged, at a bounded rate.
	Log bool `json:"log,omitempty"`
}

// Service is the name of something that listens.
type Service string

// The services of the box.
const (
	IMAPS       Service = "imaps"
	IMAPSLegacy Service = "imaps-legacy"
	Submissions Service = "submissions"
	Submission  Service = "submission"
	SMTP        Service = "smtp"
	HTTP        Service = "http"
	HTTPS       Service = "https"
	LMTP        Service = "lmtp"
	Metrics     Service = "metrics"
)

// Ports returns the TCP port of each service.
func Ports() map[Service]uint16 {
	return map[Service]uint16{
		IMAPS: 993, IMAPSLegacy: 990, Submissions: 465, Submission: 587, SMTP: 25, HTTP: 80, HTTPS: 443,
		LMTP: 24, Metrics: 9464,
	}
}

// From is whom a service is open to.
type From string

// Whom a service can be open to.
const (
	Nobody   From = "nobody"
	LAN      From = "lan"      // the office's own networks
	Networks From = "networks" // the LAN and the listed ones
	Anyone   From = "anyone"
)

// Rule is who may reach one service, and how often.
type Rule struct {
	From     From           `json:"from"`
	Networks []netip.Prefix `json:"networks,omitempty"` // with From networks alone

	// Rate bounds new connections of one source (an IPv4 address or an IPv6
	// /64) to the service per minute, and Burst how many may come at once. 0
	// means the usual bound.
	Rate  int `json:"rate,omitempty"`
	Burst int `json:"burst,omitempty"`

	// Connections bounds how many one source may have open at once; 0 means
	// the usual bound.
	Connections int `json:"connections,omitempty"`

	// Override is why imaps-legacy may be reached from outside the LAN, for the
	// audit. Without a reason that is refused: the port is not registered for
	// IMAP, and firewalls on the way take it for FTP.
	Override string `json:"override,omitempty"`
}

// Bounds of a policy.
const (
	maxNetworks    = 256
	maxPerMinute   = 60_000
	maxConnections = 10_000
	maxReason      = 500 // octets

	// The widest public networks that can be an office's own; /32 is what a
	// provider gets (RFC 6177 for what it hands on).
	widest4, widest6 = 16, 32
)

// The usual bounds of one source. An office behind one address of its
// provider, or a phone that opens ten connections at once, must not meet them.
const (
	UsualRate        = 300 // new connections a minute
	UsualBurst       = 100
	UsualConnections = 300
)

// Default is what a fresh box does: everything for the LAN only.
func Default() Policy {
	p := Policy{Services: map[Service]Rule{}, Log: true}
	for s := range Ports() {
		p.Services[s] = Rule{From: LAN}
	}
	p.Services[LMTP] = Rule{From: Nobody}

	return p
}

// Clone returns a copy that shares nothing with the policy.
func (p *Policy) Clone() Policy {
	c := *p
	c.LAN = slices.Clone(p.LAN)
	c.Services = maps.Clone(p.Services)
	for s, r := range c.Services {
		r.Networks = slices.Clone(r.Networks)
		c.Services[s] = r
	}

	return c
}

// Rule returns the rule of a service with the usual bounds filled in.
func (p *Policy) Rule(s Service) Rule {
	r, ok := p.Services[s]
	if !ok {
		r.From = Nobody
	}
	if r.Rate == 0 {
		r.Rate = UsualRate
	}
	if r.Burst == 0 {
		r.Burst = UsualBurst
	}
	if r.Connections == 0 {
		r.Connections = UsualConnections
	}

	return r
}

// problems collects what is wrong, each with its place.
type problems []error

func (p *problems) add(path, format string, args ...any) {
	*p = append(*p, fmt.Errorf("%s: %s", path, fmt.Sprintf(format, args...)))
}

// Validate returns all that is wrong, joined.
func (p *Policy) Validate() error {
	var bad problems
	ports := Ports()
	names := make([]string, 0, len(p.Services))
	for s := range p.Services {
		names = append(names, string(s))
	}
	slices.Sort(names)
	for _, name := range names {
		s := Service(name)
		if _, ok := ports[s]; !ok {
			bad.add("services."+name, "there is no such service")
			continue
		}
		r := p.Services[s]
		r.validate(&bad, "services."+name, s)
	}
	validateNetworks(&bad, "lan", p.LAN)
	for i, n := range p.LAN {
		if n.IsValid() && wide(n) {
			bad.add(fmt.Sprintf("lan[%d]", i), "%s is wider than any office's network", n)
		}
	}
	if len(p.Admin) > 15 || strings.ContainsAny(p.Admin, "/ \t\n\x00") {
		bad.add("admin_interface", "%q is not the name of an interface", p.Admin)
	}

	return errors.Join(bad...)
}

func (r *Rule) validate(bad *problems, path string, s Service) {
	switch r.From {
	case Nobody, LAN, Anyone:
		if len(r.Networks) > 0 {
			bad.add(path+".networks", "they belong to from: networks")
		}
	case Networks:
		if len(r.Networks) == 0 {
			bad.add(path+".networks", "from: networks needs one")
		}
	default:
		bad.add(path+".from", "%q is none of nobody, lan, networks and anyone", r.From)
	}
	validateNetworks(bad, path+".networks", r.Networks)
	if r.Rate < 0 || r.Rate > maxPerMinute {
		bad.add(path+".rate", "%d is not between 0 and %d a minute", r.Rate, maxPerMinute)
	}
	if r.Burst < 0 || r.Burst > maxPerMinute {
		bad.add(path+".burst", "%d is not between 0 and %d", r.Burst, maxPerMinute)
	}
	if r.Connections < 0 || r.Connections > maxConnections {
		bad.add(path+".connections", "%d is not between 0 and %d", r.Connections, maxConnections)
	}
	if len(r.Override) > maxReason {
		bad.add(path+".override", "longer than %d octets", maxReason)
	}
	if s == IMAPSLegacy && r.Public() && strings.TrimSpace(r.Override) == "" {
		bad.add(path, "port 990 is for the office's own network; to open it to the Internet say why in override")
	}
}

// Public tells whether the rule lets in addresses of the Internet.
func (r *Rule) Public() bool {
	return r.From == Anyone || r.From == Networks && slices.ContainsFunc(r.Networks, func(n netip.Prefix) bool { return !private(n) })
}

// private tells whether all addresses of a network belong to nobody in
// particular (RFC 1918, RFC 4193, RFC 3927, RFC 6598, loopback).
func private(n netip.Prefix) bool {
	for _, p := range privateNetworks() {
		if p.Bits() <= n.Bits() && p.Contains(n.Addr()) {
			return true
		}
	}

	return false
}

// wide tells whether a network has addresses of others than one office: a
// public one that is larger than what a provider hands on. Two halves of the
// Internet must not pass for a LAN.
func wide(n netip.Prefix) bool {
	least := widest4
	if n.Addr().Is6() {
		least = widest6
	}

	return n.Bits() < least && !private(n)
}

// Own returns what may pass for the office's own of a network that the box is
// connected to: all of it, unless it has addresses of others. A DHCP server that
// gives half of the Internet for a LAN must not open the box to that.
func Own(n netip.Prefix) netip.Prefix {
	if !n.IsValid() || !wide(n) {
		return n
	}
	bits := widest4
	if n.Addr().Is6() {
		bits = widest6
	}
	for _, p := range privateNetworks() {
		if p.Contains(n.Addr()) {
			bits = p.Bits()
		}
	}

	return netip.PrefixFrom(n.Addr(), bits).Masked()
}

func privateNetworks() []netip.Prefix {
	var all []netip.Prefix
	for _, s := range []string{
		"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10", "127.0.0.0/8",
		"fc00::/7", "fe80::/10", "::1/128",
	} {
		all = append(all, netip.MustParsePrefix(s))
	}

	return all
}

func validateNetworks(bad *problems, path string, networks []netip.Prefix) {
	if len(networks) > maxNetworks {
		bad.add(path, "more than %d", maxNetworks)
		return
	}
	for i, n := range networks {
		if !n.IsValid() || n != n.Masked() || n.Addr().Is4In6() {
			bad.add(fmt.Sprintf("%s[%d]", path, i), "%s is not a network, such as 192.168.1.0/24", n)
		}
	}
}
