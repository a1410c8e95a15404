// Package openid is a real OpenID provider for tests: the office's, where people
// sign in and programs are given tokens. It knows nothing of the box.
package openid

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/op"
	"golang.org/x/text/language"
)

// Mail is the program that people fetch their mail by, and Other one that is for
// something else.
const (
	Mail  = "mail"
	Other = "other"

	// Secret is that of both.
	Secret = "program's secret"

	// Service is a program that is given tokens of its own, and ServiceSecret its
	// secret, as the library has them.
	Service       = "sid1"
	ServiceSecret = "verysecret"

	password = "person's password"
	back     = "http://localhost/back"
)

// Provider is a provider that runs.
type Provider struct {
	Issuer string
	CA     string // PEM

	server *httptest.Server
	store  *store

	mu    sync.Mutex
	good  map[string]bool // access tokens that were given
	given int
}

// Start starts a provider that ends with the test.
func Start(t testing.TB) *Provider {
	t.Helper()
	people := &people{byName: map[string]*storage.User{}}
	s := &store{Storage: storage.NewStorageWithClients(people, map[string]*storage.Client{
		Mail: storage.WebClient(Mail, Secret, back), Other: storage.WebClient(Other, Secret, back),
	}), people: people}
	s.rotate(t)
	p := &Provider{store: s}
	p.serve(t, "127.0.0.1:0")
	p.CA = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.server.Certificate().Raw}))

	return p
}

func (p *Provider) serve(t testing.TB, addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	p.Issuer = "https://" + ln.Addr().String()
	provider, err := op.NewProvider(&op.Config{CodeMethodS256: true, GrantTypeRefreshToken: true, SupportedUILocales: []language.Tag{language.English}}, p.store, op.StaticIssuer(p.Issuer))
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", provider)
	mux.Handle("POST /oauth/token", p.watch(provider))
	done := op.AuthCallbackURL(provider)
	login := func(w http.ResponseWriter, r *http.Request) {
		id := r.FormValue("authRequestID")
		if err := p.store.CheckUsernamePassword(r.FormValue("username"), r.FormValue("password"), id); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		http.Redirect(w, r, done(r.Context(), id), http.StatusFound)
	}
	mux.Handle("POST /login/username", op.NewIssuerInterceptor(provider.IssuerFromRequest).HandlerFunc(login))
	p.server = httptest.NewUnstartedServer(mux)
	p.server.Listener.Close()
	p.server.Listener = ln
	p.server.StartTLS()
	t.Cleanup(p.Stop)
}

// watch remembers which access tokens are given.
func (p *Provider) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		var got granted
		if json.Unmarshal(answer.Body.Bytes(), &got) == nil && got.Access != "" {
			p.mu.Lock()
			p.given++
			if p.good == nil {
				p.good = map[string]bool{}
			}
			p.good[got.Access] = true
			p.mu.Unlock()
		}
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	})
}

// Holds tells whether an access token was given and not taken back.
func (p *Provider) Holds(token string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()

	return p.good[token]
}

// TakeBack takes all access tokens back that were given.
func (p *Provider) TakeBack() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.good)
}

// Given returns how many access tokens were given so far.
func (p *Provider) Given() int {
	p.mu.Lock()
	defer p.mu.Unlock()

	return p.given
}

// Stop stops it, as in a power cut.
func (p *Provider) Stop() { p.server.Close() }

// Again starts it where it was.
func (p *Provider) Again(t testing.TB) {
	t.Helper()
	p.serve(t, p.server.Listener.Addr().String())
}

// Rotate has tokens signed by another key from now on, and forgets the one
// before.
func (p *Provider) Rotate(t testing.TB) { p.store.rotate(t) }

// AddPerson makes somebody known.
func (p *Provider) AddPerson(email string, verified bool) {
	p.store.people.mu.Lock()
	defer p.store.people.mu.Unlock()
	p.store.people.byName[email] = &storage.User{ID: "id of " + email, Username: email, Password: password, Email: email, EmailVerified: verified}
}

// Token has somebody sign in, and returns the access token that a program is
// given.
func (p *Provider) Token(t testing.TB, program, email string, scopes ...string) string {
	t.Helper()

	return p.grant(t, program, email, scopes...).Access
}

// RefreshToken is Token for the refresh token, by which a program gets others; it
// can be used once.
func (p *Provider) RefreshToken(t testing.TB, program, email string) string {
	t.Helper()

	return p.grant(t, program, email, "offline_access").Refresh
}

// granted is what a provider answers.
type granted struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
}

func (p *Provider) grant(t testing.TB, program, email string, scopes ...string) (got granted) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Transport: p.server.Client().Transport, Jar: jar}
	var at *url.URL // where the browser is sent
	browser.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		at = r.URL
		if strings.HasPrefix(at.String(), back) || strings.HasPrefix(at.Path, "/login/") {
			return http.ErrUseLastResponse
		}
		return nil
	}
	ask := url.Values{
		"client_id": {program}, "redirect_uri": {back}, "response_type": {"code"}, "state": {"some"},
		"scope": {strings.Join(append([]string{"openid", "email"}, scopes...), " ")},
	}
	get(t, browser, func() (*http.Response, error) { return browser.Get(p.Issuer + "/authorize?" + ask.Encode()) })
	id := at.Query().Get("authRequestID")
	get(t, browser, func() (*http.Response, error) {
		return browser.PostForm(p.Issuer+"/login/username", url.Values{"authRequestID": {id}, "username": {email}, "password": {password}})
	})
	code := at.Query().Get("code")
	body := get(t, browser, func() (*http.Response, error) {
		form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {back}}
		r, err := http.NewRequest(http.MethodPost, p.Issuer+"/oauth/token", strings.NewReader(form.Encode()))
		if err != nil {
			return nil, err
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth(program, url.QueryEscape(Secret))
		return browser.Do(r)
	})
	if err := json.Unmarshal(body, &got); err != nil || got.Access == "" {
		t.Fatalf("the provider gave no token: %s", body)
	}

	return got
}

func get(t testing.TB, _ *http.Client, do func() (*http.Response, error)) []byte {
	t.Helper()
	resp, err := do()
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= http.StatusBadRequest {
		t.Fatalf("the provider says %s: %s (%v)", resp.Status, body, err)
	}

	return body
}

// people are who the provider knows.
type people struct {
	mu     sync.Mutex
	byName map[string]*storage.User
}

func (p *people) find(f func(u *storage.User) bool) *storage.User {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, u := range p.byName {
		if f(u) {
			return u
		}
	}

	return nil
}

// GetUserByID implements storage.UserStore.
func (p *people) GetUserByID(id string) *storage.User {
	return p.find(func(u *storage.User) bool { return u.ID == id })
}

// GetUserByUsername implements storage.UserStore.
func (p *people) GetUserByUsername(name string) *storage.User {
	return p.find(func(u *storage.User) bool { return u.Username == name })
}

// ExampleClientID implements storage.UserStore.
func (p *people) ExampleClientID() string { return "none" }

// store is the library's, with keys that can be exchanged, and access tokens that
// say whose they are.
type store struct {
	*storage.Storage

	people *people

	mu  sync.Mutex
	key *key
}

func (s *store) rotate(t testing.TB) {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.key = &key{rand.Text(), k}
}

func (s *store) now() *key {
	s.mu.Lock()
	defer s.mu.Unlock()

	return s.key
}

// SigningKey implements op.Storage.
func (s *store) SigningKey(context.Context) (op.SigningKey, error) { return s.now(), nil }

// KeySet implements op.Storage.
func (s *store) KeySet(context.Context) ([]op.Key, error) { return []op.Key{public{s.now()}}, nil }

// GetClientByClientID implements op.Storage.
func (s *store) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	c, err := s.Storage.GetClientByClientID(ctx, id)
	if err != nil {
		return nil, err
	}

	return program{c}, nil
}

// GetPrivateClaimsFromScopes implements op.Storage.
func (s *store) GetPrivateClaimsFromScopes(_ context.Context, user, _ string, scopes []string) (map[string]any, error) {
	u := s.people.GetUserByID(user)
	if u == nil {
		return nil, fmt.Errorf("nobody is %q", user)
	}

	return map[string]any{"email": u.Email, "email_verified": u.EmailVerified, "scope": strings.Join(scopes, " ")}, nil
}

// program is given JSON web tokens.
type program struct{ op.Client }

// AccessTokenType implements op.Client.
func (program) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeJWT }

// RestrictAdditionalAccessTokenScopes implements op.Client.
func (program) RestrictAdditionalAccessTokenScopes() func([]string) []string {
	return func(scopes []string) []string { return scopes }
}

// IsScopeAllowed implements op.Client.
func (program) IsScopeAllowed(string) bool { return true }

type key struct {
	id  string
	key *rsa.PrivateKey
}

func (k *key) ID() string                                  { return k.id }
func (k *key) Key() any                                    { return k.key }
func (k *key) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.RS256 }

type public struct{ of *key }

func (k public) ID() string                         { return k.of.id }
func (k public) Key() any                           { return &k.of.key.PublicKey }
func (k public) Use() string                        { return "sig" }
func (k public) Algorithm() jose.SignatureAlgorithm { return jose.RS256 }
