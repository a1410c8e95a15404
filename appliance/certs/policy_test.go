package certs_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"os/exec"
	"strings"
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
		{"ALPN imap", &tls.Config{NextProtos: []string{"imap"}}, ""},
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

func TestOpenSSL(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed")
	}
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
