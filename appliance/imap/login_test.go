package imap_test

import (
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pillarbox/appliance/imap"
)

func TestLogin(t *testing.T) {
	o := newOffice(t)
	tests := []struct {
		name    string
		command string
		want    string
	}{
		{"atoms", "LOGIN alice secret", "OK [CAPABILITY …] Logged in"},
		{"quoted strings", `LOGIN "alice@example.com" "secret"`, "OK [CAPABILITY …] Logged in"},
		{"literals", "LOGIN {5}\r\nalice {6}\r\nsecret", "OK [CAPABILITY …] Logged in"},
		{"literals without waiting", "LOGIN {5+}\r\nalice {6+}\r\nsecret", "OK [CAPABILITY …] Logged in"},
		{"a wrong password", "LOGIN alice wrong", "NO [AUTHENTICATIONFAILED] The name or the password is wrong"},
		{"an unknown name", "LOGIN carol secret", "NO [AUTHENTICATIONFAILED] The name or the password is wrong"},
		{"a directory that fails", "LOGIN broken secret", "NO [UNAVAILABLE] Log-in is not possible at the moment; try again later"},
		{"no password", "LOGIN alice", "BAD …"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := o.dial()
			c.do(tt.command, tt.want)
			if strings.HasPrefix(tt.want, "OK") {
				c.do("LOGIN alice secret", "BAD You are logged in already")
				c.do("LIST \"\" INBOX", `* LIST (\HasNoChildren) "/" INBOX`, "OK LIST completed")
			} else {
				c.do("LIST \"\" INBOX", "BAD Log in first")
			}
		})
	}
}

func TestLoginIsLogged(t *testing.T) {
	o := newOffice(t, func(c *imap.Config) {
		c.Describe = func(c net.Conn) []slog.Attr { return []slog.Attr{slog.String("via", c.RemoteAddr().Network())} }
	})
	c := o.dial()
	c.quiet(`ID ("name" "Thunderbird" "version" "153.0")`)
	c.do("LOGIN alice guess", "NO …")
	c.quiet("LOGIN alice secret")
	var lines []string
	for line := range strings.Lines(o.log.String()) {
		if strings.Contains(line, "mechanism=") {
			lines = append(lines, line)
		}
	}
	if len(lines) != 2 {
		t.Fatalf("want one line per try, got %q", lines)
	}
	for i, want := range []string{`level=WARN msg="log-in failed"`, "level=INFO msg=log-in "} {
		for _, part := range []string{
			want, "remote=127.0.0.1:", "port=", "account=alice", "mechanism=LOGIN",
			"via=tcp", `client="Thunderbird 153.0"`,
		} {
			if !strings.Contains(lines[i], part) {
				t.Errorf("%q does not tell %q", lines[i], part)
			}
		}
	}
	if log := o.log.String(); strings.Contains(log, "secret") || strings.Contains(log, "guess") {
		t.Errorf("a password is in the log:\n%s", log)
	}
}

// TestLoginTries: each failure costs a second more, and the third is the last.
func TestLoginTries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, func(c *imap.Config) { c.Limits.LoginDelay = 0 })
		c := o.dialPipe()
		for i := 1; i <= 3; i++ {
			start := time.Now()
			c.do("LOGIN alice guess", "NO [AUTHENTICATIONFAILED] …")
			if got, want := time.Since(start), time.Duration(i)*time.Second; got != want {
				t.Errorf("try %d took %v, want %v", i, got, want)
			}
		}
		c.expect("* BYE Too many failed log-ins")
		c.closed()
	})
}

// TestLoginDelayEndsAtStop: a shutdown does not wait for guessers.
func TestLoginDelayEndsAtStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, func(c *imap.Config) { c.Limits.LoginDelay = time.Hour; c.Limits.Login = 2 * time.Hour })
		c := o.dialPipe()
		c.write("a LOGIN alice guess\r\n")
		synctest.Wait()
		start := time.Now()
		o.stop()
		c.expect("a NO [AUTHENTICATIONFAILED] …", "* BYE [UNAVAILABLE] The server is shutting down")
		if d := time.Since(start); d > time.Second {
			t.Errorf("the stop took %v", d)
		}
	})
}

// TestLoginTime: who does not log in in time has to go, however busy.
func TestLoginTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		start := time.Now()
		c := o.dialPipe()
		for range 8 {
			time.Sleep(10 * time.Second)
			c.do("NOOP", "OK NOOP completed")
		}
		c.expect("* BYE Too slow to log in")
		if d := time.Since(start); d != 90*time.Second {
			t.Errorf("it took %v", d)
		}
		c.closed()
	})
}

func TestLoginConnectionsPerAccount(t *testing.T) {
	o := newOffice(t, func(c *imap.Config) { c.Limits.ConnectionsPerAccount = 2 })
	first := o.login()
	o.login()
	third := o.dial()
	third.do("LOGIN alice secret", "NO [LIMIT] The account has too many connections; close some of them")
	o.loginAs("bob")
	first.quiet("LOGOUT")
	first.closed()
	third.do("LOGIN alice secret", "OK [CAPABILITY …] Logged in")
}
