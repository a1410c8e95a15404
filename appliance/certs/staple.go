package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"golang.org/x/crypto/ocsp"
)

// stapleRetry is how long a CA that does not answer is left alone.
const stapleRetry = time.Hour

// staple keeps the CA's word that the certificates in use are not revoked in
// their handshakes, where the CA offers that (RFC 6960): a client then need not
// ask the CA itself. It is fetched anew at half of its life, and left out when
// it has run out.
func (m *Manager) staple(ctx context.Context) {
	p := m.public.Load()
	if p == nil || m.now().Before(m.stapleNext) && m.stapled == p {
		return
	}
	next := m.now().Add(day)
	pairs := make([]*tls.Certificate, len(p.pairs))
	for i, pair := range p.pairs {
		pairs[i] = pair
		if len(pair.Leaf.OCSPServer) == 0 || len(pair.Certificate) < 2 {
			continue
		}
		word, answer, err := m.askStatus(ctx, pair)
		copied := *pair
		switch {
		case err == nil && answer.Status == ocsp.Good:
			copied.OCSPStaple = word
			next = earlier(next, answer.ThisUpdate.Add(answer.NextUpdate.Sub(answer.ThisUpdate)/2))
		case err == nil:
			m.log.Error("the CA says that the certificate is revoked or not its own; mail programs may refuse it", "names", sans(pair.Leaf))
			copied.OCSPStaple = nil
		default:
			m.log.Warn("the CA did not say whether the certificate is revoked", "names", sans(pair.Leaf), "err", err)
			next = earlier(next, m.now().Add(stapleRetry))
			if old, err := ocsp.ParseResponse(pair.OCSPStaple, nil); err != nil || m.now().After(old.NextUpdate) {
				copied.OCSPStaple = nil
			}
		}
		pairs[i] = &copied
	}
	if first := m.now().Add(stapleRetry / 60); next.Before(first) {
		next = first // whatever the CA says
	}
	fresh := &public{source: p.source, pairs: pairs}
	if m.public.CompareAndSwap(p, fresh) { // another took its place otherwise
		m.stapled, m.stapleNext = fresh, next
	}
}

// askStatus asks the CA about a certificate.
func (m *Manager) askStatus(ctx context.Context, pair *tls.Certificate) ([]byte, *ocsp.Response, error) {
	issuer, err := x509.ParseCertificate(pair.Certificate[1])
	if err != nil {
		return nil, nil, fmt.Errorf("parse the issuer: %w", err)
	}
	url := pair.Leaf.OCSPServer[0]
	if !strings.HasPrefix(url, "http://") && !strings.HasPrefix(url, "https://") {
		return nil, nil, errors.New("the CA's responder has no address of the web")
	}
	question, err := ocsp.CreateRequest(pair.Leaf, issuer, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("make the question: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(question))
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Content-Type", "application/ocsp-request")
	res, err := m.outside.Do(req)
	if err != nil {
		return nil, nil, err
	}
	word, err := body(res)
	if err != nil {
		return nil, nil, err
	}
	answer, err := ocsp.ParseResponseForCert(word, pair.Leaf, issuer)
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("read the answer: %w", err)
	case answer.NextUpdate.IsZero() || m.now().After(answer.NextUpdate):
		return nil, nil, errors.New("the answer has run out, or does not say when it does")
	}
	return word, answer, nil
}
