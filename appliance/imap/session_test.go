package imap_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pillarbox/appliance/imap"
	"pillarbox/storage"
)

// TestSessionStates: a command in the wrong state is a mistake of the client.
func TestSessionStates(t *testing.T) {
	o := newOffice(t)
	stranger, member := o.dial(), o.login()
	for _, command := range []string{
		"SELECT INBOX", "EXAMINE INBOX", "CREATE x", "LIST \"\" *", "STATUS INBOX (MESSAGES)", "IDLE", "ENABLE CONDSTORE",
	} {
		stranger.do(command, "BAD Log in first")
	}
	for _, command := range []string{
		"CHECK", "CLOSE", "UNSELECT", "EXPUNGE", "UID EXPUNGE 1", "SEARCH ALL", "UID SEARCH ALL",
		"FETCH 1 FLAGS", "STORE 1 FLAGS ()", "COPY 1 x", "MOVE 1 x",
	} {
		member.do(command, "BAD No mailbox is selected")
	}
}

func TestSessionMistakes(t *testing.T) {
	o := newOffice(t)
	for name, tt := range map[string]struct{ send, want string }{
		"an unknown command":  {"a FROBNICATE\r\n", "a BAD …"},
		"no command":          {"a\r\n", "a BAD …"},
		"an empty line":       {"\r\n", "* BAD …"},
		"no tag":              {"(\r\n", "* BAD …"},
		"NUL":                 {"a NO\x00OP\r\n", "a BAD …"},
		"an HTTP request":     {"GET / HTTP/1.1\r\n", "GET BAD …"},
		"a line without CR":   {"a NOOP\n", "a OK NOOP completed"},
		"a literal too long":  {"a LOGIN {1000000}\r\n", "a NO [TOOBIG] …"},
		"a line too long":     {"a NOOP " + strings.Repeat("x", 100000) + "\r\n", "a NO [TOOBIG] …"},
		"UID before nonsense": {"a UID NOOP\r\n", "a BAD …"},
	} {
		t.Run(name, func(t *testing.T) {
			c := o.dial()
			c.write(tt.send)
			c.t = t
			c.expect(tt.want)
			c.do("NOOP", "OK NOOP completed")
		})
	}
}

// TestSessionBadCommands: who sends nothing but nonsense has to go, who errs
// now and then may stay.
func TestSessionBadCommands(t *testing.T) {
	o := newOffice(t, func(c *imap.Config) { c.Limits.BadCommands = 3 })
	c := o.dial()
	for range 4 {
		c.do("NONSENSE", "BAD …")
		c.do("NONSENSE", "BAD …")
		c.do("NOOP", "OK NOOP completed")
	}
	c.do("NONSENSE", "BAD …")
	c.do("NONSENSE", "BAD …")
	c.do("NONSENSE", "BAD …")
	c.expect("* BYE [CLIENTBUG] Too many commands that are not valid")
	c.closed()
}

func TestSessionPipeline(t *testing.T) {
	o := newOffice(t)
	c := o.dial()
	var script strings.Builder
	var want []string
	script.WriteString("a LOGIN alice secret\r\nb CREATE {4+}\r\npipe\r\nc SELECT INBOX\r\n")
	for i := range 500 {
		fmt.Fprintf(&script, "n%d NOOP\r\n", i)
		want = append(want, fmt.Sprintf("n%d OK NOOP completed", i))
	}
	c.write(script.String())
	for line := ""; !strings.HasPrefix(line, "c OK"); {
		line = c.line()
	}
	c.expect(want...)
}

// counted counts the writes to a connection.
type counted struct {
	pipe
	writes *atomic.Int64
}

func (c counted) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.pipe.Write(p)
}

// TestSessionAnswersInOneWrite: an answer in two segments costs a delayed
// acknowledgement, and one per command of a pipeline costs system calls.
func TestSessionAnswersInOneWrite(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", letter, letter, letter)
	ours, theirs := net.Pipe()
	var writes atomic.Int64
	o.serve(counted{pipe{theirs}, &writes})
	c := newClient(t, ours)
	c.greeting()
	c.quiet("LOGIN alice secret")
	for name, commands := range map[string]string{
		"one command":     "a SELECT INBOX\r\n",
		"messages":        "a FETCH 1:* (FLAGS BODY.PEEK[])\r\n",
		"several at once": "x NOOP\r\ny LIST \"\" *\r\nz STATUS INBOX (MESSAGES)\r\na NOOP\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c.t = t
			if name != "one command" {
				c.quiet("SELECT INBOX")
			}
			before := writes.Load()
			c.write(commands)
			for line := ""; !strings.HasPrefix(line, "a "); {
				line = c.line()
			}
			if n := writes.Load() - before; n != 1 {
				t.Errorf("the answer took %d writes", n)
			}
		})
	}
}

// faulty panics where other code of ours might.
type faulty struct{ imap.Authenticator }

func (f faulty) Authenticate(ctx context.Context, login, password string, remote net.Addr) (imap.Identity, error) {
	if login == "panic" {
		panic("the directory has a fault")
	}
	return f.Authenticator.Authenticate(ctx, login, password, remote)
}

func (faulty) Stage(context.Context, io.Reader) (*storage.Staged, error) {
	panic("the stager has a fault")
}

func TestSessionPanics(t *testing.T) {
	o := newOffice(t, func(c *imap.Config) {
		c.Auth = faulty{c.Auth}
		c.Stager = faulty{}
	})
	o.faults = true
	c := o.dial()
	c.do("LOGIN panic x", "NO [SERVERBUG] The server failed; the administrator finds the reason in the log")
	c.quiet("LOGIN alice secret")
	if n := o.server.Stats().Panics; n != 1 {
		t.Errorf("%d panics were counted", n)
	}
	if log := o.log.String(); !strings.Contains(log, "the directory has a fault") || !strings.Contains(log, "session_test.go") {
		t.Errorf("the log lacks the panic or its stack:\n%s", log)
	}
	// In the middle of a literal nobody knows what comes next.
	c.write("a APPEND INBOX {15+}\r\nx DELETE Junk\r\n\r\n")
	c.expect("* BYE [SERVERBUG] The server failed and must close the connection")
	c.closed()
	if o.account("alice").Mailbox("Junk") == nil {
		t.Error("a command from inside a literal was carried out")
	}
}

// TestSessionIdleTime: RFC 9051, section 5.4.
func TestSessionIdleTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		c := o.loginPipe()
		c.patience = time.Hour
		time.Sleep(29 * time.Minute)
		c.do("NOOP", "OK NOOP completed")
		start := time.Now()
		c.expect("* BYE Silent for too long")
		if d := time.Since(start); d != 30*time.Minute {
			t.Errorf("it took %v", d)
		}
		c.closed()
	})
}

// TestSessionHalfACommand: a client that stops in the middle is not waited
// for as long as one that is idle.
func TestSessionHalfACommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		c := o.loginPipe()
		c.patience = time.Hour
		c.write("a NO")
		start := time.Now()
		c.expect("* BYE Silent for too long")
		if d := time.Since(start); d != 2*time.Minute {
			t.Errorf("it took %v", d)
		}
	})
}

// stuck stages only when it is told to.
type stuck struct {
	imap.Stager
	release <-chan struct{}
}

func (s stuck) Stage(ctx context.Context, r io.Reader) (*storage.Staged, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	select {
	case <-s.release:
		return s.Stager.Stage(ctx, bytes.NewReader(text))
	case <-ctx.Done():
		return nil, fmt.Errorf("stage: %w", ctx.Err())
	}
}

func TestSessionCommandDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, func(c *imap.Config) { c.Stager = stuck{Stager: c.Stager} })
		c := o.loginPipe()
		c.patience = time.Hour
		start := time.Now()
		c.write("a APPEND INBOX " + strings.Replace(literal(letter), "}", "+}", 1) + "\r\n")
		c.expect("a NO [UNAVAILABLE] The command took too long and was given up")
		if d := time.Since(start); d != 2*time.Minute {
			t.Errorf("it took %v", d)
		}
		c.do("NOOP", "OK NOOP completed")
	})
}

// TestSessionSlowLine: the deadline is for doing nothing, not for a big
// message over a slow line.
func TestSessionSlowLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		c := o.loginPipe()
		fmt.Fprintf(c.conn, "a APPEND INBOX {%d}\r\n", len(letter))
		c.expect("+ …")
		for _, b := range []byte(letter) {
			time.Sleep(time.Minute)
			c.write(string(b))
		}
		c.write("\r\n")
		c.expect("a OK [APPENDUID … 1] APPEND completed")
	})
}

// TestSessionFinishesACommandAtStop: what runs is finished and answered.
func TestSessionFinishesACommandAtStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		o := newOffice(t, func(c *imap.Config) { c.Stager = stuck{c.Stager, release} })
		c := o.loginPipe()
		idle := o.loginPipe()
		c.write("a APPEND INBOX {" + fmt.Sprint(len(letter)) + "+}\r\n" + letter + "\r\nb CREATE later\r\n")
		synctest.Wait()
		o.stop()
		idle.expect("* BYE [UNAVAILABLE] The server is shutting down")
		idle.closed()
		close(release)
		c.expect("a OK [APPENDUID … 1] APPEND completed", "* BYE [UNAVAILABLE] The server is shutting down")
		c.closed()
		if o.account("alice").Mailbox("later") != nil {
			t.Error("a new command was begun after the stop")
		}
	})
}

// TestSessionStalledReader: a client that asks for much and takes nothing
// holds up nobody, and is given up.
func TestSessionStalledReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		o.deliver("alice", "INBOX", letter+strings.Repeat("0123456789abcdef\r\n", 1<<16))
		c := o.loginPipe()
		c.quiet("SELECT INBOX")
		c.write("a FETCH 1 BODY.PEEK[]\r\n")
		synctest.Wait()
		other := o.loginPipe()
		other.quiet("SELECT INBOX")
		other.quiet(`STORE 1 +FLAGS (\Deleted)`)
		other.quiet("EXPUNGE")
		o.deliver("alice", "INBOX", letter)
		if n := o.server.Stats().Sessions; n != 2 {
			t.Fatalf("there are %d sessions", n)
		}
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		if n := o.server.Stats().Sessions; n != 1 {
			t.Errorf("there are %d sessions after the stall", n)
		}
	})
}

func TestStats(t *testing.T) {
	o := newOffice(t)
	c := o.dial()
	c.do("LOGIN alice guess", "NO …")
	c.quiet("LOGIN alice secret")
	c.do("NONSENSE", "BAD …")
	o.dial()
	want := imap.Stats{Sessions: 2, Opened: 2, Commands: 3, Logins: 1, FailedLogins: 1}
	if got := o.server.Stats(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestSessionOfADeletedAccount: nothing but BYE can be answered any more.
func TestSessionOfADeletedAccount(t *testing.T) {
	o := newOffice(t)
	c := o.login()
	c.quiet("SELECT INBOX")
	if err := o.store.DeleteAccount(context.Background(), "alice"); err != nil {
		t.Fatal(err)
	}
	c.write("a CREATE x\r\n")
	c.expect("* BYE [UNAVAILABLE] The account is closed")
	c.closed()
}

// TestSessionDisconnect: whose password was changed must log in anew, wherever
// the session is; others stay.
func TestSessionDisconnect(t *testing.T) {
	o := newOffice(t)
	idle, waiting, other, stranger := o.dial(), o.dial(), o.dial(), o.dial()
	idle.quiet("LOGIN alice secret")
	idle.write("x IDLE\r\n")
	idle.expect("+ …")
	waiting.quiet("LOGIN alice secret")
	other.quiet("LOGIN bob secret")
	o.server.Disconnect("alice", "The password was changed")
	for _, c := range []*client{idle, waiting} {
		c.expect("* BYE [UNAVAILABLE] The password was changed")
		c.closed()
	}
	other.do("NOOP", "OK NOOP completed")
	stranger.do("NOOP", "OK NOOP completed")
	again := o.dial()
	again.quiet("LOGIN alice secret")
}

// overtaken changes the password while it is being checked.
type overtaken struct {
	imap.Authenticator
	change func()
}

func (a *overtaken) Authenticate(ctx context.Context, login, password string, remote net.Addr) (imap.Identity, error) {
	ident, err := a.Authenticator.Authenticate(ctx, login, password, remote)
	a.change()
	return ident, err
}

func TestSessionDisconnectOvertakesALogin(t *testing.T) {
	auth := &overtaken{}
	o := newOffice(t, func(c *imap.Config) { auth.Authenticator, c.Auth = c.Auth, auth })
	auth.change = func() { o.server.Disconnect("alice", "The password was changed") }
	c := o.dial()
	c.do("LOGIN alice secret", "NO [AUTHENTICATIONFAILED] …")
	c.do("LOGIN bob secret", "OK …")
}
