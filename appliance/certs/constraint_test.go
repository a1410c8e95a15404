package certs_test

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/certs"
)

// constrained opens a box that knows its mail domains when it makes its CA.
func (b *box) constrained(t *testing.T, domains ...string) *certs.Manager {
	t.Helper()
	c := b.config()
	c.Domains = func() []string { return domains }
	m, err := certs.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestCAIsLimitedToTheOffice(t *testing.T) {
	need(t, "openssl")
	b := newBox(t)
	b.setNames("box", "box.local", "mail.office.example", "srv1.hoster.example", "localhost", "127.0.0.1", "::1", "192.168.7.9", "198.51.100.7", "2001:db8::1")
	m := b.constrained(t, "office.example")
	if err := m.NotCovered(); err != nil {
		t.Error(err)
	}
	leaf := m.Leaf()
	if diff := cmp.Diff([]string{"box", "box.local", "mail.office.example", "srv1.hoster.example", "localhost"}, leaf.DNSNames); diff != "" {
		t.Errorf("hosts (-want +got):\n%s", diff)
	}
	if len(leaf.IPAddresses) != 4 {
		t.Errorf("addresses %v, want all but the global one of IPv6, which comes and goes", leaf.IPAddresses)
	}
	for _, name := range []string{"box", "mail.office.example", "192.168.7.9", "198.51.100.7", "::1"} {
		if _, err := leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: b.pool(t)}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}

	// What a thief of ca.key could make is refused by Go and by OpenSSL.
	root, err := os.ReadFile(filepath.Join(b.dir, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	for san, ok := range map[string]bool{
		"DNS:mail.office.example": true, "DNS:new.office.example": true, "DNS:printer.local": true, "IP:10.9.8.7": true, "IP:fd00::1": true,
		"DNS:www.bank.example": false, "DNS:office.example.evil.example": false, "IP:8.8.8.8": false, "DNS:mail.office.example,DNS:www.bank.example": false,
	} {
		der := forge(t, b.dir, san)
		_, err := der.Verify(x509.VerifyOptions{Roots: b.pool(t)})
		if (err == nil) != ok {
			t.Errorf("Go says of %s: %v", san, err)
		}
		path := filepath.Join(t.TempDir(), "leaf.pem")
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der.Raw}), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), "openssl", "verify", "-CAfile", filepath.Join(b.dir, "ca.crt"), path).CombinedOutput()
		if (err == nil) != ok || !ok && !strings.Contains(string(out), "subtree violation") {
			t.Errorf("openssl says of %s: %v %s", san, err, out)
		}
	}

	// A domain that comes later does not change the CA that devices trust.
	b.setNames("box", "mail.office.example", "mail.later.example")
	again := b.constrained(t, "office.example", "later.example")
	if now, _ := os.ReadFile(filepath.Join(b.dir, "ca.crt")); string(now) != string(root) {
		t.Error("the CA was replaced")
	}
	if _, err := again.Leaf().Verify(x509.VerifyOptions{DNSName: "mail.office.example", Roots: b.pool(t)}); err != nil {
		t.Error(err)
	}
	if err := again.NotCovered(); err == nil || !strings.Contains(err.Error(), "mail.later.example") || !strings.Contains(err.Error(), "new-ca") {
		t.Errorf("a domain that came later: %v", err)
	}
	// Only when somebody asks.
	before := again.Leaf()
	if err := again.NewCA(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := again.Leaf().Verify(x509.VerifyOptions{DNSName: "mail.later.example", Roots: b.pool(t)}); err != nil || again.Leaf().Equal(before) {
		t.Errorf("after a new CA: %v", err)
	}
	if err := again.NotCovered(); err != nil {
		t.Error(err)
	}
	if third := b.constrained(t); !third.Leaf().Equal(again.Leaf()) {
		t.Error("a restart presents something else")
	}
}

// forge signs with the CA's key as a thief would.
func forge(t *testing.T, dir, san string) *x509.Certificate {
	t.Helper()
	work := t.TempDir()
	ext := filepath.Join(work, "ext")
	if err := os.WriteFile(ext, []byte("subjectAltName="+san+"\nextendedKeyUsage=serverAuth\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/O=thief", "-keyout", work + "/key", "-out", work + "/csr"},
		{"x509", "-req", "-in", work + "/csr", "-CA", dir + "/ca.crt", "-CAkey", dir + "/ca.key", "-CAcreateserial", "-CAserial", work + "/srl", "-days", "5", "-extfile", ext, "-out", work + "/crt"},
	} {
		if out, err := exec.CommandContext(t.Context(), "openssl", args...).CombinedOutput(); err != nil {
			t.Fatalf("openssl %s: %v\n%s", args[0], err, out)
		}
	}
	text, err := os.ReadFile(work + "/crt")
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNewCAOutlivesACrash(t *testing.T) {
	b := newBox(t)
	m := b.open(t)
	crt, key, server := b.read(t, "ca.crt"), b.read(t, "ca.key"), b.read(t, "server.crt")
	if err := m.NewCA(t.Context()); err != nil {
		t.Fatal(err)
	}
	// As a power cut leaves it after the CA and before the leaf …
	b.write(t, "server.crt", server)
	if got := b.open(t).Leaf(); got.CheckSignatureFrom(ca(t, b)) != nil {
		t.Error("the leaf of the CA before stays")
	}
	// … and between the key and the certificate.
	b.write(t, "ca.key.before", key)
	b.write(t, "server.crt", server)
	b.write(t, "ca.crt", crt)
	again := b.open(t)
	if b.read(t, "ca.key") != key || b.read(t, "ca.crt") != crt {
		t.Error("the CA before is not there again")
	}
	if _, err := again.Leaf().Verify(x509.VerifyOptions{DNSName: "localhost", Roots: b.pool(t)}); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(b.dir, "ca.key.before")); err == nil {
		t.Error("the key before is still there")
	}
}

func ca(t *testing.T, b *box) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode([]byte(b.read(t, "ca.crt")))
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNamesInUse(t *testing.T) {
	b := newBox(t)
	b.setNames("mail.office.example", "localhost")
	m := b.open(t)
	m.Saw("mail.office.example", false)
	m.Saw("stranger.example", false)
	m.Saw("not a name", true)
	m.Saw("*.office.example", true)
	if err := m.NotCovered(); err != nil {
		t.Errorf("a stranger's word was taken: %v", err)
	}
	for range 3 {
		m.Saw("Old-Name.example.", true)
	}
	if err := m.NotCovered(); err == nil || !strings.Contains(err.Error(), "old-name.example") {
		t.Errorf("a name by which somebody signed in: %v", err)
	}
	var got []string
	for _, n := range m.NamesInUse() {
		got = append(got, n.Name+map[bool]string{true: " covered"}[n.Covered])
	}
	if diff := cmp.Diff([]string{"mail.office.example covered", "old-name.example"}, got); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	for i := range 5000 {
		m.Saw("n"+strings.Repeat("x", i%50)+"."+time.Duration(i).String()+".mail.office.example", false)
	}
	if n := len(m.NamesInUse()); n > 256 {
		t.Errorf("%d names are kept", n)
	}
	t.Run("kept when the box stops", func(t *testing.T) { run(t, m) })
	if err := b.open(t).NotCovered(); err == nil || !strings.Contains(err.Error(), "old-name.example") {
		t.Errorf("after a restart: %v", err)
	}
}
