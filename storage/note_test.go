package storage

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"
)

// notes lists those of a prefix.
func notes(t *testing.T, a *Account, prefix string) []string {
	t.Helper()
	var out []string
	err := a.Notes([]byte(prefix), func(k, v []byte) error {
		out = append(out, string(k)+"="+string(v))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestNotesAreCommittedWithTheirMessages(t *testing.T) {
	dir := t.TempDir()
	furnish(t, dir, 12)
	s := openTest(t, dir)
	a, err := s.Account(t.Context(), "ann")
	if err != nil {
		t.Fatal(err)
	}
	if got := notes(t, a, ""); got != nil {
		t.Fatalf("an index without notes has %q", got)
	}
	try(t, a.compact(t.Context()))
	b, err := s.Stage(t.Context(), strings.NewReader("Subject: x\r\n\r\ntext\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	msgs := []AppendMessage{{Body: b}, {Body: b}}
	res, err := a.AppendNoted(t.Context(), 1, msgs, func(r AppendResult) []Note {
		return []Note{{[]byte("m2"), fmt.Append(nil, r.UIDs[1])}, {[]byte("m1"), fmt.Append(nil, r.UIDs[0])}}
	})
	if err != nil {
		t.Fatal(err)
	}
	before := a.Mailbox(Inbox).NumMessages
	_, err = a.AppendNoted(t.Context(), 1, msgs, func(AppendResult) []Note { return []Note{{Key: make([]byte, MaxNoteKey+1), Value: []byte("x")}} })
	if err == nil || a.Mailbox(Inbox).NumMessages != before {
		t.Errorf("with a note that cannot be kept: %v, %d messages instead of %d", err, a.Mailbox(Inbox).NumMessages, before)
	}
	try(t, a.PutNotes(t.Context(), []Note{{[]byte("m3"), []byte{}}, {[]byte("n"), []byte("other")}, {[]byte("m2"), nil}}))
	want := []string{fmt.Sprintf("m1=%d", res.UIDs[0]), "m3="}
	see := func(when string) {
		t.Helper()
		if d := cmp.Diff(want, notes(t, a, "m")); d != "" {
			t.Error(when, d)
		}
	}
	see("at once")
	try(t, a.compact(t.Context()))
	see("after a compaction")
	stop := errors.New("enough")
	if err := a.Notes(nil, func(_, _ []byte) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("what the caller said is %v", err)
	}
	try(t, s.Close())

	plant(t, dir, flipIn(notesBucket, []byte("n")))
	plant(t, dir, func(tx *bolt.Tx) error { return tx.Bucket(metaBucket).Delete(countersKey) })
	s = openTest(t, dir)
	mend(t, s, true)
	if a, err = s.Account(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	see("after a repair")
	if got := notes(t, a, "n"); got != nil {
		t.Errorf("the damaged note is back: %q", got)
	}
	try(t, s.Close())
}

func TestADamagedNoteIsFound(t *testing.T) {
	dir := t.TempDir()
	furnish(t, dir, 2)
	s := openTest(t, dir)
	a, err := s.Account(t.Context(), "ann")
	if err != nil {
		t.Fatal(err)
	}
	try(t, a.PutNotes(t.Context(), []Note{{[]byte("a"), []byte("first")}, {[]byte("b"), []byte("second")}}))
	try(t, s.Close())
	plant(t, dir, flipIn(notesBucket, []byte("a")))
	s = openTest(t, dir)
	if a, err = s.Account(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	if err := a.Notes(nil, func(_, _ []byte) error { return nil }); !errors.Is(err, ErrCorrupt) {
		t.Errorf("reading it: %v", err)
	}
	mend(t, s, true)
	if a, err = s.Account(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	if got := notes(t, a, ""); !cmp.Equal(got, []string{"b=second"}) {
		t.Errorf("after the repair there is %q", got)
	}
	try(t, s.Close())
}
