package certs_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pillarbox/appliance/certs"
)

// TestStaplesWhatOpenSSLSays has OpenSSL's responder behind a web server that
// can fail.
func TestStaplesWhatOpenSSLSays(t *testing.T) {
	need(t, "openssl")
	dir := t.TempDir()
	var broken, asked atomic.Int64
	root := authority(t, nil, "Root")
	lower := authority(t, &root.issuer, "Lower")
	index := "index"
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ca, key := write("ca.pem", lower.pem), write("ca.key", lower.keyPEM)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if broken.Load() != 0 {
			http.Error(w, "out of order", http.StatusServiceUnavailable)
			return
		}
		question, answer := filepath.Join(dir, fmt.Sprint("q", asked.Load())), filepath.Join(dir, fmt.Sprint("a", asked.Load()))
		f, err := os.Create(question)
		if err != nil {
			t.Error(err)
			return
		}
		_, err = f.ReadFrom(r.Body)
		f.Close()
		if err != nil {
			t.Error(err)
			return
		}
		out, err := exec.CommandContext(r.Context(), "openssl", "ocsp", "-index", filepath.Join(dir, index), "-CA", ca, "-rsigner", ca, "-rkey", key,
			"-reqin", question, "-respout", answer, "-resp_no_certs", "-nmin", "60").CombinedOutput()
		if r.Context().Err() != nil {
			return // who asked is gone: the test is over
		}
		if err != nil {
			t.Errorf("openssl: %v\n%s", err, out)
			return
		}
		http.ServeFile(w, r, answer)
	}))
	defer srv.Close()
	good := leaf(t, &lower.issuer, func(c *x509.Certificate) { c.OCSPServer = []string{srv.URL} })
	serial := fmt.Sprintf("%X", good.cert.SerialNumber)
	if len(serial)%2 == 1 {
		serial = "0" + serial
	}
	until := good.cert.NotAfter.UTC().Format("060102150405Z")
	write(index, "V\t"+until+"\t\t"+serial+"\tunknown\t/CN=mail.office.example\n")

	b := newBox(t)
	var ahead atomic.Int64
	c := b.config()
	c.Inside, c.Roots, c.Interval = true, x509.NewCertPool(), 20*time.Millisecond
	c.Roots.AddCert(root.cert)
	c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	m, err := certs.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	run(t, m)
	addr := greet(t, m)
	bundle, err := certs.ParseBundle([][]byte{[]byte(good.pem + lower.pem + good.keyPEM)}, "")
	if err != nil {
		t.Fatal(err)
	}
	fingerprint, r, err := m.Keep(t.Context(), bundle, false)
	if err != nil || !r.OK() {
		t.Fatalf("%v, %+v", err, r)
	}
	if _, err := m.Use(t.Context(), certs.Settings{Source: certs.Uploaded, Upload: fingerprint}); err != nil {
		t.Fatal(err)
	}
	stapled := func() bool {
		c, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: c.Roots, ServerName: "mail.office.example"})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return len(c.OCSPResponse()) > 0
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(b.logged())
		}
	})
	await(t, "a staple", stapled)
	out, err := exec.CommandContext(t.Context(), "openssl", "s_client", "-connect", addr, "-servername", "mail.office.example", "-status",
		"-CAfile", write("root.pem", root.pem), "-verify_return_error").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Cert Status: good") {
		t.Errorf("openssl: %v\n%s", err, out)
	}

	// A responder that fails is not asked all the time, and what it said last
	// holds until it runs out.
	broken.Store(1)
	before := asked.Load()
	ahead.Store(int64(40 * time.Minute))
	await(t, "a second question", func() bool { return asked.Load() > before })
	if !stapled() {
		t.Error("the staple went away before it ran out")
	}
	if n := asked.Load(); n > before+2 {
		t.Errorf("asked %d times", n-before)
	}
	ahead.Store(int64(3 * time.Hour))
	await(t, "the end of the staple", func() bool { return !stapled() })

	// One that revokes is believed.
	broken.Store(0)
	write(index, "R\t"+until+"\t"+time.Now().Add(-time.Hour).UTC().Format("060102150405Z")+"\t"+serial+"\tunknown\t/CN=mail.office.example\n")
	ahead.Store(0)
	if _, err := m.Use(t.Context(), m.Settings()); err != nil {
		t.Fatal(err)
	}
	await(t, "the revocation", func() bool { return strings.Contains(b.logged(), "is revoked") })
	if stapled() {
		t.Error("a revocation is stapled")
	}
}
