package audit_test

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"pillarbox/appliance/audit"
	"pillarbox/storage/ledger"
)

func FuzzPlace(f *testing.F) {
	for _, text := range []string{"", "acts:120", "acts:120,access:4500", "access:0", "acts:1,acts:2", "other:1", "acts:-1", ","} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := audit.ParsePlace(text)
		if err != nil {
			return
		}
		if again, err := audit.ParsePlace(p.String()); err != nil || again != p || text != "" && p == (audit.Place{}) {
			t.Errorf("%q is %+v, and then %+v: %v", text, p, again, err)
		}
	})
}

func bookAt(t *testing.T, dir string, kind audit.Kind, times ...time.Time) {
	t.Helper()
	l, _, err := ledger.Open(&ledger.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	var prev audit.Hash
	for i, at := range times {
		r := audit.Record{Seq: uint64(i + 1), Time: at.Truncate(time.Millisecond).UTC(), Kind: kind, Prev: prev, Values: map[string]string{"account": "a@b.example"}}
		o := r.Encode()
		prev = audit.HashOf(o)
		if err := l.Append(o); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestAPlaceLosesNothing reads on from place to place where the clock went back by
// an hour, so that numbers are not in the order of time.
func TestAPlaceLosesNothing(t *testing.T) {
	dir := t.TempDir()
	base := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	var acts, access []time.Time
	for i := range 10 {
		acts = append(acts, base.Add(time.Duration(i)*time.Minute)) // 12:00 … 12:09
	}
	for i := range 5 {
		acts = append(acts, base.Add(-time.Hour+time.Duration(i)*time.Minute)) // 11:00 …
	}
	for i := range 10 {
		access = append(access, base.Add(time.Duration(i)*time.Minute+time.Second))
	}
	bookAt(t, filepath.Join(dir, "acts"), audit.AccountAdded, acts...)
	bookAt(t, filepath.Join(dir, "access"), audit.BanAdded, access...)
	l := audit.New(&audit.Config{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	defer closeLog(t, l)
	seen := map[audit.Book]map[uint64]int{audit.Acts: {}, audit.Access: {}}
	var p audit.Place
	for range 20 {
		e := list(t, l, audit.Filter{Before: p, Limit: 8})
		if len(e) == 0 {
			break
		}
		for _, x := range e {
			seen[x.Book][x.Seq]++
		}
		p = p.After(e)
	}
	for i := range 15 {
		if n := seen[audit.Acts][uint64(i+1)]; n != 1 {
			t.Errorf("acts %d was shown %d times", i+1, n)
		}
	}
	for i := range 10 {
		if n := seen[audit.Access][uint64(i+1)]; n != 1 {
			t.Errorf("access %d was shown %d times", i+1, n)
		}
	}
}
