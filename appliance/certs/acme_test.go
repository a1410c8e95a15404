package certs_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/letsencrypt/challtestsrv"
	pebbleca "github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"

	"pillarbox/appliance/certs"
)

// pebble is Let's Encrypt's own server for tests, in this process.
type pebble struct {
	directory string
	roots     *x509.CertPool // of its web server and of what it issues
	issued    *x509.CertPool
	dns       string // its name server, which says 127.0.0.1 of all names
	http, tls string // where it looks for proofs
	limited   atomic.Bool
	orders    atomic.Int64
}

type pebbleOptions struct {
	resolver string // another name server to look into
	keyed    bool   // accounts have to be bound
	validity time.Duration
}

const (
	eabID  = "kid-1"
	eabKey = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
)

// freePort returns a port that was free a moment ago, TCP and UDP.
func freePort(t *testing.T) int {
	t.Helper()
	for range 20 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := ln.Addr().(*net.TCPAddr).Port
		ln.Close()
		if c, err := net.ListenPacket("udp", "127.0.0.1:"+strconv.Itoa(port)); err == nil {
			c.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

func startPebble(t *testing.T, o pebbleOptions) *pebble {
	t.Helper()
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	t.Setenv("PEBBLE_WFE_NONCEREJECT", "20") // percent of good nonces
	t.Setenv("PEBBLE_AUTHZREUSE", "0")
	httpPort, tlsPort, dnsPort := freePort(t), freePort(t), freePort(t)
	p := &pebble{
		http: "127.0.0.1:" + strconv.Itoa(httpPort), tls: "127.0.0.1:" + strconv.Itoa(tlsPort),
		dns: "127.0.0.1:" + strconv.Itoa(dnsPort), roots: x509.NewCertPool(), issued: x509.NewCertPool(),
	}
	quiet := stdlog.New(io.Discard, "", 0)
	names, err := challtestsrv.New(challtestsrv.Config{DNSAddrs: []string{p.dns}, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	names.SetDefaultDNSIPv4("127.0.0.1")
	names.SetDefaultDNSIPv6("")
	go names.Run()
	t.Cleanup(names.Shutdown)
	if o.resolver == "" {
		o.resolver = p.dns
	}
	if o.validity == 0 {
		o.validity = 90 * 24 * time.Hour
	}
	store := db.NewMemoryStore()
	if err := store.AddExternalAccountKeyByID(eabID, eabKey); err != nil {
		t.Fatal(err)
	}
	if err := store.AddBlockedDomain("blocked.example"); err != nil {
		t.Fatal(err)
	}
	authority := pebbleca.New(quiet, store, "", "ecdsa", 0, 1, map[string]pebbleca.Profile{"default": {ValidityPeriod: uint64(o.validity.Seconds())}})
	checker := va.New(quiet, httpPort, tlsPort, false, o.resolver, store)
	front := wfe.New(quiet, store, checker, authority, []string{"pebble.example"}, false, o.keyed, 1, 1)
	handler := front.Handler()
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/order-plz" {
			p.orders.Add(1)
			if p.limited.Load() {
				w.Header().Set("Content-Type", "application/problem+json")
				w.Header().Set("Retry-After", "7200")
				w.WriteHeader(http.StatusTooManyRequests)
				fmt.Fprint(w, `{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many certificates already issued","status":429}`)
				return
			}
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	p.directory = srv.URL + wfe.DirectoryPath
	p.roots.AddCert(srv.Certificate())
	block, _ := pem.Decode(authority.GetRootCert(0).PEM())
	root, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	p.roots.AddCert(root)
	p.issued.AddCert(root)
	return p
}

// open opens a box that knows this CA.
func (p *pebble) open(t *testing.T, b *box, change ...func(*certs.Config)) *certs.Manager {
	t.Helper()
	c := b.config()
	c.Roots, c.HTTPAddr, c.TLSAddr, c.Resolver = p.roots, p.http, p.tls, p.dns
	for _, f := range change {
		f(c)
	}
	m, err := certs.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (p *pebble) settings(challenge certs.Challenge, change ...func(*certs.ACMESettings)) certs.Settings {
	a := &certs.ACMESettings{
		Directory: p.directory, Names: []string{"mail.office.example", "imap.office.example"}, Contact: "admin@office.example",
		Agreed: true, Challenge: challenge,
	}
	for _, f := range change {
		f(a)
	}
	return certs.Settings{Source: certs.ACME, ACME: a}
}

// verify shakes hands by a name and returns what is presented.
func verify(t *testing.T, addr, name string, roots *x509.CertPool, suites ...uint16) *x509.Certificate {
	t.Helper()
	conf := &tls.Config{RootCAs: roots, ServerName: name}
	if len(suites) > 0 {
		conf.CipherSuites, conf.MaxVersion = suites, tls.VersionTLS12
	}
	c, err := tls.Dial("tcp", addr, conf)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0]
}

func TestACMEOrders(t *testing.T) {
	p := startPebble(t, pebbleOptions{})
	for _, challenge := range []certs.Challenge{certs.HTTP01, certs.TLSALPN01} {
		t.Run(string(challenge), func(t *testing.T) {
			b := newBox(t)
			var walls []string // what the firewall is asked for
			m := p.open(t, b, func(c *certs.Config) {
				c.Open = func(_ context.Context, port int, open bool) error {
					walls = append(walls, fmt.Sprint(port, " ", open))
					return nil
				}
			})
			addr := greet(t, m)
			own := m.Leaf()
			s := p.settings(challenge, func(a *certs.ACMESettings) { a.RSA = challenge == certs.HTTP01 })
			if r, err := m.Check(t.Context(), s); err != nil || !r.OK() {
				t.Fatalf("check: %v, %+v", err, r)
			}
			old, err := m.Use(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range s.ACME.Names {
				if got := verify(t, addr, name, p.issued); got.PublicKeyAlgorithm != x509.ECDSA {
					t.Errorf("%s: %v", name, got.PublicKeyAlgorithm)
				}
			}
			verify(t, addr, "pillarbox.local", b.pool(t))
			if s.ACME.RSA {
				if got := verify(t, addr, "mail.office.example", p.issued, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256); got.PublicKeyAlgorithm != x509.RSA {
					t.Errorf("a client of RSA got %v", got.PublicKeyAlgorithm)
				}
			}
			port := map[certs.Challenge]string{certs.HTTP01: "80", certs.TLSALPN01: "443"}[challenge]
			if n := len(walls); n < 2 || walls[0] != port+" true" || walls[n-1] != port+" false" {
				t.Errorf("the firewall is asked for %q", walls)
			}
			for _, closed := range []string{p.http, p.tls} {
				if c, err := net.Dial("tcp", closed); err == nil {
					c.Close()
					t.Errorf("port %s stayed open", closed)
				}
			}
			files, err := os.ReadDir(b.dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				if fi, err := f.Info(); err != nil || strings.HasPrefix(f.Name(), "acme-") && fi.Mode() != 0o600 {
					t.Errorf("%s has mode %v", f.Name(), fi.Mode())
				}
			}
			// A restart, and a second use, order nothing.
			orders := p.orders.Load()
			if again := p.open(t, b); !again.Leaf().Equal(m.Leaf()) {
				t.Error("a restart presents something else")
			}
			if _, err := m.Use(t.Context(), s); err != nil || p.orders.Load() != orders {
				t.Errorf("used again: %v, %d orders more", err, p.orders.Load()-orders)
			}
			if _, err := m.Use(t.Context(), old); err != nil || !m.Leaf().Equal(own) {
				t.Errorf("taken back: %v", err)
			}
		})
	}
}

func TestTLSALPNProofThroughAPortThatIsServedAlready(t *testing.T) {
	p := startPebble(t, pebbleOptions{})
	b := newBox(t)
	m := p.open(t, b)
	ln, err := tls.Listen("tcp", p.tls, m.TLSConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { c.(*tls.Conn).Handshake(); c.Close() }()
		}
	}()
	if _, err := m.Use(t.Context(), p.settings(certs.TLSALPN01)); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Leaf().Verify(x509.VerifyOptions{DNSName: "mail.office.example", Roots: p.issued, Intermediates: intermediates(t, ln.Addr().String())}); err != nil {
		t.Error(err)
	}
}

// TestHTTPProofThroughAPortThatIsServedAlready has the port of the web page answer.
func TestHTTPProofThroughAPortThatIsServedAlready(t *testing.T) {
	p := startPebble(t, pebbleOptions{})
	b := newBox(t)
	var opened []string
	m := p.open(t, b, func(c *certs.Config) {
		c.Open = func(_ context.Context, port int, open bool) error {
			opened = append(opened, fmt.Sprint(port, open))
			return nil
		}
	})
	ln, err := net.Listen("tcp", p.http)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc(certs.ACMEPath, m.ServeProof)
	server := &http.Server{Handler: mux}
	go server.Serve(ln)
	defer server.Close()
	m.ShareProofs(true, false)
	if _, err := m.Use(t.Context(), p.settings(certs.HTTP01)); err != nil {
		t.Fatal(err)
	}
	if m.Leaf().Subject.CommonName == "" && len(m.Leaf().DNSNames) == 0 || !m.Own() {
		t.Error("the certificate is not the one that was ordered")
	}
	if len(opened) != 2 || opened[0] != "80 true" || opened[1] != "80 false" {
		t.Errorf("the firewall was told %v", opened)
	}
	res, err := http.Get("http://" + p.http + certs.ACMEPath + "x")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusNotFound {
		t.Errorf("a proof that nobody looks for: status %d", res.StatusCode)
	}
}

func intermediates(t *testing.T, addr string) *x509.CertPool {
	t.Helper()
	c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, ServerName: "mail.office.example"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	pool := x509.NewCertPool()
	for _, x := range c.ConnectionState().PeerCertificates[1:] {
		pool.AddCert(x)
	}
	return pool
}

func TestExternalAccountBinding(t *testing.T) {
	p := startPebble(t, pebbleOptions{keyed: true})
	m := p.open(t, newBox(t))
	_, err := m.Use(t.Context(), p.settings(certs.HTTP01))
	if err == nil || !strings.Contains(err.Error(), "external account binding") {
		t.Errorf("without a key: %v", err)
	}
	bind := func(id, key string) certs.Settings {
		return p.settings(certs.HTTP01, func(a *certs.ACMESettings) { a.EABKeyID, a.EABKey = id, certs.Secret(key) })
	}
	wrong := base64.RawURLEncoding.EncodeToString([]byte("another key of that length or so"))
	if _, err := m.Use(t.Context(), bind(eabID, wrong)); err == nil {
		t.Error("a wrong key was accepted")
	}
	if _, err := m.Use(t.Context(), bind(eabID, eabKey)); err != nil {
		t.Error(err)
	}
}

func TestACMEFailuresAreExplainedAndChangeNothing(t *testing.T) {
	p := startPebble(t, pebbleOptions{})
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	tests := []struct {
		name   string
		config func(*certs.Config)
		s      certs.Settings
		want   string
	}{
		{"the CA cannot connect", func(c *certs.Config) { c.HTTPAddr = "127.0.0.2:" + port(p.http) }, p.settings(certs.HTTP01), "could not connect to the box on port 80"},
		{"the port is taken", func(c *certs.Config) { c.HTTPAddr = busy.Addr().String() }, p.settings(certs.HTTP01), "another program listens there"},
		{"a name that the CA refuses", nil, p.settings(certs.HTTP01, func(a *certs.ACMESettings) { a.Names = []string{"blocked.example"} }), "does not certify that name"},
		{"no CA at all", nil, p.settings(certs.HTTP01, func(a *certs.ACMESettings) { a.Directory = "https://127.0.0.1:1/dir" }), "cannot be read"},
		{"a CA that is not trusted", func(c *certs.Config) { c.Roots = x509.NewCertPool() }, p.settings(certs.HTTP01), "certificate signed by unknown authority"},
		{"no such provider", nil, p.settings(certs.DNS01, func(a *certs.ACMESettings) { a.DNS = &certs.DNSSettings{Provider: "nobody"} }), `"nobody" is not known`},
		{"a name of the office's network", nil, p.settings(certs.HTTP01, func(a *certs.ACMESettings) { a.Names = []string{"box.local"} }), "in this network only"},
		{"an address", nil, p.settings(certs.HTTP01, func(a *certs.ACMESettings) { a.Names = []string{"192.0.2.1"} }), "is an address"},
		{"terms not agreed to", nil, p.settings(certs.HTTP01, func(a *certs.ACMESettings) { a.Agreed = false }), "terms of service"},
		{"a wildcard by http-01", nil, p.settings(certs.HTTP01, func(a *certs.ACMESettings) { a.Names = []string{"*.office.example"} }), "needs the challenge dns-01"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBox(t)
			change := tt.config
			if change == nil {
				change = func(*certs.Config) {}
			}
			m := p.open(t, b, change)
			before := m.Leaf()
			if _, err := m.Use(t.Context(), tt.s); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("use: %v, want %q", err, tt.want)
			}
			if !m.Leaf().Equal(before) || m.Settings().Source != "" {
				t.Error("something changed")
			}
			if _, err := os.Stat(b.dir + "/settings.json"); err == nil {
				t.Error("the settings were kept")
			}
		})
	}
	t.Run("rate limit", func(t *testing.T) {
		p.limited.Store(true)
		defer p.limited.Store(false)
		m := p.open(t, newBox(t))
		if _, err := m.Use(t.Context(), p.settings(certs.HTTP01)); err == nil || !strings.Contains(err.Error(), "has stopped for a while") {
			t.Errorf("use: %v", err)
		}
	})
	t.Run("somebody loses patience", func(t *testing.T) {
		m := p.open(t, newBox(t))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := m.Use(ctx, p.settings(certs.HTTP01)); err == nil {
			t.Error("used all the same")
		}
	})
}

func port(addr string) string {
	_, p, _ := net.SplitHostPort(addr)
	return p
}

// TestACMERenewal renews while a connection is open, waits as long as the CA
// says after a refusal, and tells of a renewal that is late. The box's clock
// runs ahead of the CA's.
func TestACMERenewal(t *testing.T) {
	p := startPebble(t, pebbleOptions{})
	b := newBox(t)
	var ahead atomic.Int64
	m := p.open(t, b, func(c *certs.Config) {
		c.Interval = 20 * time.Millisecond
		c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	run(t, m)
	addr := greet(t, m)
	if _, err := m.Use(t.Context(), p.settings(certs.HTTP01)); err != nil {
		t.Fatal(err)
	}
	first := m.Leaf()
	held, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: p.issued, ServerName: "mail.office.example"})
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	held.SetDeadline(time.Now().Add(5 * time.Minute))
	if _, err := io.ReadFull(held, make([]byte, 6)); err != nil {
		t.Fatal(err)
	}

	orders := p.orders.Load()
	p.limited.Store(true)
	ahead.Store(int64(70 * 24 * time.Hour))
	await(t, "a refusal", func() bool { return strings.Contains(b.logged(), "could not be renewed") })
	await(t, "the tries after it", func() bool { return p.orders.Load() > orders })
	if err := m.Expiring(); err == nil || !strings.Contains(err.Error(), "its renewal is late") || !strings.Contains(err.Error(), "has stopped for a while") {
		t.Errorf("while it fails: %v", err)
	}
	if err := m.Health(); err != nil {
		t.Errorf("while it fails: %v", err)
	}
	p.limited.Store(false)
	orders = p.orders.Load()
	ahead.Store(int64(70*24*time.Hour + time.Hour)) // the CA said two hours
	time.Sleep(300 * time.Millisecond)
	if p.orders.Load() != orders {
		t.Error("the CA was asked again before it wanted that")
	}
	ahead.Store(int64(70*24*time.Hour + 3*time.Hour))
	await(t, "a renewal", func() bool { return !m.Leaf().Equal(first) })
	ahead.Store(0)
	if got := verify(t, addr, "mail.office.example", p.issued); !got.Equal(m.Leaf()) {
		t.Error("the renewed one is not presented")
	}
	if _, err := held.Write([]byte("still here\n")); err != nil {
		t.Error(err)
	}
	if err := m.Expiring(); err != nil {
		t.Error(err)
	}
	second := m.Leaf()
	if err := m.Renew(t.Context()); err != nil || m.Leaf().Equal(second) {
		t.Errorf("renewed by hand: %v", err)
	}
}

// await waits for something that takes an unknown time.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not come", what)
		}
	}
}
