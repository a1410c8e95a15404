package certs

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	_ "golang.org/x/crypto/x509roots/fallback" // the firmware has no roots of its own
)

// pair is a key with its certificate and what is sent with it, in order.
type pair struct {
	key   crypto.Signer
	chain []*x509.Certificate // the leaf first
}

// checker checks what somebody uploads.
type checker struct {
	now   time.Time
	roots *x509.CertPool // nil means the system's
	names []string       // that clients use
	fetch func(ctx context.Context, url string) (*x509.Certificate, error)
}

// check puts a bundle in order and reports what is wrong with it. With fetch a
// missing intermediate is fetched. The pair is nil where no key has a
// certificate.
func (c *checker) check(ctx context.Context, b *Bundle, fetch bool) (*pair, *Report) {
	r := &Report{Findings: []Finding{}}
	p := c.match(b, r)
	if p == nil {
		return nil, r
	}
	rest := slices.DeleteFunc(slices.Clone(b.Certificates), func(x *x509.Certificate) bool { return x.Equal(p.chain[0]) })
	c.order(p, rest, r)
	c.complete(ctx, p, fetch, r)
	c.leaf(p, r)
	r.Certificate = Summarise(p.chain)
	return p, r
}

// match finds the certificate that belongs to a key.
func (c *checker) match(b *Bundle, r *Report) *pair {
	leaves := slices.DeleteFunc(slices.Clone(b.Certificates), func(x *x509.Certificate) bool { return x.IsCA })
	if len(leaves) == 0 {
		leaves = b.Certificates // a self-signed one that says it is a CA
	}
	switch {
	case len(b.Certificates) == 0:
		r.block("no-certificate", "there is no certificate in the files")
		return nil
	case len(b.Keys) == 0:
		r.block("no-key", "the private key is missing: it was made together with the request for the certificate, often as a .key file")
		return nil
	}
	var found []*pair
	for _, key := range b.Keys {
		public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
		for _, leaf := range leaves {
			if ok && public.Equal(leaf.PublicKey) {
				found = append(found, &pair{key: key, chain: []*x509.Certificate{leaf}})
			}
		}
	}
	switch len(found) {
	case 0:
		r.block("wrong-key", "the key does not belong to the certificate of %s: take the key that was made for its request", nameOf(leaves[0]))
		return nil
	case 1:
		if !b.Certificates[0].Equal(found[0].chain[0]) {
			r.note("out-of-order", "the certificate of %s is not the first of the files; it is put first", nameOf(found[0].chain[0]))
		}
		return found[0]
	}
	r.block("several", "the files hold %d certificates with their keys: upload one at a time", len(found))
	return nil
}

// order appends those of rest that lead from the leaf to its root.
func (c *checker) order(p *pair, rest []*x509.Certificate, r *Report) {
	inOrder := true
	for last := p.chain[0]; !selfSigned(last); last = p.chain[len(p.chain)-1] {
		i := slices.IndexFunc(rest, func(x *x509.Certificate) bool { return issued(x, last) })
		if i < 0 {
			break
		}
		inOrder = inOrder && i == 0
		p.chain = append(p.chain, rest[i])
		rest = slices.Delete(slices.Clone(rest), i, i+1)
	}
	if !inOrder {
		r.note("out-of-order", "the certificates of the chain do not follow each other; they are put in order")
	}
	for _, x := range rest {
		r.note("unneeded", "the certificate of %s does not belong to the chain; it is left out", nameOf(x))
	}
}

// complete finds out whether the chain leads to a root.
func (c *checker) complete(ctx context.Context, p *pair, fetch bool, r *Report) {
	for range 5 { // more than any CA has
		last := p.chain[len(p.chain)-1]
		if selfSigned(last) {
			break
		}
		if c.public(p) {
			return
		}
		url := issuerURL(last)
		switch {
		case url == "" && last == p.chain[0]:
			r.block("missing-intermediate", "the certificate of %q, which signed the one of %s, is missing: the CA offers it as intermediate, chain or bundle; put it into the upload",
				last.Issuer.String(), nameOf(last))
			return
		case url == "":
			r.note("unknown-root", "the chain ends below %q, which this box does not know: devices have to trust it already", last.Issuer.String())
			return
		case !fetch:
			r.Findings = append(r.Findings, Finding{
				Code: "missing-intermediate", Blocking: true, URL: url,
				Text: fmt.Sprintf("the certificate of %q, which signed the one of %s, is missing; the CA offers it at %s, and it can be fetched from there if you ask for that",
					last.Issuer.String(), nameOf(last), url),
			})
			return
		}
		next, err := c.fetch(ctx, url)
		switch {
		case err != nil:
			r.block("missing-intermediate", "the certificate of %q is missing and could not be fetched (%v): the CA offers it as intermediate, chain or bundle; put it into the upload", last.Issuer.String(), err)
			return
		case !issued(next, last):
			r.block("missing-intermediate", "what lies at %s did not sign the certificate of %s", url, nameOf(last))
			return
		}
		r.note("fetched", "the certificate of %q was missing and was fetched from %s", last.Issuer.String(), url)
		p.chain = append(p.chain, next)
	}
	if last := p.chain[len(p.chain)-1]; selfSigned(last) && !c.public(p) {
		r.note("private-root", "the root %q is not one that devices know by themselves: it has to be installed on each", last.Subject.String())
	}
	if n := len(p.chain); n > 1 && selfSigned(p.chain[n-1]) {
		p.chain = p.chain[:n-1] // who trusts it has it (RFC 8446, section 4.4.2)
	}
}

// public tells whether the chain leads to a root that everybody knows.
func (c *checker) public(p *pair) bool {
	between := x509.NewCertPool()
	for _, x := range p.chain[1:] {
		between.AddCert(x)
	}
	// At a time when it was valid: that it expired is told by itself.
	at := c.now
	if at.After(p.chain[0].NotAfter) || at.Before(p.chain[0].NotBefore) {
		at = p.chain[0].NotBefore.Add(p.chain[0].NotAfter.Sub(p.chain[0].NotBefore) / 2)
	}
	_, err := p.chain[0].Verify(x509.VerifyOptions{
		Roots: c.roots, Intermediates: between, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	return err == nil
}

// leaf checks what the certificate says of itself.
func (c *checker) leaf(p *pair, r *Report) {
	leaf := p.chain[0]
	for _, x := range p.chain {
		switch {
		case c.now.After(x.NotAfter):
			r.block("expired", "the certificate of %s expired on %s", nameOf(x), x.NotAfter.UTC().Format(time.DateOnly))
		case c.now.Before(x.NotBefore):
			r.block("not-yet-valid", "the certificate of %s is valid from %s on: wait, or check the box's clock", nameOf(x), x.NotBefore.UTC().Format(time.DateOnly))
		case stage(x.NotAfter.Sub(c.now)) > 0:
			r.note("expires-soon", "the certificate of %s expires on %s: get its successor in time", nameOf(x), x.NotAfter.UTC().Format(time.DateOnly))
		}
	}
	if len(leaf.ExtKeyUsage)+len(leaf.UnknownExtKeyUsage) > 0 &&
		!slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth) && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny) {
		r.block("not-for-servers", "the certificate of %s is not meant for servers", nameOf(leaf))
	}
	if len(leaf.DNSNames)+len(leaf.IPAddresses) == 0 {
		r.block("no-names", "the certificate holds no name as subject alternative name, and mail programs look nowhere else")
	}
	if key, ok := leaf.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < 2048 {
		r.block("weak-key", "the RSA key has %d bits; mail programs want at least 2048", key.N.BitLen())
	}
	if keyKind(leaf.PublicKey) == "Ed25519" {
		r.note("rare-key", "many mail programs cannot use an Ed25519 key yet")
	}
	if missing := uncovered(c.names, leaf); len(missing) > 0 {
		r.note("names-not-covered", "mail programs also use %s, which the certificate does not hold; those get one of the box's own CA",
			strings.Join(missing, ", "))
	}
}

// uncovered returns those of names that none of the certificates holds.
func uncovered(names []string, certs ...*x509.Certificate) (missing []string) {
	for _, name := range names {
		if !slices.ContainsFunc(certs, func(c *x509.Certificate) bool { return c.VerifyHostname(name) == nil }) {
			missing = append(missing, name)
		}
	}
	return missing
}

// issued tells whether issuer signed c.
func issued(issuer, c *x509.Certificate) bool {
	return bytes.Equal(issuer.RawSubject, c.RawIssuer) && c.CheckSignatureFrom(issuer) == nil
}

func selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawSubject, c.RawIssuer) && c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

// issuerURL is where the issuer's certificate lies (RFC 5280, section 4.2.2.1).
func issuerURL(c *x509.Certificate) string {
	for _, u := range c.IssuingCertificateURL {
		if strings.HasPrefix(u, "http://") || strings.HasPrefix(u, "https://") {
			return u
		}
	}
	return ""
}

func nameOf(c *x509.Certificate) string {
	switch {
	case len(c.DNSNames) > 0:
		return c.DNSNames[0]
	case c.Subject.CommonName != "":
		return c.Subject.CommonName
	}
	return c.Subject.String()
}
