package bearer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/time/rate"
)

const (
	askTime   = 10 * time.Second // for one answer of the provider
	maxAnswer = 1 << 20          // octets

	// A token can name a key that nobody knows, and each such one has the keys
	// fetched. askEvery and askBurst bound that.
	askEvery = 10 * time.Second
	askBurst = 6
)

// errAsked is the answer in place of the provider's when it is asked too often.
var errAsked = errors.New("it was asked often enough for the moment")

// newClients returns what talks to the provider, and to nobody else but by HTTPS:
// the one asks what it offers, the other fetches its keys. Tokens that use up what
// the other may ask take nothing from the one.
func newClients(roots *x509.CertPool) (offers, keys *http.Client) {
	t := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: askTime}).DialContext,
		TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: askTime, IdleConnTimeout: time.Minute, MaxIdleConns: 2, ForceAttemptHTTP2: true,
		MaxResponseHeaderBytes: 64 << 10,
	}

	return newClient(t, rate.NewLimiter(rate.Inf, 0)), newClient(t, rate.NewLimiter(rate.Every(askEvery), askBurst))
}

func newClient(t *http.Transport, limit *rate.Limiter) *http.Client {
	return &http.Client{
		Timeout:   askTime,
		Transport: &bounded{limit: limit, next: t},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if r.URL.Scheme != "https" || len(via) > 3 {
				return fmt.Errorf("it leads away to %s", r.URL.Redacted())
			}
			return nil
		},
	}
}

// bounded bounds how often is asked, and how long an answer is.
type bounded struct {
	limit *rate.Limiter
	next  http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (b *bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" {
		return nil, fmt.Errorf("%s is not an address by HTTPS", r.URL.Redacted())
	}
	if !b.limit.Allow() {
		return nil, errAsked
	}
	resp, err := b.next.RoundTrip(r)
	if err == nil {
		resp.Body = &body{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	}

	return resp, err
}

// body is the beginning of another.
type body struct {
	io.Reader
	io.Closer
}

// keySet returns the provider's keys, after asking where they are. Who needs
// them waits for that only where none are known; those that are stay in use while
// the provider is asked again.
func (v *Verifier) keySet(ctx context.Context) (*oidc.RemoteKeySet, error) {
	keys, q, err := v.known()
	if q != nil {
		return q.wait(ctx)
	}

	return keys, err
}

// known returns the keys that are known, or what is to be waited for.
func (v *Verifier) known() (*oidc.RemoteKeySet, *question, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	age := v.conf.Now().Sub(v.asked)
	switch {
	case v.keys == nil && v.failed != nil && age < metaWait:
		return nil, nil, v.failed
	case v.keys == nil:
		return nil, v.ask(), nil
	case v.failed == nil && age >= metaTime, v.failed != nil && age >= metaAgain:
		v.ask()
	}

	return v.keys, nil, nil
}

// question is the provider being asked what it offers.
type question struct {
	answered chan struct{} // closed when the rest is there
	keys     *oidc.RemoteKeySet
	err      error
}

func (q *question) wait(ctx context.Context) (*oidc.RemoteKeySet, error) {
	select {
	case <-q.answered:
		return q.keys, q.err
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
}

// ask has the provider asked, once at a time, which ends by askTime. Whoever wants
// to know may go away: the answer is for others, too. v.mu is held.
func (v *Verifier) ask() *question {
	if v.question != nil {
		return v.question
	}
	q := &question{answered: make(chan struct{})}
	v.question = q
	go func() {
		defer close(q.answered)
		at, err := v.discover()
		v.mu.Lock()
		defer v.mu.Unlock()
		v.question, v.asked, v.failed = nil, v.conf.Now(), err
		if err == nil && at != v.keysAt {
			v.keys, v.keysAt = oidc.NewRemoteKeySet(oidc.ClientContext(context.Background(), v.keyClient), at), at
			v.fetched = false
		}
		q.keys, q.err = v.keys, err
	}()

	return q
}

// discover asks the provider where its keys are (OpenID Connect Discovery 1.0,
// section 4).
func (v *Verifier) discover() (keysAt string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), askTime)
	defer cancel()
	p, err := oidc.NewProvider(oidc.ClientContext(ctx, v.client), v.conf.Issuer)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	var meta struct {
		Keys string `json:"jwks_uri"`
	}
	if err := p.Claims(&meta); err != nil || meta.Keys == "" {
		return "", fmt.Errorf("%w: it does not say where its keys are", ErrUnavailable)
	}

	return meta.Keys, nil
}

// Probe asks the provider what it offers and fetches its keys, and returns what
// it found, or in words what is wrong.
func (v *Verifier) Probe(ctx context.Context) ([]string, error) {
	v.mu.Lock()
	q := v.ask()
	v.mu.Unlock()
	keys, err := q.wait(ctx)
	if err != nil {
		return nil, err
	}
	// A token that nobody has signed makes it fetch the keys.
	w := &watchedKeys{keys: keys}
	if _, err := w.VerifySignature(ctx, probeToken); err != nil && w.unfetched != nil {
		return nil, fmt.Errorf("%w: its keys: %w", ErrUnavailable, w.unfetched)
	}
	v.mu.Lock()
	defer v.mu.Unlock()

	return []string{"the provider is " + v.conf.Issuer, "its keys are at " + v.keysAt}, nil
}

// probeToken is {"alg":"RS256","kid":"none"}, nothing, and no signature.
const probeToken = "eyJhbGciOiJSUzI1NiIsImtpZCI6Im5vbmUifQ.e30.AA"
