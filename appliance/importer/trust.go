package importer

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
)

// TrustError says that a server's certificate is not trusted, and what it is,
// so that an administrator who knows it can pin it.
type TrustError struct {
	Host        string
	Fingerprint string // SHA-256 of the certificate, in hexadecimal
	Subject     string
	Issuer      string
	Expires     time.Time
	Err         error
}

// Error implements error.
func (e *TrustError) Error() string {
	return fmt.Sprintf("the certificate of %s is not trusted: %v; it is for %q, signed by %q, good until %s, "+
		"and its fingerprint (SHA-256) is %s. If that is the right one, give the fingerprint or the file of the CA that signed it",
		e.Host, e.Err, e.Subject, e.Issuer, e.Expires.UTC().Format(time.DateOnly), e.Fingerprint)
}

// Unwrap returns ErrTrust and the reason.
func (e *TrustError) Unwrap() []error { return []error{ErrTrust, e.Err} }

var errPinned = errors.New("it is another one than the one that was pinned")

// roots returns the CAs that are trusted, those given beside others; nil means
// the system's.
func (s *Server) roots(others *x509.CertPool) (*x509.CertPool, error) {
	if s.CA == "" {
		return others, nil
	}
	var roots *x509.CertPool
	if others != nil {
		roots = others.Clone()
	} else {
		var err error
		if roots, err = x509.SystemCertPool(); err != nil {
			roots = x509.NewCertPool()
		}
	}
	if !roots.AppendCertsFromPEM([]byte(s.CA)) {
		return nil, fmt.Errorf("%w: the file of the CA holds no certificate (PEM)", ErrRefused)
	}
	return roots, nil
}

// tlsConfig trusts the certificate that is pinned, or a chain to one of the
// system's CAs or of those given.
func (s *Server) tlsConfig(others *x509.CertPool) (*tls.Config, error) {
	roots, err := s.roots(others)
	if err != nil {
		return nil, err
	}
	name := s.Name
	if name == "" {
		name = s.Host
	}
	pinned := normalFingerprint(s.Fingerprint)
	return &tls.Config{
		ServerName:         name,
		NextProtos:         []string{"imap"},
		InsecureSkipVerify: true, // VerifyConnection does it, and tells more
		VerifyConnection: func(c tls.ConnectionState) error {
			leaf := c.PeerCertificates[0]
			sum := sha256.Sum256(leaf.Raw)
			found := hex.EncodeToString(sum[:])
			var err error
			switch {
			case pinned == found:
			case pinned != "":
				err = errPinned
			default:
				o := x509.VerifyOptions{DNSName: name, Roots: roots, Intermediates: x509.NewCertPool()}
				for _, c := range c.PeerCertificates[1:] {
					o.Intermediates.AddCert(c)
				}
				_, err = leaf.Verify(o)
			}
			if err == nil {
				return nil
			}
			return &TrustError{
				Host: s.Host, Fingerprint: found, Subject: leaf.Subject.String(), Issuer: leaf.Issuer.String(), Expires: leaf.NotAfter, Err: err,
			}
		},
	}, nil
}

// normalFingerprint takes a fingerprint as people copy it, with colons or
// spaces; "" if it is none.
func normalFingerprint(s string) string {
	s = strings.ToLower(strings.NewReplacer(":", "", " ", "").Replace(s))
	if b, err := hex.DecodeString(s); err != nil || len(b) != sha256.Size {
		return ""
	}
	return s
}
