package appliance

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pillarbox/appliance/config"
	"pillarbox/storage"
)

// quiet is for a server on loopback, with free ports, that says nothing.
func quiet(dir string) *Config {
	free := []string{"127.0.0.1:0"}

	return &Config{Dir: dir, Logger: slog.New(slog.DiscardHandler), IMAPS: free, IMAPSLegacy: free, LMTP: free, Hostname: "mail.office.example"}
}

// opened opens a box that does not run yet.
func opened(t *testing.T, dir string) *Appliance {
	t.Helper()
	a, err := New(t.Context(), quiet(dir))
	if err != nil {
		t.Fatal(err)
	}

	return a
}

func closed(t *testing.T, a *Appliance) {
	t.Helper()
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}

// confirmed makes a change of the settings that holds.
func confirmed(t *testing.T, a *Appliance, change func(d *config.Document)) {
	t.Helper()
	d := a.settings.Current().Document
	change(&d)
	p, _, err := a.settings.Propose(t.Context(), &config.Proposal{Document: d, By: "anna"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.settings.Confirm(t.Context(), p.ID, config.Proof{By: "anna", Began: time.Now()}); err != nil {
		t.Fatal(err)
	}
}

// stranger is a connection from an address.
type stranger struct {
	net.Conn
	from string
}

func (s stranger) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(s.from), 4711))
}

// noPasswords keeps passwords from a network.
func noPasswords(network string) func(d *config.Document) {
	return func(d *config.Document) {
		d.SignIn.Rules = []config.SignInRule{{Networks: []netip.Prefix{netip.MustParsePrefix(network)}, Mechanisms: []string{scramOnly}}}
	}
}

const scramOnly = "SCRAM-SHA-256"

func (a *Appliance) takesPasswords(from string) bool {
	s := &signIn{dir: a.office.directory, policy: a.office.policy}

	return slices.Contains(s.Offered(stranger{from: from}), "PLAIN")
}

// TestRulesOfSigningInHoldBeforeAnybodyIsConnected: the listeners are open before
// the settings are applied.
func TestRulesOfSigningInHoldBeforeAnybodyIsConnected(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	a := opened(t, dir)
	confirmed(t, a, noPasswords("192.0.2.0/24"))
	closed(t, a)
	a = opened(t, dir)
	defer closed(t, a)
	if a.takesPasswords("192.0.2.1") || !a.takesPasswords("198.51.100.1") {
		t.Errorf("passwords are taken: %v, from elsewhere: %v", a.takesPasswords("192.0.2.1"), a.takesPasswords("198.51.100.1"))
	}
}

// TestDamagedSettingsDoNotDropTheRulesOfSigningIn, and the box's health says
// whose hold.
func TestDamagedSettingsDoNotDropTheRulesOfSigningIn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	a := opened(t, dir)
	confirmed(t, a, noPasswords("192.0.2.0/24"))
	confirmed(t, a, noPasswords("192.0.0.0/16"))
	err := a.office.store.System().Update(t.Context(), func(tx *storage.SystemTx) error {
		return tx.Put(settingsSection, "version/0000000003", []byte("{"))
	})
	if err != nil {
		t.Fatal(err)
	}
	closed(t, a)
	a = opened(t, dir)
	defer closed(t, a)
	if err := a.settings.Start(t.Context()); err != nil {
		t.Error(err)
	}
	if a.takesPasswords("192.0.2.1") {
		t.Error("no rule holds")
	}
	if err := a.checkSettings(t.Context()); err == nil || !strings.Contains(err.Error(), "sign-in: version 2 holds in its place: version 3 of the settings") {
		t.Errorf("health says: %v", err)
	}
}

// serving has something serve a port until the test ends.
func serving(t *testing.T, serve func(ctx context.Context, ln net.Listener) error) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- serve(ctx, ln) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})

	return ln.Addr().String()
}

// TestACAThatLooksGetsNoMail, for it was asked for no certificate.
func TestACAThatLooksGetsNoMail(t *testing.T) {
	a := opened(t, filepath.Join(t.TempDir(), "data"))
	t.Cleanup(func() { closed(t, a) })
	conf := a.certs.TLSConfig().Clone()
	conf.GetConfigForClient, conf.NextProtos = nil, []string{"acme-tls/1"}
	addr := serving(t, func(ctx context.Context, ln net.Listener) error {
		return a.access.Serve(ctx, ln, nameIMAPS, conf, a.session)
	})
	c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"acme-tls/1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); err != nil || len(got) > 0 {
		t.Errorf("it got %q, %v", got, err)
	}
}

// TestPrometheusIsAskedForNoCertificate where each device is that fetches mail.
func TestPrometheusIsAskedForNoCertificate(t *testing.T) {
	a := opened(t, filepath.Join(t.TempDir(), "data"))
	t.Cleanup(func() { closed(t, a) })
	a.office.policy.active.Store(&activePolicy{conf: config.SignIn{Rules: []config.SignInRule{{Certificate: config.CertificateRequired}}}})
	for _, tt := range []struct {
		port  string
		asked bool
		serve func(ctx context.Context, ln net.Listener) error
	}{
		{"mail", true, func(ctx context.Context, ln net.Listener) error {
			return a.access.Serve(ctx, ln, nameIMAPS, a.certs.TLSConfig(), a.session)
		}},
		{"metrics", false, a.metrics.server.Serve},
	} {
		asked := false
		c, err := tls.Dial("tcp", serving(t, tt.serve), &tls.Config{
			InsecureSkipVerify: true, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				asked = true
				return &tls.Certificate{}, nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		if asked != tt.asked {
			t.Errorf("the port for %s asks: %v", tt.port, asked)
		}
	}
}
