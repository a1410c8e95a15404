package ledger_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"testing"

	"pillarbox/storage"
)

// entrySize is about what a record of who did what takes, in octets.
const entrySize = 250

// deviceBytes returns how much this process has sent to block devices.
func deviceBytes(b *testing.B) int64 {
	b.Helper()
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		b.Skip("the kernel does not count what a process writes")
	}
	_, rest, _ := bytes.Cut(text, []byte("write_bytes: "))
	var n int64
	if _, err := fmt.Sscan(string(rest), &n); err != nil {
		b.Fatal(err)
	}

	return n
}

func entry() []byte {
	e := make([]byte, entrySize)
	rand.Read(e)

	return e
}

// BenchmarkWear is why this package is there: what one entry, by itself on the
// disk before anything else happens, writes here and as a key of system.db.
func BenchmarkWear(b *testing.B) {
	measure := func(b *testing.B, add func()) {
		for range 1000 { // a book that has been in use
			add()
		}
		start := deviceBytes(b)
		b.ResetTimer()
		for b.Loop() {
			add()
		}
		b.ReportMetric(float64(deviceBytes(b)-start)/float64(b.N), "written-B/op")
	}
	b.Run("ledger", func(b *testing.B) {
		l, _ := open(b, b.TempDir(), 0)
		measure(b, func() {
			if err := l.Append(entry()); err != nil {
				b.Fatal(err)
			}
		})
	})
	b.Run("system.db", func(b *testing.B) {
		s, err := storage.Open(b.Context(), &storage.Config{Dir: b.TempDir(), Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			b.Fatal(err)
		}
		defer s.Close()
		n := 0
		measure(b, func() {
			n++
			err := s.System().Update(context.Background(), func(tx *storage.SystemTx) error {
				return tx.Put("audit", fmt.Sprintf("%016d", n), entry())
			})
			if err != nil {
				b.Fatal(err)
			}
		})
	})
}
