package importer_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pillarbox/appliance/importer"
)

// exchange is a stand-in for Exchange Online with a mailbox in German: neither
// NAMESPACE's use nor SPECIAL-USE nor CONDSTORE nor STATUS=SIZE, folders that
// are no mail, sizes that are only estimated.
func exchange() *standIn {
	message := func(uid uint32, text string) standMessage {
		body := fmt.Sprintf("Subject: %s\r\nMessage-ID: <%d@outlook.example>\r\n\r\n%s\r\n", text, uid, text)
		return standMessage{uid: uid, flags: `\Seen $MDNSent`, body: body, size: len(body) + 17}
	}
	s := &standIn{
		greet: "OK The Microsoft Exchange IMAP4 service is ready. [QQBNADYA]",
		caps:  "IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS MOVE ID UNSELECT CHILDREN IDLE NAMESPACE LITERAL+",
		token: "a-token",
	}
	for i, name := range []string{
		"INBOX", "Gesendete Elemente", "Gel&APY-schte Elemente", "Entw&APw-rfe", "Junk-E-Mail", "Archiv", "Kunden", "Kunden/M&APw-ller &- Sohn",
		"Kalender", "Kontakte", "Aufgaben", "Postausgang",
	} {
		s.boxes = append(s.boxes, &standBox{name: name, attrs: `\HasNoChildren`, validity: 14 + uint32(i), msgs: []standMessage{
			message(uint32(10*i+3), "first of "+name), message(uint32(10*i+7), "second of "+name),
		}})
	}
	s.boxes[6].attrs = `\HasChildren`
	s.subs = []string{"INBOX", "Kunden/M&APw-ller &- Sohn", "Kalender", "Gone long ago"}
	return s
}

func byToken(c *importer.Server) { c.SignIn, c.Secret = importer.ByXOAUTH2, "a-token" }

func TestFromExchange(t *testing.T) {
	s := exchange().start(t)
	h := newHere(t)
	src := s.source(t, byToken)
	r := h.move(src, importer.Options{KeepUIDs: true})
	want := "INBOX 2\nArchive 2\nDrafts 2\nJunk 2\nKunden 2\nKunden/Müller & Sohn 2\nSent 2\nTrash 2\n"
	if got := h.names(); got != want {
		t.Errorf("there are\n%s", got)
	}
	for _, m := range r.Mailboxes {
		if skip := slices.Contains([]string{"Kalender", "Kontakte", "Aufgaben", "Postausgang"}, m.From); skip != strings.Contains(m.Skipped, "Exchange") || !skip && !m.KeptUIDs {
			t.Errorf("%+v", m)
		}
	}
	if got := h.contents("Sent"); len(got) != 2 || !strings.HasPrefix(got[0], `13 ($MDNSent \Seen) 2024-03-01T07:00:00Z`) {
		t.Errorf("Sent holds %q", got)
	}
	if subs := h.account.Subscriptions(); !slices.Contains(subs, "Kunden/Müller & Sohn") || slices.Contains(subs, "Kunden") || slices.Contains(subs, "Gone long ago") {
		t.Errorf("subscribed are %q", subs)
	}
	if v := h.verify(src, importer.Options{}); v.Verified.Sizes != 16 {
		t.Errorf("%+v", v.Verified)
	}
	if r := h.move(src, importer.Options{KeepUIDs: true}); r.Total.Taken != 0 || r.Total.Known != 16 {
		t.Errorf("again: %+v", r.Total)
	}
}

func TestATokenThatExpires(t *testing.T) {
	s := exchange().start(t)
	_, err := s.source(t, byToken, func(c *importer.Server) { c.Secret = "an-old-token" }).Mailboxes(t.Context())
	if !errors.Is(err, importer.ErrSignIn) || strings.Contains(err.Error(), "an-old-token") {
		t.Error(err)
	}
}

// TestWithoutModSequencesFlagsAreComparedNowAndThen follows a server that does
// not tell whether flags changed.
func TestWithoutModSequencesFlagsAreComparedNowAndThen(t *testing.T) {
	s := exchange().start(t)
	h := newHere(t)
	run := func(thorough bool) importer.Counts {
		t.Helper()
		task := h.task(s.source(t, byToken), importer.Options{})
		task.Thorough = thorough
		r, err := h.engine.Run(t.Context(), task)
		if err != nil {
			t.Fatal(err)
		}
		return r.Total
	}
	run(false)
	inbox := s.boxes[0]
	inbox.msgs[0].flags = `\Answered`
	if c := run(false); c.Flagged != 0 || c.Known != 16 {
		t.Errorf("soon after: %+v", c)
	}
	inbox.msgs = append(inbox.msgs, standMessage{uid: 100, body: "Subject: new\r\n\r\n"})
	if c := run(false); c.Taken != 1 || c.Flagged != 1 {
		t.Errorf("with a new message: %+v", c)
	}
	inbox.msgs[1].flags = ""
	if c := run(true); c.Flagged != 1 {
		t.Errorf("thoroughly: %+v", c)
	}
}

// TestExchangeThrottles has the server answer as Exchange documents: with a time
// to wait, by hanging up, and by refusing further connections.
func TestExchangeThrottles(t *testing.T) {
	const backoff = 300 * time.Millisecond
	s := exchange()
	var fetches, hangs, signedIn atomic.Int32
	var asked, back atomic.Int64
	s.answer = func(_ int, command string) (string, bool) {
		switch {
		case strings.HasPrefix(command, "AUTHENTICATE"):
			if signedIn.Add(1) == 3 {
				return "TAG NO [LIMIT] Too many connections for this user.\r\n", false
			}
		case strings.HasPrefix(command, "UID FETCH") && strings.Contains(command, "BODY"):
			switch fetches.Add(1) {
			case 2:
				asked.Store(time.Now().UnixNano())
				return fmt.Sprintf("TAG BAD Request is throttled. Suggested Backoff Time: %d milliseconds\r\n", backoff.Milliseconds()), false
			case 3:
				back.CompareAndSwap(0, time.Now().UnixNano())
			case 5:
				hangs.Add(1)
				return "* BYE Connection closed. 14\r\n", true
			}
		case strings.HasPrefix(command, "UID SEARCH"):
			if hangs.Load() == 0 && fetches.Load() == 3 {
				return "TAG NO Server Busy. Please try again later.\r\n", false
			}
		}
		return "", false
	}
	s.start(t)
	h := newHere(t)
	src := s.source(t, byToken, func(c *importer.Server) { c.Connections = 1 })
	r := h.move(src, importer.Options{})
	if r.Total.Taken != 16 || r.Total.Quarantined != 0 || fetches.Load() < 6 {
		t.Errorf("%+v after %d fetches", r.Total, fetches.Load())
	}
	if waited := time.Duration(back.Load() - asked.Load()); waited < backoff {
		t.Errorf("it waited %v, and was asked for %v", waited, backoff)
	}
	h.verify(src, importer.Options{})
}
