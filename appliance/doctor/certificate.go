package doctor

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// soon is how long before its end a certificate should have been renewed:
// usual ones of 90 days are renewed 30 days before.
const soon = 14 * 24 * time.Hour

// certificate examines what the server sent, and tells whether it can be
// trusted for the name.
func (x *examination) certificate(ctx context.Context, s *secured) bool {
	sent := s.state.PeerCertificates
	if len(sent) == 0 {
		return false // crypto/tls ends such a handshake
	}
	leaf := sent[0]
	ok := x.validity(s, sent)
	ok = x.naming(s, leaf) && ok
	signed := x.strength(s, sent)
	path := x.order(s, sent)
	if signed {
		ok = x.trust(ctx, s, path) && ok
	} else {
		ok = false
		x.skip("whether the CA on port "+s.String()+" is known", "a signature on the way there proves nothing")
	}
	if len(path) > 1 {
		ok = x.revocation(ctx, s, path[0], path[1]) && ok
	} else {
		x.skip("the revocation of the certificate on port "+s.String(), "its issuer's certificate is not there")
	}

	return ok
}

func (x *examination) validity(s *secured, sent []*x509.Certificate) bool {
	now, ok := x.now(), true
	for i, c := range sent {
		what := "the certificate of " + nameOf(c)
		if i > 0 {
			what = "the intermediate certificate of " + nameOf(c)
		}
		day := func(t time.Time) string { return t.UTC().Format(time.DateOnly) }
		switch {
		case now.After(c.NotAfter):
			x.find("cert-expired", s.String(), fmt.Sprintf("%s expired on %s", what, day(c.NotAfter)), s.at())
			ok = false
		case now.Before(c.NotBefore):
			x.find("cert-not-yet", s.String(), fmt.Sprintf("%s is valid from %s on only", what, day(c.NotBefore)), s.at())
			ok = false
		case c.NotAfter.Sub(now) < min(soon, c.NotAfter.Sub(c.NotBefore)/4):
			x.find("cert-ends-soon", s.String(), fmt.Sprintf("%s expires on %s, and no other is in use", what, day(c.NotAfter)), s.at())
		}
	}

	return ok
}

func (x *examination) naming(s *secured, leaf *x509.Certificate) bool {
	names := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		x.find("cert-no-names", s.String(), fmt.Sprintf("the certificate holds no name as subject alternative name, only the subject %s", quote(leaf.Subject.String())), s.at())
		return false
	}
	if leaf.VerifyHostname(x.name) != nil {
		if len(names) > 8 {
			names = append(names[:8], "…")
		}
		x.find("cert-name", s.String(), fmt.Sprintf("the certificate is not for %s: it is for %s", x.name, strings.Join(names, ", ")), s.at())
		return false
	}

	return true
}

// strength tells whether the signatures are worth something.
func (x *examination) strength(s *secured, sent []*x509.Certificate) (signed bool) {
	signed = true
	for _, c := range sent {
		switch k := c.PublicKey.(type) {
		case *rsa.PublicKey:
			if n := k.N.BitLen(); n < 2048 {
				x.find("cert-weak-key", s.String(), fmt.Sprintf("the RSA key of %s has %d bits", nameOf(c), n), s.at())
			}
		case *ecdsa.PublicKey:
			if n := k.Params().BitSize; n < 256 {
				x.find("cert-weak-key", s.String(), fmt.Sprintf("the ECDSA key of %s has %d bits", nameOf(c), n), s.at())
			}
		}
		if weakSignature(c) && !bytes.Equal(c.RawSubject, c.RawIssuer) { // nobody looks at a root's
			x.find("cert-weak-signature", s.String(), fmt.Sprintf("the certificate of %s is signed by %s", nameOf(c), c.SignatureAlgorithm), s.at())
			signed = false
		}
	}
	leaf := sent[0]
	if len(leaf.ExtKeyUsage)+len(leaf.UnknownExtKeyUsage) > 0 &&
		!slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth) && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny) {
		x.find("cert-not-for-servers", s.String(), fmt.Sprintf("the certificate of %s is not meant for servers", nameOf(leaf)), s.at())
	}

	return signed
}

// order returns the path from the leaf as far as what was sent goes.
func (x *examination) order(s *secured, sent []*x509.Certificate) []*x509.Certificate {
	path, rest, straight := sent[:1:1], slices.Clone(sent[1:]), true
	for last := path[0]; !selfSigned(last); last = path[len(path)-1] {
		i := slices.IndexFunc(rest, func(c *x509.Certificate) bool { return issued(c, last) })
		if i < 0 {
			break
		}
		straight = straight && i == 0
		path = append(path, rest[i])
		rest = slices.Delete(rest, i, i+1)
	}
	switch {
	case !straight:
		x.find("chain-order", s.String(), "the certificates that the server sends do not follow each other from its own to the CA's", s.at())
	case len(rest) > 0:
		x.find("chain-unneeded", s.String(), fmt.Sprintf("the server sends the certificate of %s, which does not belong to the chain", nameOf(rest[0])), s.at())
	}

	return path
}

// trust finds out whether the path leads to a root that is known.
func (x *examination) trust(ctx context.Context, s *secured, path []*x509.Certificate) bool {
	if x.verified(path) {
		return true
	}
	last := path[len(path)-1]
	issuer := quote(last.Issuer.String())
	switch {
	case selfSigned(last) && len(path) == 1:
		x.find("cert-self-signed", s.String(), "the certificate is signed by its own key and by no CA", s.at())
	case selfSigned(last):
		x.find("cert-unknown-ca", s.String(), fmt.Sprintf("the certificate comes from the CA %s, which devices do not know by themselves", issuer), s.at())
	case len(last.IssuingCertificateURL) > 0:
		x.incomplete(ctx, s, path)
	default:
		x.find("cert-unknown-ca", s.String(), fmt.Sprintf("the certificate of %s is signed by %s, which is not known here; the server does not send its certificate", nameOf(last), issuer), s.at())
	}

	return false
}

// incomplete says what is missing, having looked at where the CA offers it.
func (x *examination) incomplete(ctx context.Context, s *secured, path []*x509.Certificate) {
	last := path[len(path)-1]
	url := last.IssuingCertificateURL[0]
	what := fmt.Sprintf("the server does not send the certificate of %s, which signed that of %s", quote(last.Issuer.String()), nameOf(last))
	der, err := x.get(ctx, http.MethodGet, url, "", nil)
	if err == nil {
		var c *x509.Certificate
		if c, err = x509.ParseCertificate(der); err == nil && issued(c, last) {
			if selfSigned(c) {
				x.find("cert-unknown-ca", s.String(), fmt.Sprintf("the certificate comes from the CA %s, which devices do not know by themselves", quote(c.Subject.String())), s.at())
				return
			}
			x.find("chain-incomplete", s.String(), what+"; the CA offers it at "+url, s.at())
			return
		}
	}
	x.find("chain-incomplete", s.String(), what+"; the CA says that it is at "+url+", where it was not found", s.at())
}

// verified tells whether a path leads to a known root, at a time when it was
// valid: that it expired is told by itself.
func (x *examination) verified(path []*x509.Certificate) bool {
	roots := x.trusted()
	between := x509.NewCertPool()
	for _, c := range path[1:] {
		between.AddCert(c)
	}
	at := x.now()
	for _, c := range path {
		if at.After(c.NotAfter) {
			at = c.NotAfter
		}
	}
	for _, c := range path {
		if at.Before(c.NotBefore) {
			at = c.NotBefore
		}
	}
	_, err := path[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})

	return err == nil
}

func (x *examination) trusted() *x509.CertPool { return x.Doctor.roots }

func issued(issuer, c *x509.Certificate) bool {
	// Crypto/x509 verifies no weak signatures; the order shows without them.
	return bytes.Equal(issuer.RawSubject, c.RawIssuer) && (weakSignature(c) || c.CheckSignatureFrom(issuer) == nil)
}

func weakSignature(c *x509.Certificate) bool {
	return slices.Contains([]x509.SignatureAlgorithm{
		x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.DSAWithSHA1,
	}, c.SignatureAlgorithm)
}

func selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawSubject, c.RawIssuer) && c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

func nameOf(c *x509.Certificate) string {
	switch {
	case len(c.DNSNames) > 0:
		return clean(c.DNSNames[0])
	case c.Subject.CommonName != "":
		return clean(c.Subject.CommonName)
	}

	return clean(c.Subject.String())
}
