package imap_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	imaplib "github.com/emersion/go-imap/v2"

	"pillarbox/appliance/imap"
	"pillarbox/storage"
)

const letter = "From: a@example.com\r\nSubject: hello\r\n\r\nText\r\n"

// literal announces text and holds it.
func literal(text string) string { return fmt.Sprintf("{%d}\r\n%s", len(text), text) }

func TestAppend(t *testing.T) {
	o := newOffice(t)
	o.dial().do("APPEND INBOX "+literal(letter), "BAD …")
	tests := []struct {
		name    string
		command string
		want    string
	}{
		{"a message", "APPEND Sent " + literal(letter), "OK [APPENDUID … 1] APPEND completed"},
		{"flags and a date", `APPEND Sent (\Seen $Forwarded) " 5-Jan-2024 10:11:12 +0100" ` + literal(letter), "OK [APPENDUID … 2] APPEND completed"},
		{"without waiting", "APPEND Sent " + strings.Replace(literal(letter), "}", "+}", 1), "OK [APPENDUID … 3] APPEND completed"},
		{"a binary literal with NUL", "APPEND Sent ~" + literal("Subject: x\r\n\r\n\x00\x01"), "OK [APPENDUID … 4] APPEND completed"},
		{"several messages", "APPEND Sent (\\Seen) " + literal(letter) + " " + literal(letter+"2"), "OK [APPENDUID … 5:6] APPEND completed"},
		{"no such mailbox", "APPEND None " + literal(letter), "NO [TRYCREATE] No such mailbox"},
		{"no such mailbox, without waiting", "APPEND None " + strings.Replace(literal(letter), "}", "+}", 1), "NO [TRYCREATE] No such mailbox"},
		{"an empty message", "APPEND Sent {0}\r\n", "NO An empty message cancels the command"},
		{"an empty message after another", "APPEND Sent " + literal(letter) + " {0}\r\n", "NO An empty message cancels the command"},
		{"a localised name", "APPEND \"Gesendete Elemente\" " + literal(letter), "OK [APPENDUID … 7] APPEND completed"},
		{"no message", "APPEND Sent", "BAD …"},
		{"a date that is none", `APPEND Sent "yesterday" ` + literal(letter), "BAD …"},
	}
	c := o.login()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { c.t = t; c.do(tt.command, tt.want) })
	}
	c.t = t
	c.do("STATUS Sent (MESSAGES UIDNEXT)", "* STATUS Sent (MESSAGES 7 UIDNEXT 8)", "OK STATUS completed")
	c.quiet("EXAMINE Sent")
	c.do("FETCH 2 (FLAGS INTERNALDATE BODY[])",
		`* 2 FETCH (FLAGS (\Seen $Forwarded \Recent) INTERNALDATE " 5-Jan-2024 10:11:12 +0100" BODY[] `+literal(letter)+")",
		"OK FETCH completed")
}

func TestAppendToTheSelectedMailbox(t *testing.T) {
	c := newOffice(t).login()
	c.quiet("SELECT INBOX")
	c.do("APPEND INBOX "+literal(letter), "* 1 EXISTS", "* 1 RECENT", "OK [APPENDUID … 1] APPEND completed")
}

// TestAppendTooBig: the client is told before it sends, and what it sends all
// the same is never carried out.
func TestAppendTooBig(t *testing.T) {
	o := newOffice(t, func(c *imap.Config) { c.Limits.AppendSize = 100 })
	c := o.login()
	c.do("APPEND INBOX "+literal(strings.Repeat("x", 101)), "NO [TOOBIG] The message is larger than allowed")
	c.do("NOOP", "OK NOOP completed")
	evil := "x DELETE Junk\r\n" + strings.Repeat("y NOOP\r\n", 11)
	c.do("APPEND INBOX "+strings.Replace(literal(evil), "}", "+}", 1), "NO [TOOBIG] The message is larger than allowed")
	c.do("NOOP", "OK NOOP completed")
	if o.account("alice").Mailbox("Junk") == nil {
		t.Error("a command from inside a literal was carried out")
	}
	// Beyond the drain bound nobody waits for the end.
	c.write("a APPEND INBOX {1000000000+}\r\nx DELETE Junk\r\n")
	c.expect("* BYE …")
	c.closed()
	if o.account("alice").Mailbox("Junk") == nil {
		t.Error("a command from inside a literal was carried out")
	}
}

func TestAppendOverQuota(t *testing.T) {
	o := newOffice(t)
	o.limit("alice", 4096)
	c := o.login()
	const answer = "NO [OVERQUOTA] The account is over its quota; delete mail or ask for more room"
	big := strings.Repeat("x", 3000)
	// The announcement alone is refused.
	tag, early := c.send("APPEND INBOX " + literal(strings.Repeat("x", 5000)))
	if early != tag+" "+answer {
		t.Fatalf("got %q", early)
	}
	c.do("APPEND INBOX "+literal(big)+" "+literal(big), answer)
	c.do("STATUS INBOX (MESSAGES)", "* STATUS INBOX (MESSAGES 0)", "OK STATUS completed")
	c.do("APPEND INBOX "+literal(big), "OK [APPENDUID … 1] APPEND completed")
	c.do("APPEND INBOX "+literal(big), answer)
}

func TestAppendTooMany(t *testing.T) {
	o := newOffice(t, func(c *imap.Config) { c.Limits.AppendMessages = 2 })
	c := o.login()
	one := " " + literal(letter)
	c.do("APPEND INBOX"+one+one+one, "NO [LIMIT] Too many messages in one command")
	c.do("APPEND INBOX"+one+one, "OK [APPENDUID … 1:2] APPEND completed")
}

// TestAppendIsThereAtOnce: other sessions see a message when its OK is out.
func TestAppendIsThereAtOnce(t *testing.T) {
	o := newOffice(t)
	c, other := o.login(), o.login()
	c.quiet("APPEND Drafts " + literal(letter))
	other.do("STATUS Drafts (MESSAGES)", "* STATUS Drafts (MESSAGES 1)", "OK STATUS completed")
}

// TestAppendCutOff: a message that did not come in whole is not stored.
func TestAppendCutOff(t *testing.T) {
	o := newOffice(t)
	c := o.login()
	c.write("a APPEND INBOX {100}\r\n")
	c.expect("+ …")
	c.write("Subject: half a mess")
	_ = c.conn.Close()
	o.login().do("STATUS INBOX (MESSAGES)", "* STATUS INBOX (MESSAGES 0)", "OK STATUS completed")
}

// fullDisk is a stager whose disk is full.
type fullDisk struct{}

func (fullDisk) Stage(context.Context, io.Reader) (*storage.Staged, error) {
	return nil, errors.Join(errors.New("write body"), storage.ErrDiskFull)
}

// TestAppendToAFullDisk: the client learns it and the session goes on.
func TestAppendToAFullDisk(t *testing.T) {
	o := newOffice(t, func(c *imap.Config) { c.Stager = fullDisk{} })
	c := o.login()
	big := strings.Repeat("x", 1<<20)
	c.do("APPEND INBOX "+literal(big), "NO [UNAVAILABLE] The server's disk is full; the administrator must make room")
	c.do("NOOP", "OK NOOP completed")
	if !strings.Contains(o.log.String(), "write body") {
		t.Error("the reason is not in the log")
	}
}

func TestAppendByLibrary(t *testing.T) {
	o := newOffice(t)
	c := o.library(nil)
	body := bytes.Repeat([]byte("0123456789 0123456789 0123456789\r\n"), 1<<16)
	body = append([]byte("Subject: two megabytes\r\n\r\n"), body...)
	at := time.Date(2024, 2, 29, 12, 0, 0, 0, time.FixedZone("", 3600))
	cmd := c.Append("Archive", int64(len(body)), &imaplib.AppendOptions{
		Flags: []imaplib.Flag{imaplib.FlagSeen, "$Forwarded"},
		Time:  at,
	})
	if _, err := cmd.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := cmd.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if data.UID != 1 || data.UIDValidity == 0 {
		t.Errorf("got %+v", data)
	}
	a := o.account("alice")
	snapshot, err := a.Snapshot(context.Background(), a.Mailbox("Archive").ID)
	if err != nil {
		t.Fatal(err)
	}
	m := snapshot.At(0)
	if !m.Date().Equal(at) || m.Flags != storage.Seen {
		t.Errorf("stored as %v %v", m.Date(), m.Flags)
	}
	stored, err := a.OpenBody(m.Data)
	if err != nil {
		t.Fatal(err)
	}
	defer stored.Close()
	got, err := io.ReadAll(io.NewSectionReader(stored, 0, stored.Size))
	if err != nil || !bytes.Equal(got, body) {
		t.Errorf("the body is not what was sent (%d octets, %v)", len(got), err)
	}
}

// ackedConn is a connection that can acknowledge what was received.
type ackedConn struct {
	pipe
	acks atomic.Int64
}

func (c *ackedConn) AckNow() { c.acks.Add(1) }

// A client that waits for the continuation request often sends the message and
// the line end after it by two writes, the second of which its kernel holds
// back until the first is acknowledged.
func TestAppendAcknowledgesALiteralAtOnce(t *testing.T) {
	o := newOffice(t)
	ours, theirs := net.Pipe()
	conn := &ackedConn{pipe: pipe{theirs}}
	o.serve(conn)
	c := newClient(t, ours)
	c.greeting()
	c.quiet("LOGIN alice secret")
	c.do("APPEND INBOX "+strings.Replace(literal(letter), "}", "+}", 1), "OK [APPENDUID … 1] APPEND completed")
	if n := conn.acks.Load(); n != 0 {
		t.Errorf("%d times without need", n)
	}
	c.write(fmt.Sprintf("a1 APPEND INBOX {%d}\r\n", len(letter)))
	if got := c.line(); got != "+ Ready" {
		t.Fatal(got)
	}
	c.write(letter)
	c.write("\r\n")
	if got := c.line(); !strings.HasPrefix(got, "a1 OK ") {
		t.Error(got)
	}
	// Before the message was read and before the line end was.
	if n := conn.acks.Load(); n < 2 {
		t.Errorf("what had come was acknowledged %d times before the rest was waited for", n)
	}
}
