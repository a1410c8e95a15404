package importer_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pillarbox/appliance/importer"
	"pillarbox/storage"
)

func plainBox(n uint32) *standBox {
	b := &standBox{name: "INBOX", validity: 7}
	for i := range n {
		b.msgs = append(b.msgs, standMessage{uid: i + 1, body: fmt.Sprintf("Subject: %d\r\n\r\nGood.\r\n", i)})
	}
	return b
}

const plainCaps = "IMAP4rev1 AUTH=PLAIN SASL-IR"

// TestMessagesThatAServerDoesNotListAreQuarantined has a server that finds
// messages and then says nothing of one, and refuses to list another.
func TestMessagesThatAServerDoesNotListAreQuarantined(t *testing.T) {
	for _, fate := range []string{"unsaid", "refused", "ungiven"} {
		t.Run(fate, func(t *testing.T) {
			inbox := plainBox(20)
			inbox.msgs[4].fate = fate
			s := (&standIn{caps: plainCaps, boxes: []*standBox{inbox}}).start(t)
			h := newHere(t)
			src := s.source(t)
			r := h.move(src, importer.Options{})
			if r.Total.Taken != 19 || r.Total.Quarantined != 1 || len(r.Bad) != 1 || r.Bad[0].Message != "UID 5" {
				t.Errorf("%+v %+v", r.Total, r.Bad)
			}
			if v := h.verify(src, importer.Options{}); len(v.Bad) != 1 {
				t.Errorf("the comparison lists %+v", v.Bad)
			}
		})
	}
}

// TestFlagsThatCannotBeHadStay has a server that lists messages the first time
// only.
func TestFlagsThatCannotBeHadStay(t *testing.T) {
	inbox := plainBox(20)
	for i := range inbox.msgs {
		inbox.msgs[i].flags = `\Seen`
	}
	s := (&standIn{caps: plainCaps, boxes: []*standBox{inbox}}).start(t)
	h := newHere(t)
	src := s.source(t)
	h.move(src, importer.Options{})
	inbox.msgs[3].fate, inbox.msgs[4].fate, inbox.msgs[5].flags = "unsaid", "refused", "[odd]"
	if r := h.move(src, importer.Options{Expunge: true}); r.Total.Flagged != 0 || r.Total.Expunged != 0 || r.Total.Known != 20 {
		t.Errorf("%+v", r.Total)
	}
	for _, m := range h.contents("INBOX") {
		if !strings.Contains(m, `\Seen`) {
			t.Errorf("the flag is gone: %s", m)
		}
	}
}

// TestAServerThatSaysHalfIsAskedAgain tells of a message's flags before its line.
func TestAServerThatSaysHalfIsAskedAgain(t *testing.T) {
	s := &standIn{caps: plainCaps, boxes: []*standBox{plainBox(3)}}
	var told atomic.Bool
	s.answer = func(_ int, command string) (string, bool) {
		if strings.HasPrefix(command, "UID FETCH") && strings.Contains(command, "FLAGS") && told.CompareAndSwap(false, true) {
			return "* 2 FETCH (UID 2 FLAGS (\\Seen))\r\n* 1 FETCH (UID 1 FLAGS () INTERNALDATE \"01-Mar-2024 08:00:00 +0100\" RFC822.SIZE 10)\r\nTAG OK\r\n", false
		}
		return "", false
	}
	s.start(t)
	h := newHere(t)
	src := s.source(t)
	h.move(src, importer.Options{})
	got := h.contents("INBOX")
	if len(got) != 3 {
		t.Fatalf("there are %q", got)
	}
	for _, m := range got {
		if !strings.Contains(m, "2024-03-01T07:00:00Z") {
			t.Errorf("the date is lost: %s", m)
		}
	}
	h.verify(src, importer.Options{})
}

// TestAServerThatHasTooMuch announces messages that would fill the memory.
func TestAServerThatHasTooMuch(t *testing.T) {
	s := &standIn{caps: plainCaps + " ESEARCH", boxes: []*standBox{plainBox(1)}}
	s.answer = func(_ int, command string) (string, bool) {
		switch {
		case strings.HasPrefix(command, "EXAMINE"):
			return "* 100000000 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\nTAG OK\r\n", false
		case strings.HasPrefix(command, "UID SEARCH"):
			return "* ESEARCH (TAG \"TAG\") UID ALL 1:100000000\r\nTAG OK\r\n", false
		}
		return "", false
	}
	s.start(t)
	h := newHere(t)
	if _, err := h.engine.Run(t.Context(), h.task(s.source(t), importer.Options{})); !errors.Is(err, importer.ErrRefused) {
		t.Errorf("it is taken: %v", err)
	}
}

// TestEveryReportListsWhatIsQuarantined also where nothing new happened.
func TestEveryReportListsWhatIsQuarantined(t *testing.T) {
	inbox := plainBox(20)
	inbox.msgs[4].fate = "no"
	s := (&standIn{caps: plainCaps, boxes: []*standBox{inbox}}).start(t)
	h := newHere(t)
	src := s.source(t)
	h.move(src, importer.Options{})
	for _, thorough := range []bool{true, false} {
		task := h.task(src, importer.Options{})
		task.Thorough = thorough
		r, err := h.engine.Run(t.Context(), task)
		if err != nil || len(r.Bad) != 1 || r.Bad[0].Message != "UID 5" || !strings.Contains(r.Bad[0].Reason, "cannot") {
			t.Errorf("thorough %v: %v %+v", thorough, err, r.Bad)
		}
	}
}

// TestMailboxesThatCannotBeTakenAreTold has more of them than are taken, and one
// whose name is too long.
func TestMailboxesThatCannotBeTakenAreTold(t *testing.T) {
	s := (&standIn{caps: plainCaps, boxes: []*standBox{plainBox(1), {name: strings.Repeat("long", 300), validity: 8}}}).start(t)
	h := newHere(t)
	src := s.source(t)
	h.move(src, importer.Options{})
	r, err := h.engine.Verify(t.Context(), h.task(src, importer.Options{}))
	if err != nil || r.Verified.OK || !strings.Contains(strings.Join(r.Verified.Differences, ""), "1000 octets") {
		t.Errorf("%v %+v", err, r.Verified)
	}
	for i := range importer.MaxMailboxes {
		s.boxes = append(s.boxes, &standBox{name: fmt.Sprint(i), validity: 9})
	}
	if _, err := s.source(t).Mailboxes(t.Context()); !errors.Is(err, importer.ErrRefused) {
		t.Errorf("too many mailboxes: %v", err)
	}
}

// TestFlagsOfARenumberedMailbox changes flags together with UIDVALIDITY.
func TestFlagsOfARenumberedMailbox(t *testing.T) {
	inbox := plainBox(3)
	inbox.msgs[0].flags = `\Seen`
	s := (&standIn{caps: plainCaps, boxes: []*standBox{inbox}}).start(t)
	h := newHere(t)
	src := s.source(t)
	h.move(src, importer.Options{})
	inbox.validity = 8
	inbox.msgs[0].flags, inbox.msgs[1].flags = `\Answered`, `\Flagged`
	if r := h.move(src, importer.Options{}); r.Total.Claimed != 3 || r.Total.Flagged != 2 {
		t.Errorf("%+v", r.Total)
	}
	if got := strings.Join(h.contents("INBOX"), ""); !strings.Contains(got, `1 (\Answered)`) || !strings.Contains(got, `2 (\Flagged)`) {
		t.Errorf("there are %s", got)
	}
}

// TestAFullDiskKeepsNoOctets has no room for what is too big.
func TestAFullDiskKeepsNoOctets(t *testing.T) {
	inbox := plainBox(3)
	inbox.msgs[1].body = "Subject: big\r\n\r\n" + strings.Repeat("0123456789\r\n", 10_000)
	s := (&standIn{caps: plainCaps, boxes: []*standBox{inbox}}).start(t)
	h := newHere(t, func(c *storage.Config) { c.MaxMessage = 64 << 10 })
	quarantine := filepath.Join(t.TempDir(), "quarantine")
	h.engine = importer.New(&importer.Config{
		Stager: h.Store, Logger: testLog(t), Quarantine: quarantine,
		Room: func(octets int64) error {
			if octets != int64(len(inbox.msgs[1].body)) {
				t.Errorf("room is asked for %d octets", octets)
			}
			return errors.New("the disk is full")
		},
	})
	r := h.move(s.source(t), importer.Options{})
	if r.Total.Taken != 2 || len(r.Bad) != 1 || r.Bad[0].File != "" || !strings.Contains(r.Bad[0].Reason, "not kept: the disk is full") {
		t.Errorf("%+v %+v", r.Total, r.Bad)
	}
	if _, err := os.Stat(quarantine); err == nil {
		t.Error("something is kept")
	}
}

// TestMessagesBeforeTheirUIDs has a server say what a message is behind it, and
// one message is another than was asked for.
func TestMessagesBeforeTheirUIDs(t *testing.T) {
	inbox := plainBox(20)
	for i := range inbox.msgs {
		inbox.msgs[i].fate = "first"
	}
	inbox.msgs[9].fate = "other"
	s := (&standIn{caps: plainCaps, boxes: []*standBox{inbox}}).start(t)
	h := newHere(t)
	src := s.source(t)
	r := h.move(src, importer.Options{})
	if r.Total.Taken != 19 || len(r.Bad) != 1 || r.Bad[0].Message != "UID 10" || !strings.Contains(r.Bad[0].Reason, "another message") {
		t.Errorf("%+v %+v", r.Total, r.Bad)
	}
	for i, m := range h.contents("INBOX") {
		if i >= 9 {
			i++
		}
		if !strings.Contains(m, fmt.Sprintf("Subject: %d\r\n", i)) {
			t.Errorf("message %d is %q", i, m)
		}
	}
	h.verify(src, importer.Options{})
}

// TestAServerThatTrickles sends one message so slowly that it would take years,
// and then all of them.
func TestAServerThatTrickles(t *testing.T) {
	t.Parallel()
	inbox := plainBox(12)
	inbox.msgs[5].fate, inbox.msgs[5].body = "trickle", strings.Repeat("x", 10_000)
	s := (&standIn{caps: plainCaps, boxes: []*standBox{inbox}, silence: 500 * time.Millisecond}).start(t)
	h := newHere(t)
	r := h.move(s.source(t), importer.Options{})
	if r.Total.Taken != 11 || len(r.Bad) != 1 || !strings.Contains(r.Bad[0].Reason, "so slowly") {
		t.Errorf("%+v %+v", r.Total, r.Bad)
	}
	if testing.Short() {
		return
	}
	for i := range inbox.msgs {
		inbox.msgs[i].fate = "trickle"
	}
	inbox.validity++ // nothing of it is known
	for i := range inbox.msgs {
		inbox.msgs[i].body = strings.Repeat("x", 10_000+i)
	}
	begin := time.Now()
	_, err := h.engine.Run(t.Context(), h.task(s.source(t), importer.Options{}))
	if err == nil || !strings.Contains(err.Error(), "so slowly") || time.Since(begin) > time.Minute {
		t.Errorf("after %v: %v", time.Since(begin), err)
	}
}

// TestAListThatTrickles never ends, though it is never silent.
func TestAListThatTrickles(t *testing.T) {
	t.Parallel()
	s := &standIn{caps: plainCaps, boxes: []*standBox{plainBox(1)}, silence: 500 * time.Millisecond}
	s.answer = func(_ int, command string) (string, bool) {
		if strings.HasPrefix(command, "LIST") {
			return "* OK wait\r\n", false
		}
		return "", false
	}
	s.repeat = 50 * time.Millisecond
	s.start(t)
	begin := time.Now()
	_, err := s.source(t).Mailboxes(t.Context())
	if err == nil || !strings.Contains(err.Error(), "so slowly") || time.Since(begin) > 30*time.Second {
		t.Errorf("after %v: %v", time.Since(begin), err)
	}
}
