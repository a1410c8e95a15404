package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-imap/v2"
)

// fillIndex puts n messages of 3 KB into INBOX, in the index.
func fillIndex(t testing.TB, s *Store, a *Account, n int) {
	t.Helper()
	b, err := s.Stage(context.Background(), strings.NewReader("Subject: x\r\n\r\n"+strings.Repeat("text\r\n", 500)))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	msgs := make([]AppendMessage, 500)
	for i := range msgs {
		msgs[i].Body = b
	}
	for range n / len(msgs) {
		if _, err := a.Append(context.Background(), 1, msgs); err != nil {
			t.Fatal(err)
		}
	}
}

func expungeUpTo(ctx context.Context, a *Account, uid imap.UID) error {
	set := imap.UIDSet{{Start: 1, Stop: uid}}
	_, err := a.Store(ctx, 1, set, FlagOp{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}})
	if err == nil {
		_, _, err = a.Expunge(ctx, 1, set)
	}
	return err
}

// TestCompactionGivesSpaceBackWhileMailGoesOn compacts several times while one
// goroutine delivers and deletes and another reads.
func TestCompactionGivesSpaceBackWhileMailGoesOn(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	try(t, s.CreateAccount(t.Context(), "ann", nil))
	a, err := s.Account(t.Context(), "ann")
	try(t, err)
	fillIndex(t, s, a, 4000)
	try(t, expungeUpTo(t.Context(), a, 3500))
	index := filepath.Join(a.dir, indexFile)
	before, err := os.Stat(index)
	try(t, err)

	done := make(chan struct{})
	var wg sync.WaitGroup
	added := 0
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			b, err := s.Stage(t.Context(), strings.NewReader(fmt.Sprintf("Subject: %d\r\n\r\n%s", i, strings.Repeat("x", i%2*8000))))
			if err == nil {
				_, err = a.Append(t.Context(), 1, []AppendMessage{{Body: b}})
				err = errors.Join(err, b.Close(), expungeUpTo(t.Context(), a, imap.UID(3501+i)))
			}
			if err != nil {
				t.Errorf("write: %v", err)
				return
			}
			added++
		}
	})
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			snap, err := a.Snapshot(t.Context(), 1)
			if err != nil {
				t.Errorf("list: %v", err)
				return
			}
			b, err := a.OpenBody(snap.At(snap.Len() - 1).Data)
			if errors.Is(err, ErrNoMessage) {
				continue
			}
			if err != nil {
				t.Errorf("read: %v", err)
				return
			}
			_, err = io.Copy(io.Discard, io.NewSectionReader(b, 0, b.Size))
			if err := errors.Join(err, b.Close()); err != nil {
				t.Errorf("read: %v", err)
			}
		}
	})
	for range 5 {
		if err := a.rewrite(t.Context()); err != nil {
			t.Errorf("compact: %v", err)
		}
	}
	close(done)
	wg.Wait()
	after, err := os.Stat(index)
	try(t, err)
	if after.Size() > before.Size()/2 {
		t.Errorf("%d octets of %d are left", after.Size(), before.Size())
	}
	want := a.Mailbox(Inbox).NumMessages
	if want != 500 { // as many came as went
		t.Errorf("%d messages after %d were added", want, added)
	}
	try(t, s.Close())
	s = openTest(t, dir)
	r, err := s.Check(t.Context(), CheckOptions{Bodies: true, Found: func(p Problem) { t.Errorf("found %+v", p) }})
	if err != nil || r.Messages != int64(want) {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestACompactionThatWasCutOffLeavesNothing finds its file at the next start.
func TestACompactionThatWasCutOffLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	furnish(t, dir, 4)
	left := filepath.Join(dir, "accounts/ann", indexFile+compactSuffix)
	try(t, os.WriteFile(left, []byte("half"), 0o600))
	before := see(t, openTest(t, dir))
	if len(before.msgs) != 4 {
		t.Errorf("%d messages", len(before.msgs))
	}
	if _, err := os.Stat(left); err == nil {
		t.Error("the half file is still there")
	}
}

func TestOnlyAnIndexThatIsMostlyEmptyIsCompacted(t *testing.T) {
	s := openTest(t, t.TempDir())
	try(t, s.CreateAccount(t.Context(), "ann", nil))
	a, err := s.Account(t.Context(), "ann")
	try(t, err)
	fillIndex(t, s, a, 10_000)
	worth := func() bool {
		w, err := a.worthCompacting(t.Context())
		try(t, err)
		return w
	}
	if worth() {
		t.Error("a full index would be compacted")
	}
	try(t, expungeUpTo(t.Context(), a, 9500))
	if !worth() {
		t.Error("an empty index would not be compacted")
	}
	s.upkeep.round(t.Context()) // looked at already
	a.looked = a.looked.Add(-1)
	s.upkeep.round(t.Context())
	if fi, err := os.Stat(filepath.Join(a.dir, indexFile)); err != nil || fi.Size() > 8<<20 {
		t.Errorf("it has %d octets", fi.Size())
	}
}

// BenchmarkCompact measures an index of 100,000 messages, 30,000 of them in
// the index whole, and for how long writers wait.
func BenchmarkCompact(b *testing.B) {
	s, err := Open(b.Context(), &Config{Dir: b.TempDir(), Logger: quiet()})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	if err := s.CreateAccount(b.Context(), "ann", nil); err != nil {
		b.Fatal(err)
	}
	a, err := s.Account(b.Context(), "ann")
	if err != nil {
		b.Fatal(err)
	}
	fillIndex(b, s, a, 30_000)
	for range 7 {
		if _, err := a.Copy(b.Context(), 1, imap.UIDSet{{Start: 1, Stop: 10_000}}, 1); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("compact", func(b *testing.B) {
		for b.Loop() {
			if err := a.rewrite(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(a.held.Microseconds())/1000, "held-ms")
	})
	b.Run("walk", func(b *testing.B) {
		path := filepath.Join(a.dir, indexFile)
		fi, err := os.Stat(path)
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(fi.Size())
		for b.Loop() {
			if err := checkPages(path); err != nil {
				b.Fatal(err)
			}
		}
	})
}
