package certs

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"

	"github.com/smallstep/pkcs7"

	"pillarbox/appliance/profile"
)

// Root returns the private CA's certificate in PEM, as devices install it.
func (m *Manager) Root() []byte {
	m.Seen()
	return pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: m.root().Raw})
}

// Profile returns the CA's certificate as a configuration profile of Apple's,
// which an iPhone, iPad or Mac offers to install. Its identifiers follow from
// the certificate, so that a second one takes the place of the first.
func (m *Manager) Profile() []byte {
	m.Seen()
	ca := m.root()
	p := profile.Profile{
		Name:        ca.Subject.CommonName,
		Description: "Lets this device trust the office's mail box. After it is installed: Settings, General, About, Certificate Trust Settings.",
		ID:          "pillarbox.ca." + fingerprint(ca)[:16], UUID: profile.UUID(ca.Raw, "profile"),
		Payloads: []profile.Payload{rootPayload(ca)},
	}

	return p.Encode()
}

// RootPayload has a device trust the private CA, after its owner has switched
// that on.
func (m *Manager) RootPayload() profile.Payload {
	m.Seen()
	return rootPayload(m.root())
}

func (m *Manager) root() *x509.Certificate {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ca.cert
}

func rootPayload(ca *x509.Certificate) profile.Payload {
	return profile.Payload{
		Type: "com.apple.security.root", Name: ca.Subject.CommonName,
		ID: "pillarbox.ca." + fingerprint(ca)[:16] + ".root", UUID: profile.UUID(ca.Raw, "root"),
		Keys: map[string]any{"PayloadCertificateFileName": caCert, "PayloadContent": ca.Raw},
	}
}

// Private tells whether who comes by a host name gets a certificate of the
// private CA, which devices have to trust first.
func (m *Manager) Private(host string) bool {
	served := m.served()
	leaf := served[0].Leaf
	if i := slices.IndexFunc(served, func(c *tls.Certificate) bool { return c.Leaf.VerifyHostname(host) == nil }); i >= 0 {
		leaf = served[i].Leaf
	}

	return leaf.CheckSignatureFrom(m.root()) == nil
}

// Sign signs a profile with the certificate that the box presents, so that who
// trusts that sees whose it is, and that it is whole (CMS, RFC 5652, the content
// within).
func (m *Manager) Sign(text []byte) ([]byte, error) {
	leaf := m.served()[0]
	signed, err := pkcs7.NewSignedData(text)
	if err != nil {
		return nil, fmt.Errorf("sign a profile: %w", err)
	}
	signed.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	if err := signed.AddSigner(leaf.Leaf, leaf.PrivateKey, pkcs7.SignerInfoConfig{}); err != nil {
		return nil, fmt.Errorf("sign a profile: %w", err)
	}
	for _, der := range leaf.Certificate[1:] {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("sign a profile: %w", err)
		}
		signed.AddCertificate(c)
	}

	return signed.Finish()
}

// State tells what is in use and how it is.
type State struct {
	Settings    Settings    `json:"settings"`    // without secrets
	Presented   []Summary   `json:"presented"`   // certificates in use, the first choice first
	CA          Summary     `json:"ca"`          // the private CA
	Constrained []string    `json:"constrained"` // domains that it is limited to; none if it has no limits
	Names       []NameInUse `json:"names"`
	Problems    []string    `json:"problems"` // in words
}

// State returns that.
func (m *Manager) State() State {
	s := State{Settings: m.Settings().Redacted(), Names: m.NamesInUse(), Constrained: m.Constrained(), Presented: []Summary{}, Problems: []string{}}
	for _, leaf := range m.leaves() {
		s.Presented = append(s.Presented, *Summarise(one(leaf)))
	}
	s.CA = *Summarise(one(m.root()))
	problems := []error{m.Health(), m.Expiring(), m.NotCovered()}
	if s.Settings.source() == ACME {
		problems = append(problems, m.renewal.lastError())
	}
	for _, err := range problems {
		if err != nil {
			s.Problems = append(s.Problems, err.Error())
		}
	}
	return s
}
