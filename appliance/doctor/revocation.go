package doctor

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"net/http"
	"slices"
	"time"

	"golang.org/x/crypto/ocsp"
)

// revocation asks whether the CA took the certificate back: what the server
// stapled, the CA's responder, or its list. It tells whether it may be used.
func (x *examination) revocation(ctx context.Context, s *secured, leaf, issuer *x509.Certificate) bool {
	if mustStaple(leaf) && len(s.state.OCSPResponse) == 0 {
		x.find("staple-missing", s.String(), "the certificate demands that the server proves in each handshake that it is not revoked, and it does not", s.at())
	}
	when, known, err := x.byOCSP(ctx, s, leaf, issuer)
	if !known && len(leaf.CRLDistributionPoints) > 0 {
		when, known, err = x.byList(ctx, leaf, issuer)
	}
	what := "the revocation of the certificate on port " + s.String()
	switch {
	case !when.IsZero():
		x.find("cert-revoked", s.String(), fmt.Sprintf("the CA revoked the certificate of %s on %s", nameOf(leaf), when.UTC().Format(time.DateOnly)), s.at())
		return false
	case known:
		x.checked(what)
	case err != nil:
		x.find("revocation-unknown", s.String(), fmt.Sprintf("it could not be found out whether the certificate is revoked: %v", err), s.at())
	default:
		x.skip(what, "its CA names no place that tells of it")
	}

	return true
}

// byOCSP returns when a certificate was revoked, and whether that is known
// (RFC 6960).
func (x *examination) byOCSP(ctx context.Context, s *secured, leaf, issuer *x509.Certificate) (when time.Time, known bool, err error) {
	word := s.state.OCSPResponse
	if len(word) > 0 {
		if when, known, err = x.word(word, leaf, issuer); known {
			return when, known, nil
		}
		x.find("staple-wrong", s.String(), fmt.Sprintf("what the server sends as the CA's word on revocation is of no use: %v", err), s.at())
	}
	if len(leaf.OCSPServer) == 0 {
		return time.Time{}, false, nil
	}
	question, err := ocsp.CreateRequest(leaf, issuer, nil)
	if err != nil {
		return time.Time{}, false, err
	}
	word, err = x.get(ctx, http.MethodPost, leaf.OCSPServer[0], "application/ocsp-request", bytes.NewReader(question))
	if err != nil {
		return time.Time{}, false, fmt.Errorf("ask %s: %w", leaf.OCSPServer[0], err)
	}

	return x.word(word, leaf, issuer)
}

func (x *examination) word(word []byte, leaf, issuer *x509.Certificate) (when time.Time, known bool, err error) {
	answer, err := ocsp.ParseResponseForCert(word, leaf, issuer)
	switch {
	case err != nil:
		return time.Time{}, false, fmt.Errorf("read the answer: %w", err)
	case answer.Status == ocsp.Revoked:
		return answer.RevokedAt, true, nil
	case answer.Status != ocsp.Good:
		return time.Time{}, false, fmt.Errorf("the CA does not know the certificate")
	case !answer.NextUpdate.IsZero() && x.now().After(answer.NextUpdate):
		return time.Time{}, false, fmt.Errorf("the answer ran out on %s", answer.NextUpdate.UTC().Format(time.DateTime))
	}

	return time.Time{}, true, nil
}

// byList looks into the CA's list (RFC 5280, section 5).
func (x *examination) byList(ctx context.Context, leaf, issuer *x509.Certificate) (when time.Time, known bool, err error) {
	url := leaf.CRLDistributionPoints[0]
	der, err := x.get(ctx, http.MethodGet, url, "", nil)
	if err != nil {
		return time.Time{}, false, fmt.Errorf("fetch %s: %w", url, err)
	}
	list, err := x509.ParseRevocationList(der)
	if err == nil {
		err = list.CheckSignatureFrom(issuer)
	}
	if err != nil {
		return time.Time{}, false, fmt.Errorf("read the list at %s: %w", url, err)
	}
	if !list.NextUpdate.IsZero() && x.now().After(list.NextUpdate) {
		return time.Time{}, false, fmt.Errorf("the list at %s ran out on %s", url, list.NextUpdate.UTC().Format(time.DateTime))
	}
	for _, e := range list.RevokedCertificateEntries {
		if e.SerialNumber.Cmp(leaf.SerialNumber) == 0 {
			return e.RevocationTime, true, nil
		}
	}

	return time.Time{}, true, nil
}

// mustStaple tells whether a certificate demands an OCSP response (RFC 7633).
func mustStaple(c *x509.Certificate) bool {
	feature := asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}
	for _, e := range c.Extensions {
		var features []int
		if !e.Id.Equal(feature) {
			continue
		}
		if _, err := asn1.Unmarshal(e.Value, &features); err == nil && slices.Contains(features, 5) {
			return true
		}
	}

	return false
}
