package storage_test

import (
	"fmt"
	"log/slog"
	"testing"

	"pillarbox/storage"
)

// BenchmarkSystemUpdate changes a record of a system database that has many:
// what the checksums and the head cost beside the fsync.
func BenchmarkSystemUpdate(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s, err := storage.Open(b.Context(), &storage.Config{Dir: b.TempDir(), Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			value := make([]byte, 200)
			put := func(from, to int) {
				if err := s.System().Update(b.Context(), func(tx *storage.SystemTx) error {
					for i := from; i < to; i++ {
						if err := tx.Put("bench", fmt.Sprintf("key%06d", i), value); err != nil {
							return err
						}
					}
					return nil
				}); err != nil {
					b.Fatal(err)
				}
			}
			put(0, n)
			i := 0
			for b.Loop() {
				put(i%n, i%n+1)
				i++
			}
		})
	}
}
