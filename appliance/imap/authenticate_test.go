package imap_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"crypto/tls"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"
)

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func TestAuthenticate(t *testing.T) {
	o := newOffice(t)
	const in = "OK [CAPABILITY …] Logged in"
	const wrong = "NO [AUTHENTICATIONFAILED] The name or the password is wrong"
	tests := []struct {
		name    string
		command string
		// What the server asks and the client says to it, in turn.
		script []string
		want   string
	}{
		{"PLAIN with an initial response", "PLAIN " + b64("\x00alice\x00secret"), nil, in},
		{"PLAIN, mechanism in lower case", "plain " + b64("\x00alice\x00secret"), nil, in},
		{"PLAIN without", "PLAIN", []string{"+ ", b64("\x00alice\x00secret")}, in},
		{"PLAIN for oneself", "PLAIN " + b64("alice\x00alice\x00secret"), nil, in},
		{"PLAIN for oneself by the full address", "PLAIN " + b64("Alice@example.com\x00alice\x00secret"), nil, in},
		{"PLAIN for another with a wrong password", "PLAIN " + b64("bob\x00alice\x00guess"), nil, wrong},
		{"PLAIN for another", "PLAIN " + b64("bob\x00alice\x00secret"), nil, "NO [AUTHORIZATIONFAILED] …"},
		{"PLAIN with a wrong password", "PLAIN " + b64("\x00alice\x00guess"), nil, wrong},
		{"PLAIN with too few fields", "PLAIN " + b64("alice\x00secret"), nil, "BAD The PLAIN response is not valid"},
		{"PLAIN with an empty initial response", "PLAIN =", nil, "BAD The PLAIN response is not valid"},
		{"PLAIN with a long password", "PLAIN", []string{"+ ", b64("\x00alice\x00" + strings.Repeat("x", 10000))}, wrong},
		{"PLAIN cancelled", "PLAIN", []string{"+ ", "*"}, "BAD Log-in cancelled"},
		{"PLAIN that is not base64", "PLAIN", []string{"+ ", "§§§"}, "BAD The response is not base64"},
		{"LOGIN", "LOGIN", []string{"+ " + b64("Username:"), b64("alice"), "+ " + b64("Password:"), b64("secret")}, in},
		{"LOGIN with an initial response", "LOGIN " + b64("alice"), []string{"+ " + b64("Password:"), b64("secret")}, in},
		{"LOGIN with a wrong password", "LOGIN " + b64("alice"), []string{"+ " + b64("Password:"), b64("guess")}, wrong},
		{"LOGIN cancelled", "LOGIN", []string{"+ " + b64("Username:"), b64("alice"), "+ " + b64("Password:"), "*"}, "BAD Log-in cancelled"},
		{"an unknown mechanism", "CRAM-MD5", nil, "NO [CANNOT] …"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := o.dial()
			c.write("a AUTHENTICATE " + tt.command + "\r\n")
			for i := 0; i < len(tt.script); i += 2 {
				c.expect(tt.script[i])
				c.write(tt.script[i+1] + "\r\n")
			}
			c.expect("a " + tt.want)
			c.do("NOOP", "OK NOOP completed")
		})
	}
}

// TestAuthenticateThenLogout: eM Client gives an exchange up that way.
func TestAuthenticateThenLogout(t *testing.T) {
	c := newOffice(t).dial()
	c.write("a AUTHENTICATE PLAIN\r\n")
	c.expect("+ ")
	c.write("b LOGOUT\r\n")
	c.expect("a BAD …", "* BYE Good-bye", "b OK LOGOUT completed")
	c.closed()
}

// TestAuthenticateThenLiteral: a command in the place of a response is skipped
// as one, and what its literal holds is not carried out.
func TestAuthenticateThenLiteral(t *testing.T) {
	o := newOffice(t)
	c := o.dial()
	c.write("a AUTHENTICATE PLAIN\r\n")
	c.expect("+ ")
	c.write("b LOGIN alice {22+}\r\nc LOGIN alice secret\r\n\r\n")
	c.expect("a BAD …")
	if line := c.line(); !strings.HasPrefix(line, "b ") {
		t.Fatalf("got %q", line)
	}
	c.do("LIST \"\" *", "BAD Log in first")
}

func TestAuthenticateByLibrary(t *testing.T) {
	o := newOffice(t)
	for name, mechanism := range map[string]sasl.Client{
		"PLAIN": sasl.NewPlainClient("", "alice", "secret"),
		"LOGIN": sasl.NewLoginClient("alice", "secret"),
	} {
		t.Run(name, func(t *testing.T) {
			c, err := imapclient.DialTLS(o.listen(), &imapclient.Options{TLSConfig: &tls.Config{InsecureSkipVerify: true}})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := c.Authenticate(mechanism); err != nil {
				t.Fatal(err)
			}
			if err := c.Logout().Wait(); err != nil {
				t.Fatal(err)
			}
		})
	}
}
