package audit_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"pillarbox/appliance/audit"
)

// running runs a Log until stop is called.
func running(t *testing.T, c *audit.Config) (l *audit.Log, stop func()) {
	t.Helper()
	l = audit.New(c)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()

	return l, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		closeLog(t, l)
	}
}

func TestRetentionByAgeLeavesAVerifiableRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		l, stop := running(t, &audit.Config{
			Dir: dir, Logger: slog.New(slog.DiscardHandler), Acts: audit.Keep{Age: 24 * time.Hour}, SegmentSize: 4 << 10,
		})
		var kept *audit.Checkpoint
		for i := range 4 * 24 {
			record(t, l, audit.Event{Kind: audit.AccountPassword, Account: fmt.Sprintf("p%d@office.example", i)})
			if i == 10 {
				var err error
				if kept, err = l.Checkpoint(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Hour)
		}
		old := list(t, l, audit.Filter{Until: time.Now().Add(-29 * time.Hour)})
		if len(old) > 0 {
			t.Errorf("%d records are too old, such as %+v", len(old), old[0])
		}
		young := list(t, l, audit.Filter{Since: time.Now().Add(-24 * time.Hour), Kinds: []string{"account"}})
		if len(young) != 24 {
			t.Errorf("%d records of the last day", len(young))
		}
		r := verify(t, l)
		if len(r.Findings) > 0 || r.Books[0].First < 50 {
			t.Errorf("verified: %+v", r)
		}
		if r := verify(t, l, kept); len(r.Findings) > 0 || len(r.Notes) != 1 {
			t.Errorf("with a checkpoint of what is gone: %+v", r)
		}
		stop()

		// Somebody removes one file more than retention did.
		names, err := filepath.Glob(filepath.Join(dir, "acts", "*.log"))
		if err != nil || len(names) < 3 {
			t.Fatal(names, err)
		}
		if err := os.Remove(names[0]); err != nil {
			t.Fatal(err)
		}
		l = newLog(t, dir)
		defer closeLog(t, l)
		if r := verify(t, l); len(r.Findings) != 1 || r.Findings[0].What != audit.BeginningRemoved {
			t.Errorf("found %+v", r.Findings)
		}
	})
}

func TestRetentionBySizeLeavesTheOtherBookAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, stop := running(t, &audit.Config{
			Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler), Access: audit.Keep{Size: 64 << 10}, SegmentSize: 8 << 10,
		})
		defer stop()
		record(t, l, audit.Event{Kind: audit.AdminPassword})
		for i := range 1000 {
			record(t, l, audit.Event{Kind: audit.BanAdded, Remote: fmt.Sprintf("192.0.2.%d", i), More: map[string]string{"reason": "too many failed sign-ins"}})
		}
		time.Sleep(3 * time.Hour)
		r := verify(t, l)
		if len(r.Findings) > 0 || r.Books[0].First != 1 || r.Books[1].First == 1 {
			t.Errorf("verified: %+v", r)
		}
		if got := list(t, l, audit.Filter{Kinds: []string{"ban"}, Limit: 10_000}); len(got) < 200 || got[0].Values["remote"] != "192.0.2.999" {
			t.Errorf("%d bans are left", len(got))
		}
		if got := list(t, l, audit.Filter{Kinds: []string{"audit.retention"}}); len(got) == 0 || got[0].Book != audit.Access || got[0].Values["why"] != "size" {
			t.Errorf("retention recorded %+v", got)
		}
	})
}

// TestACutInRetentionLosesNothing plays a power cut between the anchor and the
// removal: the files are still there, and the next time they go.
func TestACutInRetentionLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		conf := &audit.Config{Dir: dir, Logger: slog.New(slog.DiscardHandler), Acts: audit.Keep{Age: 24 * time.Hour}, SegmentSize: 1 << 10}
		l, stop := running(t, conf)
		for range 30 {
			record(t, l, audit.Event{Kind: audit.AdminPassword})
		}
		saved := map[string][]byte{}
		names, err := filepath.Glob(filepath.Join(dir, "acts", "*.log"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if saved[name], err = os.ReadFile(name); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(27 * time.Hour)
		stop()
		for name, b := range saved {
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		l, stop = running(t, conf)
		defer stop()
		before := verify(t, l)
		time.Sleep(2 * time.Hour)
		after := verify(t, l)
		if len(before.Findings)+len(after.Findings) > 0 || after.Books[0].First <= 30 {
			t.Errorf("before %+v, after %+v", before, after)
		}
	})
}

// TestHowLongIsKeptCanBeChanged while it is written.
func TestHowLongIsKeptCanBeChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, stop := running(t, &audit.Config{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler), SegmentSize: 4 << 10})
		defer stop()
		for i := range 5 * 24 {
			record(t, l, audit.Event{Kind: audit.AccountPassword, Account: fmt.Sprintf("p%d@office.example", i)})
			time.Sleep(time.Hour)
		}
		if n := len(list(t, l, audit.Filter{Kinds: []string{"account"}, Limit: 1000})); n != 120 {
			t.Fatalf("%d records are kept", n)
		}
		l.SetKeep(audit.Keep{Age: 2 * 24 * time.Hour}, audit.Keep{})
		if got := l.Keep(audit.Access); got != audit.DefaultKeep(audit.Access) {
			t.Errorf("the other book is kept for %+v", got)
		}
		time.Sleep(2 * time.Hour)
		if n := len(list(t, l, audit.Filter{Kinds: []string{"account"}, Limit: 1000})); n < 46 || n > 80 {
			t.Errorf("%d records are kept, of 48 hours", n)
		}
		if r := verify(t, l); len(r.Findings) > 0 {
			t.Errorf("found %+v", r.Findings)
		}
	})
}
