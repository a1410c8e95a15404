package integration_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"pillarbox/appliance/integration/rig"
)

// TestMailIsNeverExecutedAsCommands sends literals that must be refused, with
// text in them that would be a command if anybody took it for one.
func TestMailIsNeverExecutedAsCommands(t *testing.T) {
	box := openOffice(t)
	c := asAda(t, box, nil)
	const smuggled = "x1 DELETE Victim\r\nx2 CREATE Smuggled\r\n"
	tests := []struct {
		name  string
		bytes string
	}{
		{"larger than any message may be", "h1 APPEND INBOX {4294967296+}\r\n" + strings.Repeat(smuggled, 50)},
		{"larger than a number may be", "h1 APPEND INBOX {99999999999999999999999+}\r\n" + smuggled},
		{"too large a name", "h1 CREATE {100000+}\r\n" + pad(smuggled, 100_000) + "\r\n"},
		{"no such mailbox", fmt.Sprintf("h1 APPEND Nowhere {%d+}\r\n%s\r\n", len(smuggled), smuggled)},
		{"flags that are wrong", fmt.Sprintf("h1 APPEND INBOX (\\Nonsense) {%d+}\r\n%s\r\n", len(smuggled), smuggled)},
		{"a literal where none may be", fmt.Sprintf("h1 NOOP {%d+}\r\n%s\r\n", len(smuggled), smuggled)},
		{"an unknown command", fmt.Sprintf("h1 XDANCE {%d+}\r\n%s\r\n", len(smuggled), smuggled)},
		{"a command of another state", fmt.Sprintf("h1 LOGIN {%d+}\r\n%s\r\n", len(smuggled), smuggled)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			createMailbox(t, c, "Victim")
			w := box.Wire(t, ada, adaPassword)
			if err := w.Send([]byte(test.bytes)); err != nil {
				t.Logf("the box hung up while we sent: %v", err)
			}
			// Either the connection is in step again, or it is closed.
			if err := w.Send([]byte("h2 LOGOUT\r\n")); err == nil {
				drain(t, w)
			}
			if _, err := c.Status("Smuggled", nil).Wait(); err == nil {
				t.Error("a command inside a literal was executed")
			}
			if err := c.Delete("Victim").Wait(); err != nil {
				t.Errorf("a command inside a literal was executed: %v", err)
			}
		})
	}
}

func pad(text string, size int) string {
	return strings.Repeat(text, size/len(text)+1)[:size]
}

// drain reads what the box says until it closes the connection.
func drain(t *testing.T, w *rig.Wire) {
	t.Helper()
	for {
		line, err := w.Line()
		if err != nil {
			return
		}
		if bytes.HasPrefix(line, []byte("x1 ")) || bytes.HasPrefix(line, []byte("x2 ")) {
			t.Errorf("a command inside a literal was answered: %s", line)
		}
	}
}

func TestGuessingPasswordsIsSlow(t *testing.T) {
	box := openOffice(t)
	w, err := rig.DialWire(box.IMAPS(t, "tcp4"), box.TLS(t))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	tries := 0
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); tries++ {
		if err := w.Login(ada, fmt.Sprintf("guess %d", tries)); err == nil {
			t.Fatal("a guess was right")
		} else if _, refused := err.(*rig.ReplyError); !refused {
			break // hung up
		}
	}
	if tries > 20 {
		t.Errorf("%d guesses in three seconds on one connection", tries)
	}
	if err := box.Wire(t, ada, adaPassword).Close(); err != nil {
		t.Errorf("the office is locked out: %v", err)
	}
}

func TestAStalledClientStopsNobody(t *testing.T) {
	box := openOffice(t)
	c := asAda(t, box, nil)
	big := rig.Message(1)
	for len(big) < 4<<20 {
		big = append(big, bytes.Repeat([]byte("A line that nobody reads.\r\n"), 1000)...)
	}
	for range 4 {
		mustAppend(t, c, "INBOX", big)
	}
	stalled := box.Wire(t, ada, adaPassword)
	if _, err := stalled.Do("SELECT INBOX"); err != nil {
		t.Fatal(err)
	}
	if err := stalled.Start("FETCH 1:* BODY.PEEK[]"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond) // its socket is full now, and it never reads

	// Who waits for it waits until the box gives it up, or longer.
	released := time.AfterFunc(time.Minute, func() { stalled.Close() })
	for i := range 20 {
		mustAppend(t, c, "INBOX", letter(fmt.Sprint("beside-", i)))
	}
	selectMailbox(t, c, "INBOX")
	storeFlag(t, c, everyMessage(), imap.StoreFlagsAdd, imap.FlagSeen)
	if !released.Stop() {
		t.Error("20 appends and a store were not done until the stalled client was gone")
	}
}

func TestAConnectionWithoutHandshakeIsClosed(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for the handshake's deadline")
	}
	box := openOffice(t)
	conn, err := net.Dial("tcp", box.IMAPS(t, "tcp4"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(45 * time.Second)); err != nil {
		t.Fatal(err)
	}
	said, err := io.ReadAll(conn)
	if err != nil {
		t.Errorf("a connection that says nothing is not closed: %v", err)
	}
	// Whoever waits for a greeting in the clear is told what is wrong.
	if !bytes.HasPrefix(said, []byte("* BYE ")) {
		t.Errorf("the box says %q", said)
	}
}
