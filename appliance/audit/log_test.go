package audit_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pillarbox/appliance/audit"
)

func newLog(t testing.TB, dir string) *audit.Log {
	t.Helper()

	return audit.New(&audit.Config{Dir: dir, Logger: slog.New(slog.DiscardHandler), SegmentSize: 4 << 10})
}

func closeLog(t testing.TB, l *audit.Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func record(t testing.TB, l *audit.Log, events ...audit.Event) {
	t.Helper()
	for _, e := range events {
		if err := l.Record(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
}

// list returns the kinds and counts of the newest records, the oldest first.
func list(t testing.TB, l *audit.Log, f audit.Filter) []audit.Entry {
	t.Helper()
	entries, err := l.List(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}

	return entries
}

func verify(t testing.TB, l *audit.Log, kept ...*audit.Checkpoint) *audit.Report {
	t.Helper()
	r, err := l.Verify(t.Context(), kept...)
	if err != nil {
		t.Fatal(err)
	}

	return r
}

func TestAnActIsThereWhenItIsAnswered(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	l := newLog(t, dir)
	record(t, l, audit.Event{
		Kind: audit.AliasAdded, Actor: "command line, uid 0", Before: "", After: "anna@office.example",
		More: map[string]string{"alias": "info@office.example"},
	})
	// No Close: the process was killed.
	l = newLog(t, dir)
	defer closeLog(t, l)
	got := list(t, l, audit.Filter{Kinds: []string{"alias"}})
	if len(got) != 1 || got[0].Kind != audit.AliasAdded || got[0].Values["actor"] != "command line, uid 0" ||
		got[0].Values["alias"] != "info@office.example" || got[0].Values["after"] != "anna@office.example" {
		t.Fatalf("listed %+v", got)
	}
	if _, ok := got[0].Values["before"]; ok {
		t.Error("an empty value was recorded")
	}
	if r := verify(t, l); len(r.Findings) > 0 {
		t.Errorf("found %+v", r.Findings)
	}
}

func TestAKindThatIsNotKnownIsRefused(t *testing.T) {
	l := newLog(t, t.TempDir())
	defer closeLog(t, l)
	for _, kind := range []audit.Kind{"", "no.such", audit.AuditTorn} {
		if err := l.Record(t.Context(), audit.Event{Kind: kind}); err == nil {
			t.Errorf("%q was recorded", kind)
		}
	}
}

func TestSignInsThatAreAlikeAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		l := newLog(t, dir)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- l.Run(ctx) }()
		signIn := audit.Event{Kind: audit.SignInFailed, Account: "anna@office.example", Remote: "192.0.2.1", Port: 993}
		other := signIn
		other.Remote = "192.0.2.2"

		record(t, l, signIn, signIn, other)
		if got := list(t, l, audit.Filter{}); len(got) != 0 {
			t.Errorf("written at once: %+v", got)
		}
		time.Sleep(2*time.Minute + time.Second)
		got := list(t, l, audit.Filter{Kinds: []string{"signin.failed"}})
		if len(got) != 2 {
			t.Fatalf("after two minutes: %+v", got)
		}
		// Those that follow wait for the window's end.
		for range 5 {
			record(t, l, signIn)
			time.Sleep(time.Second)
		}
		if got := list(t, l, audit.Filter{Kinds: []string{"signin.failed"}}); len(got) != 2 {
			t.Fatalf("before the window's end: %+v", got)
		}
		time.Sleep(11 * time.Minute)
		got = list(t, l, audit.Filter{Kinds: []string{"signin.failed"}})
		if len(got) != 3 || got[0].Values["count"] != "5" || got[0].Values["since"] == "" {
			t.Fatalf("after the window: %+v", got)
		}
		// What is not written yet is at the stop.
		record(t, l, other)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		closeLog(t, l)
		l = newLog(t, dir)
		defer closeLog(t, l)
		if got := list(t, l, audit.Filter{Kinds: []string{"signin.failed"}}); len(got) != 4 || got[0].Values["remote"] != "192.0.2.2" {
			t.Errorf("after the stop: %+v", got)
		}
	})
}

// sender is an audit.Sender.
type sender func(*audit.Checkpoint) error

func (s sender) Send(_ context.Context, c *audit.Checkpoint) error { return s(c) }

func TestCheckpointsAreSentUntilOneArrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var (
			mu             sync.Mutex // time alone puts nothing in order for the race detector
			tried, arrived []*audit.Checkpoint
			down           = true
		)
		sleep := func(d time.Duration) {
			mu.Unlock()
			time.Sleep(d)
			mu.Lock()
		}
		mu.Lock()
		defer mu.Unlock()
		l, stop := running(t, &audit.Config{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler), Sender: sender(func(c *audit.Checkpoint) error {
			mu.Lock()
			defer mu.Unlock()
			tried = append(tried, c)
			if down {
				return errors.New("nobody there")
			}
			arrived = append(arrived, c)
			return nil
		})})
		record(t, l, audit.Event{Kind: audit.AdminPassword})
		sleep(59*time.Minute + time.Second) // not at the moment of a tick
		if len(tried) > 0 {
			t.Errorf("sent too early: %v", tried)
		}
		sleep(10 * time.Minute)
		down = false
		if len(tried) < 5 {
			t.Errorf("tried %d times", len(tried))
		}
		sleep(10 * time.Minute)
		if len(arrived) != 1 || arrived[0].Acts.Seq != 2 {
			t.Errorf("arrived: %v", arrived)
		}
		// Nothing new is nothing to say; many records are, at once.
		sleep(24 * time.Hour)
		if len(arrived) != 1 {
			t.Errorf("arrived: %v", arrived)
		}
		for range 256 {
			record(t, l, audit.Event{Kind: audit.AdminPassword})
		}
		sleep(2 * time.Minute)
		if len(arrived) != 2 || arrived[1].Acts.Seq != 258 {
			t.Errorf("arrived: %v", arrived)
		}
		record(t, l, audit.Event{Kind: audit.AdminPassword})
		mu.Unlock()
		stop()
		mu.Lock()
		if len(arrived) != 3 || arrived[2].Acts.Seq != 259 {
			t.Errorf("at the stop: %v", arrived)
		}
	})
}
