package bearer

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// Why a token is of no use. An error is one of these, and says more.
var (
	ErrToken       = errors.New("the token is not valid")
	ErrExpired     = errors.New("the token has expired")
	ErrNotForUs    = errors.New("the token is the provider's, and of no use here")
	ErrUnavailable = errors.New("the provider cannot be asked")
)

const (
	maxToken = 16 << 10        // octets
	skew     = time.Minute     // by which clocks may differ
	metaTime = 6 * time.Hour   // after which a provider is asked again what it offers
	metaWait = 5 * time.Second // after it could not be asked, while no key is known

	metaAgain = time.Minute // after it could not be asked, while keys are
)

// DefaultClaim is the claim that names an account.
const DefaultClaim = "email"

// algorithms are those of signatures that are believed: none with a secret that
// both sides would know.
var algorithms = []string{
	oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA,
}

// Config describes a provider and what is asked of its tokens.
type Config struct {
	// Issuer is the provider's URL, as its tokens have it. It begins with
	// https://.
	Issuer string
	// Audience is for whom a token must have been given: one of these. There must
	// be one at least, else a token that any other service got would do.
	Audience []string
	// Scope is a scope that a token must have; "" asks for none.
	Scope string
	// Claim names the account; "" means DefaultClaim. An address that the
	// provider says is not verified is not believed.
	Claim string

	Roots *x509.CertPool   // who may certify the provider; nil means the system's
	Now   func() time.Time // nil means time.Now
}

// Validate returns all that is wrong, joined.
func (c *Config) Validate() error {
	var errs []error
	if u, err := url.Parse(c.Issuer); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		errs = append(errs, fmt.Errorf("issuer: %q is not an address such as https://login.example.org", c.Issuer))
	}
	if len(c.Audience) == 0 {
		errs = append(errs, errors.New("audience: there is none; without one, a token that any other service was given would open mailboxes here"))
	}
	for _, a := range c.Audience {
		if a == "" || len(a) > 256 {
			errs = append(errs, fmt.Errorf("audience: %q cannot be one", a))
		}
	}
	if strings.ContainsAny(c.Scope, " \t\"\\") || len(c.Scope) > 256 {
		errs = append(errs, fmt.Errorf("scope: %q is not one scope", c.Scope))
	}
	if len(c.Claim) > 64 {
		errs = append(errs, errors.New("claim: the name is too long"))
	}

	return errors.Join(errs...)
}

// Token is what a valid token says.
type Token struct {
	Account string // the value of the claim, usually an address
	Subject string // by which the provider knows the person
	Expires time.Time
}

// Verifier validates tokens. Its methods may be called at once from several
// goroutines.
type Verifier struct {
	conf      Config
	client    *http.Client // asks what the provider offers
	keyClient *http.Client

	mu       sync.Mutex // held shortly
	question *question  // that is not answered yet; nil if none is
	keys     *oidc.RemoteKeySet
	keysAt   string    // where they are
	asked    time.Time // when the provider was asked what it offers
	failed   error     // what came of it then
	fetched  bool      // the keys could be fetched when that was last tried
}

// New returns a Verifier. The provider is asked when it is needed.
func New(c *Config) (*Verifier, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	v := &Verifier{conf: *c}
	v.client, v.keyClient = newClients(c.Roots)
	if v.conf.Claim == "" {
		v.conf.Claim = DefaultClaim
	}
	if v.conf.Now == nil {
		v.conf.Now = time.Now
	}

	return v, nil
}

// Scope returns the scope that a token must have, "" if any does.
func (v *Verifier) Scope() string { return v.conf.Scope }

// Discovery returns where a client learns of the provider (RFC 8414).
func (v *Verifier) Discovery() string {
	return strings.TrimSuffix(v.conf.Issuer, "/") + "/.well-known/openid-configuration"
}

// Verify tells what a token says if it is valid. The error is ErrToken,
// ErrExpired, ErrNotForUs, or ErrUnavailable where that could not be found out.
func (v *Verifier) Verify(ctx context.Context, token string) (Token, error) {
	switch {
	case len(token) > maxToken:
		return Token{}, fmt.Errorf("%w: it is longer than %d octets", ErrToken, maxToken)
	case strings.Count(token, ".") != 2:
		return Token{}, fmt.Errorf("%w: it is not a JSON web token; the provider must give such ones for this service", ErrToken)
	}
	keys, err := v.keySet(ctx)
	if err != nil {
		return Token{}, err
	}
	watched := &watchedKeys{keys: keys}
	now := v.conf.Now()
	t, err := oidc.NewVerifier(v.conf.Issuer, watched, &oidc.Config{
		SkipClientIDCheck: true, SupportedSigningAlgs: algorithms, Now: func() time.Time { return now.Add(-skew) },
	}).Verify(ctx, token)
	fetched := v.noteFetched(ctx, watched)
	expired := (*oidc.TokenExpiredError)(nil)
	switch {
	case fetched && errors.Is(watched.unfetched, errAsked):
		// Its key was not among those that the provider gave a moment ago.
		return Token{}, fmt.Errorf("%w: nobody knows its key: %w", ErrToken, watched.unfetched)
	case watched.unfetched != nil:
		return Token{}, fmt.Errorf("%w: its keys: %w", ErrUnavailable, watched.unfetched)
	case errors.As(err, &expired):
		// It was not verified whose it is.
		return Token{}, fmt.Errorf("%w, at %s", ErrExpired, expired.Expiry.Local().Format(time.DateTime))
	case err != nil:
		return Token{}, fmt.Errorf("%w: %w", ErrToken, err)
	}

	return v.read(t)
}

// read looks at the claims of a token whose signature, issuer and time are right.
func (v *Verifier) read(t *oidc.IDToken) (Token, error) {
	if !slices.ContainsFunc(t.Audience, func(a string) bool { return slices.Contains(v.conf.Audience, a) }) {
		return Token{}, fmt.Errorf("%w: it was given for %q, and not for this service", ErrNotForUs, t.Audience)
	}
	var claims map[string]json.RawMessage
	if err := t.Claims(&claims); err != nil {
		return Token{}, fmt.Errorf("%w: its claims: %w", ErrNotForUs, err)
	}
	if v.conf.Scope != "" && !slices.Contains(scopes(claims), v.conf.Scope) {
		return Token{}, fmt.Errorf("%w: it has not got the scope %q", ErrNotForUs, v.conf.Scope)
	}
	var account string
	if err := json.Unmarshal(claims[v.conf.Claim], &account); err != nil || account == "" {
		return Token{}, fmt.Errorf("%w: it has no claim %q that would name an account", ErrNotForUs, v.conf.Claim)
	}
	if v.conf.Claim == DefaultClaim {
		switch string(claims["email_verified"]) {
		case "false", `"false"`:
			return Token{}, fmt.Errorf("%w: the provider has not verified the address %q", ErrNotForUs, account)
		}
	}

	return Token{Account: account, Subject: t.Subject, Expires: t.Expiry}, nil
}

// scopes returns those of RFC 9068, section 2.2.3, or of a provider that has
// another name or a list for them.
func scopes(claims map[string]json.RawMessage) (all []string) {
	for _, name := range []string{"scope", "scp"} {
		var list []string
		var text string
		if json.Unmarshal(claims[name], &text) == nil {
			list = strings.Fields(text)
		} else if json.Unmarshal(claims[name], &list) != nil {
			continue
		}
		all = append(all, list...)
	}

	return all
}

// noteFetched notes and returns whether the keys could be fetched when that was
// last tried.
func (v *Verifier) noteFetched(ctx context.Context, w *watchedKeys) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case w.keys != v.keys || ctx.Err() != nil || errors.Is(w.unfetched, errAsked):
	case w.unfetched != nil:
		v.fetched = false
	case w.wrong:
		v.fetched = true
	}

	return v.fetched
}

// watchedKeys tells a signature that is wrong from keys that could not be
// fetched, which the library does not.
type watchedKeys struct {
	keys      *oidc.RemoteKeySet
	unfetched error
	wrong     bool // also by the keys that were fetched just now
}

// VerifySignature implements oidc.KeySet.
func (w *watchedKeys) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	payload, err := w.keys.VerifySignature(ctx, token)
	switch {
	case err != nil && strings.Contains(err.Error(), "fetching keys"):
		w.unfetched = err
	case err != nil:
		w.wrong = true
	}

	return payload, err
}
