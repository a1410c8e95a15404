package bearer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// The names of the mechanisms.
const (
	Mechanism = "OAUTHBEARER" // RFC 7628
	XOAuth2   = "XOAUTH2"     // before it, and never specified
)

// ErrMessage is a SASL message that is none.
var ErrMessage = errors.New("the message is not valid")

// Message is what a client sends.
type Message struct {
	Name  string // whose mailbox it wants, "" if it does not say
	Token string
}

const separator = "\x01"

// ParseMessage reads the message of a mechanism.
func ParseMessage(mechanism string, b []byte) (Message, error) {
	if mechanism == XOAuth2 {
		return parseXOAuth2(string(b))
	}

	return parseOAuthBearer(string(b))
}

// parseOAuthBearer reads RFC 7628, section 3.1: the header of RFC 5801, section
// 4, then keys and values.
func parseOAuthBearer(s string) (m Message, err error) {
	flag, rest, ok := strings.Cut(s, ",")
	if !ok || flag != "n" && flag != "y" {
		return m, fmt.Errorf("%w: it does not begin by n,", ErrMessage)
	}
	as, rest, ok := strings.Cut(rest, ",")
	if !ok {
		return m, fmt.Errorf("%w: its header does not end", ErrMessage)
	}
	if as != "" {
		name, ok := strings.CutPrefix(as, "a=")
		if !ok {
			return m, fmt.Errorf("%w: its header has no name", ErrMessage)
		}
		if m.Name, err = unescape(name); err != nil {
			return m, err
		}
	}
	if rest, ok = strings.CutPrefix(rest, separator); !ok {
		return m, fmt.Errorf("%w: nothing follows its header", ErrMessage)
	}
	m.Token, err = pairs(rest, nil)

	return m, err
}

// unescape reads a saslname (RFC 5801, section 4).
func unescape(s string) (string, error) {
	for rest := s; ; {
		_, after, ok := strings.Cut(rest, "=")
		if !ok {
			break
		}
		if !strings.HasPrefix(after, "2C") && !strings.HasPrefix(after, "3D") {
			return "", fmt.Errorf("%w: its name is not escaped", ErrMessage)
		}
		rest = after[2:]
	}

	return strings.NewReplacer("=2C", ",", "=3D", "=").Replace(s), nil
}

// parseXOAuth2 reads user=NAME and auth=Bearer TOKEN.
func parseXOAuth2(s string) (m Message, err error) {
	m.Token, err = pairs(s, func(key, value string) {
		if key == "user" {
			m.Name = value
		}
	})
	if err == nil && m.Name == "" {
		err = fmt.Errorf("%w: it has no user", ErrMessage)
	}

	return m, err
}

// pairs reads keys and values that each end by a separator, and one more, and
// returns the token among them.
func pairs(s string, other func(key, value string)) (token string, err error) {
	for {
		pair, rest, ok := strings.Cut(s, separator)
		if !ok {
			return "", fmt.Errorf("%w: it does not end", ErrMessage)
		}
		if pair == "" {
			if rest != "" {
				return "", fmt.Errorf("%w: something follows its end", ErrMessage)
			}
			break
		}
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key == "" {
			return "", fmt.Errorf("%w: a key has no value", ErrMessage)
		}
		switch {
		case key == "auth":
			// RFC 9110, section 11.1: a scheme may be in any case.
			scheme, credentials, ok := strings.Cut(value, " ")
			if !ok || !strings.EqualFold(scheme, "Bearer") || token != "" {
				return "", fmt.Errorf("%w: it has no bearer token, or several", ErrMessage)
			}
			token = strings.TrimLeft(credentials, " ")
		case other != nil:
			other(key, value)
		}
		s = rest
	}
	if token == "" {
		return "", fmt.Errorf("%w: it has no token", ErrMessage)
	}

	return token, nil
}

// Refusal returns what a client is sent that is refused, which it answers before
// it is told so (RFC 7628, section 3.2.2).
func (v *Verifier) Refusal(mechanism string) []byte {
	answer := struct {
		Status  string `json:"status"`
		Schemes string `json:"schemes,omitempty"`
		Scope   string `json:"scope,omitempty"`
		OpenID  string `json:"openid-configuration,omitempty"`
	}{"invalid_token", "", v.conf.Scope, v.Discovery()}
	if mechanism == XOAuth2 {
		answer.Status, answer.Schemes, answer.OpenID = "401", "bearer", ""
	}
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(answer); err != nil {
		return []byte("{}") // strings can be encoded
	}

	return bytes.TrimSpace(b.Bytes())
}
