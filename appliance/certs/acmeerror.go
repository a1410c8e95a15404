package certs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/mholt/acmez/v3/acme"
)

// explainACME puts into words what a CA's refusal means and what to do.
func explainACME(err error, s *ACMESettings) error {
	var p acme.Problem
	if !errors.As(err, &p) {
		if errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("the CA did not finish in %v: %w", orderTime, err)
		}
		return err
	}
	// Of several names, what the CA says of one of them says more.
	for _, sub := range p.Subproblems {
		if p.Type == acme.ProblemTypeCompound {
			p.Type, p.Detail = sub.Type, sub.Detail
		}
	}
	var words string
	switch p.Type {
	case acme.ProblemTypeRateLimited:
		words = "the CA issues only so many certificates, and has stopped for a while; the box tries again by itself"
	case acme.ProblemTypeConnection:
		words = "the CA could not connect to the box on port " + map[Challenge]string{HTTP01: "80", TLSALPN01: "443"}[s.Challenge] +
			": the router has to forward that port, and the name has to lead to the router's public address; where that cannot be, use the challenge dns-01"
	case acme.ProblemTypeDNS:
		words = "the CA did not find what it looked for in the DNS: does the name exist, and, with the challenge dns-01, does the provider serve its zone?"
	case acme.ProblemTypeUnauthorized, acme.ProblemTypeIncorrectResponse:
		words = "the CA reached something else than this box by that name: look where the name leads to, and what the router forwards"
	case acme.ProblemTypeCAA:
		words = "the domain's CAA record allows other CAs only"
	case acme.ProblemTypeRejectedIdentifier, acme.ProblemTypeUnsupportedIdentifier:
		words = "the CA does not certify that name"
	case acme.ProblemTypeExternalAccountRequired:
		words = "the CA wants its key and key identifier (external account binding)"
	case acme.ProblemTypeUserActionRequired:
		words = "the CA wants its terms of service to be agreed to anew"
	case acme.ProblemTypeBadNonce, acme.ProblemTypeServerInternal:
		words = "the CA had a fault of its own; the box tries again by itself"
	case acme.ProblemTypeInvalidContact, acme.ProblemTypeUnsupportedContact:
		words = "the CA does not accept the contact address"
	default:
		return err
	}
	return fmt.Errorf("%s (%s: %w)", words, p.Detail, err)
}

// maxAnswer bounds what a CA answers, in octets.
const maxAnswer = 1 << 20

// caTransport bounds answers, and remembers when a CA wants to be asked again
// after it refused.
type caTransport struct {
	next http.RoundTripper
	now  func() time.Time

	mu    sync.Mutex
	until time.Time
}

// RoundTrip implements http.RoundTripper.
func (t *caTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if res.StatusCode == http.StatusTooManyRequests || res.StatusCode == http.StatusServiceUnavailable {
		t.mu.Lock()
		t.until = retryAfter(res.Header.Get("Retry-After"), t.now())
		t.mu.Unlock()
	}
	res.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(res.Body, maxAnswer), res.Body}
	return res, nil
}

// retryAfter reads that header (RFC 9110, section 10.2.3), at most a week.
func retryAfter(value string, now time.Time) time.Time {
	at, err := http.ParseTime(value)
	if n, numErr := strconv.ParseUint(value, 10, 32); numErr == nil {
		at, err = now.Add(time.Duration(n)*time.Second), nil
	}
	if err != nil || at.Before(now) {
		return time.Time{}
	}
	if latest := now.Add(7 * day); at.After(latest) {
		return latest
	}
	return at
}

func (t *caTransport) waitUntil() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.until
}
