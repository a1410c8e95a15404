package certs

import (
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
}

// openAuthority loads the CA, and makes it if there is none.
func openAuthority(dir string, now time.Time, log *slog.Logger) (*authority, error) {
	certFile, keyFile := filepath.Join(dir, caCert), filepath.Join(dir, caKey)
	b, err := os.ReadFile(certFile)
	if errors.Is(err, fs.ErrNotExist) {
		return newAuthority(certFile, keyFile, now)
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
		return &authority{cert: cert}, nil
	}
	if err != nil {
		return nil, err
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, fmt.Errorf("%s is not the key of %s", keyFile, certFile)
	}
	return &authority{cert: cert, key: key}, nil
}

func newAuthority(certFile, keyFile string, now time.Time) (*authority, error) {
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

// signed tells whether the CA signed a certificate.
func (a *authority) signed(leaf *x509.Certificate) bool {
	return leaf.CheckSignatureFrom(a.cert) == nil
}

// issue signs a leaf for key and returns it with the full chain.
func (a *authority) issue(key *ecdsa.PrivateKey, n names, now time.Time) (*tls.Certificate, error) {
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
