package certs

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
)

// Policy is how strict TLS is, on all ports alike.
type Policy string

// The policies. There is none that allows what is older.
const (
	Intermediate Policy = "intermediate" // TLS 1.2 with forward secrecy and AEAD, and 1.3
	Modern       Policy = "modern"       // TLS 1.3
)

func (p Policy) valid() bool { return p == "" || p == Intermediate || p == Modern }

// protocolIMAP is what a mail program may name in ALPN (RFC 2595's registration
// in IANA's list of application-layer protocols).
const protocolIMAP = "imap"

// suites12 are the suites for TLS 1.2 that have forward secrecy and AEAD. Go's
// default has CBC suites with SHA-1 as well.
var suites12 = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// Ask is whether a client is asked for a certificate of its own.
type Ask int

// The clients are not asked, may show one, or must show one that is known.
const (
	AskNothing Ask = iota
	AskOffered
	AskRequired
)

// choice is what a handshake's configuration depends on.
type choice struct {
	modern, imap bool
	ask          Ask
}

// configs are what a handshake may get. They share the session tickets of the
// first: package tls takes those of the listener's.
type configs map[choice]*tls.Config

func (m *Manager) makeConfigs() {
	plain := &tls.Config{
		MinVersion:   tls.VersionTLS12,
		CipherSuites: suites12,
		Time:         m.now,
		// Go begins with small records for the sake of the first octets of a
		// web page; a mail program wants the whole answer.
		DynamicRecordSizingDisabled: true,
		GetCertificate:              m.certificate,
		GetConfigForClient:          m.configFor,
	}
	m.configs = configs{{}: plain}
	for _, modern := range []bool{false, true} {
		for _, imap := range []bool{false, true} {
			for _, ask := range []Ask{AskNothing, AskOffered, AskRequired} {
				x := choice{modern, imap, ask}
				if x == (choice{}) {
					continue
				}
				c := plain.Clone()
				if modern {
					c.MinVersion = tls.VersionTLS13
				}
				if imap {
					c.NextProtos = []string{protocolIMAP}
				}
				switch ask {
				case AskOffered:
					// Whose it is is looked up when it is used: what a client
					// shows by mistake must not keep it out.
					c.ClientAuth = tls.RequestClientCert
				case AskRequired:
					c.ClientAuth, c.VerifyConnection = tls.RequireAnyClientCert, m.verifyDevice
				}
				m.configs[x] = c
			}
		}
	}
}

// verifyDevice lets only devices in that are known; also who resumes a session,
// for a certificate may have been revoked since.
func (m *Manager) verifyDevice(s tls.ConnectionState) error {
	if len(s.PeerCertificates) == 0 {
		return errNoDevice
	}
	if err := m.known(s.PeerCertificates[0]); err != nil {
		return fmt.Errorf("%w: %w", errUnknownDevice, err)
	}

	return nil
}

// What the handshake log tells in words.
var (
	errNoDevice      = errors.New("the client has no certificate of its own, which is required here")
	errUnknownDevice = errors.New("the client's certificate is not one of a device that may sign in")
)

// hearing is a connection that wants to know what the client offered, also if
// the handshake then fails.
type hearing interface {
	Heard(hello *tls.ClientHelloInfo)
}

// configFor chooses by what the client offers. A client that names other
// protocols alone gets no answer about them: Go would fail the handshake.
func (m *Manager) configFor(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	if c, ok := hello.Conn.(hearing); ok {
		c.Heard(hello)
	}
	if c := m.proof(hello); c != nil {
		return c, nil
	}
	return m.configs[choice{
		modern: m.settings.Load().Policy == Modern,
		imap:   slices.Contains(hello.SupportedProtos, protocolIMAP),
		ask:    m.ask(hello.Conn),
	}], nil
}

// certificate chooses by the client's name for us and by the keys it can use:
// first of the source in use, then of our own CA, so that devices that know the
// box by another name, or cannot use the first kind of key, are served too.
func (m *Manager) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	all := m.served()
	for _, c := range all {
		if hello.SupportsCertificate(c) == nil {
			return c, nil
		}
	}
	nameless := *hello
	nameless.ServerName = ""
	for _, c := range all {
		if nameless.SupportsCertificate(c) == nil {
			return c, nil
		}
	}
	if c := m.rsaFor(&nameless); c != nil {
		return c, nil
	}
	return all[0], nil // the handshake fails, and says why
}

// served returns the certificates in use, those of the source first.
func (m *Manager) served() []*tls.Certificate {
	var all []*tls.Certificate
	if p := m.public.Load(); p != nil {
		all = append(all, p.pairs...)
	}
	all = append(all, m.current.Load().Certificate)
	if c := m.rsa.Load(); c != nil {
		all = append(all, c)
	}
	return all
}
