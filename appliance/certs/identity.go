package certs

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"pillarbox/appliance/profile"
)

// identityLife is how long a device's certificate is good for. It can be revoked
// at any time.
const identityLife = 2 * 365 * day

// NewIdentity says what a device's certificate is to be.
type NewIdentity struct {
	Address string // of the account
	Device  string // its name
	RSA     bool   // has an RSA key made, for devices that know no other
	Legacy  bool   // encrypts the file as old devices want it

	Payloads []profile.Payload // what else the profile brings; nil means nothing
}

// Identity is a certificate for a device with its key. Neither is kept here.
type Identity struct {
	Certificate *x509.Certificate
	PKCS12      []byte // the key, the certificate and its CA
	Profile     []byte // the same, and the box's CA, as a signed profile for Apple's devices
	Password    string // that both files ask for
}

// NewIdentity makes a certificate by which a device shows who it is. The CA that
// signs it is one of its own, which is trusted for nothing else and by nobody
// but this box: with its key nobody can pass for a server.
func (m *Manager) NewIdentity(ctx context.Context, n NewIdentity) (*Identity, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	ca, err := m.devices()
	if err != nil {
		return nil, fmt.Errorf("open the CA of devices: %w", err)
	}
	key, err := newIdentityKey(n.RSA)
	if err != nil {
		return nil, fmt.Errorf("make a device's key: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{Organization: []string{"Pillarbox"}, OrganizationalUnit: []string{n.Device}, CommonName: n.Address},
		NotBefore:    m.now().Add(-early),
		NotAfter:     m.now().Add(identityLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},

		BasicConstraintsValid: true,
	}
	if isASCII(n.Address) { // RFC 5280, section 4.2.1.6
		t.EmailAddresses = []string{n.Address}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, ca.cert, key.Public(), ca.key)
	if err != nil {
		return nil, fmt.Errorf("sign a device's certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("parse a device's certificate: %w", err)
	}

	return m.pack(n, key, cert, ca.cert)
}

func (m *Manager) pack(n NewIdentity, key crypto.Signer, cert, ca *x509.Certificate) (*Identity, error) {
	id := &Identity{Certificate: cert, Password: strings.ToLower(rand.Text()[:16])} // 80 bits
	// Apple's systems read the newer form only since lately, and by that password
	// the older one is as good.
	old, err := pkcs12.LegacyDES.Encode(key, cert, []*x509.Certificate{ca}, id.Password)
	if err != nil {
		return nil, fmt.Errorf("pack a device's certificate: %w", err)
	}
	id.PKCS12 = old
	if !n.Legacy {
		if id.PKCS12, err = pkcs12.Modern2023.Encode(key, cert, []*x509.Certificate{ca}, id.Password); err != nil {
			return nil, fmt.Errorf("pack a device's certificate: %w", err)
		}
	}
	name := "pillarbox.device." + fingerprint(cert)[:16]
	p := profile.Profile{
		Name:        "Mail of " + n.Address,
		Description: "Lets this device trust the office's mail box, and show it who it is. After it is installed: Settings, General, About, Certificate Trust Settings.",
		ID:          name, UUID: profile.UUID(cert.Raw, "profile"),
		Payloads: append([]profile.Payload{m.RootPayload(), {
			Type: "com.apple.security.pkcs12", Name: n.Address + " (" + n.Device + ")",
			ID: name + ".identity", UUID: profile.UUID(cert.Raw, "identity"),
			Keys: map[string]any{"PayloadCertificateFileName": "device.p12", "PayloadContent": old},
		}}, n.Payloads...),
	}
	if id.Profile, err = m.Sign(p.Encode()); err != nil {
		return nil, err
	}

	return id, nil
}

func newIdentityKey(old bool) (crypto.Signer, error) {
	if old {
		return rsa.GenerateKey(rand.Reader, 2048)
	}

	return newKey()
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r > 127 }) < 0
}

// devices opens the CA of devices, and makes it if there is none.
func (m *Manager) devices() (*authority, error) {
	m.devicesMaking.Lock()
	defer m.devicesMaking.Unlock()
	certFile, keyFile := filepath.Join(m.dir, devicesCert), filepath.Join(m.dir, devicesKey)
	key, err := ensureKey(keyFile)
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(certFile)
	if errors.Is(err, fs.ErrNotExist) {
		return newDevicesCA(certFile, key, m.now())
	}
	if err != nil {
		return nil, err
	}
	cert, err := parseCertificate(b)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", certFile, err)
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, fmt.Errorf("%s is not the key of %s", keyFile, certFile)
	}
	if !m.now().Add(identityLife).Before(cert.NotAfter) {
		// Certificates are known by themselves, whoever has signed them.
		return newDevicesCA(certFile, key, m.now())
	}

	return &authority{cert: cert, key: key}, nil
}

func newDevicesCA(certFile string, key *ecdsa.PrivateKey, now time.Time) (*authority, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{Organization: []string{"Pillarbox"}, CommonName: "Pillarbox CA of devices " + rand.Text()[:6]},
		NotBefore:             now.Add(-early),
		NotAfter:              now.Add(caLife),
		KeyUsage:              x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("sign the CA of devices: %w", err)
	}
	if err := writeFile(certFile, encodeChain([][]byte{der}), 0o644); err != nil {
		return nil, fmt.Errorf("write the CA of devices: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}

	return &authority{cert: cert, key: key}, nil
}
