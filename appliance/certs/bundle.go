package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
	"software.sslmate.com/src/go-pkcs12"
)

// Bounds of what somebody uploads.
const (
	MaxUpload     = 1 << 20 // octets in all
	maxBundle     = 32      // certificates
	maxBundleKeys = 4
	// maxIterations bounds the key derivations of a PKCS #12 file together. It
	// has three or so; programs use 2,048 to 600,000 rounds for each.
	maxIterations = 3_000_000
)

// Bundle is what uploaded files hold, in any order.
type Bundle struct {
	Certificates []*x509.Certificate
	Keys         []crypto.Signer
}

// ErrPassword says that a PKCS #12 file asks for another password.
var ErrPassword = errors.New("the file's password is missing or wrong")

// ParseBundle reads files in PEM, DER (a certificate) or PKCS #12. The password
// is that of PKCS #12 files.
func ParseBundle(files [][]byte, password Secret) (*Bundle, error) {
	b, size := &Bundle{}, 0
	for _, f := range files {
		if size += len(f); size > MaxUpload {
			return nil, fmt.Errorf("the files have more than %d octets", MaxUpload)
		}
		if err := b.add(f, password); err != nil {
			return nil, err
		}
		if len(b.Certificates) > maxBundle || len(b.Keys) > maxBundleKeys {
			return nil, fmt.Errorf("the files hold more than %d certificates or %d keys", maxBundle, maxBundleKeys)
		}
	}
	return b, nil
}

func (b *Bundle) add(f []byte, password Secret) error {
	if bytes.Contains(f, []byte("-----BEGIN ")) {
		return b.addPEM(f)
	}
	if c, err := x509.ParseCertificate(f); err == nil {
		b.Certificates = append(b.Certificates, c)
		return nil
	}
	der := cryptobyte.String(f)
	if !der.PeekASN1Tag(asn1.SEQUENCE) {
		return errors.New("a file is neither PEM nor PKCS #12")
	}
	return b.addPKCS12(f, password)
}

func (b *Bundle) addPEM(f []byte) error {
	for {
		block, rest := pem.Decode(f)
		if block == nil {
			return nil
		}
		f = rest
		switch {
		case block.Type == pemCertificate || block.Type == "TRUSTED CERTIFICATE" || block.Type == "X509 CERTIFICATE":
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return fmt.Errorf("read a certificate: %w", err)
			}
			b.Certificates = append(b.Certificates, c)
		case block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
			return errors.New("the key is encrypted by a password: upload it as PKCS #12, or decrypt it first (openssl pkey -in FILE -out NEW)")
		case strings.HasSuffix(block.Type, pemKey):
			key, err := parseKey(block.Bytes)
			if err != nil {
				return err
			}
			b.Keys = append(b.Keys, key)
		}
		if len(b.Certificates) > maxBundle || len(b.Keys) > maxBundleKeys {
			return nil // the caller says so
		}
	}
}

func (b *Bundle) addPKCS12(f []byte, password Secret) error {
	if rounds(f, 0) > maxIterations {
		return fmt.Errorf("the PKCS #12 file asks for more than %d rounds of key derivation", maxIterations)
	}
	key, leaf, others, err := pkcs12.DecodeChain(f, string(password))
	if errors.Is(err, pkcs12.ErrIncorrectPassword) {
		return ErrPassword
	}
	if err != nil {
		return fmt.Errorf("read the PKCS #12 file: %w", err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return errors.New("the PKCS #12 file's key is of a kind that TLS does not know")
	}
	b.Keys = append(b.Keys, signer)
	b.Certificates = append(append(b.Certificates, leaf), others...)
	return nil
}

// rounds counts those of the key derivations that can be seen: the number
// follows a salt (RFC 7292, appendix C; RFC 8018, appendix A).
func rounds(der cryptobyte.String, depth int) (sum int64) {
	salted := false
	for !der.Empty() && depth < 16 && sum <= maxIterations {
		var whole, inner cryptobyte.String
		var tag asn1.Tag
		if !der.ReadAnyASN1Element(&whole, &tag) {
			return sum // not DER; who decodes it says so
		}
		if tag == asn1.INTEGER && salted {
			var n int64
			if number := whole; !number.ReadASN1Integer(&n) || n < 0 || n > maxIterations {
				return maxIterations + 1
			}
			sum += n
		}
		salted = tag == asn1.OCTET_STRING
		if whole.ReadAnyASN1(&inner, &tag) {
			sum += rounds(inner, depth+1)
		}
	}
	return sum
}

// parseKey reads a key in PKCS #8, PKCS #1 or SEC 1 form.
func parseKey(der []byte) (crypto.Signer, error) {
	k, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		if rsaKey, err := x509.ParsePKCS1PrivateKey(der); err == nil {
			return rsaKey, nil
		}
		if ecKey, err := x509.ParseECPrivateKey(der); err == nil {
			return ecKey, nil
		}
		return nil, fmt.Errorf("read a key: %w", err)
	}
	switch k := k.(type) {
	case *ecdsa.PrivateKey:
		return k, nil
	case *rsa.PrivateKey:
		return k, nil
	case ed25519.PrivateKey:
		return k, nil
	}
	return nil, errors.New("the key is of a kind that TLS does not know")
}
