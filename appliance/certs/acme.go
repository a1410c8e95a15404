package certs

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

// orderTime bounds an order: DNS records take minutes to be seen everywhere.
const orderTime = 15 * time.Minute

// acmeSource orders certificates from a CA that speaks ACME (RFC 8555). What it
// has of one directory lies in files of its own: an account, and a pair for
// each kind of key, chain and key in one file.
type acmeSource struct {
	m *Manager
	s *ACMESettings
}

func (a *acmeSource) file(suffix string) string {
	sum := sha256.Sum256([]byte(known(a.s.Directory)))
	return filepath.Join(a.m.dir, "acme-"+hex.EncodeToString(sum[:6])+suffix)
}

func (a *acmeSource) pairFile(kind keyType) string { return a.file("-" + string(kind) + ".pem") }

// keyType is a kind of key for a certificate.
type keyType string

const (
	typeECDSA keyType = "ecdsa"
	typeRSA   keyType = "rsa"
)

func (a *acmeSource) kinds() []keyType {
	if a.s.RSA {
		return []keyType{typeECDSA, typeRSA}
	}
	return []keyType{typeECDSA}
}

func (k keyType) generate() (crypto.Signer, error) {
	if k == typeRSA {
		return rsa.GenerateKey(rand.Reader, rsaBits)
	}
	return newKey()
}

func (a *acmeSource) check(ctx context.Context, r *Report) {
	if err := a.m.proofs.ready(a.s); err != nil {
		r.block("challenge", "%v", err)
	}
	c, err := a.client()
	if err != nil {
		r.block("challenge", "%v", err)
		return
	}
	directory, err := c.GetDirectory(ctx)
	if err != nil {
		r.block("ca-unreachable", "the CA's directory %s cannot be read: %v", known(a.s.Directory), err)
		return
	}
	if account, err := a.readAccount(); directory.Meta != nil && directory.Meta.ExternalAccountRequired && a.s.EABKeyID == "" && account == nil && err == nil {
		r.block("account-binding", "this CA wants an account to be bound to one of its own: get a key and its identifier from its web site (external account binding)")
	}
	if missing := missingNames(a.m.inUse.list(), a.s.Names); len(missing) > 0 {
		r.note("names-not-covered", "mail programs also use %v, which will not be in the certificate; those get one of the box's own CA", missing)
	}
	if pairs, err := a.load(); err == nil && len(pairs) > 0 {
		r.Certificate = Summarise([]*x509.Certificate{pairs[0].Leaf})
	}
}

// missingNames returns what of used is in none of names, wildcards included.
func missingNames(used, names []string) []string {
	return uncovered(used, &x509.Certificate{DNSNames: names})
}

// load returns the pairs that were ordered, ECDSA first.
func (a *acmeSource) load() (all []*tls.Certificate, err error) {
	for _, kind := range a.kinds() {
		pairs, err := loadPairs(a.pairFile(kind))
		if err != nil && (kind == typeECDSA || !errors.Is(err, fs.ErrNotExist)) {
			return nil, err
		}
		all = append(all, pairs...)
	}
	return all, nil
}

// obtain orders what is missing, lacks a name or is to be renewed.
func (a *acmeSource) obtain(ctx context.Context) (made bool, err error) {
	for _, kind := range a.kinds() {
		var before *x509.Certificate
		if pairs, err := loadPairs(a.pairFile(kind)); err == nil {
			before = pairs[0].Leaf
			if a.lasts(before) {
				continue
			}
		}
		chain, key, err := a.order(ctx, kind, before)
		if err != nil {
			return made, explainACME(err, a.s)
		}
		text, err := encodeKey(key)
		if err != nil {
			return made, err
		}
		if err := writeFile(a.pairFile(kind), append(chain, text...), 0o600); err != nil {
			return made, fmt.Errorf("keep the certificate: %w", err)
		}
		made = true
	}
	return made, nil
}

// lasts tells whether a certificate has all names and is not to be renewed yet.
func (a *acmeSource) lasts(leaf *x509.Certificate) bool {
	has := func(name string) bool { return slices.Contains(leaf.DNSNames, name) }
	return a.s.covers(has) && a.m.now().Before(a.m.renewal.at(leaf))
}

// order has one certificate made, and returns its chain in PEM.
func (a *acmeSource) order(ctx context.Context, kind keyType, before *x509.Certificate) (chain []byte, key crypto.Signer, err error) {
	ctx, cancel := context.WithTimeout(ctx, orderTime)
	defer cancel()
	c, err := a.client()
	if err != nil {
		return nil, nil, err
	}
	account, err := a.account(ctx, c, false)
	if err != nil {
		return nil, nil, err
	}
	if key, err = kind.generate(); err != nil {
		return nil, nil, fmt.Errorf("make key: %w", err)
	}
	chain, err = a.orderWith(ctx, c, account, key, before)
	var problem acme.Problem
	switch {
	case errors.As(err, &problem) && problem.Type == acme.ProblemTypeAccountDoesNotExist:
		// The CA has forgotten it, or the box was restored.
		if account, err = a.account(ctx, c, true); err == nil {
			chain, err = a.orderWith(ctx, c, account, key, before)
		}
	case errors.As(err, &problem) && before != nil && problem.Status == 409:
		// It was replaced already (RFC 9773, section 5).
		chain, err = a.orderWith(ctx, c, account, key, nil)
	}
	return chain, key, err
}

func (a *acmeSource) orderWith(ctx context.Context, c *acmez.Client, account acme.Account, key crypto.Signer, before *x509.Certificate) ([]byte, error) {
	csr, err := acmez.NewCSR(key, a.s.Names)
	if err != nil {
		return nil, err
	}
	params, err := acmez.OrderParametersFromCSR(account, csr)
	if err != nil {
		return nil, err
	}
	if directory, err := c.GetDirectory(ctx); err == nil && directory.RenewalInfo != "" && before != nil && before.AuthorityKeyId != nil {
		params.Replaces = before
	}
	chains, err := c.ObtainCertificate(ctx, params)
	if err != nil {
		return nil, err
	}
	if len(chains) == 0 {
		return nil, errors.New("the CA returned no certificate")
	}
	// The first is what the CA thinks best. It must be for our key.
	text, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	if _, err := tls.X509KeyPair(chains[0].ChainPEM, text); err != nil {
		return nil, fmt.Errorf("the CA returned something else than the certificate: %w", err)
	}
	return chains[0].ChainPEM, nil
}

// client returns a client of the CA with the challenge that is set.
func (a *acmeSource) client() (*acmez.Client, error) {
	solver, err := a.m.proofs.solver(a.s)
	if err != nil {
		return nil, err
	}
	return &acmez.Client{
		Client: &acme.Client{
			Directory: known(a.s.Directory), HTTPClient: a.m.acmeHTTP, UserAgent: "pillarbox",
			Logger: a.m.log.With("directory", known(a.s.Directory)), PollTimeout: 5 * time.Minute,
		},
		ChallengeSolvers: map[string]acmez.Solver{string(a.s.Challenge): solver},
	}, nil
}

// account is what is kept of the CA's account.
type account struct {
	Location string   `json:"location"`
	Contact  []string `json:"contact,omitempty"`
	Key      Secret   `json:"key"` // PEM
}

func (a *acmeSource) readAccount() (*account, error) {
	b, err := os.ReadFile(a.file("-account.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var kept account
	if err := json.Unmarshal(b, &kept); err != nil {
		return nil, fmt.Errorf("read %s: %w", a.file("-account.json"), err)
	}
	return &kept, nil
}

// account returns the account, and makes one if there is none. With anew it is
// registered once more, by the key that is there.
func (a *acmeSource) account(ctx context.Context, c *acmez.Client, anew bool) (acme.Account, error) {
	kept, err := a.readAccount()
	if err != nil {
		return acme.Account{}, err
	}
	var key crypto.Signer
	if kept != nil {
		b := &Bundle{}
		if err := b.addPEM([]byte(kept.Key)); err != nil || len(b.Keys) != 1 {
			return acme.Account{}, fmt.Errorf("read %s: it holds no key", a.file("-account.json"))
		}
		key = b.Keys[0]
		if !anew {
			return acme.Account{Status: acme.StatusValid, Location: kept.Location, Contact: kept.Contact, PrivateKey: key}, nil
		}
	} else if key, err = newKey(); err != nil {
		return acme.Account{}, fmt.Errorf("make account key: %w", err)
	}
	made := acme.Account{TermsOfServiceAgreed: a.s.Agreed, PrivateKey: key}
	if a.s.Contact != "" {
		made.Contact = []string{"mailto:" + a.s.Contact}
	}
	if a.s.EABKeyID != "" {
		if err := made.SetExternalAccountBinding(ctx, c.Client, acme.EAB{KeyID: a.s.EABKeyID, MACKey: string(a.s.EABKey)}); err != nil {
			return acme.Account{}, fmt.Errorf("bind the account: %w", err)
		}
	}
	if made, err = c.NewAccount(ctx, made); err != nil {
		return acme.Account{}, fmt.Errorf("register with the CA: %w", err)
	}
	text, err := encodeKey(key)
	if err != nil {
		return acme.Account{}, err
	}
	b, err := json.Marshal(account{Location: made.Location, Contact: made.Contact, Key: Secret(text)})
	if err != nil {
		return acme.Account{}, fmt.Errorf("encode account: %w", err)
	}
	if err := writeFile(a.file("-account.json"), b, 0o600); err != nil {
		return acme.Account{}, fmt.Errorf("keep the CA's account: %w", err)
	}
	made.PrivateKey = key
	return made, nil
}
