package certs

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

const (
	day      = 24 * time.Hour
	early    = day // validity begins this much before now
	caLife   = 3652 * day
	leafLife = 90 * day
)

// authority is the private CA.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey // nil where somebody took ca.key away to keep it elsewhere
	// before is the CA that this one replaced, nil if there was none: its leaf
	// is ours, too, and is to be replaced.
	before *x509.Certificate
}

// openAuthority loads the CA, and makes it if there is none.
func openAuthority(dir string, now time.Time, log *slog.Logger, domains, names func() []string) (*authority, error) {
	certFile, keyFile := filepath.Join(dir, caCert), filepath.Join(dir, caKey)
	b, err := os.ReadFile(certFile)
	if errors.Is(err, fs.ErrNotExist) {
		office := domains()
		if len(office) == 0 {
			if err := writeFile(filepath.Join(dir, caUnseen), nil, 0o600); err != nil {
				return nil, err
			}
		}
		return newAuthority(certFile, keyFile, now, office, names())
	}
	if err != nil {
		return nil, err
	}
	cert, err := parseCertificate(b)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", certFile, err)
	}
	if !cert.IsCA {
		return nil, fmt.Errorf("read %s: it is not the certificate of a CA", certFile)
	}
	key, err := readKey(keyFile)
	if errors.Is(err, fs.ErrNotExist) {
		log.Warn("the private CA's key is not here; certificates cannot be renewed", "file", keyFile)
		return &authority{cert: cert, before: certBefore(dir)}, nil
	}
	if err != nil {
		return nil, err
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		if key, err = keyBefore(dir, cert); err != nil {
			return nil, fmt.Errorf("%s is not the key of %s", keyFile, certFile)
		}
		log.Warn("the making of a new CA was cut off; the one before is used", "file", certFile)
	}
	if err := os.Remove(filepath.Join(dir, caKeyBefore)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return &authority{cert: cert, key: key, before: certBefore(dir)}, nil
}

// certBefore returns the CA that was replaced, nil if there was none.
func certBefore(dir string) *x509.Certificate {
	b, err := os.ReadFile(filepath.Join(dir, caCertBefore))
	if err != nil {
		return nil
	}
	c, err := parseCertificate(b)
	if err != nil {
		return nil
	}
	return c
}

// keyBefore puts the key of a CA back whose replacement was cut off between the
// key and the certificate.
func keyBefore(dir string, cert *x509.Certificate) (*ecdsa.PrivateKey, error) {
	key, err := readKey(filepath.Join(dir, caKeyBefore))
	if err != nil {
		return nil, err
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, errors.New("it is not that one either")
	}
	return key, writeKey(filepath.Join(dir, caKey), key)
}

// NewCA makes another CA, limited to the domains of today, and a leaf of it.
// Every device has to trust it anew, so nothing but a person asks for this.
func (m *Manager) NewCA(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.changing.Lock()
	defer m.changing.Unlock()
	m.Seen()

	return m.newCA()
}

// newCA makes another CA. m.changing is held.
func (m *Manager) newCA() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	before, old := filepath.Join(m.dir, caKeyBefore), m.ca.cert
	if err := writeFile(filepath.Join(m.dir, caCertBefore), encodeChain([][]byte{old.Raw}), 0o644); err != nil {
		return fmt.Errorf("make a new CA: %w", err)
	}
	if m.ca.key != nil {
		if err := writeKey(before, m.ca.key); err != nil {
			return fmt.Errorf("make a new CA: %w", err)
		}
	}
	key, err := newKey()
	if err == nil {
		err = writeKey(filepath.Join(m.dir, caKey), key)
	}
	if err != nil {
		return fmt.Errorf("make a new CA: %w", err)
	}
	ours := m.current.Load().ours && m.replaceable()
	ca, err := newAuthority(m.CAFile(), filepath.Join(m.dir, caKey), m.now(), m.domains(), m.names())
	if err != nil {
		return fmt.Errorf("make a new CA: %w", err)
	}
	if err := os.Remove(before); err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.log.Warn("the key of the CA before could not be removed", "file", before, "err", err)
	}
	ca.before = old
	m.ca = ca
	if m.rsa.Load() != nil {
		if err := m.issueRSA(); err != nil {
			return err
		}
	}
	_, m.leftOut = permit(ca.cert, sift(m.names()))
	if !ours {
		return nil
	}
	return m.issue()
}

func newAuthority(certFile, keyFile string, now time.Time, domains, names []string) (*authority, error) {
	key, err := ensureKey(keyFile)
	if err != nil {
		return nil, fmt.Errorf("make CA key: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber: serial,
		// Two boxes must not have CAs of one name: clients find an issuer by it.
		Subject:               pkix.Name{Organization: []string{"Pillarbox"}, CommonName: "Pillarbox private CA " + rand.Text()[:6]},
		NotBefore:             now.Add(-early),
		NotAfter:              now.Add(caLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	constrain(t, domains, names)
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("sign CA certificate: %w", err)
	}
	if err := writeFile(certFile, encodeChain([][]byte{der}), 0o644); err != nil {
		return nil, fmt.Errorf("write CA certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("parse CA certificate: %w", err)
	}
	return &authority{cert: cert, key: key}, nil
}

// signed tells whether the CA signed a certificate, or the one before it.
func (a *authority) signed(leaf *x509.Certificate) bool {
	return leaf.CheckSignatureFrom(a.cert) == nil || a.before != nil && leaf.CheckSignatureFrom(a.before) == nil
}

// issue signs a leaf for key and returns it with the full chain.
func (a *authority) issue(key crypto.Signer, n names, now time.Time) (*tls.Certificate, error) {
	if a.key == nil {
		return nil, errors.New("the CA's key is not here")
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{Organization: []string{"Pillarbox"}, CommonName: n.first()},
		NotBefore:    now.Add(-early),
		NotAfter:     earlier(now.Add(leafLife), a.cert.NotAfter),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     n.hosts,
		IPAddresses:  n.ips,
		// Some verifiers take a leaf without it for a CA of version 1.
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("sign certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("parse certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// newSerial returns 127 random bits; RFC 5280, section 4.1.2.2, allows 159.
func newSerial() (*big.Int, error) {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("make serial number: %w", err)
	}
	return n.Add(n, big.NewInt(1)), nil
}

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }
