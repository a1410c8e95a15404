package bench_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"pillarbox/appliance/integration/rig"
)

// BenchmarkGrowth measures what people do all day in a mailbox of 1,000,
// 10,000 and 100,000 messages: it is to cost what changed, not what is there.
// `go test -bench 'Growth/messages=(1000|10000)$'` leaves the long one out.
func BenchmarkGrowth(b *testing.B) {
	binary, err := rig.Build(b.Context(), b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	for _, n := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("messages=%d", n), func(b *testing.B) {
			o := &office{box: rig.NewBox(b, binary)}
			o.box.AddAccount(b, user, password)
			o.box.Start(b)
			w := o.grow(b, n)
			b.Run("open", func(b *testing.B) { o.growOpen(b) })
			b.Run("newest", func(b *testing.B) {
				for b.Loop() {
					must(b, w, "FETCH %d:%d (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)", n-99, n)
				}
			})
			b.Run("resync", func(b *testing.B) { growResync(b, w, n) })
			b.Run("append", func(b *testing.B) {
				for b.Loop() {
					if err := w.Append(inbox, noDate, []byte(smallMail)); err != nil {
						b.Fatal(err)
					}
				}
			})
			o.box.Stop(b)
		})
	}
}

const smallMail = "From: Anna <anna@example.com>\r\nTo: Ben <ben@example.com>\r\nSubject: growth\r\n\r\nA line.\r\n"

// grow fills INBOX with n messages: a thousand, then copies of all there are.
func (o *office) grow(b *testing.B, n int) *rig.Wire {
	b.Helper()
	w := o.wire(b)
	for range 1000 {
		if err := w.Append(inbox, noDate, []byte(smallMail)); err != nil {
			b.Fatal(err)
		}
	}
	must(b, w, "SELECT %s", inbox)
	for have := 1000; have < n; {
		more := min(have, n-have)
		must(b, w, "COPY 1:%d %s", more, inbox)
		have += more
	}
	return w
}

// growOpen measures SELECT by a client that has just logged in.
func (o *office) growOpen(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		w := o.wire(b)
		b.StartTimer()
		must(b, w, "SELECT %s", inbox)
		b.StopTimer()
		w.Close()
		b.StartTimer()
	}
}

// growResync measures what a client with CONDSTORE asks for after 50 changes.
func growResync(b *testing.B, w *rig.Wire, n int) {
	var set []string
	for i := range 50 {
		set = append(set, fmt.Sprint(1+i*(n/50)))
	}
	sign := "+-"
	i := 0
	for b.Loop() {
		b.StopTimer()
		before := highestModSeq(b, w)
		must(b, w, `STORE %s %cFLAGS.SILENT (\Flagged)`, strings.Join(set, ","), sign[i%2])
		i++
		b.StartTimer()
		must(b, w, "FETCH 1:* (FLAGS) (CHANGEDSINCE %d)", before)
	}
}

// BenchmarkDisk measures what the disk makes of the writes of one flag change,
// without us: some pages and the page that makes them valid, each synced. No
// server that is to be durable, with a copy-on-write index, can be faster.
func BenchmarkDisk(b *testing.B) {
	for _, syncs := range []int{1, 2} {
		b.Run(fmt.Sprintf("syncs=%d", syncs), func(b *testing.B) {
			f, err := os.Create(filepath.Join(b.TempDir(), "file"))
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			if _, err := io.CopyN(f, zeros{}, 1<<20); err != nil {
				b.Fatal(err)
			}
			if err := f.Sync(); err != nil {
				b.Fatal(err)
			}
			page := make([]byte, 20<<10)
			i := 0
			for b.Loop() {
				for range syncs {
					if _, err := f.WriteAt(page, int64(i%40)*20<<10); err != nil {
						b.Fatal(err)
					}
					if err := unix.Fdatasync(int(f.Fd())); err != nil {
						b.Fatal(err)
					}
					i++
				}
			}
			perSecond(b, 1, "op")
		})
	}
}

// zeros yields zeros without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// largeFetch reports by how much a FETCH of 50 MB raises the box's memory.
func (o *office) largeFetch(b *testing.B) {
	w := o.wire(b)
	must(b, w, "CREATE Large")
	message := append([]byte(smallMail), make([]byte, 49<<20)...)
	for i := len(smallMail); i < len(message); i++ {
		message[i] = "0123456789abcdef\r\n"[i%18]
	}
	if err := w.Append("Large", noDate, message); err != nil {
		b.Fatal(err)
	}
	o.box.Stop(b)
	o.box.Start(b)
	w = o.wire(b)
	must(b, w, "SELECT Large")
	must(b, w, "FETCH 1 BODY.PEEK[]<0.1000>")
	before := o.box.Memory(b)
	var most int64
	for b.Loop() {
		b.SetBytes(must(b, w, "FETCH 1 BODY.PEEK[]"))
		most = max(most, o.box.Memory(b))
	}
	b.StopTimer()
	must(b, w, "DELETE Large")
	b.ReportMetric(float64(most-before)/1024, "KiB-more")
}
