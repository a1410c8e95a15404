package bench_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"pillarbox/appliance/integration/rig"
)

// login measures connect, handshake, LOGIN and LOGOUT, one after the other.
func (o *office) login(b *testing.B) {
	addr, config := o.box.IMAPS(b, "tcp4"), o.box.TLS(b)
	for b.Loop() {
		w, err := rig.DialWire(addr, config)
		if err != nil {
			b.Fatal(err)
		}
		if err := w.Login(user, password); err != nil {
			b.Fatal(err)
		}
		if err := w.Start("LOGOUT"); err != nil {
			b.Fatal(err)
		}
		w.Close()
	}
	perSecond(b, 1, "login")
}

// handshake measures connect, a full handshake and the greeting.
func (o *office) handshake(b *testing.B) {
	addr, config := o.box.IMAPS(b, "tcp4"), o.box.TLS(b)
	for b.Loop() {
		w, err := rig.DialWire(addr, config)
		if err != nil {
			b.Fatal(err)
		}
		w.Close()
	}
	perSecond(b, 1, "handshake")
}

// startIdle brings a connection into IDLE.
func startIdle(b testing.TB, w *rig.Wire) {
	b.Helper()
	if err := w.Start("IDLE"); err != nil {
		b.Fatal(err)
	}
	for {
		line, err := w.Line()
		if err != nil {
			b.Fatal(err)
		}
		if line[0] == '+' {
			return
		}
	}
}

// idleNotice measures the time from the last octet of a delivery to the line
// that an idle client reads.
func (o *office) idleNotice(b *testing.B) {
	w := o.wire(b)
	must(b, w, "SELECT Drafts")
	must(b, w, "SELECT %s", inbox)
	startIdle(b, w)
	l, err := rig.DialLMTP("unix", o.box.LMTPSocket())
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	messages := newLetters()
	var times []time.Duration
	for b.Loop() {
		begin := time.Now()
		answers, err := l.Deliver("carla@elsewhere.example", []string{user}, messages.next())
		if err != nil || answers[0] != nil {
			b.Fatalf("deliver: %v %v", err, answers)
		}
		for {
			line, err := w.Line()
			if err != nil {
				b.Fatal(err)
			}
			if bytes.HasSuffix(line, []byte(" EXISTS")) {
				break
			}
		}
		times = append(times, time.Since(begin))
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "ms-p50")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds())/1000, "ms-p99")
}

// idleMemory reports the memory that 200 idle clients cost the box, 50 of each
// of four people. A limit that is always exceeded makes the runtime give back
// at once what is not in use, so that log-ins long done do not count.
func (o *office) idleMemory(b *testing.B) {
	o.box.Env = []string{"GOMEMLIMIT=1MiB"}
	b.Cleanup(func() { o.box.Env = nil })
	const people, clients = 4, 50
	person := func(i int) string { return fmt.Sprintf("idle%d@office.example", i) }
	for i := range people {
		o.box.AddAccount(b, person(i), password)
	}
	for b.Loop() {
		b.StopTimer()
		o.box.Stop(b)
		o.box.Start(b)
		var conns []*rig.Wire
		idle := func(i int) {
			w := o.box.Wire(b, person(i%people), password)
			must(b, w, "SELECT %s", inbox)
			startIdle(b, w)
			conns = append(conns, w)
		}
		for i := range people { // what the first client of an account costs stays out
			idle(i)
		}
		before := o.box.Memory(b)
		b.StartTimer()
		for i := range people * clients {
			idle(i)
		}
		b.StopTimer()
		after := o.box.Memory(b)
		b.ReportMetric(float64(after-before)/(people*clients)/1024, "KiB/connection")
		b.ReportMetric(float64(before)/(1<<20), "MiB-before")
		b.ReportMetric(float64(after)/(1<<20), "MiB-after")
		for _, w := range conns {
			w.Close()
		}
		b.StartTimer()
	}
}
