package importer_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pillarbox/appliance/importer"
	"pillarbox/storage"
)

// TestWhatCannotBeTakenIsQuarantined has one message of each bad kind among
// good ones.
func TestWhatCannotBeTakenIsQuarantined(t *testing.T) {
	const limit = 64 << 10
	inbox := &standBox{name: "INBOX", validity: 7}
	for i := range uint32(300) {
		m := standMessage{uid: i + 1, flags: `\Seen`, body: fmt.Sprintf("Subject: %d\r\n\r\nGood.\r\n", i)}
		switch i {
		case 10:
			m.fate = "no"
		case 20:
			m.fate = "drop"
		case 30:
			m.fate = "nil"
		case 40:
			m.body = "Subject: big\r\n\r\n" + strings.Repeat("0123456789\r\n", limit/8)
		case 50:
			m.body, m.size = "", 0
		case 60:
			m.date = "32-Foo-2024 99:99:99"
		case 70:
			m.flags = `\Seen [odd]` // no client can read this
		case 71:
			m.flags = `\Seen \Weird ` + strings.Repeat("k", 200)
		case 80:
			m.body = "no header at all, \x00 and \xff octets\n\n\n"
		}
		inbox.msgs = append(inbox.msgs, m)
	}
	s := (&standIn{caps: "IMAP4rev1 AUTH=PLAIN SASL-IR", boxes: []*standBox{inbox}}).start(t)
	h := newHere(t, func(c *storage.Config) { c.MaxMessage = limit })
	src := s.source(t)
	r := h.move(src, importer.Options{})
	reasons := map[string]string{}
	for _, b := range r.Bad {
		reasons[b.Message] = b.Reason
	}
	for uid, want := range map[int]string{11: "cannot give it", 21: "connection ends", 31: "no text", 41: "may have"} {
		if got := reasons[fmt.Sprintf("UID %d", uid)]; !strings.Contains(got, want) {
			t.Errorf("UID %d: %q", uid, got)
		}
	}
	if r.Total.Taken != 296 || r.Total.Quarantined != 4 || len(r.Bad) != 4 {
		t.Errorf("%+v %+v", r.Total, r.Bad)
	}
	kept, _ := filepath.Glob(filepath.Join(h.dir, "quarantine", "*", "*.eml"))
	if len(kept) != 1 {
		t.Fatalf("kept are %q", kept)
	}
	if text, err := os.ReadFile(kept[0]); err != nil || string(text) != inbox.msgs[40].body {
		t.Errorf("the big one has %d octets: %v", len(text), err)
	}
	remarks := strings.Join(r.Remarks, "\n")
	for _, want := range []string{"UID 71 of \"INBOX\" the source's flags", `\Weird`, "kkkk"} {
		if !strings.Contains(remarks, want) {
			t.Errorf("nothing tells of %s: %s", want, remarks)
		}
	}
	if v := h.verify(src, importer.Options{}); len(v.Bad) != 4 || v.Total.Quarantined != 4 {
		t.Errorf("the comparison lists %+v", v.Bad)
	}
	// They are not asked for again, but when somebody wants it.
	before := s.bodies()
	h.move(src, importer.Options{})
	inbox.msgs[10].fate, inbox.msgs[20].fate = "", ""
	if r := h.move(src, importer.Options{}); r.Total.Taken != 0 || s.bodies() != before {
		t.Errorf("%+v after %d more FETCHes of bodies", r.Total, s.bodies()-before)
	}
	if r := h.move(src, importer.Options{Retry: true}); r.Total.Taken != 2 || r.Total.Quarantined != 2 {
		t.Errorf("again: %+v", r.Total)
	}
	h.verify(src, importer.Options{})
	// One that became small is not kept beside.
	inbox.msgs[40].body = "Subject: small\r\n\r\n"
	if r := h.move(src, importer.Options{Retry: true}); r.Total.Taken != 1 {
		t.Errorf("small: %+v", r.Total)
	}
	if kept, _ := filepath.Glob(filepath.Join(h.dir, "quarantine", "*", "*")); len(kept) != 0 {
		t.Errorf("still kept are %q", kept)
	}
}

// TestKeywordsThatDoNotFitAreListed has more keywords than a mailbox can hold.
func TestKeywordsThatDoNotFitAreListed(t *testing.T) {
	inbox := &standBox{name: "INBOX", validity: 7}
	for i := range uint32(200) {
		inbox.msgs = append(inbox.msgs, standMessage{uid: i + 1, flags: fmt.Sprintf(`\Flagged key%d`, i), body: fmt.Sprintf("Subject: %d\r\n\r\n.\r\n", i)})
	}
	s := (&standIn{caps: "IMAP4rev1 AUTH=PLAIN SASL-IR", boxes: []*standBox{inbox}}).start(t)
	h := newHere(t)
	r := h.move(s.source(t), importer.Options{})
	if r.Total.Taken != 200 || len(r.Remarks) < 200-storage.MaxKeywords {
		t.Errorf("%+v, %d remarks", r.Total, len(r.Remarks))
	}
	for i, m := range h.contents("INBOX") {
		if !strings.Contains(m, `\Flagged`) {
			t.Fatalf("message %d lost its flag: %s", i, m)
		}
	}
}

// TestARenumberedMailboxComesOnlyOnce gives a mailbox another UIDVALIDITY, and
// takes mail that somebody copied before.
func TestARenumberedMailboxComesOnlyOnce(t *testing.T) {
	inbox := &standBox{name: "INBOX", validity: 7}
	for i := range uint32(20) {
		inbox.msgs = append(inbox.msgs, standMessage{uid: i + 1, body: fmt.Sprintf("Subject: %d\r\n\r\n.\r\n", i/2)}) // each is there twice
	}
	s := (&standIn{caps: "IMAP4rev1 AUTH=PLAIN SASL-IR", boxes: []*standBox{inbox}}).start(t)
	h := newHere(t)
	src := s.source(t)
	h.move(src, importer.Options{})
	inbox.validity = 8
	for i := range inbox.msgs {
		inbox.msgs[i].uid += 1000
	}
	inbox.msgs = append(inbox.msgs[2:], standMessage{uid: 2000, body: "Subject: new\r\n\r\n.\r\n"})
	r := h.move(src, importer.Options{Expunge: true})
	if got := r.Total; got.Taken != 1 || got.Claimed != 18 || got.Expunged != 2 {
		t.Errorf("%+v", got)
	}
	if got := len(h.contents("INBOX")); got != 19 {
		t.Errorf("there are %d messages", got)
	}
	h.verify(src, importer.Options{})
	// A server that suddenly has nothing is rather broken.
	inbox.msgs = nil
	if r := h.move(src, importer.Options{Expunge: true}); r.Total.Expunged != 0 || len(r.Remarks) == 0 {
		t.Errorf("%+v", r)
	}
	// Another name of the same server is another source: what it has is here.
	inbox.msgs = []standMessage{{uid: 1, body: "Subject: 5\r\n\r\n.\r\n"}, {uid: 2, body: "Subject: other\r\n\r\n.\r\n"}}
	other := s.source(t, func(c *importer.Server) { c.Host, c.Name = "localhost", "127.0.0.1" })
	if r := h.move(other, importer.Options{}); r.Total.Claimed != 1 || r.Total.Taken != 1 {
		t.Errorf("%+v", r.Total)
	}
}

// TestQuarantineGoesWithTheAccount keeps no octets of somebody who is gone.
func TestQuarantineGoesWithTheAccount(t *testing.T) {
	inbox := plainBox(3)
	inbox.msgs[1].body = "Subject: big\r\n\r\n" + strings.Repeat("0123456789\r\n", 10_000)
	s := (&standIn{caps: plainCaps, boxes: []*standBox{inbox}}).start(t)
	h := newHere(t, func(c *storage.Config) { c.MaxMessage = 64 << 10 })
	kept := func() int {
		files, _ := filepath.Glob(filepath.Join(h.dir, "quarantine", "*", "*.eml"))
		return len(files)
	}
	move := func() {
		t.Helper()
		if h.move(s.source(t), importer.Options{Retry: true}); kept() != 1 {
			t.Fatalf("%d files are kept", kept())
		}
	}
	move()
	there := true
	exists := func(id storage.AccountID) bool { return there && id == h.account.ID() }
	if err := h.engine.Sweep(exists); err != nil || kept() != 1 {
		t.Errorf("%v: %d files are kept of an account that there is", err, kept())
	}
	there = false
	if err := h.engine.Sweep(exists); err != nil || kept() != 0 {
		t.Errorf("%v: %d files are kept of an account that there is not", err, kept())
	}
	move()
	if err := h.engine.Forget(h.account.ID()); err != nil || kept() != 0 {
		t.Errorf("%v: %d files are kept", err, kept())
	}
	if err := h.engine.Forget("../quarantine"); err != nil {
		t.Error(err)
	}
}
