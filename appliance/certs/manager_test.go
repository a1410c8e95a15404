package certs_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/certs"
)

// box is a folder of certificates with its names and its log.
type box struct {
	dir   string
	mu    sync.Mutex
	names []string
	log   bytes.Buffer
}

func newBox(t *testing.T) *box {
	return &box{dir: t.TempDir(), names: []string{"mail.office.example", "pillarbox.local", "localhost", "127.0.0.1", "::1"}}
}

func (b *box) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.log.Write(p)
}

func (b *box) logged() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.log.String()
}

func (b *box) setNames(names ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.names = names
}

func (b *box) config() *certs.Config {
	return &certs.Config{
		Dir:      b.dir,
		Logger:   slog.New(slog.NewTextHandler(b, nil)),
		Interval: time.Hour,
		Domains:  func() []string { return []string{"office.example"} },
		Names: func() []string {
			b.mu.Lock()
			defer b.mu.Unlock()
			return slices.Clone(b.names)
		},
	}
}

func (b *box) open(t *testing.T) *certs.Manager {
	t.Helper()
	m, err := certs.Open(t.Context(), b.config())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (b *box) read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(b.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func (b *box) write(t *testing.T, name, data string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, name), []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (b *box) remove(t *testing.T, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(b.dir, name)); err != nil {
		t.Fatal(err)
	}
}

func (b *box) pool(t *testing.T) *x509.CertPool {
	t.Helper()
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM([]byte(b.read(t, "ca.crt"))) {
		t.Fatal("ca.crt holds no certificate")
	}
	return p
}

// foreign makes a self-signed pair as an administrator might bring along.
func foreign(t *testing.T, life time.Duration) (crt, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(7),
		Subject:      pkix.Name{CommonName: "brought along"},
		DNSNames:     []string{"mail.office.example"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(life),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	kder, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: kder}))
}

func TestOpenMakesCertificates(t *testing.T) {
	b := newBox(t)
	m := b.open(t)
	modes := map[string]fs.FileMode{}
	files, err := os.ReadDir(b.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		fi, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		modes[f.Name()] = fi.Mode()
	}
	want := map[string]fs.FileMode{"ca.crt": 0o644, "ca.key": 0o600, "server.crt": 0o644, "server.key": 0o600}
	if diff := cmp.Diff(want, modes); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	leaf := m.Leaf()
	for _, name := range []string{"mail.office.example", "PILLARBOX.local", "localhost", "127.0.0.1", "::1"} {
		_, err := leaf.Verify(x509.VerifyOptions{
			DNSName: name, Roots: b.pool(t), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		})
		if err != nil {
			t.Errorf("verify for %s: %v", name, err)
		}
	}
	if life := leaf.NotAfter.Sub(leaf.NotBefore); life > 397*24*time.Hour {
		t.Errorf("the leaf is valid for %v", life)
	}
	if n := strings.Count(b.read(t, "server.crt"), "BEGIN CERTIFICATE"); n != 2 {
		t.Errorf("server.crt holds %d certificates, want the leaf and the CA", n)
	}
	if m.CAFile() != filepath.Join(b.dir, "ca.crt") {
		t.Errorf("CAFile() = %s", m.CAFile())
	}
}

func TestCAIsAConstrainedCA(t *testing.T) {
	b := newBox(t)
	b.open(t)
	block, _ := pem.Decode([]byte(b.read(t, "ca.crt")))
	ca, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if !ca.IsCA || ca.MaxPathLen != 0 || !ca.MaxPathLenZero || ca.KeyUsage&x509.KeyUsageCertSign == 0 {
		t.Errorf("CA %v, path length %d, key usage %b", ca.IsCA, ca.MaxPathLen, ca.KeyUsage)
	}
}

func TestOpenAgainKeepsWhatIsThere(t *testing.T) {
	b := newBox(t)
	b.open(t)
	before := map[string]string{}
	for _, name := range []string{"ca.crt", "ca.key", "server.crt", "server.key"} {
		before[name] = b.read(t, name)
	}
	b.write(t, ".new-123", "what a crash left")
	b.open(t)
	after := map[string]string{}
	files, _ := os.ReadDir(b.dir)
	for _, f := range files {
		after[f.Name()] = b.read(t, f.Name())
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("files (-before +after):\n%s", diff)
	}
}

func TestOpenAfterACrash(t *testing.T) {
	tests := []struct {
		name string
		lost []string
		kept []string
	}{
		{"before the CA's certificate", []string{"ca.crt", "server.crt", "server.key"}, []string{"ca.key"}},
		{"before the server's key", []string{"server.crt", "server.key"}, []string{"ca.key", "ca.crt"}},
		{"before the server's certificate", []string{"server.crt"}, []string{"ca.key", "ca.crt", "server.key"}},
		{"the server's key was deleted", []string{"server.key"}, []string{"ca.key", "ca.crt"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBox(t)
			b.open(t)
			before := map[string]string{}
			for _, name := range tt.kept {
				before[name] = b.read(t, name)
			}
			for _, name := range tt.lost {
				b.remove(t, name)
			}
			m := b.open(t)
			if _, err := m.Leaf().Verify(x509.VerifyOptions{DNSName: "localhost", Roots: b.pool(t)}); err != nil {
				t.Error(err)
			}
			if _, err := tls.LoadX509KeyPair(filepath.Join(b.dir, "server.crt"), filepath.Join(b.dir, "server.key")); err != nil {
				t.Error(err)
			}
			for _, name := range tt.kept {
				if b.read(t, name) != before[name] {
					t.Errorf("%s was replaced", name)
				}
			}
		})
	}
}

// run starts Run and returns how to end it.
func run(t *testing.T, m *certs.Manager) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func TestRunRenewsBeforeExpiry(t *testing.T) {
	b := newBox(t)
	synctest.Test(t, func(t *testing.T) {
		m := b.open(t)
		run(t, m)
		ca, key := b.read(t, "ca.crt"), b.read(t, "server.key")
		first := m.Leaf()
		time.Sleep(59 * 24 * time.Hour)
		if !m.Leaf().Equal(first) {
			t.Fatal("renewed too early")
		}
		for range 50 { // five years
			time.Sleep(36 * 24 * time.Hour)
			if left := time.Until(m.Leaf().NotAfter); left < 29*24*time.Hour {
				t.Fatalf("%v are left of the certificate", left)
			}
		}
		if m.Leaf().Equal(first) {
			t.Error("never renewed")
		}
		if b.read(t, "ca.crt") != ca || b.read(t, "server.key") != key {
			t.Error("the CA or the server's key was replaced")
		}
		if _, err := m.Leaf().Verify(x509.VerifyOptions{DNSName: "localhost", Roots: b.pool(t)}); err != nil {
			t.Error(err)
		}
	})
}

func TestEndOfTheCA(t *testing.T) {
	b := newBox(t)
	synctest.Test(t, func(t *testing.T) {
		m := b.open(t)
		run(t, m)
		time.Sleep(3700 * 24 * time.Hour)
		synctest.Wait()
		if n := strings.Count(b.logged(), "certificate is renewed"); n > 70 {
			t.Errorf("%d renewals in ten years", n)
		}
		if !strings.Contains(b.logged(), "the private CA expires") {
			t.Error("nobody was told that the CA expires")
		}
	})
}

func TestClockThatWentBackRenewsNothing(t *testing.T) {
	b := newBox(t)
	first := b.open(t).Leaf()
	c := b.config()
	c.Now = func() time.Time { return time.Date(1970, 1, 1, 0, 1, 0, 0, time.UTC) }
	m, err := certs.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if !m.Leaf().Equal(first) {
		t.Error("the certificate was renewed")
	}
}

func TestRunFollowsNames(t *testing.T) {
	b := newBox(t)
	synctest.Test(t, func(t *testing.T) {
		m := b.open(t)
		run(t, m)
		first := m.Leaf()
		b.setNames("mail.office.example", "localhost", "127.0.0.1")
		time.Sleep(2 * time.Hour)
		if !m.Leaf().Equal(first) {
			t.Error("renewed although only names went away")
		}
		b.setNames("mail.office.example", "192.168.7.9", "::ffff:10.0.0.1", "fe80::1", "fe80::2%eth0", "not a name", "ünï.example", "Imap.Office.Example.")
		time.Sleep(2 * time.Hour)
		leaf := m.Leaf()
		if diff := cmp.Diff([]string{"mail.office.example", "imap.office.example"}, leaf.DNSNames); diff != "" {
			t.Errorf("hosts (-want +got):\n%s", diff)
		}
		var ips []string
		for _, ip := range leaf.IPAddresses {
			ips = append(ips, ip.String())
		}
		if diff := cmp.Diff([]string{"192.168.7.9", "10.0.0.1"}, ips); diff != "" {
			t.Errorf("addresses (-want +got):\n%s", diff)
		}
		second := m.Leaf()
		time.Sleep(24 * time.Hour)
		if !m.Leaf().Equal(second) {
			t.Error("renewed although it has every name that a certificate can hold")
		}
	})
}

func TestAdministratorsCertificate(t *testing.T) {
	const day = 24 * time.Hour
	b := newBox(t)
	synctest.Test(t, func(t *testing.T) {
		crt, key := foreign(t, 45*day)
		b.write(t, "server.crt", crt)
		b.write(t, "server.key", key)
		m := b.open(t)
		run(t, m)
		if m.Leaf().Subject.CommonName != "brought along" {
			t.Fatalf("presented: %s", m.Leaf().Subject)
		}
		for _, step := range []struct {
			days, left, reminded int
			expiring             string // in what Expiring says; "" where it says nothing
		}{{14, 31, 0, ""}, {2, 29, 1, "in 28 days"}, {14, 15, 1, "in 14 days"}, {2, 13, 2, "in 12 days"}, {7, 6, 3, "in 5 days"}, {5, 1, 4, "less than a day"}} {
			time.Sleep(time.Duration(step.days)*day + time.Hour)
			if n := strings.Count(b.logged(), "expires soon"); n != step.reminded {
				t.Errorf("%d days before expiry: reminded %d times, want %d", step.left, n, step.reminded)
			}
			if err := m.Expiring(); (err == nil) != (step.expiring == "") || err != nil && !strings.Contains(err.Error(), step.expiring) {
				t.Errorf("%d days before expiry: %v, want %q", step.left, err, step.expiring)
			}
			if err := m.Health(); err != nil || !m.Own() {
				t.Errorf("%d days before expiry: %v, own %v", step.left, err, m.Own())
			}
		}
		time.Sleep(day + 2*time.Hour)
		if !strings.Contains(b.logged(), "has expired") {
			t.Error("nobody was told within two hours that it expired")
		}
		if err := m.Health(); err == nil || !strings.Contains(err.Error(), "has expired") {
			t.Errorf("expired: %v", err)
		}
		time.Sleep(8 * day)
		if n := strings.Count(b.logged(), "has expired"); n < 8 || n > 10 {
			t.Errorf("told %d times in 8 days that it expired", n)
		}
		if b.read(t, "server.crt") != crt || b.read(t, "server.key") != key {
			t.Error("it was overwritten")
		}
		b.remove(t, "server.crt")
		b.remove(t, "server.key")
		time.Sleep(2 * time.Hour)
		if _, err := m.Leaf().Verify(x509.VerifyOptions{DNSName: "localhost", Roots: b.pool(t)}); err != nil {
			t.Errorf("after it was deleted: %v", err)
		}
		if err := m.Health(); err != nil || m.Own() {
			t.Errorf("after it was deleted: %v, own %v", err, m.Own())
		}
	})
}

func TestBrokenPair(t *testing.T) {
	crt, key := foreign(t, time.Hour)
	_, otherKey := foreign(t, time.Hour)
	tests := []struct{ name, crt, key string }{
		{"key of another certificate", crt, otherKey},
		{"no PEM", "nonsense", key},
		{"empty files", "", ""},
		{"a key alone that is not ours", "", "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name+" while running", func(t *testing.T) {
			b := newBox(t)
			m := b.open(t)
			first := m.Leaf()
			b.write(t, "server.crt", tt.crt)
			b.write(t, "server.key", tt.key)
			if err := m.Reload(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "reload certificate: ") {
				t.Errorf("Reload: %v", err)
			}
			if !m.Leaf().Equal(first) {
				t.Error("the present certificate did not stay")
			}
			if err := m.Health(); err == nil || !strings.Contains(err.Error(), "cannot be used") {
				t.Errorf("broken: %v", err)
			}
			b.write(t, "server.crt", crt)
			b.write(t, "server.key", key)
			if err := m.Reload(t.Context()); err != nil {
				t.Errorf("Reload of the mended pair: %v", err)
			}
			if err := m.Health(); err != nil {
				t.Errorf("mended: %v", err)
			}
			if m.Leaf().Subject.CommonName != "brought along" {
				t.Errorf("presented: %s", m.Leaf().Subject)
			}
		})
		t.Run(tt.name+" at the start", func(t *testing.T) {
			b := newBox(t)
			b.open(t)
			b.write(t, "server.crt", tt.crt)
			b.write(t, "server.key", tt.key)
			m := b.open(t)
			if _, err := m.Leaf().Verify(x509.VerifyOptions{DNSName: "localhost", Roots: b.pool(t)}); err != nil {
				t.Errorf("what is served instead: %v", err)
			}
			if b.read(t, "server.crt") != tt.crt || b.read(t, "server.key") != tt.key {
				t.Error("the administrator's files were overwritten")
			}
			if !strings.Contains(b.logged(), "cannot be used") {
				t.Error("nobody was told")
			}
			if err := m.Health(); err == nil || !strings.Contains(err.Error(), "cannot be used") || m.Own() {
				t.Errorf("broken: %v, own %v", err, m.Own())
			}
		})
	}
}

func TestCAKeyKeptElsewhere(t *testing.T) {
	b := newBox(t)
	synctest.Test(t, func(t *testing.T) {
		b.open(t)
		b.remove(t, "ca.key")
		m := b.open(t)
		run(t, m)
		first := m.Leaf()
		time.Sleep(62 * 24 * time.Hour)
		synctest.Wait()
		if !m.Leaf().Equal(first) {
			t.Error("renewed without a key")
		}
		if !strings.Contains(b.logged(), "ought to be renewed") {
			t.Error("nobody was told")
		}
	})
}

func TestReloadKeepsConnections(t *testing.T) {
	b := newBox(t)
	c := b.config()
	c.Interval = 10 * time.Millisecond
	m, err := certs.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	run(t, m)
	ln, err := tls.Listen("tcp", "127.0.0.1:0", m.TLSConfig())
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
			go io.Copy(c, c)
		}
	}()
	dial := func(roots *x509.CertPool) *tls.Conn {
		c, err := tls.Dial("tcp", ln.Addr().String(), &tls.Config{RootCAs: roots, ServerName: "mail.office.example"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	talk := func(c net.Conn) {
		t.Helper()
		c.SetDeadline(time.Now().Add(20 * time.Second))
		io.WriteString(c, "ping")
		if _, err := io.ReadFull(c, make([]byte, 4)); err != nil {
			t.Error(err)
		}
	}
	old := dial(b.pool(t))
	talk(old)
	crt, key := foreign(t, time.Hour)
	b.write(t, "server.crt", crt)
	b.write(t, "server.key", key)
	for range 3000 {
		if m.Leaf().Subject.CommonName == "brought along" {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	talk(old)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(crt))
	fresh := dial(roots)
	talk(fresh)
	talk(old)
}
