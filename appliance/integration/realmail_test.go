package integration_test

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"pillarbox/appliance/integration/rig"
)

// hasNUL tells whether a message can only be sent by BINARY (RFC 3516): NUL
// may not stand in a literal (RFC 9051, section 9, CHAR8).
func hasNUL(b []byte) bool { return bytes.IndexByte(b, 0) >= 0 }

// inOrder returns the bodies of the selected mailbox in the order they came.
func inOrder(t *testing.T, c *imapclient.Client) [][]byte {
	t.Helper()
	all := bodies(t, c)
	var order [][]byte
	for uid := imap.UID(1); len(order) < len(all); uid++ {
		if body, ok := all[uid]; ok {
			order = append(order, body)
		}
	}
	return order
}

// readEverything lists all data of the selected mailbox by go-imap's parser.
func readEverything(t *testing.T, c *imapclient.Client, want int) {
	t.Helper()
	msgs, err := c.Fetch(everyMessage(), &imap.FetchOptions{
		UID: true, Envelope: true, RFC822Size: true, InternalDate: true, Flags: true,
		BodyStructure: &imap.FetchItemBodyStructure{Extended: true},
	}).Collect()
	if err != nil {
		t.Fatalf("go-imap cannot read the listing: %v", err)
	}
	if len(msgs) != want {
		t.Errorf("%d messages listed, want %d", len(msgs), want)
	}
	for _, msg := range msgs {
		if msg.Envelope == nil || msg.BodyStructure == nil {
			t.Errorf("message %d lacks envelope or structure", msg.SeqNum)
		}
	}
}

// added matches the header lines that delivery puts in front.
var added = regexp.MustCompile(`^((Return-Path|Delivered-To|Received): [^\r\n]*\r\n([ \t][^\r\n]*\r\n)*)*$`)

// compareMail demands that got is want, with nothing but header lines of the
// delivery in front.
func compareMail(t *testing.T, name string, want, got []byte) {
	t.Helper()
	if prefix, ok := bytes.CutSuffix(got, want); ok && added.Match(prefix) {
		return
	}
	at := 0 // where they part, seen from the end
	for at < len(want) && at < len(got) && want[len(want)-1-at] == got[len(got)-1-at] {
		at++
	}
	t.Errorf("%s: %d octets came back of %d, they part %d from the end:\nwant %q\n got %q",
		name, len(got), len(want), at, snippet(want, at), snippet(got, at))
}

func snippet(b []byte, fromEnd int) []byte {
	at := len(b) - fromEnd
	return b[max(0, at-60):min(len(b), at+10)]
}

// TestRealMailComesBackAsItWas puts every real message in by every way.
func TestRealMailComesBackAsItWas(t *testing.T) {
	box := openOffice(t)
	c := asAda(t, box, nil)
	var mails []rig.Mail
	for _, m := range rig.RealMail(t) {
		if hasNUL(m.Raw) {
			t.Logf("%s holds NUL and is left out", m.Name)
			continue
		}
		mails = append(mails, m)
	}

	t.Run("append", func(t *testing.T) {
		createMailbox(t, c, "By APPEND")
		for _, m := range mails {
			mustAppend(t, c, "By APPEND", m.Raw)
		}
		selectMailbox(t, c, "By APPEND")
		readEverything(t, c, len(mails))
		for i, got := range inOrder(t, c) {
			compareMail(t, mails[i].Name, mails[i].Raw, got)
		}
	})

	t.Run("deliver", func(t *testing.T) {
		createMailbox(t, c, "By file")
		args := []string{"deliver", "--to", ada, "--mailbox", "By file"}
		for _, m := range mails {
			args = append(args, m.File)
		}
		box.Command(nil, args...).MustRun(t)
		selectMailbox(t, c, "By file")
		readEverything(t, c, len(mails))
		for i, got := range inOrder(t, c) {
			compareMail(t, mails[i].Name, asDelivered(mails[i].Wire), got)
		}
	})

	t.Run("LMTP", func(t *testing.T) {
		before := selectMailbox(t, c, "INBOX").NumMessages
		l, err := rig.DialLMTP("tcp", box.LMTP(t))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		for _, m := range mails {
			answers, err := l.Deliver("carla@elsewhere.example", []string{ada}, m.Wire)
			if err != nil || answers[0] != nil {
				t.Fatalf("%s: %v %v", m.Name, err, answers)
			}
		}
		if got := selectMailbox(t, c, "INBOX").NumMessages; got != before+uint32(len(mails)) {
			t.Fatalf("INBOX has %d messages, want %d", got, int(before)+len(mails))
		}
		readEverything(t, c, int(before)+len(mails))
		for i, got := range inOrder(t, c)[before:] {
			want := mails[i].Wire
			if !bytes.HasSuffix(want, []byte("\r\n")) {
				want = append(want, "\r\n"...)
			}
			compareMail(t, mails[i].Name, want, got)
		}
	})

	t.Run("mbsync", func(t *testing.T) {
		near := newReplica(t, box)
		// mbsync makes every line end CRLF on its way and marks what it copied.
		left := map[string]int{}
		n := 0
		for i, m := range mails {
			if !bytes.Contains(m.Wire, []byte("\r\n\r\n")) {
				continue // mbsync refuses a message whose header does not end
			}
			near.put(t, "By mbsync", fmt.Sprintf("%04d", i), "S", m.Raw)
			left[describe("", rig.WithLF(m.Raw))]++
			n++
		}
		near.syncOnly(t, "By mbsync")
		selectMailbox(t, c, "By mbsync")
		readEverything(t, c, n)
		for _, body := range bodies(t, c) {
			left[describe("", rig.WithLF(body))]--
		}
		for text, n := range left {
			if n != 0 {
				t.Errorf("%d missing of a message that begins %q", n, text[:min(len(text), 200)])
			}
		}
	})
}

// asDelivered is what a file holds: one that begins with a From_ line is an
// mbox, whose message begins behind that line and ends before the empty one.
func asDelivered(file []byte) []byte {
	if !bytes.HasPrefix(file, []byte("From ")) {
		return file
	}
	_, message, _ := bytes.Cut(file, []byte("\r\n"))
	if bytes.HasSuffix(message, []byte("\r\n\r\n")) {
		message = message[:len(message)-2]
	}
	return message
}

func TestDeliveryTellsItsStory(t *testing.T) {
	box := openOffice(t)
	c := asAda(t, box, nil)
	l, err := rig.DialLMTP("unix", box.LMTPSocket())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	answers, err := l.Deliver("carla@elsewhere.example", []string{ada}, letter("story"))
	if err != nil || answers[0] != nil {
		t.Fatalf("deliver: %v %v", err, answers)
	}
	selectMailbox(t, c, "INBOX")
	for _, got := range bodies(t, c) {
		head := string(bytes.TrimSuffix(got, letter("story")))
		for _, want := range []string{"Return-Path: <carla@elsewhere.example>\r\n", "Delivered-To: " + ada + "\r\n", "Received: "} {
			if !strings.Contains(head, want) {
				t.Errorf("the lines in front lack %q:\n%s", want, head)
			}
		}
		return
	}
	t.Error("no message")
}
