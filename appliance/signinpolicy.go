package appliance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"

	"pillarbox/appliance/bearer"
	"pillarbox/appliance/config"
	"pillarbox/appliance/scram"
)

// signInPolicy says by what people may sign in, as a part of the configuration.
// Sessions that are on go on.
type signInPolicy struct {
	addresses func(ctx context.Context) ([]string, error) // of accounts that cannot use SCRAM yet

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

// Check implements config.Applier.
func (p *signInPolicy) Check(ctx context.Context, from, to *config.Document) (r config.Report, err error) {
	if sameJSON(from.SignIn, to.SignIn) {
		return r, nil
	}
	v, err := verifier(to.SignIn.Provider)
	if err != nil {
		return r, err
	}
	if err := possible(&to.SignIn); err != nil {
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
		addresses, err := p.addresses(ctx)
		if err != nil {
			return r, err
		}
		if len(addresses) > 0 {
			r.Notes = append(r.Notes, "where neither PLAIN nor LOGIN is offered, these cannot sign in by a password until they have been given a new one: "+
				strings.Join(addresses, ", "))
		}
	}
	r.Steps = append(r.Steps, "offer other ways to sign in from the next connection on")

	return r, nil
}

// withoutPasswords is a rule under which a password is never sent.
func withoutPasswords(r config.SignInRule) bool {
	return !slices.Contains(r.Mechanisms, "PLAIN") && !slices.Contains(r.Mechanisms, "LOGIN")
}

// possible refuses what would lock everybody out.
func possible(s *config.SignIn) error {
	for i, r := range s.Rules {
		usable := slices.ContainsFunc(r.Mechanisms, func(m string) bool { return s.Provider != nil || !isBearer(m) })
		switch {
		case usable:
		case len(r.Mechanisms) > 0:
			return fmt.Errorf("sign_in.rules[%d]: only tokens are taken there, and sign_in.provider names nobody who gives them", i)
		case r.Port == "" && len(r.Networks) == 0:
			return fmt.Errorf("sign_in.rules[%d]: nobody could sign in anywhere: name a port, or networks, or mechanisms", i)
		}
	}

	return nil
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
	if len(policy.conf.Rules) == 0 {
		return all
	}
	port, client := s.port(c), source(c.RemoteAddr())

	return slices.DeleteFunc(all, func(m string) bool { return !policy.conf.Allows(m, port, client) })
}

// errNoProvider is a token where nobody gives any.
var errNoProvider = errors.New("there is no provider whose tokens are taken")
