package doctor_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"
)

// pki is a CA with an intermediate one, and what it says of its certificates.
type pki struct {
	root, between       *x509.Certificate
	rootKey, betweenKey *ecdsa.PrivateKey
	serial              int64
	url                 string // of its responder; "" before serve
	revoked             map[int64]bool
}

func newPKI(t *testing.T) *pki {
	t.Helper()
	p := &pki{serial: 100, revoked: map[int64]bool{}}
	ca := func(name string, parent *x509.Certificate, by *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		p.serial++
		c := &x509.Certificate{
			SerialNumber: big.NewInt(p.serial), Subject: pkix.Name{CommonName: name, Organization: []string{"Lab"}},
			NotBefore: time.Now().Add(-400 * 24 * time.Hour), NotAfter: time.Now().Add(4000 * 24 * time.Hour),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
		}
		if parent == nil {
			parent, by = c, key
		}
		der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), by)
		if err != nil {
			t.Fatal(err)
		}
		c, err = x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c, key
	}
	p.root, p.rootKey = ca("Lab Root", nil, nil)
	p.between, p.betweenKey = ca("Lab Intermediate", p.root, p.rootKey)
	return p
}

func (p *pki) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(p.root)
	return pool
}

// serve answers by HTTP for the CA: OCSP, the list, the intermediate.
func (p *pki) serve(t *testing.T) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.url = "http://" + ln.Addr().String()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /ocsp", func(w http.ResponseWriter, r *http.Request) {
		var b bytes.Buffer
		_, _ = b.ReadFrom(r.Body)
		q, err := ocsp.ParseRequest(b.Bytes())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_, _ = w.Write(p.word(q.SerialNumber))
	})
	mux.HandleFunc("GET /list", func(w http.ResponseWriter, _ *http.Request) {
		l := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour)}
		for n := range p.revoked {
			l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(n), RevocationTime: time.Now().Add(-time.Hour)})
		}
		der, _ := x509.CreateRevocationList(rand.Reader, l, p.between, p.betweenKey)
		_, _ = w.Write(der)
	})
	mux.HandleFunc("GET /intermediate", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(p.between.Raw) })
	s := &http.Server{Handler: mux}
	go func() { _ = s.Serve(ln) }()
	t.Cleanup(func() { _ = s.Close() })
}

func (p *pki) word(serial *big.Int) []byte {
	answer := ocsp.Response{
		Status: ocsp.Good, SerialNumber: serial, ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour),
	}
	if p.revoked[serial.Int64()] {
		answer.Status, answer.RevokedAt = ocsp.Revoked, time.Now().Add(-time.Hour)
	}
	der, _ := ocsp.CreateResponse(p.between, p.between, answer, p.betweenKey)
	return der
}

// issue says how a certificate is made.
type issue struct {
	change  func(*x509.Certificate)
	key     crypto.Signer // nil means ECDSA P-256
	self    bool          // signed by its own key
	chain   func(leaf, between, root []byte) [][]byte
	revoked bool
}

// put writes a certificate with its chain and its key into files.
func (p *pki) put(t *testing.T, dir string, i issue) (certFile, keyFile string) {
	t.Helper()
	key := i.key
	if key == nil {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		key = k
	}
	p.serial++
	c := &x509.Certificate{
		SerialNumber: big.NewInt(p.serial), Subject: pkix.Name{CommonName: mailName}, DNSNames: []string{mailName},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(80 * 24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if _, ok := key.(*rsa.PrivateKey); ok {
		c.KeyUsage |= x509.KeyUsageKeyEncipherment
	}
	if i.change != nil {
		i.change(c)
	}
	p.revoked[p.serial] = i.revoked
	if !i.revoked {
		delete(p.revoked, p.serial)
	}
	parent, by := p.between, crypto.Signer(p.betweenKey)
	if i.self {
		parent, by = c, key
	}
	leaf, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	all := [][]byte{leaf, p.between.Raw}
	if i.self {
		all = all[:1]
	}
	if i.chain != nil {
		all = i.chain(leaf, p.between.Raw, p.root.Raw)
	}
	var text strings.Builder
	for _, der := range all {
		_ = pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	write(t, certFile, text.String())
	write(t, keyFile, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	if err := os.Chmod(keyFile, 0o644); err != nil { // servers give their privileges up
		t.Fatal(err)
	}
	return certFile, keyFile
}

// rsaKey makes one of a size that is too small on purpose where it is.
func rsaKey(t *testing.T, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
