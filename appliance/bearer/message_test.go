package bearer_test

import (
	"errors"
	"strings"
	"testing"

	"pillarbox/appliance/bearer"
)

func TestParseMessage(t *testing.T) {
	for name, tt := range map[string]struct {
		mechanism, text, name, token string
		bad                          bool
	}{
		// RFC 7628, section 4.1.
		"the RFC's": {bearer.Mechanism, "n,a=user@example.com,\x01host=server.example.com\x01port=143\x01auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01",
			"user@example.com", "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==", false},
		"nobody named":        {bearer.Mechanism, "n,,\x01auth=Bearer t\x01\x01", "", "t", false},
		"a comma in the name": {bearer.Mechanism, "y,a=a=2Cb=3Dc,\x01auth=bearer t\x01\x01", "a,b=c", "t", false},
		"bound to a channel":  {bearer.Mechanism, "p=tls-exporter,,\x01auth=Bearer t\x01\x01", "", "", true},
		"a bad escape":        {bearer.Mechanism, "n,a=a=2cb,\x01auth=Bearer t\x01\x01", "", "", true},
		"no token":            {bearer.Mechanism, "n,,\x01host=a\x01\x01", "", "", true},
		"two tokens":          {bearer.Mechanism, "n,,\x01auth=Bearer t\x01auth=Bearer u\x01\x01", "", "", true},
		"another scheme":      {bearer.Mechanism, "n,,\x01auth=Basic t\x01\x01", "", "", true},
		"no end":              {bearer.Mechanism, "n,,\x01auth=Bearer t\x01", "", "", true},
		"more after the end":  {bearer.Mechanism, "n,,\x01auth=Bearer t\x01\x01x", "", "", true},
		"given up":            {bearer.Mechanism, "\x01", "", "", true},
		"XOAUTH2":             {bearer.XOAuth2, "user=anna@office.example\x01auth=Bearer t\x01\x01", "anna@office.example", "t", false},
		"XOAUTH2, no user":    {bearer.XOAuth2, "auth=Bearer t\x01\x01", "", "", true},
		"nothing":             {bearer.XOAuth2, "", "", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := bearer.ParseMessage(tt.mechanism, []byte(tt.text))
			if tt.bad {
				if !errors.Is(err, bearer.ErrMessage) {
					t.Errorf("%+v, %v", m, err)
				}
				return
			}
			if err != nil || m.Name != tt.name || m.Token != tt.token {
				t.Errorf("%+v, %v", m, err)
			}
		})
	}
}

func FuzzParseMessage(f *testing.F) {
	f.Add(true, []byte("n,a=a=2Cb,\x01auth=Bearer t\x01\x01"))
	f.Add(false, []byte("user=a\x01auth=Bearer t\x01\x01"))
	f.Fuzz(func(t *testing.T, xoauth bool, b []byte) {
		mechanism := bearer.Mechanism
		if xoauth {
			mechanism = bearer.XOAuth2
		}
		m, err := bearer.ParseMessage(mechanism, b)
		if (err == nil) == (m.Token == "") && err == nil || strings.Contains(m.Token, "\x01") {
			t.Errorf("%q is %+v, %v", b, m, err)
		}
	})
}
