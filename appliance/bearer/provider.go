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

// newClient returns what talks to the provider, and to nobody else but by HTTPS.
func newClient(roots *x509.CertPool) *http.Client {
	return &http.Client{
		Timeout: askTime,
		Transport: &bounded{limit: rate.NewLimiter(rate.Every(askEvery), askBurst), next: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: askTime}).DialContext,
			TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: askTime, IdleConnTimeout: time.Minute, MaxIdleConns: 2, ForceAttemptHTTP2: true,
			MaxResponseHeaderBytes: 64 << 10,
		}},
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

// keySet returns the provider's keys, after asking where they are.
func (v *Verifier) keySet(ctx context.Context) (*oidc.RemoteKeySet, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	age := v.conf.Now().Sub(v.asked)
	switch {
	case v.keys != nil && v.failed == nil && age < metaTime:
		return v.keys, nil
	case v.failed != nil && age < metaWait:
		if v.keys != nil {
			return v.keys, nil
		}
		return nil, v.failed
	}
	err := v.discover(ctx)
	v.asked, v.failed = v.conf.Now(), err
	if v.keys != nil {
		return v.keys, nil // perhaps those that it had
	}

	return nil, err
}

// discover asks the provider what it offers (OpenID Connect Discovery 1.0,
// section 4). v.mu is held: who else wants to know waits for the same answer.
func (v *Verifier) discover(ctx context.Context) error {
	// Whoever asks may go away, and the answer is for others, too.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTime)
	defer cancel()
	p, err := oidc.NewProvider(oidc.ClientContext(ctx, v.client), v.conf.Issuer)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	var meta struct {
		Keys string `json:"jwks_uri"`
	}
	if err := p.Claims(&meta); err != nil || meta.Keys == "" {
		return fmt.Errorf("%w: it does not say where its keys are", ErrUnavailable)
	}
	if v.provider == nil || meta.Keys != keysOf(v.provider) {
		v.keys = oidc.NewRemoteKeySet(oidc.ClientContext(context.Background(), v.client), meta.Keys)
	}
	v.provider = p

	return nil
}

func keysOf(p *oidc.Provider) string {
	var meta struct {
		Keys string `json:"jwks_uri"`
	}
	_ = p.Claims(&meta) // it was read before

	return meta.Keys
}

// Probe asks the provider what it offers and fetches its keys, and returns what
// it found, or in words what is wrong.
func (v *Verifier) Probe(ctx context.Context) ([]string, error) {
	v.mu.Lock()
	err := v.discover(ctx)
	v.asked, v.failed = v.conf.Now(), err
	keys, provider := v.keys, v.provider
	v.mu.Unlock()
	if err != nil {
		return nil, err
	}
	// A token that nobody has signed makes it fetch the keys.
	w := &watchedKeys{keys: keys}
	if _, err := w.VerifySignature(ctx, probeToken); err != nil && w.unfetched != nil {
		return nil, fmt.Errorf("%w: its keys: %w", ErrUnavailable, w.unfetched)
	}

	return []string{"the provider is " + v.conf.Issuer, "its keys are at " + keysOf(provider)}, nil
}

// probeToken is {"alg":"RS256","kid":"none"}, nothing, and no signature.
const probeToken = "eyJhbGciOiJSUzI1NiIsImtpZCI6Im5vbmUifQ.e30.AA"
