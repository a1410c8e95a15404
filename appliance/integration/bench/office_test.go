package bench_test

import (
	"fmt"
	"sync"
	"testing"

	"pillarbox/appliance/integration/rig"
)

const (
	archiveSize = 10_000
	user        = "ada@office.example"
	password    = "Wood-stove 4 Lantern"
	inbox       = "INBOX"
)

// office is the box under measurement.
type office struct {
	box *rig.Box

	fillOnce sync.Once
	octets   int64 // of the archive in INBOX
}

// BenchmarkOffice holds all workloads, so that they share one box and one
// filled mailbox.
func BenchmarkOffice(b *testing.B) {
	binary, err := rig.Build(b.Context(), b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	o := &office{box: rig.NewBox(b, binary)}
	o.box.AddAccount(b, user, password)
	o.box.Start(b)

	workloads := []struct {
		name string
		run  func(b *testing.B)
	}{
		{"append/connections=1", func(b *testing.B) { o.append(b, 1) }},
		{"append/connections=8", func(b *testing.B) { o.append(b, 8) }},
		{"deliver/recipients=1", o.deliver},
		{"sync/cold", o.syncCold},
		{"sync/warm", o.syncWarm},
		{"download/connections=1", func(b *testing.B) { o.download(b, 1) }},
		{"download/connections=4", func(b *testing.B) { o.download(b, 4) }},
		{"download/large", o.largeFetch},
		{"select", o.selectInbox},
		{"flags/all", o.flagsAll},
		{"flags/changedsince", o.flagsChangedSince},
		{"search/subject", func(b *testing.B) { o.search(b, "UID SEARCH SUBJECT invoice") }},
		{"search/body", func(b *testing.B) { o.search(b, "UID SEARCH BODY Montagekleber") }},
		{"store/all", o.storeAll},
		{"store/one", o.storeOne},
		{"copy/messages=10000", o.copyAll},
		{"move/messages=1000", o.move},
		{"expunge/messages=1000", o.expunge},
		{"login", o.login},
		{"handshake", o.handshake},
		{"idle/notice", o.idleNotice},
		{"idle/memory", o.idleMemory},
	}
	for _, w := range workloads {
		b.Run(w.name, w.run)
	}
	o.box.Stop(b)
}

// wire connects and logs in.
func (o *office) wire(b *testing.B) *rig.Wire { return o.box.Wire(b, user, password) }

// must sends a command and returns how many octets answered it.
func must(b testing.TB, w *rig.Wire, format string, args ...any) int64 {
	b.Helper()
	command := fmt.Sprintf(format, args...)
	n, err := w.Do(command)
	if err != nil {
		b.Fatalf("%s: %v", command, err)
	}
	return n
}

// filled returns a connection that has selected INBOX with the archive in it.
func (o *office) filled(b *testing.B) *rig.Wire {
	b.Helper()
	o.fillOnce.Do(func() { o.fill(b) })
	if o.octets == 0 {
		b.Fatal("INBOX could not be filled")
	}
	w := o.wire(b)
	must(b, w, "SELECT %s", inbox)
	return w
}

// fill puts the archive into INBOX by eight connections.
func (o *office) fill(b *testing.B) {
	b.Helper()
	o.octets = appendArchive(b, func() *rig.Wire { return o.wire(b) })
}

// appendArchive puts the archive into INBOX by eight connections and returns
// how many octets it has.
func appendArchive(t testing.TB, dial func() *rig.Wire) (octets int64) {
	t.Helper()
	work := make(chan []byte)
	var workers sync.WaitGroup
	for range 8 {
		w := dial()
		workers.Go(func() {
			for message := range work {
				if err := w.Append(inbox, noDate, message); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for message := range rig.Archive(archiveSize) {
		work <- message
		octets += int64(len(message))
	}
	close(work)
	workers.Wait()
	return octets
}

// perSecond reports n events per operation as events per second.
func perSecond(b *testing.B, n float64, what string) {
	b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds(), what+"/s")
}
