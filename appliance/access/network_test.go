package access_test

import (
	"errors"
	"testing"

	"pillarbox/appliance/access"
)

func TestParseNetwork(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.7":              "192.0.2.7/32",
		" 192.0.2.7/24 ":         "192.0.2.0/24",
		"2001:db8::7":            "2001:db8::7/128",
		"[2001:db8::7]":          "2001:db8::7/128",
		"2001:DB8::7/32":         "2001:db8::/32",
		"::ffff:192.0.2.7":       "192.0.2.7/32",
		"::ffff:192.0.2.7/120":   "192.0.2.0/24",
		"0.0.0.0/0":              "0.0.0.0/0",
		"::ffff:192.0.2.7/64":    "",
		"fe80::1%eth0":           "",
		"[2001:db8::7":           "",
		"192.0.2.7/33":           "",
		"192.0.2.7/-1":           "",
		"192.0.2.07":             "",
		"192.0.2":                "",
		"example.com":            "",
		"":                       "",
		"/":                      "",
		"192.0.2.7 192.0.2.8/24": "",
	} {
		got, err := access.ParseNetwork(text)
		switch {
		case want == "" && !errors.Is(err, access.ErrNetwork):
			t.Errorf("%q: %v, %v", text, got, err)
		case want != "" && (err != nil || got.String() != want):
			t.Errorf("%q: %v, %v; want %s", text, got, err, want)
		}
	}
}

// FuzzParseNetwork finds that what is read is a network, and is read again as
// the same from its own form.
func FuzzParseNetwork(f *testing.F) {
	for _, seed := range []string{"192.0.2.7", "192.0.2.0/24", "2001:db8::/32", "[::1]", "::ffff:192.0.2.7/120", "fe80::1%eth0", "1/2/3"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := access.ParseNetwork(text)
		if err != nil {
			if !errors.Is(err, access.ErrNetwork) || len(err.Error()) > 600 {
				t.Errorf("the error is %v", err)
			}
			return
		}
		if !p.IsValid() || p != p.Masked() || p.Addr().Is4In6() || p.Addr().Zone() != "" {
			t.Errorf("%q is read as %v", text, p)
		}
		if again, err := access.ParseNetwork(p.String()); err != nil || again != p {
			t.Errorf("%v is read as %v, %v", p, again, err)
		}
	})
}
