package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
	"golang.org/x/net/netutil"
)

const (
	protocolACME = "acme-tls/1" // RFC 8737
	// Bounds of the ports that are open while a CA looks.
	proofConns = 64
	proofTime  = 10 * time.Second

	// keepOutTime is how long a firewall that hangs may keep the box from stopping.
	keepOutTime = 10 * time.Second
)

// proofs show a CA that names are ours. Ports are open only while it looks.
type proofs struct {
	log      *slog.Logger
	http     string // addresses to listen on
	tls      string
	config   func() *tls.Config
	provider func(*DNSSettings) (acmez.Solver, error)
	open     func(ctx context.Context, port int, open bool) error

	shared struct{ http, tls bool } // others have the port, and ask us
	ports  sync.Mutex               // held while one is opened or closed, which may take the firewall a while
	httpLn net.Listener             // nil while closed
	tlsLn  net.Listener

	mu    sync.Mutex                  // held shortly: each handshake may ask
	texts map[string]string           // by the path of the URL
	certs map[string]*tls.Certificate // by host name
}

// solver returns who meets the challenge that is set.
func (p *proofs) solver(s *ACMESettings) (acmez.Solver, error) {
	switch s.Challenge {
	case HTTP01:
		return httpProof{p}, nil
	case TLSALPN01:
		return tlsProof{p}, nil
	}
	return p.provider(s.DNS)
}

// ready tells whether the port that the challenge needs can be opened.
func (p *proofs) ready(s *ACMESettings) error {
	if s.Challenge != HTTP01 {
		return nil // a router may forward port 443 to one that we serve already
	}
	p.ports.Lock()
	defer p.ports.Unlock()
	if p.httpLn != nil || p.shared.http {
		return nil
	}
	ln, err := p.listen(p.http)
	if err != nil {
		return err
	}
	return ln.Close()
}

func (p *proofs) listen(addr string) (net.Listener, error) {
	ln, err := net.Listen("tcp", addr)
	switch {
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("open the port for the CA: %w: give the program the capability CAP_NET_BIND_SERVICE, or use the challenge dns-01", err)
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("open the port for the CA: %w: another program listens there; stop it, or use the challenge dns-01", err)
	case err != nil:
		return nil, fmt.Errorf("open the port for the CA: %w", err)
	}
	return netutil.LimitListener(ln, proofConns), nil
}

// httpProof answers on port 80 (RFC 8555, section 8.3).
type httpProof struct{ p *proofs }

// Present implements acmez.Solver.
func (h httpProof) Present(ctx context.Context, c acme.Challenge) error {
	p := h.p
	p.ports.Lock()
	defer p.ports.Unlock()
	p.mu.Lock()
	p.texts[c.HTTP01ResourcePath()] = c.KeyAuthorization
	first := len(p.texts) == 1
	p.mu.Unlock()
	switch {
	case p.httpLn != nil || p.shared.http && !first:
		return nil
	case p.shared.http:
		return p.letIn(ctx, portHTTP)
	}
	ln, err := p.listen(p.http)
	if err != nil {
		return err
	}
	p.httpLn = ln
	server := &http.Server{
		Handler: http.HandlerFunc(p.serveText), MaxHeaderBytes: 8 << 10,
		ReadTimeout: proofTime, WriteTimeout: proofTime, IdleTimeout: proofTime,
		ErrorLog: slog.NewLogLogger(p.log.Handler(), slog.LevelDebug),
	}
	go func() { _ = server.Serve(ln) }() // it ends when CleanUp closes ln
	return p.letIn(ctx, portHTTP)
}

// The ports on which a CA looks, whatever stands behind them here.
const (
	portHTTP  = 80
	portHTTPS = 443
)

// letIn has the firewall let the CA in.
func (p *proofs) letIn(ctx context.Context, port int) error {
	if err := p.open(ctx, port, true); err != nil {
		return fmt.Errorf("open port %d in the firewall for the CA: %w", port, err)
	}
	return nil
}

// keepOut has the firewall keep everybody out again. Where it does not answer,
// it does so by itself.
func (p *proofs) keepOut(ctx context.Context, port int) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepOutTime)
	defer cancel()
	if err := p.open(ctx, port, false); err != nil {
		p.log.Warn("the firewall closes the port for the CA later", "port", port, "err", err)
	}
}

// CleanUp implements acmez.Solver.
func (h httpProof) CleanUp(ctx context.Context, c acme.Challenge) error {
	p := h.p
	p.ports.Lock()
	defer p.ports.Unlock()
	p.mu.Lock()
	delete(p.texts, c.HTTP01ResourcePath())
	left := len(p.texts)
	p.mu.Unlock()
	if left > 0 || p.httpLn == nil && !p.shared.http {
		return nil
	}
	p.keepOut(ctx, portHTTP)
	if p.httpLn == nil {
		return nil
	}
	err := p.httpLn.Close()
	p.httpLn = nil
	return err
}

// ACMEPath is where a CA asks on port 80 (RFC 8555, section 8.3).
const ACMEPath = "/.well-known/acme-challenge/"

// ShareProofs tells which of the two ports are open already: whoever has port 80
// asks [Manager.ServeProof] about what is below ACMEPath, and TLS on port 443
// answers by itself. Of others the Manager opens each for as long as a CA looks.
func (m *Manager) ShareProofs(http, tls bool) {
	m.proofs.ports.Lock()
	defer m.proofs.ports.Unlock()
	m.proofs.shared.http, m.proofs.shared.tls = http, tls
}

// ServeProof answers a CA that looks for a proof, and nobody else.
func (m *Manager) ServeProof(w http.ResponseWriter, r *http.Request) { m.proofs.serveText(w, r) }

func (p *proofs) serveText(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	text, ok := p.texts[r.URL.Path]
	p.mu.Unlock()
	if !ok || r.Method != http.MethodGet && r.Method != http.MethodHead {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write([]byte(text)) // a CA that has gone asks again
}

// tlsProof answers by a certificate, on port 443 and on every TLS port that is
// open already: a router may forward 443 to one of those (RFC 8737).
type tlsProof struct{ p *proofs }

// Present implements acmez.Solver.
func (t tlsProof) Present(ctx context.Context, c acme.Challenge) error {
	cert, err := acmez.TLSALPN01ChallengeCert(c)
	if err != nil {
		return fmt.Errorf("make the certificate for the CA to see: %w", err)
	}
	p := t.p
	p.ports.Lock()
	defer p.ports.Unlock()
	p.mu.Lock()
	p.certs[c.Identifier.Value] = cert
	first := len(p.certs) == 1
	p.mu.Unlock()
	switch {
	case p.tlsLn != nil || p.shared.tls && !first:
		return nil
	case p.shared.tls:
		return p.letIn(ctx, portHTTPS)
	}
	ln, err := p.listen(p.tls)
	if err != nil {
		p.log.Warn("the CA finds the box only if its port 443 is forwarded to a port that is open here", "err", err)
		return nil
	}
	p.tlsLn = ln
	go p.serveTLS(ln)
	return p.letIn(ctx, portHTTPS)
}

// CleanUp implements acmez.Solver.
func (t tlsProof) CleanUp(ctx context.Context, c acme.Challenge) error {
	p := t.p
	p.ports.Lock()
	defer p.ports.Unlock()
	p.mu.Lock()
	delete(p.certs, c.Identifier.Value)
	left := len(p.certs)
	p.mu.Unlock()
	if left > 0 || p.tlsLn == nil && !p.shared.tls {
		return nil
	}
	p.keepOut(ctx, portHTTPS)
	if p.tlsLn == nil {
		return nil
	}
	err := p.tlsLn.Close()
	p.tlsLn = nil
	return err
}

// serveTLS does handshakes and no more, until ln is closed.
func (p *proofs) serveTLS(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(100 * time.Millisecond) // too many open files, and the like
			continue
		}
		go func() {
			defer c.Close()
			if c.SetDeadline(time.Now().Add(proofTime)) == nil {
				_ = tls.Server(c, p.config()).Handshake() // what failed is the CA's to tell
			}
		}()
	}
}

// IsProof tells whether a handshake was a CA's that looked, which is all that it
// is good for (RFC 8737, section 4).
func IsProof(s tls.ConnectionState) bool { return s.NegotiatedProtocol == protocolACME }

// proof returns the configuration for a CA that looks, nil for all others.
func (m *Manager) proof(hello *tls.ClientHelloInfo) *tls.Config {
	if !slices.Contains(hello.SupportedProtos, protocolACME) {
		return nil
	}
	m.proofs.mu.Lock()
	cert := m.proofs.certs[strings.ToLower(hello.ServerName)]
	m.proofs.mu.Unlock()
	if cert == nil {
		return nil
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*cert}, NextProtos: []string{protocolACME}, SessionTicketsDisabled: true,
	}
}
