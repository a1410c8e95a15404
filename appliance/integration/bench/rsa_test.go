package bench_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pillarbox/appliance/integration/rig"
)

// rsaCert is the name of the certificate that presentRSA makes, beside the CA's.
const rsaCert = "server.crt"

// presentRSA has the box present a certificate with an RSA key, as an
// administrator does who puts files into its folder. It signs itself.
func presentRSA(t *testing.T, box *rig.Box) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(box.CAFile())
	for name, block := range map[string]*pem.Block{
		rsaCert: {Type: "CERTIFICATE", Bytes: der}, "server.key": {Type: "PRIVATE KEY", Bytes: pkcs8},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// trust returns a client's configuration that trusts what the box presents.
func trust(t testing.TB, box *rig.Box) *tls.Config {
	t.Helper()
	conf := box.TLS(t)
	if os.Getenv(keyVariable) == "rsa" {
		text, err := os.ReadFile(filepath.Join(filepath.Dir(box.CAFile()), rsaCert))
		if err != nil {
			t.Fatal(err)
		}
		conf.RootCAs = x509.NewCertPool()
		conf.RootCAs.AppendCertsFromPEM(text)
	}
	return conf
}
