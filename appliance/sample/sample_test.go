package sample_test

import (
	"bytes"
	"crypto/sha256"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset"
	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/sample"
)

func TestCorpusIsTheSameForTheSameSeed(t *testing.T) {
	digest := func(seed uint64) [32]byte {
		h := sha256.New()
		for m := range sample.Corpus(seed, 50) {
			h.Write(m)
		}
		return [32]byte(h.Sum(nil))
	}
	if digest(1) != digest(1) {
		t.Error("two corpora of one seed differ")
	}
	if digest(1) == digest(2) {
		t.Error("two seeds make the same corpus")
	}
}

func TestCorpusHasTheSizesItPromises(t *testing.T) {
	const n = 2000
	var total, big int
	for m := range sample.Corpus(7, n) {
		total += len(m)
		switch {
		case len(m) > 1_900_000:
			big++
		case len(m) < 1_000 || len(m) > 70_000:
			t.Errorf("a message has %d octets", len(m))
		}
	}
	if want := n / 285; big != want {
		t.Errorf("%d messages of 2 MB, want %d", big, want)
	}
	if mean := total / n; mean < 21_000 || mean > 27_000 {
		t.Errorf("a message has %d octets on average, want about 23,900", mean)
	}
}

func TestMessagesAreGoodMail(t *testing.T) {
	check := func(t *testing.T, body []byte) {
		t.Helper()
		if bytes.Count(body, []byte("\n")) != bytes.Count(body, []byte("\r\n")) {
			t.Error("a line ends in a bare LF")
		}
		e, err := message.Read(bytes.NewReader(body))
		if err != nil {
			t.Fatalf("read: %v", err)
		}
		if subject, err := e.Header.Text("Subject"); err != nil || subject == "" {
			t.Errorf("subject %q: %v", subject, err)
		}
		err = e.Walk(func(path []int, part *message.Entity, err error) error {
			if kind, _, _ := part.Header.ContentType(); err != nil || strings.HasPrefix(kind, "multipart/") {
				return err
			}
			_, err = io.Copy(io.Discard, part.Body)
			return err
		})
		if err != nil {
			t.Errorf("walk: %v", err)
		}
	}
	for m := range sample.Corpus(3, 100) {
		check(t, m)
	}
	for l := range sample.Letters(0, time.Date(2026, 7, 1, 9, 0, 0, 0, time.UTC)) {
		if l.Mailbox != "Broken" {
			check(t, l.Body)
		}
	}
}

func TestTheOfficeHasWhatItPromises(t *testing.T) {
	now := time.Date(2026, 7, 1, 9, 0, 0, 0, time.UTC)
	for i, p := range sample.People() {
		got := map[string]int{}
		var largest, unread int
		for l := range sample.Letters(i, now) {
			got[l.Mailbox]++
			largest = max(largest, len(l.Body))
			if l.Mailbox == "INBOX" && len(l.Flags) == 0 {
				unread++
			}
			if l.Date.After(now) || l.Date.Before(now.AddDate(-2, 0, 0)) {
				t.Errorf("%s: a letter of %v", p.Address, l.Date)
			}
		}
		want := map[string]int{
			"INBOX": 40, "Projects/2026/Roof": 12, "Projects/2026/Website": 6, "Projects/2025/Move": 9,
			"Kunden/Müller & Söhne": 8, "Kunden/山田製作所": 5, "Newsletters": 14, "Sent": 15,
			"Drafts": 1, "Junk": 4, "Trash": 3, "Archive": 60, "Broken": 15,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: mailboxes (-want +got):\n%s", p.Address, diff)
		}
		if largest < 20_000_000 || largest > 21_000_000 {
			t.Errorf("%s: the largest letter has %d octets, want 20 MB", p.Address, largest)
		}
		if unread == 0 {
			t.Errorf("%s: nothing is unread", p.Address)
		}
		if !strings.HasSuffix(p.Address, "@office.example") {
			t.Errorf("%s is not in the office", p.Address)
		}
	}
}
