package bearer_test

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pillarbox/appliance/bearer"
	"pillarbox/appliance/integration/openid"
)

const anna = "anna@office.example"

func newVerifier(t testing.TB, p *openid.Provider, change func(*bearer.Config)) *bearer.Verifier {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(p.CA)) {
		t.Fatal("no certificate")
	}
	c := &bearer.Config{Issuer: p.Issuer, Audience: []string{openid.Mail}, Roots: roots}
	if change != nil {
		change(c)
	}
	v, err := bearer.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func start(t testing.TB) *openid.Provider {
	t.Helper()
	p := openid.Start(t)
	p.AddPerson(anna, true)
	return p
}

func TestATokenOfTheProviderIsTaken(t *testing.T) {
	p := start(t)
	v := newVerifier(t, p, func(c *bearer.Config) { c.Scope = "imap" })
	got, err := v.Verify(t.Context(), p.Token(t, openid.Mail, anna, "imap"))
	if err != nil || got.Account != anna || got.Subject == "" || time.Until(got.Expires) <= 0 {
		t.Errorf("Verify = %+v, %v", got, err)
	}
}

// TestATokenThatIsNotForHereIsRefused, and what is wrong with it is said.
func TestATokenThatIsNotForHereIsRefused(t *testing.T) {
	p, other := start(t), start(t)
	p.AddPerson("ben@office.example", false)
	good := p.Token(t, openid.Mail, anna)
	part := strings.Split(good, ".")
	encode := base64.RawURLEncoding.EncodeToString
	for name, tt := range map[string]struct {
		token  string
		change func(*bearer.Config)
		want   error
		said   string
	}{
		"another program's":     {p.Token(t, openid.Other, anna), nil, bearer.ErrNotForUs, "not for this service"},
		"another provider's":    {other.Token(t, openid.Mail, anna), nil, bearer.ErrToken, "signature"},
		"without the scope":     {good, func(c *bearer.Config) { c.Scope = "imap" }, bearer.ErrNotForUs, `the scope "imap"`},
		"without the claim":     {good, func(c *bearer.Config) { c.Claim = "upn" }, bearer.ErrNotForUs, `no claim "upn"`},
		"an unverified address": {p.Token(t, openid.Mail, "ben@office.example"), nil, bearer.ErrNotForUs, "not verified"},
		"too old": {good, func(c *bearer.Config) {
			c.Now = func() time.Time { return time.Now().Add(time.Hour) }
		}, bearer.ErrExpired, "at 20"},
		"not signed":         {encode([]byte(`{"alg":"none"}`)) + "." + part[1] + ".", nil, bearer.ErrToken, ""},
		"signed by a secret": {encode([]byte(`{"alg":"HS256"}`)) + "." + part[1] + "." + part[2], nil, bearer.ErrToken, ""},
		"changed":            {part[0] + "." + part[1] + "." + encode(make([]byte, 256)), nil, bearer.ErrToken, "signature"},
		"opaque":             {"opaque", nil, bearer.ErrToken, "not a JSON web token"},
		"endless":            {strings.Repeat("a.", 20<<10), nil, bearer.ErrToken, "longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := newVerifier(t, p, tt.change).Verify(t.Context(), tt.token)
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.said) {
				t.Errorf("Verify = %+v, %v", got, err)
			}
		})
	}
}

func TestKeysAreExchanged(t *testing.T) {
	p := start(t)
	v := newVerifier(t, p, nil)
	before := p.Token(t, openid.Mail, anna)
	if _, err := v.Verify(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	p.Rotate(t)
	if _, err := v.Verify(t.Context(), p.Token(t, openid.Mail, anna)); err != nil {
		t.Errorf("by the new key: %v", err)
	}
	// The library answers by the new keys before it has forgotten the old ones.
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		_, err := v.Verify(t.Context(), before)
		if errors.Is(err, bearer.ErrToken) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("by a key that the provider has taken back: %v", err)
		}
	}
}

// TestAProviderThatIsDown keeps nobody out whose key is known, and is not taken
// for a wrong token.
func TestAProviderThatIsDown(t *testing.T) {
	p := start(t)
	v, late := newVerifier(t, p, nil), newVerifier(t, p, nil)
	token := p.Token(t, openid.Mail, anna)
	if _, err := v.Verify(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	p.Stop()
	if _, err := v.Verify(t.Context(), token); err != nil {
		t.Errorf("by a known key: %v", err)
	}
	if _, err := late.Verify(t.Context(), token); !errors.Is(err, bearer.ErrUnavailable) {
		t.Errorf("by an unknown key: %v", err)
	}
	if found, err := late.Probe(t.Context()); !errors.Is(err, bearer.ErrUnavailable) {
		t.Errorf("probed: %q, %v", found, err)
	}
	p.Again(t)
	if _, err := late.Verify(t.Context(), token); !errors.Is(err, bearer.ErrUnavailable) {
		t.Errorf("asked again at once: %v", err)
	}
	if found, err := late.Probe(t.Context()); err != nil || len(found) != 2 {
		t.Errorf("probed: %q, %v", found, err)
	}
	if _, err := late.Verify(t.Context(), token); err != nil {
		t.Errorf("when it is back: %v", err)
	}
}

// TestTokensDoNotHaveTheProviderAskedWithoutEnd, and a known key goes on.
func TestTokensDoNotHaveTheProviderAskedWithoutEnd(t *testing.T) {
	p := start(t)
	v := newVerifier(t, p, nil)
	good := p.Token(t, openid.Mail, anna)
	part := strings.Split(good, ".")
	bad := part[0] + "." + part[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 256))
	last := error(nil)
	for range 20 {
		_, last = v.Verify(t.Context(), bad)
	}
	// It counts as a wrong token, for the provider was asked a moment ago.
	if !errors.Is(last, bearer.ErrToken) || !strings.Contains(last.Error(), "often enough") {
		t.Errorf("at last: %v", last)
	}
	if _, err := v.Verify(t.Context(), good); err != nil {
		t.Errorf("a good one then: %v", err)
	}
}

// TestTokensDoNotKeepTheProviderFromBeingAskedWhatItOffers once they have had its
// keys fetched as often as they can.
func TestTokensDoNotKeepTheProviderFromBeingAskedWhatItOffers(t *testing.T) {
	p := start(t)
	v := newVerifier(t, p, nil)
	part := strings.Split(p.Token(t, openid.Mail, anna), ".")
	for range 20 {
		if _, err := v.Verify(t.Context(), part[0]+"."+part[1]+".AA"); err == nil {
			t.Fatal("it is taken")
		}
	}
	if _, err := v.Probe(t.Context()); err == nil || !strings.Contains(err.Error(), "its keys:") {
		t.Errorf("probed: %v", err) // what it offers was asked for, and the keys were not
	}
}

// TestTokensThatCannotBeCheckedAreNotCountedAsWrong: the keys were fetched once,
// and the provider is down.
func TestTokensThatCannotBeCheckedAreNotCountedAsWrong(t *testing.T) {
	p := start(t)
	v := newVerifier(t, p, nil)
	if _, err := v.Verify(t.Context(), p.Token(t, openid.Mail, anna)); err != nil {
		t.Fatal(err)
	}
	p.Rotate(t)
	token := p.Token(t, openid.Mail, anna) // of a new key
	p.Stop()
	for range 20 {
		if _, err := v.Verify(t.Context(), token); !errors.Is(err, bearer.ErrUnavailable) {
			t.Fatal(err)
		}
	}
}

// TestNobodyWaitsForAProviderThatDoesNotAnswer whose key is known.
func TestNobodyWaitsForAProviderThatDoesNotAnswer(t *testing.T) {
	p := start(t)
	var behind atomic.Int64
	behind.Store(int64(7 * time.Hour))
	v := newVerifier(t, p, func(c *bearer.Config) {
		c.Now = func() time.Time { return time.Now().Add(-time.Duration(behind.Load())) }
	})
	if _, err := v.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	token := p.Token(t, openid.Mail, anna)
	p.Stop()
	ln, err := net.Listen("tcp", strings.TrimPrefix(p.Issuer, "https://"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	behind.Store(0) // and it is time to ask what it offers again
	for range 3 {
		began := time.Now()
		if _, err := v.Verify(t.Context(), token); err != nil || time.Since(began) > 5*time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	}
}

func TestConfigThatIsWrong(t *testing.T) {
	for said, c := range map[string]bearer.Config{
		"issuer":   {Issuer: "http://login.office.example", Audience: []string{"mail"}},
		"audience": {Issuer: "https://login.office.example"},
		"scope":    {Issuer: "https://login.office.example", Audience: []string{"mail"}, Scope: "a b"},
	} {
		if _, err := bearer.New(&c); err == nil || !strings.Contains(err.Error(), said+":") {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	p := start(b)
	v := newVerifier(b, p, nil)
	token := p.Token(b, openid.Mail, anna)
	for b.Loop() {
		if _, err := v.Verify(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzVerify: whatever is sent as a token, nobody gets in by it.
func FuzzVerify(f *testing.F) {
	p := start(f)
	v := newVerifier(f, p, nil)
	good := p.Token(f, openid.Mail, anna)
	for _, s := range []string{good, good + "a", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", strings.Replace(good, ".", "..", 1)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, token string) {
		if got, err := v.Verify(t.Context(), token); err == nil && got.Account != anna {
			t.Errorf("Verify = %+v", got)
		}
	})
}
