package certs_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/certs"
)

// issuer is a CA of a chain.
type issuer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// made is what an issuer made.
type made struct {
	issuer
	pem, keyPEM string
}

var serials int64

// certify makes a certificate; without a parent it signs itself.
func certify(t *testing.T, parent *issuer, tmpl *x509.Certificate) *made {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serials++
	tmpl.SerialNumber = big.NewInt(serials)
	if tmpl.NotAfter.IsZero() {
		tmpl.NotBefore, tmpl.NotAfter = time.Now().Add(-100*time.Hour), time.Now().Add(200*24*time.Hour)
	}
	tmpl.BasicConstraintsValid = true
	signer := &issuer{tmpl, key}
	if parent != nil {
		signer = parent
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, signer.cert, key.Public(), signer.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	kder, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return &made{
		issuer{cert, key},
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: kder})),
	}
}

func authority(t *testing.T, parent *issuer, name string, change ...func(*x509.Certificate)) *made {
	tmpl := &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, KeyUsage: x509.KeyUsageCertSign}
	for _, f := range change {
		f(tmpl)
	}
	return certify(t, parent, tmpl)
}

func leaf(t *testing.T, parent *issuer, change ...func(*x509.Certificate)) *made {
	tmpl := &x509.Certificate{
		Subject: pkix.Name{CommonName: "mail.office.example"}, DNSNames: []string{"mail.office.example"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	for _, f := range change {
		f(tmpl)
	}
	return certify(t, parent, tmpl)
}

// trusting opens a box that takes a root for one that everybody knows.
func (b *box) trusting(t *testing.T, root *made) *certs.Manager {
	t.Helper()
	c := b.config()
	c.Inside = true
	c.Roots = x509.NewCertPool()
	if root != nil {
		c.Roots.AddCert(root.cert)
	}
	m, err := certs.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func codes(r *certs.Report) []string {
	all := []string{}
	for _, f := range r.Findings {
		code := f.Code
		if f.Blocking {
			code += "!"
		}
		all = append(all, code)
	}
	return all
}

func TestUploadIsChecked(t *testing.T) {
	root := authority(t, nil, "Root")
	between := authority(t, &root.issuer, "Between")
	lower := authority(t, &between.issuer, "Lower")
	good := leaf(t, &lower.issuer)
	other := leaf(t, &lower.issuer)
	private := authority(t, nil, "Private Root")
	selfSigned, selfKey := foreign(t, 90*24*time.Hour)
	elsewhere := func(url string) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.IssuingCertificateURL = []string{url} }
	}
	expired := leaf(t, &lower.issuer, func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour)
	})
	soon := leaf(t, &lower.issuer, func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(5*24*time.Hour)
	})
	future := leaf(t, &lower.issuer, func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(48*time.Hour), time.Now().Add(96*time.Hour)
	})
	client := leaf(t, &lower.issuer, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
	nameless := leaf(t, &lower.issuer, func(c *x509.Certificate) { c.DNSNames = nil })
	named := leaf(t, &lower.issuer, elsewhere("http://192.0.2.1/lower.crt"))
	ofPrivate := leaf(t, &private.issuer)
	encrypted := "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"

	tests := []struct {
		name  string
		files []string
		want  []string
		text  string // in one of the findings
		chain []string
	}{
		{"complete", []string{good.pem + lower.pem + between.pem, good.keyPEM}, nil, "", []string{"CN=Lower", "CN=Between"}},
		{"all in one, the root too", []string{good.keyPEM + good.pem + lower.pem + between.pem + root.pem}, nil, "", []string{"CN=Lower", "CN=Between"}},
		{"out of order", []string{root.pem + between.pem + good.keyPEM + lower.pem + good.pem}, []string{"out-of-order", "out-of-order"}, "put in order", []string{"CN=Lower", "CN=Between"}},
		{"something that does not belong", []string{good.pem + lower.pem + between.pem + private.pem, good.keyPEM}, []string{"unneeded"}, "Private Root", []string{"CN=Lower", "CN=Between"}},
		{"no intermediate", []string{good.pem + good.keyPEM}, []string{"missing-intermediate!"}, `"CN=Lower"`, nil},
		{"no intermediate, but where it is", []string{named.pem + named.keyPEM}, []string{"missing-intermediate!"}, "http://192.0.2.1/lower.crt", nil},
		{"a gap", []string{good.pem + lower.pem + good.keyPEM}, []string{"unknown-root"}, `"CN=Between"`, []string{"CN=Lower"}},
		{"wrong key", []string{good.pem + lower.pem + between.pem + other.keyPEM}, []string{"wrong-key!"}, "mail.office.example", nil},
		{"no key", []string{good.pem + lower.pem}, []string{"no-key!"}, ".key file", nil},
		{"no certificate", []string{good.keyPEM}, []string{"no-certificate!"}, "", nil},
		{"two pairs", []string{good.pem + good.keyPEM + other.pem + other.keyPEM}, []string{"several!"}, "one at a time", nil},
		{"expired", []string{expired.pem + lower.pem + between.pem + expired.keyPEM}, []string{"expired!"}, "expired on", []string{"CN=Lower", "CN=Between"}},
		{"expires soon", []string{soon.pem + lower.pem + between.pem + soon.keyPEM}, []string{"expires-soon"}, "successor", []string{"CN=Lower", "CN=Between"}},
		{"not yet valid", []string{future.pem + lower.pem + between.pem + future.keyPEM}, []string{"not-yet-valid!"}, "clock", []string{"CN=Lower", "CN=Between"}},
		{"for clients", []string{client.pem + lower.pem + between.pem + client.keyPEM}, []string{"not-for-servers!"}, "", []string{"CN=Lower", "CN=Between"}},
		{"without names", []string{nameless.pem + lower.pem + between.pem + nameless.keyPEM}, []string{"no-names!"}, "alternative name", []string{"CN=Lower", "CN=Between"}},
		{"of a private root", []string{ofPrivate.pem + private.pem + ofPrivate.keyPEM}, []string{"private-root"}, "installed on each", nil},
		{"self-signed", []string{selfSigned + selfKey}, []string{"private-root"}, "", nil},
		{"encrypted key", []string{good.pem + encrypted}, nil, "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var files [][]byte
			for _, f := range tt.files {
				files = append(files, []byte(f))
			}
			b, err := certs.ParseBundle(files, "")
			if tt.name == "encrypted key" {
				if err == nil || !strings.Contains(err.Error(), "openssl pkey") {
					t.Errorf("parse: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			m := newBox(t).trusting(t, root)
			before := m.Leaf()
			fingerprint, r, err := m.Keep(t.Context(), b, false)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(append([]string{}, tt.want...), codes(r)); diff != "" {
				t.Errorf("findings (-want +got):\n%s\n%+v", diff, r.Findings)
			}
			if tt.text != "" && !slices.ContainsFunc(r.Findings, func(f certs.Finding) bool { return strings.Contains(f.Text, tt.text) }) {
				t.Errorf("nothing says %q: %+v", tt.text, r.Findings)
			}
			if r.Certificate != nil {
				if diff := cmp.Diff(tt.chain, r.Certificate.Chain); diff != "" {
					t.Errorf("chain (-want +got):\n%s", diff)
				}
			}
			if (fingerprint != "") != r.OK() || !m.Leaf().Equal(before) {
				t.Errorf("kept as %q, though OK is %v; or in use already", fingerprint, r.OK())
			}
		})
	}
}

func TestMissingIntermediateIsFetched(t *testing.T) {
	root := authority(t, nil, "Root")
	var hits []string
	var lower, between *made
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits = append(hits, r.URL.Path)
		switch r.URL.Path {
		case "/lower.crt":
			w.Write(lower.cert.Raw)
		case "/moved":
			http.Redirect(w, r, "/between.pem", http.StatusFound)
		case "/between.pem":
			io.WriteString(w, between.pem)
		case "/wrong":
			w.Write(root.cert.Raw)
		case "/long":
			w.Write(bytes.Repeat([]byte("x"), 1<<20))
		case "/file":
			http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/inside":
			http.Redirect(w, r, "http://192.168.7.7/", http.StatusFound)
		default:
			http.NotFound(w, r)
		}
	}))
	defer srv.Close()
	at := func(path string) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.IssuingCertificateURL = []string{"ldap://ca.example/", srv.URL + path} }
	}
	between = authority(t, &root.issuer, "Between")
	lower = authority(t, &between.issuer, "Lower", at("/moved"))
	good := leaf(t, &lower.issuer, at("/lower.crt"))

	m := newBox(t).trusting(t, root)
	b, err := certs.ParseBundle([][]byte{[]byte(good.pem + good.keyPEM)}, "")
	if err != nil {
		t.Fatal(err)
	}
	if r := m.CheckBundle(t.Context(), b, false); r.OK() || r.Findings[0].URL != srv.URL+"/lower.crt" || len(hits) > 0 {
		t.Errorf("not asked to fetch: %+v, fetched %q", r, hits)
	}
	r := m.CheckBundle(t.Context(), b, true)
	if diff := cmp.Diff([]string{"fetched", "fetched"}, codes(r)); diff != "" || !r.OK() {
		t.Errorf("findings %s\n%+v", diff, r.Findings)
	}
	if diff := cmp.Diff([]string{"CN=Lower", "CN=Between"}, r.Certificate.Chain); diff != "" {
		t.Error(diff)
	}
	for path, want := range map[string]string{
		"/missing": "404", "/wrong": "did not sign", "/long": "too long", "/file": "leads on too far", "/loop": "leads on too far",
		"/inside": "not one of the Internet",
	} {
		bad := leaf(t, &lower.issuer, at(path))
		b, err := certs.ParseBundle([][]byte{[]byte(bad.pem + bad.keyPEM)}, "")
		if err != nil {
			t.Fatal(err)
		}
		if r := m.CheckBundle(t.Context(), b, true); r.OK() || !strings.Contains(r.Findings[0].Text, want) {
			t.Errorf("%s: %+v, want %q", path, r.Findings, want)
		}
	}

	// Without leave, a certificate leads to nothing inside the network.
	hits = nil
	outsider := newBox(t).open(t)
	if r := outsider.CheckBundle(t.Context(), b, true); r.OK() || !strings.Contains(fmt.Sprint(r.Findings), "not one of the Internet") || len(hits) > 0 {
		t.Errorf("%+v, fetched %q", r.Findings, hits)
	}
}

func TestPKCS12OfOpenSSL(t *testing.T) {
	need(t, "openssl")
	root := authority(t, nil, "Root")
	lower := authority(t, &root.issuer, "Lower")
	good := leaf(t, &lower.issuer)
	dir := t.TempDir()
	in := filepath.Join(dir, "in.pem")
	if err := os.WriteFile(in, []byte(good.keyPEM+good.pem+lower.pem), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"modern": nil, "legacy": {"-legacy"}, "without a password": {"-passout", "pass:"}, "many rounds": {"-iter", "100000"},
	} {
		t.Run(name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out.p12")
			args := append([]string{"pkcs12", "-export", "-in", in, "-out", out, "-passout", "pass:sésame"}, args...)
			if text, err := exec.CommandContext(t.Context(), "openssl", args...).CombinedOutput(); err != nil {
				t.Fatalf("openssl: %v\n%s", err, text)
			}
			file, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			password := certs.Secret("sésame")
			if name == "without a password" {
				password = ""
			}
			b, err := certs.ParseBundle([][]byte{file}, password)
			if err != nil {
				t.Fatal(err)
			}
			if r := newBox(t).trusting(t, root).CheckBundle(t.Context(), b, false); !r.OK() || len(r.Certificate.Chain) != 1 {
				t.Errorf("%+v", r)
			}
			if _, err := certs.ParseBundle([][]byte{file}, "another"); !errors.Is(err, certs.ErrPassword) {
				t.Errorf("another password: %v", err)
			}
		})
	}
	file, err := os.ReadFile("testdata/slow.p12") // made with -nomac -iter 12000000
	if err != nil {
		t.Fatal(err)
	}
	if _, err := certs.ParseBundle([][]byte{file}, "x"); err == nil || !strings.Contains(err.Error(), "rounds") {
		t.Errorf("twelve million rounds: %v", err)
	}
}

func TestUploadIsUsedAndTakenBackWithoutDroppingAConnection(t *testing.T) {
	root := authority(t, nil, "Root")
	lower := authority(t, &root.issuer, "Lower")
	b := newBox(t)
	m := b.trusting(t, root)
	run(t, m)
	addr := greet(t, m)
	hold := func(roots *x509.CertPool, name string) *tls.Conn {
		t.Helper()
		c, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: roots, ServerName: name})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	public := x509.NewCertPool()
	public.AddCert(root.cert)
	old := hold(b.pool(t), "mail.office.example")
	own := m.Leaf()

	var used []certs.Settings
	for range 5 {
		good := leaf(t, &lower.issuer)
		bundle, err := certs.ParseBundle([][]byte{[]byte(good.pem + lower.pem + good.keyPEM)}, "")
		if err != nil {
			t.Fatal(err)
		}
		fingerprint, _, err := m.Keep(t.Context(), bundle, false)
		if err != nil {
			t.Fatal(err)
		}
		before, err := m.Use(t.Context(), certs.Settings{Source: certs.Uploaded, Upload: fingerprint})
		if err != nil {
			t.Fatal(err)
		}
		used = append(used, before)
		if !m.Leaf().Equal(good.cert) || !m.Own() || m.Health() != nil {
			t.Errorf("presented: %s, own %v, health %v", m.Leaf().Subject, m.Own(), m.Health())
		}
	}
	hold(public, "mail.office.example")
	// Devices that trust the box's own CA and know another name go on.
	hold(b.pool(t), "pillarbox.local")
	if kept, _ := filepath.Glob(filepath.Join(b.dir, "upload-*.pem")); len(kept) > 5 {
		t.Errorf("%d uploads are kept", len(kept))
	}
	for _, name := range []string{"settings.json", "upload-" + m.Settings().Upload + ".pem"} {
		if fi, err := os.Stat(filepath.Join(b.dir, name)); err != nil || fi.Mode() != fs.FileMode(0o600) {
			t.Errorf("%s: %v, %v", name, fi.Mode(), err)
		}
	}

	again := b.trusting(t, root) // as a restart does
	if !again.Leaf().Equal(m.Leaf()) {
		t.Error("a restart uses another certificate")
	}

	current := m.Leaf()
	if _, err := m.Use(t.Context(), used[len(used)-1]); err != nil || m.Leaf().Equal(current) {
		t.Errorf("taken back: %v, %s", err, m.Leaf().SerialNumber)
	}
	if _, err := m.Use(t.Context(), certs.Settings{Source: certs.Uploaded, Upload: strings.Repeat("0", 64)}); err == nil {
		t.Error("an upload that is not there was used")
	}
	if _, err := m.Use(t.Context(), used[0]); err != nil || !m.Leaf().Equal(own) || m.Own() {
		t.Errorf("back to the private CA: %v, own %v", err, m.Own())
	}
	hold(b.pool(t), "mail.office.example")
	old.SetDeadline(time.Now().Add(20 * time.Second))
	if text, err := io.ReadAll(io.LimitReader(old, 6)); string(text) != "hello\n" || err != nil {
		t.Errorf("the connection of the beginning: %q, %v", text, err)
	}
	if _, err := old.Write([]byte("still here\n")); err != nil {
		t.Error(err)
	}
}

func TestBrokenUploadAtTheStartLeavesTheBoxReachable(t *testing.T) {
	root := authority(t, nil, "Root")
	good := leaf(t, &root.issuer)
	b := newBox(t)
	m := b.trusting(t, root)
	bundle, err := certs.ParseBundle([][]byte{[]byte(good.pem + good.keyPEM)}, "")
	if err != nil {
		t.Fatal(err)
	}
	fingerprint, _, err := m.Keep(t.Context(), bundle, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Use(t.Context(), certs.Settings{Source: certs.Uploaded, Upload: fingerprint}); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"upload-" + fingerprint + ".pem", "settings.json"} {
		b.write(t, file, "nonsense")
		m = b.trusting(t, root)
		if _, err := m.Leaf().Verify(x509.VerifyOptions{DNSName: "localhost", Roots: b.pool(t)}); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if err := m.Health(); err == nil || !strings.Contains(err.Error(), "pillarbox cert use") {
			t.Errorf("%s: health %v", file, err)
		}
	}
	if _, err := m.Use(t.Context(), certs.Settings{}); err != nil || m.Health() != nil {
		t.Errorf("mended: %v, %v", err, m.Health())
	}
}

// need skips a test where a program is missing, and fails it in CI.
func need(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is not installed", program)
		}
		t.Skipf("%s is not installed", program)
	}
}

func TestSecretsAreNotLogged(t *testing.T) {
	s := certs.Settings{Source: certs.ACME, ACME: &certs.ACMESettings{
		EABKeyID: "kid", EABKey: "hush1",
		DNS: &certs.DNSSettings{Provider: "rfc2136", Credentials: map[string]certs.Secret{"server": "ns.office.example", "key": "hush2"}},
	}}
	var text bytes.Buffer
	log := slog.New(slog.NewTextHandler(&text, nil))
	log.Info("x", "key", s.ACME.EABKey, "redacted", fmt.Sprintf("%+v %+v", s.Redacted().ACME, s.Redacted().ACME.DNS))
	fmt.Fprintf(&text, "%v %s", s.ACME.EABKey, s.ACME.DNS.Credentials)
	if strings.Contains(text.String(), "hush") {
		t.Error(text.String())
	}
	if got := s.Redacted().ACME.DNS.Credentials["server"]; string(got) != "ns.office.example" {
		t.Errorf("what is no secret became %q", string(got))
	}
	if string(s.ACME.EABKey) != "hush1" {
		t.Error("Redacted changed the settings")
	}
}

func FuzzParseBundle(f *testing.F) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsaKey)}), "")
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "")
	if files, err := filepath.Glob("testdata/*.p12"); err == nil {
		for _, name := range files {
			if data, err := os.ReadFile(name); err == nil {
				f.Add(data, "x")
			}
		}
	}
	f.Fuzz(func(t *testing.T, file []byte, password string) {
		b, err := certs.ParseBundle([][]byte{file}, certs.Secret(password))
		if err == nil && len(b.Certificates) > 32 {
			t.Errorf("%d certificates", len(b.Certificates))
		}
	})
}
