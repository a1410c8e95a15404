package certs

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// The leaf for clients that cannot use an ECDSA key. It is made when the first
// of them comes, which takes a moment once, and renewed with the other.
const (
	rsaCert = "server-rsa.crt"
	rsaKey  = "server-rsa.key"
	rsaBits = 2048
)

// rsaFor returns the leaf for a client that can use RSA alone, nil if it cannot
// use that either, or if there is none and it cannot be made.
func (m *Manager) rsaFor(hello *tls.ClientHelloInfo) *tls.Certificate {
	if !usesRSA(hello) {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.rsa.Load(); c != nil {
		return c
	}
	if m.ca.key == nil || m.rsaFailed {
		return nil
	}
	if err := m.issueRSA(); err != nil {
		m.rsaFailed = true // until the next start: no client may have keys made again and again
		m.log.Error("a certificate with an RSA key, for an old mail program, could not be made", "err", err)
		return nil
	}
	m.log.Info("a certificate with an RSA key was made for an old mail program", "remote", hello.Conn.RemoteAddr().String())
	return m.rsa.Load()
}

// usesRSA tells whether the client has a signature algorithm and a cipher for RSA.
func usesRSA(hello *tls.ClientHelloInfo) bool {
	for _, s := range hello.SignatureSchemes {
		switch s {
		case tls.PSSWithSHA256, tls.PSSWithSHA384, tls.PSSWithSHA512, tls.PKCS1WithSHA256, tls.PKCS1WithSHA384, tls.PKCS1WithSHA512:
			return true
		}
	}
	return len(hello.SignatureSchemes) == 0
}

// issueRSA makes the leaf, with the key that is there. The caller holds m.mu.
func (m *Manager) issueRSA() error {
	path := filepath.Join(m.dir, rsaKey)
	key, err := readRSAKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		if key, err = rsa.GenerateKey(rand.Reader, rsaBits); err != nil {
			return fmt.Errorf("make RSA key: %w", err)
		}
		err = writeKey(path, key)
	}
	if err != nil {
		return err
	}
	c, err := m.ca.issue(key, m.permitted(), m.now())
	if err != nil {
		return fmt.Errorf("issue RSA certificate: %w", err)
	}
	if err := writeFile(filepath.Join(m.dir, rsaCert), encodeChain(c.Certificate), 0o644); err != nil {
		return fmt.Errorf("write RSA certificate: %w", err)
	}
	m.rsa.Store(c)
	return nil
}

// openRSA loads the leaf if there is one of our CA's.
func (m *Manager) openRSA() {
	c, err := tls.LoadX509KeyPair(filepath.Join(m.dir, rsaCert), filepath.Join(m.dir, rsaKey))
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		m.log.Warn("the certificate with an RSA key cannot be used; another is made when it is needed", "err", err)
	case m.ca.signed(c.Leaf):
		m.rsa.Store(&c)
	}
}

// maintainRSA renews the leaf with the other one's measure.
func (m *Manager) maintainRSA() error {
	c := m.rsa.Load()
	if c == nil || m.ca.key == nil || m.due(m.now(), c.Leaf) == "" {
		return nil
	}
	return m.issueRSA()
}

func readRSAKey(path string) (*rsa.PrivateKey, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	bundle := &Bundle{}
	if err := bundle.addPEM(b); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(bundle.Keys) == 1 {
		if key, ok := bundle.Keys[0].(*rsa.PrivateKey); ok {
			return key, nil
		}
	}
	return nil, fmt.Errorf("read %s: it holds no RSA key", path)
}

// writeKey writes a key for this service alone.
func writeKey(path string, key any) error {
	b, err := encodeKey(key)
	if err != nil {
		return err
	}
	if err := writeFile(path, b, 0o600); err != nil {
		return fmt.Errorf("write key: %w", err)
	}
	return nil
}
