package integration_test

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"pillarbox/appliance/integration/rig"
)

// presented returns the certificate that new connections see.
func presented(t *testing.T, box *rig.Box, roots *x509.CertPool) *x509.Certificate {
	t.Helper()
	conn, err := tls.Dial("tcp", box.Legacy(t, "tcp4"), &tls.Config{RootCAs: roots, ServerName: "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0]
}

// TestARenewedCertificateDropsNobody puts an office's own certificate into the
// place of the box's, while a session is open.
func TestARenewedCertificateDropsNobody(t *testing.T) {
	box := openOffice(t)
	c := asAda(t, box, nil)
	selectMailbox(t, c, "INBOX")
	before := presented(t, box, box.TLS(t).RootCAs)

	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	(&rig.Command{
		Path: rig.Tool(t, "openssl", "openssl"),
		Args: []string{"req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
			"-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", cert},
	}).MustRun(t)
	pem, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	certs := filepath.Dir(box.CAFile())
	for from, to := range map[string]string{key: "server.key", cert: "server.crt"} {
		if err := os.Rename(from, filepath.Join(certs, to)); err != nil {
			t.Fatal(err)
		}
	}
	box.Signal(t, syscall.SIGHUP)
	box.WaitLog(t, "a certificate was taken into use", "CN=localhost")

	after := presented(t, box, roots)
	if after.Equal(before) {
		t.Error("the old certificate is still presented")
	}
	if err := c.Noop().Wait(); err != nil {
		t.Errorf("the open session was dropped: %v", err)
	}
	mustAppend(t, c, "INBOX", letter("after the renewal"))
}

func TestTheCertificateIsOneThatPhonesTake(t *testing.T) {
	box := openOffice(t)
	leaf := presented(t, box, box.TLS(t).RootCAs)
	if life := leaf.NotAfter.Sub(leaf.NotBefore); life > 825*24*time.Hour {
		t.Errorf("it is valid for %v, phones take 825 days at most", life)
	}
	if len(leaf.ExtKeyUsage) == 0 || leaf.ExtKeyUsage[0] != x509.ExtKeyUsageServerAuth {
		t.Errorf("its extended key usage is %v, want serverAuth", leaf.ExtKeyUsage)
	}
	if leaf.IsCA {
		t.Error("it is a CA")
	}
	for _, name := range []string{"localhost", "127.0.0.1", "::1"} {
		if err := leaf.VerifyHostname(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, file := range []string{"server.key", "ca.key"} {
		info, err := os.Stat(filepath.Join(filepath.Dir(box.CAFile()), file))
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("%s has the mode %o", file, mode)
		}
	}
}
