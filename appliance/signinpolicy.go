package appliance

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"

	"pillarbox/appliance/access"
	"pillarbox/appliance/bearer"
	"pillarbox/appliance/certs"
	"pillarbox/appliance/config"
	"pillarbox/appliance/directory"
	"pillarbox/appliance/scram"
)

// signInPolicy says by what people may sign in, as a part of the configuration.
// Sessions that are on go on.
type signInPolicy struct {
	dir *directory.Directory

	active atomic.Pointer[activePolicy]
}

// activePolicy is what holds.
type activePolicy struct {
	conf   config.SignIn
	tokens *bearer.Verifier // nil where there is no provider
}

// now returns what holds: everything until something else is known.
func (p *signInPolicy) now() *activePolicy {
	if a := p.active.Load(); a != nil {
		return a
	}

	return &activePolicy{}
}

// Name implements config.Applier.
func (*signInPolicy) Name() string { return "sign-in" }

// Follows implements config.Follower.
func (*signInPolicy) Follows() {}

// Check implements config.Applier.
func (p *signInPolicy) Check(ctx context.Context, from, to *config.Document) (r config.Report, err error) {
	if sameJSON(from.SignIn, to.SignIn) {
		return r, nil
	}
	v, err := verifier(to.SignIn.Provider)
	if err != nil {
		return r, err
	}
	if err := p.possible(&to.SignIn); err != nil {
		return r, err
	}
	if v != nil && !sameJSON(from.SignIn.Provider, to.SignIn.Provider) {
		found, err := v.Probe(ctx)
		if err != nil {
			found = []string{fmt.Sprintf("nobody can sign in by the provider as it is now: %v", err)}
		}
		r.Notes = append(r.Notes, found...)
	}
	if slices.ContainsFunc(to.SignIn.Rules, withoutPasswords) {
		addresses, err := p.dir.Keyless(ctx)
		if err != nil {
			return r, err
		}
		if len(addresses) > 0 {
			r.Notes = append(r.Notes, "SCRAM is offered to nobody until these have signed in by PLAIN or LOGIN once, or been given new passwords: "+
				strings.Join(addresses, ", "))
		}
	}
	r.Steps = append(r.Steps, "offer other ways to sign in from the next connection on")

	return r, nil
}

// withoutPasswords is a rule under which a password is never sent.
func withoutPasswords(r config.SignInRule) bool {
	return !r.Allows("PLAIN") && !r.Allows("LOGIN")
}

// possible refuses what would lock everybody out, and a rule under which nothing
// works although it names something.
func (p *signInPolicy) possible(s *config.SignIn) error {
	for i, r := range s.Rules {
		switch usable := p.usable(s, &r); {
		case r.Certificate == config.CertificateRequired && !p.dir.HasCertificates():
			return fmt.Errorf("sign_in.rules[%d]: no device has a certificate yet: make them first (pillarbox account device certificate)", i)
		case usable || r.Mechanisms != nil && len(r.Mechanisms) == 0:
		case r.Certificate == "" && slices.Contains(r.Mechanisms, external):
			return fmt.Errorf("sign_in.rules[%d]: certificate: it must be offered or required where nothing but %s could be taken", i, external)
		case slices.Contains(r.Mechanisms, external):
			return fmt.Errorf("sign_in.rules[%d]: no device has a certificate yet: make them first (pillarbox account device certificate)", i)
		case slices.ContainsFunc(r.Mechanisms, func(m string) bool { return !isBearer(m) }):
			return fmt.Errorf("sign_in.rules[%d]: nobody can sign in by SCRAM as long as one account has a password of an older version: let its owner sign in once, or give it a new one", i)
		default:
			return fmt.Errorf("sign_in.rules[%d]: only tokens are taken there, and sign_in.provider names nobody who gives them", i)
		}
	}
	for _, port := range config.SignInPorts() {
		for _, client := range clients(s) {
			if r := s.Rule(port, client); p.usable(s, &r) {
				return nil
			}
		}
	}

	return errors.New("sign_in.rules: nobody could sign in anywhere any more: leave a port, a network or a mechanism to somebody")
}

// usable tells whether anything works under a rule.
func (p *signInPolicy) usable(s *config.SignIn, r *config.SignInRule) bool {
	if r.Certificate == config.CertificateRequired && !p.dir.HasCertificates() {
		return false
	}

	return slices.ContainsFunc(config.Mechanisms(), func(m string) bool { return p.works(s, r, m) })
}

// works tells whether a mechanism does under a rule, for who has what it needs.
func (p *signInPolicy) works(s *config.SignIn, r *config.SignInRule, mechanism string) bool {
	switch {
	case !r.Allows(mechanism):
		return false
	case isBearer(mechanism):
		return s.Provider != nil
	case mechanism == scram.Mechanism, mechanism == scram.MechanismPlus:
		return p.dir.OffersSCRAM()
	case mechanism == external:
		return r.Certificate != "" && p.dir.HasCertificates()
	}

	return true
}

// offers returns what somebody at an address is offered on a port.
func (p *signInPolicy) offers(s *config.SignIn, port string, client netip.Addr) []string {
	r := s.Rule(port, client)
	if !p.usable(s, &r) {
		return nil
	}

	return slices.DeleteFunc(config.Mechanisms(), func(m string) bool { return !p.works(s, &r, m) })
}

// clients returns an address of each network that rules tell apart, and two that
// are likely in none of them.
func clients(s *config.SignIn) []netip.Addr {
	all := []netip.Addr{netip.MustParseAddr("203.0.113.251"), netip.MustParseAddr("2001:db8:ffff::fb")}
	for _, r := range s.Rules {
		for _, n := range r.Networks {
			all = append(all, n.Addr())
		}
	}

	return all
}

func isBearer(mechanism string) bool {
	return mechanism == bearer.Mechanism || mechanism == bearer.XOAuth2
}

// verifier makes what validates a provider's tokens, nil if there is none.
func verifier(p *config.Provider) (*bearer.Verifier, error) {
	if p == nil {
		return nil, nil
	}
	roots, err := p.Roots()
	if err != nil {
		return nil, fmt.Errorf("sign_in.provider.%w", err)
	}
	v, err := bearer.New(&bearer.Config{Issuer: p.Issuer, Audience: p.Audience, Scope: p.Scope, Claim: p.Claim, Roots: roots})
	if err != nil {
		return nil, fmt.Errorf("sign_in.provider: %w", err)
	}

	return v, nil
}

// Try implements config.Applier.
func (p *signInPolicy) Try(_ context.Context, t *config.Trial) ([]string, error) {
	return nil, p.use(t.To)
}

// Hold implements config.Applier.
func (p *signInPolicy) Hold(_ context.Context, d *config.Document) error { return p.use(d) }

func (p *signInPolicy) use(d *config.Document) error {
	if a := p.active.Load(); a != nil && sameJSON(a.conf, d.SignIn) {
		return nil // with the keys that it has fetched
	}
	v, err := verifier(d.SignIn.Provider)
	if err != nil {
		return err
	}
	p.active.Store(&activePolicy{d.SignIn, v})

	return nil
}

// Offered implements imap.Mechanisms.
func (s *signIn) Offered(c net.Conn) []string {
	policy := s.policy.now()
	all := []string{"PLAIN", "LOGIN"}
	if s.dir.OffersSCRAM() {
		if bindable(c) {
			all = append(all, scram.MechanismPlus)
		}
		all = append(all, scram.Mechanism)
	}
	if policy.tokens != nil {
		all = append(all, bearer.Mechanism, bearer.XOAuth2)
	}
	if s.certified(c) {
		all = append(all, external)
	}
	r := s.policy.rule(c)
	if r.Certificate == config.CertificateRequired && !s.certified(c) {
		return nil // its handshake was before that was asked for
	}

	return slices.DeleteFunc(all, func(m string) bool { return !r.Allows(m) })
}

// rule returns what holds for a connection.
func (p *signInPolicy) rule(c net.Conn) config.SignInRule {
	return p.now().conf.Rule(access.ListenerOf(c), source(c.RemoteAddr()))
}

// ask tells the handshake whether a client is asked for a certificate. Who does
// not come for mail, such as Prometheus or a CA, is asked for none.
func (p *signInPolicy) ask(c net.Conn) certs.Ask {
	if !slices.Contains(config.SignInPorts(), access.ListenerOf(c)) {
		return certs.AskNothing
	}
	switch p.rule(c).Certificate {
	case config.CertificateOffered:
		return certs.AskOffered
	case config.CertificateRequired:
		return certs.AskRequired
	}

	return certs.AskNothing
}

// knows tells the handshake whether a certificate is one of a device's.
func (p *signInPolicy) knows(c *x509.Certificate) error {
	_, err := p.dir.Certified(sha256.Sum256(c.Raw))

	return err
}

// errNoProvider is a token where nobody gives any.
var errNoProvider = errors.New("there is no provider whose tokens are taken")
