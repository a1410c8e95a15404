package bench_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"pillarbox/appliance/integration/rig"
)

// What a client asks for when it opens a mailbox for the first time.
const firstSync = "UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)"

// syncCold measures the first synchronisation after a start of the box.
func (o *office) syncCold(b *testing.B) {
	o.filled(b)
	for b.Loop() {
		b.StopTimer()
		o.box.Stop(b)
		o.box.Start(b)
		w := o.wire(b)
		b.StartTimer()
		must(b, w, "SELECT %s", inbox)
		b.SetBytes(must(b, w, firstSync))
	}
	perSecond(b, archiveSize, "msg")
}

func (o *office) syncWarm(b *testing.B) {
	w := o.filled(b)
	must(b, w, firstSync)
	for b.Loop() {
		b.SetBytes(must(b, w, firstSync))
	}
	perSecond(b, archiveSize, "msg")
}

// download measures the download of all messages by each of the connections,
// and how near that comes to what Go's TLS alone can do here.
func (o *office) download(b *testing.B, connections int) {
	var conns []*rig.Wire
	for range connections {
		conns = append(conns, o.filled(b))
	}
	before := cpuTime(b, o.box.PID())
	for b.Loop() {
		var all sync.WaitGroup
		for _, w := range conns {
			all.Go(func() {
				if n := must(b, w, "UID FETCH 1:* BODY.PEEK[]"); n < o.octets {
					b.Errorf("%d octets came, the archive has %d", n, o.octets)
				}
			})
		}
		all.Wait()
	}
	b.ReportMetric((cpuTime(b, o.box.PID())-before).Seconds()*1000/float64(b.N), "server-cpu-ms/op")
	octets := o.octets * int64(connections)
	b.SetBytes(octets)
	rate := float64(octets) * float64(b.N) / b.Elapsed().Seconds()
	bare, cpu := copyRate(b, connections, o.octets, b.N)
	b.ReportMetric(100*rate/bare, "%ofTLS")
	b.ReportMetric(cpu.Seconds()*1000/float64(b.N), "tls-cpu-ms/op")
}

func (o *office) selectInbox(b *testing.B) {
	w := o.filled(b)
	for b.Loop() {
		must(b, w, "SELECT %s", inbox)
	}
}

func (o *office) flagsAll(b *testing.B) {
	w := o.filled(b)
	for b.Loop() {
		b.SetBytes(must(b, w, "UID FETCH 1:* (FLAGS)"))
	}
	perSecond(b, archiveSize, "msg")
}

// flagsChangedSince measures what a client with CONDSTORE pays when one
// message of 10,000 has changed.
func (o *office) flagsChangedSince(b *testing.B) {
	w := o.filled(b)
	before := highestModSeq(b, w)
	must(b, w, `UID STORE 5000 +FLAGS.SILENT (\Answered)`)
	command := fmt.Sprintf("UID FETCH 1:* (FLAGS) (CHANGEDSINCE %d)", before)
	for b.Loop() {
		must(b, w, "%s", command)
	}
	b.StopTimer()
	must(b, w, `UID STORE 5000 -FLAGS.SILENT (\Answered)`)
}

func highestModSeq(b testing.TB, w *rig.Wire) (modSeq uint64) {
	b.Helper()
	if err := w.Start("STATUS " + inbox + " (HIGHESTMODSEQ)"); err != nil {
		b.Fatal(err)
	}
	var answer strings.Builder
	if _, err := w.Wait(&answer); err != nil {
		b.Fatal(err)
	}
	_, text, _ := strings.Cut(answer.String(), "HIGHESTMODSEQ ")
	if _, err := fmt.Sscanf(text, "%d)", &modSeq); err != nil {
		b.Fatalf("%q: %v", answer.String(), err)
	}
	return modSeq
}

func (o *office) search(b *testing.B, command string) {
	w := o.filled(b)
	for b.Loop() {
		must(b, w, "%s", command)
	}
}
