package imap_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"

	"pillarbox/appliance/imap"
)

// riddle is a mechanism of two steps: NAME, then that name spelled backwards.
type riddle struct{ offered []string }

func (r riddle) Offered(net.Conn) []string { return r.offered }

func (r riddle) Begin(net.Conn, string) imap.Exchange { return &riddling{} }

type riddling struct {
	name, as string
	asked    bool
}

func (r *riddling) Names() (name, as string) { return r.name, r.as }

func (r *riddling) Step(_ context.Context, response []byte) ([]byte, *imap.Identity, error) {
	if !r.asked {
		r.asked = true
		var ok bool
		if r.name, r.as, ok = strings.Cut(string(response), " for "); !ok {
			r.as = ""
		}
		if r.name == "" {
			return nil, nil, fmt.Errorf("no name: %w", imap.ErrMessage)
		}
		if r.name == "eve" {
			return nil, nil, fmt.Errorf("%w: we know her", imap.ErrRefused)
		}
		return []byte("and backwards?"), nil, nil
	}
	if r.name == "endless" {
		return []byte("more?"), nil, nil
	}
	if string(response) != "ecila" {
		return nil, nil, fmt.Errorf("answer: %w", imap.ErrCredentials)
	}
	return []byte("right"), &imap.Identity{Account: "alice", Address: "alice@example.com", Credential: "riddle", Device: "telephone"}, nil
}

func withRiddle(c *imap.Config) { c.Mechanisms = riddle{[]string{"PLAIN", "LOGIN", "RIDDLE"}} }

func TestAuthenticateByMechanism(t *testing.T) {
	o := newOffice(t, withRiddle)
	const in = "OK [CAPABILITY …] Logged in"
	const ask, right = "+ YW5kIGJhY2t3YXJkcz8=", "+ cmlnaHQ="
	for _, tt := range []struct {
		name, command string
		script        []string // what the server asks and the client says, in turn
		want          string
	}{
		{"with an initial response", "RIDDLE " + b64("alice"), []string{ask, b64("ecila"), right, ""}, in},
		{"without", "riddle", []string{"+ ", b64("alice"), ask, b64("ecila"), right, ""}, in},
		{"by go-imap's client", "RIDDLE " + b64("alice"), []string{ask, b64("ecila"), right, "="}, in},
		{"for oneself", "RIDDLE " + b64("alice for Alice@example.com"), []string{ask, b64("ecila"), right, ""}, in},
		{"for another", "RIDDLE " + b64("alice for bob"), []string{ask, b64("ecila"), right, ""}, "NO [AUTHORIZATIONFAILED] …"},
		{"wrong", "RIDDLE " + b64("alice"), []string{ask, b64("alice")}, "NO [AUTHENTICATIONFAILED] The name or the password is wrong"},
		{"refused", "RIDDLE " + b64("eve"), nil, "NO [AUTHENTICATIONFAILED] That way to log in failed"},
		{"no message of it", "RIDDLE =", nil, "BAD The RIDDLE message is not valid"},
		{"cancelled at once", "RIDDLE", []string{"+ ", "*"}, "BAD Log-in cancelled"},
		{"cancelled in between", "RIDDLE " + b64("alice"), []string{ask, "*"}, "BAD Log-in cancelled"},
		{"cancelled at the end", "RIDDLE " + b64("alice"), []string{ask, b64("ecila"), right, "*"}, "BAD Log-in cancelled"},
		{"not base64", "RIDDLE " + b64("alice"), []string{ask, "§"}, "BAD The response is not base64"},
		{"without an end", "RIDDLE " + b64("endless"), []string{ask, "", "+ bW9yZT8=", "", "+ bW9yZT8=", "", "+ bW9yZT8=", ""}, "BAD The RIDDLE exchange does not end"},
		{"another", "PUZZLE", nil, "NO [CANNOT] …"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := o.dial()
			c.write("a AUTHENTICATE " + tt.command + "\r\n")
			for i := 0; i < len(tt.script); i += 2 {
				c.expect(tt.script[i])
				c.write(tt.script[i+1] + "\r\n")
			}
			c.expect("a " + tt.want)
			if tt.want == in {
				c.do("LIST \"\" INBOX", `* LIST (\HasNoChildren) "/" INBOX`, "OK LIST completed")
			} else {
				c.do("LIST \"\" INBOX", "BAD Log in first")
			}
		})
	}
	if log := o.log.String(); !strings.Contains(log, "mechanism=RIDDLE device=telephone") || !strings.Contains(log, "refused: we know her") {
		t.Errorf("the log has\n%s", log)
	}
}

func TestMechanismsAreListedBeforeLogin(t *testing.T) {
	o := newOffice(t, withRiddle)
	c := o.dial()
	c.write("a CAPABILITY\r\n")
	if line := c.line(); !strings.HasSuffix(line, " AUTH=PLAIN AUTH=LOGIN AUTH=RIDDLE") {
		t.Errorf("got %q", line)
	}
	c.expect("a OK CAPABILITY completed")
	c.write("b LOGIN alice secret\r\n")
	if line := c.line(); strings.Contains(line, "RIDDLE") {
		t.Errorf("got %q", line)
	}
}

// TestMechanismThenLogout: eM Client gives SCRAM up that way.
func TestMechanismThenLogout(t *testing.T) {
	c := newOffice(t, withRiddle).dial()
	c.write("a AUTHENTICATE RIDDLE " + b64("alice") + "\r\n")
	c.expect("+ …")
	c.write("b LOGOUT\r\n")
	c.expect("a BAD …", "* BYE Good-bye", "b OK LOGOUT completed")
	c.closed()
}

// TestDisconnectCredential: only who came in by it has to go, and nobody comes
// in who was on the way.
func TestDisconnectCredential(t *testing.T) {
	o := newOffice(t, withRiddle)
	ask := func() *client {
		c := o.dial()
		c.write("a AUTHENTICATE RIDDLE " + b64("alice") + "\r\n")
		c.expect("+ …")
		c.write(b64("ecila") + "\r\n")
		c.expect("+ …")
		return c
	}
	riddled, other, onTheWay := ask(), o.login(), ask()
	riddled.write("\r\n")
	riddled.expect("a OK …")
	o.server.DisconnectCredential("alice", "riddle", "Revoked")
	riddled.expect("* BYE [UNAVAILABLE] Revoked")
	riddled.closed()
	other.do("NOOP", "OK NOOP completed")
	onTheWay.write("\r\n")
	onTheWay.expect("a NO [AUTHENTICATIONFAILED] …")
	after := ask()
	after.write("\r\n")
	after.expect("a OK …")
}
