package importer

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// OAuth says where access tokens are had that sign in by XOAUTH2. They end after
// an hour or so, and mail moves for longer.
type OAuth struct {
	Endpoint string   `json:"endpoint"` // the provider's token endpoint (RFC 6749, section 3.2), https
	ClientID string   `json:"client_id"`
	Scopes   []string `json:"scopes,omitempty"`
	// Grant is what tokens are given for.
	Grant Grant `json:"grant"`
}

// Grant says for what a provider gives a token.
type Grant string

// The grants.
const (
	// ByApplication is the application's own (RFC 6749, section 4.4): NewJob.Secret
	// is its secret, and the token is for everybody's mail, as Exchange Online has
	// it for administrators.
	ByApplication Grant = "client_credentials"
	// ByRefreshToken is a person's (section 6): Login.Secret is a refresh token,
	// and NewJob.Secret the application's secret, if it has one.
	ByRefreshToken Grant = "refresh_token"
)

// Of Exchange Online.
const (
	exchangeLogin = "https://login.microsoftonline.com/"
	exchangeMail  = "https://outlook.office365.com/"
)

// ExchangeOnline returns where Microsoft gives tokens for the mail of a tenant,
// which is an identifier or a domain.
func ExchangeOnline(tenant, client string, g Grant) *OAuth {
	o := &OAuth{Endpoint: exchangeLogin + url.PathEscape(tenant) + "/oauth2/v2.0/token", ClientID: client, Grant: g}
	if g == ByApplication {
		o.Scopes = []string{exchangeMail + ".default"}
	} else {
		o.Scopes = []string{exchangeMail + "IMAP.AccessAsUser.All", "offline_access"}
	}
	return o
}

func (o *OAuth) validate() error {
	var errs []error
	if u, err := url.Parse(o.Endpoint); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || len(o.Endpoint) > 1024 {
		errs = append(errs, errors.New("oauth: the token endpoint is wanted, which begins with https://"))
	}
	if o.ClientID == "" || len(o.ClientID) > 512 {
		errs = append(errs, errors.New("oauth: the application's client ID is wanted"))
	}
	if o.Grant != ByApplication && o.Grant != ByRefreshToken {
		errs = append(errs, fmt.Errorf("oauth: grant: %q is none of %s and %s", o.Grant, ByApplication, ByRefreshToken))
	}
	return errors.Join(errs...)
}

// tokens gets the access tokens of a job, and remembers them for as long as they
// last. Its methods may be called from several goroutines.
type tokens struct {
	from   *Server
	wrong  error // with from
	client *http.Client
	// changed is told of a refresh token that takes the place of a person's.
	changed func(user, refresh string)

	mu      sync.Mutex
	sources map[string]oauth2.TokenSource // by user; "" for the application's own
	latest  map[string]string             // refresh tokens that took the place of those given, by user
}

// tokenTime bounds how long a provider may take to answer.
const tokenTime = 30 * time.Second

// newTokens returns nil where a job needs none.
func newTokens(from *Server, way *Way, changed func(user, refresh string)) *tokens {
	if from == nil || from.OAuth == nil {
		return nil
	}
	roots, err := from.roots(way.Roots)
	return &tokens{
		from: from, wrong: err, changed: changed, sources: map[string]oauth2.TokenSource{}, latest: map[string]string{},
		client: &http.Client{
			Timeout: tokenTime,
			Transport: &http.Transport{
				DialContext: way.Dial, TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true, DisableKeepAlives: true,
			},
			// A secret goes nowhere else than where the administrator wants it.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// of returns what gives a person's access token, see [Way].
func (t *tokens) of(user string, own, common Secret) func(ctx context.Context, another bool) (Secret, error) {
	key := user
	if t.from.OAuth.Grant == ByApplication {
		key = ""
	}
	return func(ctx context.Context, another bool) (Secret, error) {
		if t.wrong != nil {
			return "", t.wrong
		}
		t.mu.Lock()
		src := t.sources[key]
		if src == nil || another {
			src = t.source(ctx, key, string(own), string(common))
			t.sources[key] = src
		}
		t.mu.Unlock()
		token, err := src.Token()
		if err != nil {
			return "", t.explain(err)
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		if r := token.RefreshToken; key != "" && r != "" && r != t.latest[key] {
			t.latest[key] = r // the provider may not take the one before again
			if r != string(own) {
				t.changed(user, r)
			}
		}
		return Secret(token.AccessToken), nil
	}
}

// source makes what asks for tokens. The caller holds mu.
func (t *tokens) source(ctx context.Context, key, own, common string) oauth2.TokenSource {
	// It outlives the connection for which it was made.
	ctx = context.WithValue(context.WithoutCancel(ctx), oauth2.HTTPClient, t.client)
	o := t.from.OAuth
	if o.Grant == ByApplication {
		c := &clientcredentials.Config{ClientID: o.ClientID, ClientSecret: common, TokenURL: o.Endpoint, Scopes: o.Scopes}
		return c.TokenSource(ctx)
	}
	c := &oauth2.Config{ClientID: o.ClientID, ClientSecret: common, Endpoint: oauth2.Endpoint{TokenURL: o.Endpoint}, Scopes: o.Scopes}
	return c.TokenSource(ctx, &oauth2.Token{RefreshToken: cmp.Or(t.latest[key], own)})
}

// explain tells a refusal, which a new secret ends, from what passes. What the
// provider answers beside its code is not told whole: it is anybody's.
func (t *tokens) explain(err error) error {
	where := t.from.OAuth.Endpoint
	var no *oauth2.RetrieveError
	if !errors.As(err, &no) {
		return fmt.Errorf("get a token from %s: %w", where, err)
	}
	text := plainText(strings.TrimSpace(no.ErrorCode + " " + no.ErrorDescription))
	switch {
	case no.ErrorCode == "temporarily_unavailable", no.ErrorCode == "server_error", no.ErrorCode == "" && (no.Response.StatusCode >= 500 || no.Response.StatusCode == http.StatusTooManyRequests):
		return fmt.Errorf("get a token from %s: it answers %d %s", where, no.Response.StatusCode, text)
	case no.ErrorCode == "":
		return fmt.Errorf("%w: %s answers %d: it is no token endpoint", ErrRefused, where, no.Response.StatusCode)
	}
	return fmt.Errorf("%w: %s gives no token: %s", ErrSignIn, where, text)
}
