package certs_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pillarbox/appliance/certs"
)

// greet serves connections that are told "hello" after their handshake.
func greet(t *testing.T, m *certs.Manager) string {
	t.Helper()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", m.TLSConfig())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(20 * time.Second))
				io.WriteString(c, "hello\n")
				io.Copy(io.Discard, c)
			}()
		}
	}()
	return ln.Addr().String()
}

func TestPolicy(t *testing.T) {
	b := newBox(t)
	m := b.open(t)
	addr := greet(t, m)
	clientCert, clientKey := foreign(t, time.Hour)
	pair, err := tls.X509KeyPair([]byte(clientCert), []byte(clientKey))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		client *tls.Config
		refuse string // part of the client's error; "" where it succeeds
	}{
		{"TLS 1.3", &tls.Config{MinVersion: tls.VersionTLS13}, ""},
		{"TLS 1.2", &tls.Config{MaxVersion: tls.VersionTLS12}, ""},
		{"TLS 1.1", &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, "protocol version"},
		{"CBC alone", &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA,
		}}, "handshake failure"},
		{"ALPN imap", &tls.Config{NextProtos: []string{"h2", "imap"}}, ""},
		{"ALPN of something else", &tls.Config{NextProtos: []string{"h2", "acme-tls/1"}}, ""},
		{"client certificate of an unknown CA", &tls.Config{Certificates: []tls.Certificate{pair}}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			conf := tt.client.Clone()
			conf.RootCAs = b.pool(t)
			conf.ServerName = "mail.office.example"
			c, err := tls.Dial("tcp", addr, conf)
			if tt.refuse != "" {
				if err == nil || !strings.Contains(err.Error(), tt.refuse) {
					t.Errorf("dial: %v, want %q", err, tt.refuse)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			want := map[string]string{"ALPN imap": "imap"}[tt.name]
			if got := c.ConnectionState().NegotiatedProtocol; got != want {
				t.Errorf("ALPN %q, want %q", got, want)
			}
			if c.ConnectionState().Version == tls.VersionTLS13 && c.ConnectionState().CurveID != tls.X25519MLKEM768 {
				t.Errorf("key exchange %v is not safe from quantum computers", c.ConnectionState().CurveID)
			}
			if got, err := io.ReadAll(io.LimitReader(c, 6)); string(got) != "hello\n" || err != nil {
				t.Errorf("read %q, %v", got, err)
			}
		})
	}
}

func TestSessionsResumeOnEveryPort(t *testing.T) {
	b := newBox(t)
	m := b.open(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			conf := &tls.Config{
				RootCAs: b.pool(t), ServerName: "localhost", MaxVersion: version,
				ClientSessionCache: tls.NewLRUClientSessionCache(2),
			}
			for i, addr := range []string{greet(t, m), greet(t, m)} {
				c, err := tls.Dial("tcp", addr, conf)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(c, make([]byte, 6)); err != nil {
					t.Fatal(err)
				}
				if got := c.ConnectionState().DidResume; got != (i > 0) {
					t.Errorf("connection %d: resumed is %v", i, got)
				}
				c.Close()
			}
		})
	}
}

func TestModernPolicyHoldsFromTheNextHandshakeOn(t *testing.T) {
	b := newBox(t)
	m := b.open(t)
	addr := greet(t, m)
	dial := func(version uint16, protocols ...string) error {
		c, err := tls.Dial("tcp", addr, &tls.Config{
			RootCAs: b.pool(t), ServerName: "localhost", MinVersion: version, MaxVersion: version, NextProtos: protocols,
		})
		if err == nil {
			c.Close()
		}
		return err
	}
	for _, step := range []struct {
		policy certs.Policy
		old    bool
	}{{certs.Modern, false}, {certs.Intermediate, true}, {"", true}} {
		if _, err := m.Use(t.Context(), certs.Settings{Policy: step.policy}); err != nil {
			t.Fatal(err)
		}
		if err := dial(tls.VersionTLS12); (err == nil) != step.old {
			t.Errorf("%q: TLS 1.2: %v", step.policy, err)
		}
		if err := dial(tls.VersionTLS13, "imap"); err != nil {
			t.Errorf("%q: TLS 1.3: %v", step.policy, err)
		}
	}
	if _, err := m.Use(t.Context(), certs.Settings{Policy: "old"}); err == nil {
		t.Error("an older policy was accepted")
	}
}

// TestTicketKeysRotate has a session resumed after its key was followed by
// another, and not when that was too long ago.
func TestTicketKeysRotate(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			b := newBox(t)
			var ahead atomic.Int64
			now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
			c := b.config()
			c.Now = now
			m, err := certs.Open(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			addr := greet(t, m)
			connect := func(cache tls.ClientSessionCache) bool {
				t.Helper()
				c, err := tls.Dial("tcp", addr, &tls.Config{
					RootCAs: b.pool(t), ServerName: "localhost", MaxVersion: version, ClientSessionCache: cache, Time: now, NextProtos: []string{"imap"},
				})
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if _, err := io.ReadFull(c, make([]byte, 6)); err != nil {
					t.Fatal(err)
				}
				return c.ConnectionState().DidResume
			}
			// once keeps the first ticket, as a client that comes back later has it.
			first := &once{}
			if connect(first) {
				t.Fatal("resumed from nothing")
			}
			for _, step := range []struct {
				after  time.Duration
				resume bool
			}{{0, true}, {25 * time.Hour, true}, {49 * time.Hour, true}, {8 * 24 * time.Hour, false}} {
				ahead.Store(int64(step.after))
				connect(tls.NewLRUClientSessionCache(1)) // a handshake is what rotates
				if got := connect(first); got != step.resume {
					t.Errorf("after %v: resumed is %v", step.after, got)
				}
			}
		})
	}
}

// once is a session cache that keeps what is put first.
type once struct {
	mu    sync.Mutex
	first *tls.ClientSessionState
}

func (o *once) Get(string) (*tls.ClientSessionState, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.first, o.first != nil
}

func (o *once) Put(_ string, s *tls.ClientSessionState) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.first == nil {
		o.first = s
	}
}

func TestOldClientsGetAnRSACertificate(t *testing.T) {
	need(t, "openssl")
	b := newBox(t)
	m := b.open(t)
	addr := greet(t, m)
	connect := func(args ...string) string {
		t.Helper()
		args = append([]string{"s_client", "-connect", addr, "-servername", "mail.office.example", "-CAfile", m.CAFile(), "-verify_return_error"}, args...)
		cmd := exec.CommandContext(t.Context(), "openssl", args...)
		cmd.Stdin = strings.NewReader("Q\n")
		out, err := cmd.CombinedOutput()
		if err != nil || !bytes.Contains(out, []byte("Verify return code: 0 (ok)")) {
			t.Fatalf("openssl: %v\n%s", err, out)
		}
		return string(out)
	}
	rsaOnly := []string{"-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256", "-sigalgs", "RSA+SHA256:RSA-PSS+SHA256"}
	connect()
	if _, err := os.Stat(b.dir + "/server-rsa.key"); err == nil {
		t.Error("an RSA key was made before anybody needed it")
	}
	if out := connect(rsaOnly...); !strings.Contains(out, "Server public key is 2048 bit") {
		t.Errorf("no RSA:\n%s", out)
	}
	if out := connect("-tls1_3", "-sigalgs", "rsa_pss_rsae_sha256"); !strings.Contains(out, "Server public key is 2048 bit") {
		t.Errorf("no RSA with TLS 1.3:\n%s", out)
	}
	if out := connect(); !strings.Contains(out, "Server public key is 256 bit") {
		t.Errorf("a client of today:\n%s", out)
	}
	crt, key := b.read(t, "server-rsa.crt"), b.read(t, "server-rsa.key")
	if fi, err := os.Stat(b.dir + "/server-rsa.key"); err != nil || fi.Mode() != 0o600 {
		t.Errorf("mode %v, %v", fi.Mode(), err)
	}
	// It follows names, as the other does, and outlives a restart.
	b.setNames("mail.office.example", "localhost", "127.0.0.1", "new.office.example")
	m = b.open(t)
	addr = greet(t, m)
	connect(append(rsaOnly, "-verify_hostname", "new.office.example")...)
	if b.read(t, "server-rsa.key") != key || b.read(t, "server-rsa.crt") == crt {
		t.Error("the key was replaced, or the certificate was not")
	}
}

func TestOpenSSL(t *testing.T) {
	need(t, "openssl")
	b := newBox(t)
	m := b.open(t)
	addr := greet(t, m)
	_, port, _ := net.SplitHostPort(addr)
	tests := []struct {
		name string
		args []string
		want string
		fail bool
	}{
		{"verifies the chain and the name", []string{"-verify_return_error", "-verify_hostname", "mail.office.example"}, "Verify return code: 0 (ok)", false},
		{"verifies the address", []string{"-verify_return_error", "-verify_ip", "127.0.0.1"}, "Verify return code: 0 (ok)", false},
		{"another name is refused", []string{"-verify_return_error", "-verify_hostname", "other.example"}, "hostname mismatch", true},
		{"TLS 1.1 is refused", []string{"-tls1_1", "-cipher", "ALL:@SECLEVEL=0"}, "alert protocol version", true},
		{"the full chain is presented", []string{"-showcerts"}, "Pillarbox private CA", false},
		{"security level 3", []string{"-verify_return_error", "-cipher", "ALL:@SECLEVEL=3"}, "Verify return code: 0 (ok)", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			args := append([]string{"s_client", "-connect", "127.0.0.1:" + port, "-servername", "mail.office.example", "-CAfile", m.CAFile()}, tt.args...)
			cmd := exec.CommandContext(t.Context(), "openssl", args...)
			cmd.Stdin = strings.NewReader("Q\n")
			out, err := cmd.CombinedOutput()
			if (err != nil) != tt.fail || !bytes.Contains(out, []byte(tt.want)) {
				t.Errorf("openssl: %v, output without %q:\n%s", err, tt.want, out)
			}
			if tt.args[0] == "-showcerts" && bytes.Count(out, []byte("BEGIN CERTIFICATE")) != 2 {
				t.Errorf("not two certificates:\n%s", out)
			}
		})
	}
}

func TestSystemNames(t *testing.T) {
	got := strings.Join(certs.SystemNames(), " ")
	for _, want := range []string{"localhost", "127.0.0.1", "::1"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is missing in %s", want, got)
		}
	}
}
