package smtp_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"
	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/smtp"
)

// stuff does what a client does to a message (RFC 5321, section 4.5.2).
func stuff(message string) string {
	if strings.HasPrefix(message, ".") {
		message = "." + message
	}

	return strings.ReplaceAll(message, "\r\n.", "\r\n..") + ".\r\n"
}

func TestOctetsArriveAsTheyWereSent(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 10_000)
	for name, body := range map[string]string{
		"plain":                        "Subject: a\r\n\r\nhello\r\n",
		"dots at the start of lines":   ".\r\n..\r\n.a\r\n\r\n.\r\n..x\r\n",
		"bare LF":                      "Subject: a\n\none\ntwo\r\n",
		"bare LF and a dot":            "Subject: a\r\n\r\none\n.\ntwo\n.\r\nthree\r\n",
		"bare CR":                      "Subject: a\r\n\r\none\rtwo\r.\rthree\r\n",
		"CR before CR LF":              "Subject: a\r\n\r\none\r\r\n.two\r\n",
		"ends in CR CR LF":             "Subject: a\r\n\r\none\r\r\n",
		"ends in LF CR LF":             "Subject: a\r\n\r\none\n\r\n",
		"NUL and all other octets":     "Subject: a\r\n\r\n" + everyOctet() + "\r\n",
		"a line of 160,000 octets":     "Subject: a\r\n\r\n" + long + "\r\n",
		"long lines at buffer's edges": strings.Repeat(strings.Repeat("x", 32<<10-2)+"\r\n.", 4) + "\r\n",
		"a long line ends in CR":       strings.Repeat("y", 32<<10-1) + "\r\n.z\r\n",
		"empty":                        "",
		"an empty line":                "\r\n",
		"commands in the message":      "Subject: a\r\n\r\nQUIT\r\n.\n\nMAIL FROM:<x@y.example>\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t, smtp.Limits{})
			c := o.talk(t)
			c.begin("anna@office.example")
			c.send(stuff(body))
			c.expect("250 2.0.0 <anna@office.example>")
			// The conversation is still where both think it is.
			c.say("NOOP", "250 ")
			c.say("QUIT", "221 ")

			got := o.mail(t, "anna@office.example")
			if len(got) != 1 {
				t.Fatalf("%d messages, want 1", len(got))
			}
			if diff := cmp.Diff(body, withoutTrace(t, got[0])); diff != "" {
				t.Errorf("message (-sent +stored):\n%.2000s", diff)
			}
		})
	}
}

func everyOctet() string {
	var b strings.Builder
	for i := range 256 {
		b.WriteByte(byte(i))
	}

	return b.String()
}

func TestAnIndependentClientDelivers(t *testing.T) {
	o := newOffice(t, smtp.Limits{})
	conn, err := net.Dial("tcp", o.addr)
	if err != nil {
		t.Fatal(err)
	}
	c := gosmtp.NewClientLMTP(conn)
	defer c.Close()
	if err := c.Hello("client.example"); err != nil {
		t.Fatal(err)
	}
	if err := c.Mail("bob@client.example", &gosmtp.MailOptions{Size: 100, Body: gosmtp.Body8BitMIME, UTF8: true}); err != nil {
		t.Fatal(err)
	}
	for _, r := range []string{"anna@office.example", "ben@office.example"} {
		if err := c.Rcpt(r, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Rcpt("nobody@office.example", nil); smtpCode(err) != 550 {
		t.Errorf("recipient that is not there: %v, want 550", err)
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	const body = "Subject: grüße\r\n\r\n.one\r\n"
	if _, err := w.Write([]byte(body)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, who := range []string{"anna@office.example", "ben@office.example"} {
		got := o.mail(t, who)
		if len(got) != 1 || withoutTrace(t, got[0]) != body {
			t.Errorf("%s has %q", who, got)
		}
		if !strings.Contains(got[0], "with UTF8LMTP id ") || !strings.HasPrefix(got[0], "Return-Path: <bob@client.example>\r\nDelivered-To: "+who+"\r\n") {
			t.Errorf("trace of %s: %q", who, got[0])
		}
	}
}

func smtpCode(err error) int {
	var e *gosmtp.SMTPError
	if !errors.As(err, &e) {
		return 0
	}

	return e.Code
}

func TestEachRecipientGetsAnAnswer(t *testing.T) {
	o := newOffice(t, smtp.Limits{})
	if err := o.dir.SetQuota(t.Context(), "ben@office.example", 10); err != nil {
		t.Fatal(err)
	}
	c := o.talk(t)
	c.begin("ben@office.example", "anna@office.example", "Anna@Office.example")
	c.send("Subject: a\r\n\r\nlonger than ten octets\r\n.\r\n")
	c.expect("552 5.2.2 <ben@office.example>")
	c.expect("250 2.0.0 <anna@office.example>")
	c.expect("250 2.0.0 <Anna@Office.example>")
	if n := len(o.mail(t, "anna@office.example")); n != 1 {
		t.Errorf("anna got it %d times", n)
	}
	if n := len(o.mail(t, "ben@office.example")); n != 0 {
		t.Errorf("ben has %d messages over his quota", n)
	}
}

func TestWrongCommandsAreAnswered(t *testing.T) {
	o := newOffice(t, smtp.Limits{Recipients: 2, Errors: 100})
	for name, conversation := range map[string][][2]string{
		"before LHLO":       {{"MAIL FROM:<a@b.example>", "503 5.5.1"}, {"RCPT TO:<anna@office.example>", "503 5.5.1"}, {"DATA", "503 5.5.1"}},
		"another protocol":  {{"EHLO x", "500 5.5.1"}, {"HELO x", "500 5.5.1"}, {"GET / HTTP/1.1", "500 5.5.2"}, {"", "500 5.5.2"}},
		"LHLO without name": {{"LHLO", "501 5.5.4"}},
		"addresses": {
			{"LHLO x", "250 "}, {"MAIL FROM:a@b.example", "501 5.5.4"}, {"MAIL <a@b.example>", "501 5.5.4"},
			{"MAIL FROM:<a@b.example", "501 5.5.4"}, {"MAIL FROM:<a>", "501 5.5.4"}, {"MAIL FROM:<a@\x01>", "501 5.5.4"},
			{"MAIL FROM:<" + strings.Repeat("a", 300) + "@b.example>", "501 5.5.4"}, {"MAIL FROM:<ä@b.example>", "553 5.6.7"},
			{"MAIL FROM:<ä@b.example> SMTPUTF8", "250 2.1.0"}, {"RCPT TO:<>", "501 5.1.3"},
			{"RCPT TO:<@relay.example:anna@office.example>", "250 2.1.5"}, {"RCPT TO:<\"a>b\"@office.example>", "550 5.1.1"},
		},
		"parameters": {
			{"LHLO x", "250 "}, {"MAIL FROM:<> SIZE=x", "501 5.5.4"}, {"MAIL FROM:<> SIZE=99999999999", "552 5.3.4"},
			{"MAIL FROM:<> BODY=BINARYMIME", "501 5.5.4"}, {"MAIL FROM:<> FOO=1", "555 5.5.4"},
			{"MAIL FROM:<> SIZE=10 BODY=8BITMIME", "250 2.1.0"}, {"MAIL FROM:<>", "503 5.5.1"},
			{"RCPT TO:<anna@office.example> NOTIFY=NEVER", "555 5.5.4"},
		},
		"no valid recipient": {
			{"LHLO x", "250 "}, {"MAIL FROM:<>", "250 2.1.0"}, {"RCPT TO:<nobody@office.example>", "550 5.1.1"}, {"DATA", "503 5.5.1"},
		},
		"recipients": {
			{"LHLO x", "250 "}, {"MAIL FROM:<>", "250 2.1.0"}, {"RCPT TO:<anna@office.example>", "250 "},
			{"RCPT TO:<ben@office.example>", "250 "}, {"RCPT TO:<anna@office.example>", "452 4.5.3"}, {"DATA now", "501 5.5.4"},
			{"RSET", "250 "}, {"DATA", "503 5.5.1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := o.talk(t)
			for _, step := range conversation {
				c.say(step[0], step[1])
			}
			c.say("QUIT", "221 ")
		})
	}
}

func TestPipelinedCommandsAreAnsweredInOrder(t *testing.T) {
	o := newOffice(t, smtp.Limits{})
	c := o.talk(t)
	c.send("LHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<nobody@office.example>\r\nRCPT TO:<anna@office.example>\r\nDATA\r\n")
	if caps := c.expect("250 SIZE 1048576"); !slices.Contains(strings.Split(caps, "\r\n"), "250-PIPELINING") {
		t.Errorf("no PIPELINING in %q", caps)
	}
	c.expect("250 2.1.0")
	c.expect("550 5.1.1")
	c.expect("250 2.1.5")
	c.expect("354 ")
	c.send("hello\r\n.\r\nQUIT\r\n")
	c.expect("250 2.0.0")
	c.expect("221 ")
}

func TestATooLargeMessageIsRefusedAndTheConnectionGoesOn(t *testing.T) {
	o := newOffice(t, smtp.Limits{})
	c := o.talk(t)
	c.begin("anna@office.example", "ben@office.example")
	c.send(strings.Repeat(strings.Repeat("x", 998)+"\r\n", maxMessage/1000+100) + ".\r\n")
	c.expect("552 5.3.4 <anna@office.example>")
	c.expect("552 5.3.4 <ben@office.example>")
	c.say("NOOP", "250 ")
	if n := len(o.mail(t, "anna@office.example")); n != 0 {
		t.Errorf("anna has %d messages", n)
	}
}

func TestAnEndlessMessageEndsTheConnection(t *testing.T) {
	o := newOffice(t, smtp.Limits{})
	c := o.talk(t)
	c.begin("anna@office.example")
	chunk := strings.Repeat("x", 64<<10)
	for range 5 * maxMessage / len(chunk) {
		if _, err := c.conn.Write([]byte(chunk)); err != nil {
			return
		}
	}
	if !c.ended() {
		c.expect("") // the refusal
		if !c.ended() {
			t.Error("the connection goes on")
		}
	}
}

func TestAMessageCutShortIsNotDelivered(t *testing.T) {
	o := newOffice(t, smtp.Limits{})
	for _, end := range []string{"", ".", ".\r", "\r\n.", "\n.\n"} {
		c := o.talk(t)
		c.begin("anna@office.example")
		c.send("Subject: a\r\n\r\nhello\r\n" + end)
		c.conn.Close()
	}
	if err := o.stop(); err != nil {
		t.Fatal(err)
	}
	if got := o.mail(t, "anna@office.example"); len(got) != 0 {
		t.Errorf("delivered: %q", got)
	}
}

func TestLimits(t *testing.T) {
	t.Run("command line", func(t *testing.T) {
		c := newOffice(t, smtp.Limits{Line: 1000}).talk(t)
		c.say("NOOP "+strings.Repeat("x", 2000), "500 5.5.6")
		if !c.ended() {
			t.Error("the connection goes on")
		}
	})
	t.Run("command line without an end", func(t *testing.T) {
		c := newOffice(t, smtp.Limits{}).talk(t)
		c.send(strings.Repeat("x", 100_000))
		c.expect("500 5.5.6")
	})
	t.Run("errors", func(t *testing.T) {
		c := newOffice(t, smtp.Limits{Errors: 3}).talk(t)
		for range 4 {
			c.say("FOO", "500 ")
		}
		c.expect("421 4.7.0")
	})
	t.Run("idle", func(t *testing.T) {
		c := newOffice(t, smtp.Limits{Idle: 50 * time.Millisecond}).talk(t)
		c.expect("421 4.4.2")
	})
	t.Run("slow data", func(t *testing.T) {
		c := newOffice(t, smtp.Limits{Data: 100 * time.Millisecond}).talk(t)
		c.begin("anna@office.example")
		c.send("x\r\n")
		c.expect("421 4.4.2")
	})
	t.Run("connections", func(t *testing.T) {
		o := newOffice(t, smtp.Limits{Connections: 1})
		first := o.talk(t)
		conn, err := net.Dial("tcp", o.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		b := make([]byte, 100)
		n, _ := conn.Read(b)
		if !strings.HasPrefix(string(b[:n]), "421 4.3.2 ") {
			t.Errorf("second connection: %q", b[:n])
		}
		first.say("NOOP", "250 ")
	})
}

func TestStoppingFinishesWhatArrives(t *testing.T) {
	o := newOffice(t, smtp.Limits{})
	idle, busy := o.talk(t), o.talk(t)
	busy.begin("anna@office.example")
	busy.send("Subject: a\r\n\r\nhalf")

	stopped := make(chan error, 1)
	go func() { stopped <- o.stop() }()
	idle.expect("421 4.3.2")
	busy.send(" and the rest\r\n.\r\n")
	busy.expect("250 2.0.0 <anna@office.example>")
	busy.expect("421 4.3.2")
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if got := o.mail(t, "anna@office.example"); len(got) != 1 || !strings.HasSuffix(got[0], "half and the rest\r\n") {
		t.Errorf("stored: %q", got)
	}
}

func TestListen(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]error{
		"0.0.0.0:0": smtp.ErrNotLoopback, ":0": smtp.ErrNotLoopback, "[::]:0": smtp.ErrNotLoopback,
		"192.0.2.1:24": smtp.ErrNotLoopback, "example.org:24": smtp.ErrNotLoopback, "[::ffff:192.0.2.1]:24": smtp.ErrNotLoopback,
		"127.0.0.2:0": nil, "unix:" + filepath.Join(dir, "s"): nil,
	} {
		ln, err := smtp.Listen(t.Context(), addr)
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", addr, err, want)
		}
		if err == nil {
			ln.Close()
		}
	}
	if _, err := smtp.Listen(t.Context(), "unix:"+file); err == nil {
		t.Error("a file that is no socket was replaced")
	}
	path := filepath.Join(dir, "l")
	left, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := smtp.Listen(t.Context(), "unix:"+path); err == nil {
		t.Error("the socket of a running server was taken")
	}
	left.(*net.UnixListener).SetUnlinkOnClose(false)
	left.Close()
	ln, err := smtp.Listen(t.Context(), "unix:"+path)
	if err != nil {
		t.Fatalf("socket of a server that is gone: %v", err)
	}
	defer ln.Close()
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o660 {
		t.Errorf("mode %v, %v", fi.Mode(), err)
	}
}

func FuzzConversation(f *testing.F) {
	for _, seed := range []string{
		"LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<anna@office.example>\r\nDATA\r\nhello\r\n.\r\nQUIT\r\n",
		"LHLO x\r\nMAIL FROM:<\"a b\"@c.example> SIZE=1 SMTPUTF8\r\nRSET\r\n",
		"MAIL\r\n\r\n\x00\xff\r\nRCPT TO:<@a,@b:c@d>\r\n",
	} {
		f.Add([]byte(seed))
	}
	o := newOffice(f, smtp.Limits{})
	f.Fuzz(func(t *testing.T, input []byte) {
		conn, err := net.Dial("tcp", o.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		// Whatever was said, QUIT at the end or the end itself ends the session.
		fmt.Fprintf(conn, "%s\r\n.\r\nQUIT\r\n", input)
		_ = conn.(*net.TCPConn).CloseWrite()
		buf := make([]byte, 4096)
		for {
			if _, err := conn.Read(buf); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal("the session hangs")
			} else if err != nil {
				return
			}
		}
	})
}
