package audit_test

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"pillarbox/appliance/audit"
)

// stranger is a failed sign-in that is like no other.
func stranger(i int) audit.Event {
	return audit.Event{
		Kind: audit.SignInFailed, Account: fmt.Sprintf("guess%d@office.example", i),
		Remote: fmt.Sprintf("2001:db8:%x:%x::1", i>>16, i&0xffff), Port: 993,
		More: map[string]string{"mechanism": "PLAIN", "tls": "TLS 1.3", "reason": "wrong name or password"},
	}
}

// counted adds up how many sign-ins the records speak of.
func counted(t testing.TB, entries []audit.Entry) (n int) {
	t.Helper()
	for _, e := range entries {
		c := e.Values["count"]
		if c == "" {
			c = "1"
		}
		one, err := strconv.Atoi(c)
		if err != nil {
			t.Fatal(err)
		}
		n += one
	}

	return n
}

func TestAFloodIsCountedAndBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const all, hours = 8_000, 30
		l, stop := running(t, &audit.Config{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
		own := audit.Event{Kind: audit.SignInOK, Account: "anna@office.example", Remote: "192.0.2.1", Port: 993}
		for i := range all {
			record(t, l, stranger(i))
			if i%1000 == 0 {
				record(t, l, own)
			}
			time.Sleep(hours * time.Hour / all)
		}
		time.Sleep(2 * time.Hour)
		failed := list(t, l, audit.Filter{Kinds: []string{"signin.failed"}, Limit: all})
		if n := counted(t, failed); n != all {
			t.Errorf("%d of %d failed sign-ins are counted", n, all)
		}
		// 1 MiB at first, and 1 MiB a day.
		if n := len(failed); n > 3<<20/150 || n < 1000 {
			t.Errorf("they took %d records", n)
		}
		if failed[len(failed)-1].Values["account"] != "guess0@office.example" {
			t.Errorf("the first of them is %+v", failed[len(failed)-1])
		}
		if n := counted(t, list(t, l, audit.Filter{Kinds: []string{"signin.ok"}, Limit: all})); n != all/1000 {
			t.Errorf("%d sign-ins that succeeded", n)
		}
		stop()
	})
}

func TestAFloodAtOnceIsBoundedInMemory(t *testing.T) {
	const all = 200_000
	dir := t.TempDir()
	l := newLog(t, dir)
	defer closeLog(t, l)
	before := memory()
	for i := range all {
		record(t, l, stranger(i))
	}
	if used := memory() - before; used > 8<<20 {
		t.Errorf("%d octets of memory are held", used)
	}
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	entries := list(t, l, audit.Filter{Book: audit.Access, Limit: 10_000})
	if n := counted(t, entries); n != all || len(entries) > 1100 {
		t.Errorf("%d sign-ins in %d records", n, len(entries))
	}
	if entries[0].Values["others"] == "" && entries[len(entries)-1].Values["others"] == "" {
		t.Error("nothing says that some were not told apart")
	}
}

func memory() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)

	return int64(m.HeapAlloc)
}

// BenchmarkFlood is a failed sign-in that is like none of a million before it.
func BenchmarkFlood(b *testing.B) {
	dir := b.TempDir()
	l := newLog(b, dir)
	before := memory()
	i := 0
	for b.Loop() {
		i++
		if err := l.Record(b.Context(), stranger(i)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(memory()-before), "held-B")
	closeLog(b, l)
	b.ReportMetric(float64(diskUse(b, dir)), "disk-B")
}

func diskUse(b testing.TB, dir string) (sum int64) {
	b.Helper()
	for _, f := range glob(b, filepath.Join(dir, "*", "*.log")) {
		sum += int64(len(f))
	}

	return sum
}
