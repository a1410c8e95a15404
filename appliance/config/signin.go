package config

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// SignIn is by what people may sign in, and from where.
type SignIn struct {
	// Rules are looked at in turn; the first that fits a connection holds. Where
	// none fits, all is offered that the box can do.
	Rules []SignInRule `json:"rules,omitempty"`
	// Provider is the office's OpenID provider, whose tokens are taken; nil means
	// none.
	Provider *Provider `json:"provider,omitempty"`
}

// SignInRule is what is offered on some connections.
type SignInRule struct {
	Port     string         `json:"port,omitempty"`     // imaps or imaps-legacy; "" means each
	Networks []netip.Prefix `json:"networks,omitempty"` // where the client is; none means anywhere
	// Mechanisms are of those that there are; missing means all, an empty list
	// that nobody gets in.
	Mechanisms []string `json:"mechanisms,omitzero"`
	// Certificate says whether devices are asked for one of their own: offered or
	// required; "" means that they are not.
	Certificate string `json:"certificate,omitempty"`
}

// Mechanisms are the SASL mechanisms that a rule can name. LOGIN is the command
// of that name, too.
func Mechanisms() []string {
	return []string{"PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "OAUTHBEARER", "XOAUTH2", "EXTERNAL"}
}

// SignInPorts are the ports that a rule can name.
func SignInPorts() []string { return []string{"imaps", "imaps-legacy"} }

// What SignInRule.Certificate can be, besides nothing.
const (
	CertificateOffered  = "offered"
	CertificateRequired = "required"
)

// maxSignInRules bounds what each new connection is compared with.
const maxSignInRules = 64

// Fits tells whether a rule is for a client at an address, on a port.
func (r *SignInRule) Fits(port string, client netip.Addr) bool {
	if r.Port != "" && r.Port != port {
		return false
	}
	client = client.Unmap().WithZone("")

	return len(r.Networks) == 0 || slices.ContainsFunc(r.Networks, func(p netip.Prefix) bool { return p.Contains(client) })
}

// Rule returns what holds for a client at an address, on a port.
func (s *SignIn) Rule(port string, client netip.Addr) SignInRule {
	for _, r := range s.Rules {
		if r.Fits(port, client) {
			return r
		}
	}

	return SignInRule{}
}

// Allows tells whether a mechanism may be offered.
func (r *SignInRule) Allows(mechanism string) bool {
	return r.Mechanisms == nil || slices.Contains(r.Mechanisms, mechanism)
}

func (s *SignIn) validate() error {
	var errs []error
	if len(s.Rules) > maxSignInRules {
		errs = append(errs, fmt.Errorf("rules: there are more than %d", maxSignInRules))
	}
	for i := range s.Rules {
		errs = append(errs, within(fmt.Sprintf("rules[%d]", i), s.Rules[i].validate()))
	}
	if s.Provider != nil {
		errs = append(errs, within("provider", s.Provider.validate()))
	}

	return errors.Join(errs...)
}

func (r *SignInRule) validate() error {
	var errs []error
	if r.Port != "" && !slices.Contains(SignInPorts(), r.Port) {
		errs = append(errs, fmt.Errorf("port: %q is none of %s", r.Port, strings.Join(SignInPorts(), ", ")))
	}
	for _, p := range r.Networks {
		if !p.IsValid() || p != p.Masked() || p.Addr().Is4In6() {
			errs = append(errs, fmt.Errorf("networks: %q is not a network such as 192.0.2.0/24", p))
		}
	}
	switch r.Certificate {
	case "", CertificateOffered, CertificateRequired:
	default:
		errs = append(errs, fmt.Errorf("certificate: %q is neither %s nor %s", r.Certificate, CertificateOffered, CertificateRequired))
	}
	for _, m := range r.Mechanisms {
		if !slices.Contains(Mechanisms(), m) {
			errs = append(errs, fmt.Errorf("mechanisms: %q is none of %s", m, strings.Join(Mechanisms(), ", ")))
		}
	}

	return errors.Join(errs...)
}

// Provider is an OpenID provider and what is asked of its tokens.
type Provider struct {
	Issuer   string   `json:"issuer"`          // its URL, as its tokens have it
	Audience []string `json:"audience"`        // for whom a token must have been given: one of these
	Scope    string   `json:"scope,omitempty"` // that a token must have; "" asks for none
	Claim    string   `json:"claim,omitempty"` // that names the account; "" means email
	// CA are certificates, in PEM, of who certifies the provider; "" means whom
	// everybody trusts.
	CA string `json:"ca,omitempty"`
}

// Roots returns who may certify the provider, nil if that is who everybody
// trusts.
func (p *Provider) Roots() (*x509.CertPool, error) {
	if p.CA == "" {
		return nil, nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(p.CA)) {
		return nil, errors.New("ca: there is no certificate in it, in PEM")
	}

	return pool, nil
}

// validate looks at what only this room knows; the rest is for whoever asks the
// provider.
func (p *Provider) validate() error {
	_, err := p.Roots()
	if p.Issuer == "" {
		err = errors.Join(err, errors.New("issuer: there is none"))
	}

	return err
}
