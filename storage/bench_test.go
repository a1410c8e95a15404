package storage_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-imap/v2"
	"golang.org/x/sys/unix"

	"pillarbox/storage"
)

func benchOffice(b *testing.B, inline int) *office {
	return openOffice(b, func(c *storage.Config) {
		c.InlineLimit = inline
		c.Logger = slog.New(slog.DiscardHandler)
	})
}

// BenchmarkInlineLimit decides up to which size a body lies in the index
// (defaultInlineLimit): deliveries of bodies of each size, with the body in
// the index and as a file, one after the other and by 8 at a time, and what
// the index and the files take on the disk. With the index the commit's own
// fsync carries the body; a file needs two more, but is written once and
// never moved again, and does not make the index's pages move.
func BenchmarkInlineLimit(b *testing.B) {
	for _, size := range []int{1 << 10, 4 << 10, 8 << 10, 16 << 10, 64 << 10} {
		for _, where := range []struct {
			name  string
			limit int
		}{{"index", 1 << 20}, {"file", -1}} {
			for _, writers := range []int{1, 8} {
				b.Run(fmt.Sprintf("%dKiB/%s/%d", size>>10, where.name, writers), func(b *testing.B) {
					o := benchOffice(b, where.limit)
					b.SetBytes(int64(size))
					var wg sync.WaitGroup
					next := make(chan int)
					for range writers {
						wg.Go(func() {
							for i := range next {
								o.add("INBOX", mail(i, size))
							}
						})
					}
					b.ResetTimer()
					written := deviceBytes(b)
					for i := range b.N {
						next <- i
					}
					close(next)
					wg.Wait()
					b.StopTimer()
					b.ReportMetric(float64(deviceBytes(b)-written)/float64(b.N), "written-B/op")
					b.ReportMetric(float64(diskUse(b, o.config.Dir))/float64(b.N), "disk-B/op")
				})
			}
		}
	}
}

// deviceBytes returns what this process has sent to block devices so far.
func deviceBytes(tb testing.TB) int64 {
	tb.Helper()
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		tb.Skip("no /proc/self/io here")
	}
	_, rest, _ := strings.Cut(string(text), "\nwrite_bytes: ")
	var n int64
	if _, err := fmt.Sscan(rest, &n); err != nil {
		tb.Fatal(err)
	}
	return n
}

func diskUse(tb testing.TB, dir string) int64 {
	tb.Helper()
	seen := map[uint64]bool{}
	var sum int64
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		var st unix.Stat_t
		if err != nil || filepath.Base(path) == "reserve" || unix.Lstat(path, &st) != nil || seen[st.Ino] {
			return err
		}
		seen[st.Ino] = true
		sum += st.Blocks * 512
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return sum
}

// BenchmarkAppend delivers messages of 24 KiB, the mean of an office's mail.
func BenchmarkAppend(b *testing.B) {
	o := benchOffice(b, 0)
	text := mail(1, 24<<10)
	b.SetBytes(int64(len(text)))
	for i := range b.N {
		o.add("INBOX", fmt.Sprintf("X: %d\r\n", i)+text)
	}
}

// filled returns an office with n small messages in INBOX.
func filled(b *testing.B, n int) *office {
	o := benchOffice(b, 0)
	body := o.stage(mail(1, 500))
	defer body.Close()
	msgs := make([]storage.AppendMessage, 1000)
	for i := range msgs {
		msgs[i].Body = body
	}
	for range n / len(msgs) {
		if _, err := o.account.Append(context.Background(), o.inbox(), msgs); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	return o
}

// BenchmarkStoreOne changes one flag in mailboxes of growing size: it must
// cost what changed, not what is there.
func BenchmarkStoreOne(b *testing.B) {
	for _, n := range []int{1000, 10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			o := filled(b, n)
			o.snapshot("INBOX")
			written := deviceBytes(b)
			b.ReportAllocs()
			for i := range b.N {
				op := imap.StoreFlagsAdd
				if i%2 == 1 {
					op = imap.StoreFlagsDel
				}
				if _, err := o.account.Store(context.Background(), o.inbox(), imap.UIDSetNum(imap.UID(n/2)), storage.FlagOp{Op: op, Flags: []imap.Flag{imap.FlagSeen}}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(deviceBytes(b)-written)/float64(b.N), "written-B/op")
		})
	}
}

// BenchmarkStoreAll changes a flag of all of 10,000 messages.
func BenchmarkStoreAll(b *testing.B) {
	o := filled(b, 10_000)
	for i := range b.N {
		op := imap.StoreFlagsAdd
		if i%2 == 1 {
			op = imap.StoreFlagsDel
		}
		if _, err := o.account.Store(context.Background(), o.inbox(), imap.UIDSet{{Start: 1, Stop: 0}}, storage.FlagOp{Op: op, Flags: []imap.Flag{imap.FlagSeen}}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLoad reads a mailbox's listing data from the disk.
func BenchmarkLoad(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			o := filled(b, n)
			for range b.N {
				b.StopTimer()
				o.restart()
				b.StartTimer()
				if o.snapshot("INBOX").Len() != n {
					b.Fatal("messages are missing")
				}
			}
		})
	}
}

// BenchmarkRead reads the parsed data of 10,000 messages.
func BenchmarkRead(b *testing.B) {
	o := filled(b, 10_000)
	var ids []storage.DataID
	for _, m := range o.snapshot("INBOX").All(0) {
		ids = append(ids, m.Data)
	}
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		if err := o.account.Read(ids, func(_ int, d *storage.Data) bool {
			n += len(d.Record.Envelope())
			return true
		}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCopy copies 10,000 messages and BenchmarkStage receives one.
func BenchmarkCopy(b *testing.B) {
	o := filled(b, 10_000)
	for range b.N {
		if _, err := o.account.Copy(context.Background(), o.inbox(), imap.UIDSet{{Start: 1, Stop: 10_000}}, o.account.Mailbox("Sent").ID); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStage(b *testing.B) {
	o := benchOffice(b, 0)
	text := mail(1, 24<<10)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for i := range b.N {
		s, err := o.Stage(context.Background(), io.MultiReader(strings.NewReader(fmt.Sprintf("X: %d\r\n", i)), strings.NewReader(text)))
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
