package bench_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pillarbox/appliance/integration/rig"
)

const (
	postbox = "post@office.example" // takes what is delivered
	octets  = "octets"              // the unit of memory
)

// idlers have fifty idle clients each.
var idlers = [...]string{"idle0@office.example", "idle1@office.example", "idle2@office.example", "idle3@office.example"}

// workload is one line of the comparison.
type workload struct {
	name  string
	title string
	count float64 // of unit in one run
	unit  string  // what is counted per second; "" where the time itself tells
	once  bool    // one round is enough
	run   func(s *subject) float64
}

var workloads = []*workload{
	{name: "append/connections=1", title: "APPEND, 1 connection", count: 150, unit: "msg", run: func(s *subject) float64 { return s.append(1, 150) }},
	{name: "append/connections=8", title: "APPEND, 8 connections", count: 400, unit: "msg", run: func(s *subject) float64 { return s.append(8, 400) }},
	{name: "deliver/connections=1", title: "LMTP, 1 connection", count: 150, unit: "msg", run: func(s *subject) float64 { return s.deliver(1, 150) }},
	{name: "deliver/connections=8", title: "LMTP, 8 connections", count: 400, unit: "msg", run: func(s *subject) float64 { return s.deliver(8, 400) }},
	{name: "sync/cold", title: "first sync after a start, nothing cached", run: (*subject).syncCold},
	{name: "sync/warm", title: "first sync again", run: (*subject).syncWarm},
	{name: "download/connections=1", title: "download of all, 1 connection", count: 239, unit: "MB", run: func(s *subject) float64 { return s.download(1) }},
	{name: "download/connections=8", title: "download of all, by 8 connections", count: 239, unit: "MB", run: func(s *subject) float64 { return s.download(8) }},
	{name: "resync/flags", title: "SELECT and FLAGS of all", run: (*subject).resyncFlags},
	{name: "resync/condstore", title: "SELECT and 50 changes by CONDSTORE", run: (*subject).resyncChanged},
	{name: "search/subject", title: "SEARCH SUBJECT", run: func(s *subject) float64 { return s.timed("UID SEARCH SUBJECT invoice") }},
	{name: "search/header", title: "SEARCH HEADER (one not indexed)", run: func(s *subject) float64 { return s.timed("UID SEARCH HEADER X-Mailer nobody") }},
	{name: "search/body", title: "SEARCH BODY", run: func(s *subject) float64 { return s.timed("UID SEARCH BODY Montagekleber") }},
	{name: "store/all", title: "STORE on all", run: (*subject).storeAll},
	{name: "store/one", title: "STORE one by one", count: 200, unit: "op", run: (*subject).storeOne},
	{name: "store/pipelined", title: "STORE one by one, sent together", count: 200, unit: "op", run: (*subject).storePipelined},
	{name: "copy/messages=10000", title: "COPY of 10,000", run: (*subject).copyAll},
	{name: "move/messages=1000", title: "MOVE of 1,000", run: (*subject).move},
	{name: "expunge/messages=1000", title: "EXPUNGE of 1,000", run: (*subject).expunge},
	{name: "handshake/full", title: "handshakes", count: 100, unit: "handshake", run: func(s *subject) float64 { return s.handshakes(100, false) }},
	{name: "handshake/resumed", title: "resumed handshakes", count: 100, unit: "handshake", run: func(s *subject) float64 { return s.handshakes(100, true) }},
	{name: "login/full", title: "handshakes with log-in", count: 30, unit: "login", run: func(s *subject) float64 { return s.login(30, false) }},
	{name: "login/resumed", title: "resumed handshakes with log-in", count: 30, unit: "login", run: func(s *subject) float64 { return s.login(30, true) }},
	{name: "idle/memory", title: "memory with 200 idle connections", unit: octets, once: true, run: (*subject).idleMemory},
	{name: "idle/notice", title: "delivery to IDLE notice, median", once: true, run: (*subject).idleNotice},
}

func (s *subject) wire(address string) *rig.Wire {
	s.t.Helper()
	w, err := rig.DialWire(s.addr(s.t), s.tls(s.t))
	if err != nil {
		s.t.Fatalf("%s: %v", s.name(), err)
	}
	s.t.Cleanup(func() { w.Close() })
	if err := w.Login(address, password); err != nil {
		s.t.Fatalf("%s: %v", s.name(), err)
	}
	return w
}

// selected returns a connection with INBOX selected.
func (s *subject) selected() *rig.Wire {
	s.t.Helper()
	w := s.wire(user)
	s.must(w, "SELECT %s", inbox)
	return w
}

func (s *subject) must(w *rig.Wire, format string, args ...any) int64 {
	s.t.Helper()
	return must(s.t, w, format, args...)
}

// fill puts the archive into INBOX.
func (s *subject) fill() { s.octets = appendArchive(s.t, func() *rig.Wire { return s.wire(user) }) }

// parallel runs n pieces of work by several clients and tells how long it took.
func parallel[C any](t *testing.T, clients []C, n int, work func(c C, i int) error) float64 {
	t.Helper()
	next := make(chan int)
	var all sync.WaitGroup
	begin := time.Now()
	for _, c := range clients {
		all.Go(func() {
			for i := range next {
				if err := work(c, i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	all.Wait()
	return time.Since(begin).Seconds()
}

// next returns n messages that the server has not seen.
func (s *subject) next(n int) [][]byte {
	out := make([][]byte, n)
	for i := range out {
		out[i] = s.letters.next()
	}
	return out
}

func (s *subject) append(connections, n int) float64 {
	owner := s.wire(user)
	s.must(owner, "CREATE Append")
	defer owner.Close()
	defer s.must(owner, "DELETE Append")
	var conns []*rig.Wire
	for range connections {
		w := s.wire(user)
		defer w.Close()
		conns = append(conns, w)
	}
	mails := s.next(n)
	return parallel(s.t, conns, n, func(w *rig.Wire, i int) error { return w.Append("Append", noDate, mails[i]) })
}

func (s *subject) deliver(connections, n int) float64 {
	var conns []*rig.LMTP
	for range connections {
		l, err := rig.DialLMTP(s.lmtp())
		if err != nil {
			s.t.Fatalf("%s: %v", s.name(), err)
		}
		defer l.Close()
		conns = append(conns, l)
	}
	mails := s.next(n)
	return parallel(s.t, conns, n, func(l *rig.LMTP, i int) error { return deliverOne(l, postbox, mails[i]) })
}

func deliverOne(l *rig.LMTP, to string, mail []byte) error {
	answers, err := l.Deliver("carla@elsewhere.example", []string{to}, mail)
	if err == nil {
		err = answers[0]
	}
	return err
}

// timed measures one command, by a client that has sent it once before.
func (s *subject) timed(format string, args ...any) float64 {
	w := s.selected()
	defer w.Close()
	s.must(w, format, args...)
	begin := time.Now()
	s.must(w, format, args...)
	return time.Since(begin).Seconds()
}

func (s *subject) syncCold() float64 {
	s.stop(s.t)
	s.forget(s.t)
	s.start(s.t)
	w := s.wire(user)
	defer w.Close()
	begin := time.Now()
	s.must(w, "SELECT %s", inbox)
	s.must(w, firstSync)
	return time.Since(begin).Seconds()
}

func (s *subject) syncWarm() float64 { return s.timed(firstSync) }

// download fetches all messages, each connection its share.
func (s *subject) download(connections int) float64 {
	var conns []*rig.Wire
	for range connections {
		w := s.selected()
		defer w.Close()
		conns = append(conns, w)
	}
	const pieces = 40
	if connections == 1 {
		begin := time.Now()
		if n := s.must(conns[0], "UID FETCH 1:* BODY.PEEK[]"); n < s.octets {
			s.t.Errorf("%s: %d octets came, the archive has %d", s.name(), n, s.octets)
		}
		return time.Since(begin).Seconds()
	}
	return parallel(s.t, conns, pieces, func(w *rig.Wire, i int) error {
		const each = archiveSize / pieces
		_, err := w.Do(fmt.Sprintf("UID FETCH %d:%d BODY.PEEK[]", i*each+1, (i+1)*each))
		return err
	})
}

func (s *subject) resyncFlags() float64 {
	w := s.selected()
	defer w.Close()
	begin := time.Now()
	s.must(w, "SELECT %s", inbox)
	s.must(w, "UID FETCH 1:* (FLAGS)")
	return time.Since(begin).Seconds()
}

// sign returns "+" and "-" in turn, so that each STORE changes something.
func (s *subject) sign(workload string) byte {
	s.set[workload] = !s.set[workload]
	if s.set[workload] {
		return '+'
	}
	return '-'
}

// change changes the flags of 50 messages that do not lie together.
func (s *subject) change(w *rig.Wire) {
	var set []string
	for i := range 50 {
		set = append(set, fmt.Sprint(1+i*(archiveSize/50)))
	}
	s.must(w, `UID STORE %s %cFLAGS.SILENT (\Answered)`, strings.Join(set, ","), s.sign("resync"))
}

func (s *subject) resyncChanged() float64 {
	other := s.selected()
	defer other.Close()
	w := s.wire(user)
	defer w.Close()
	before := highestModSeq(s.t, w)
	s.change(other)
	begin := time.Now()
	s.must(w, "SELECT %s (CONDSTORE)", inbox)
	s.must(w, "UID FETCH 1:* (FLAGS) (CHANGEDSINCE %d)", before)
	return time.Since(begin).Seconds()
}

func (s *subject) storeAll() float64 {
	w := s.selected()
	defer w.Close()
	begin := time.Now()
	s.must(w, `UID STORE 1:* +FLAGS.SILENT (\Flagged)`)
	took := time.Since(begin).Seconds()
	s.must(w, `UID STORE 1:* -FLAGS.SILENT (\Flagged)`)
	return took
}

// storeOne changes 200 messages, each by a command of its own, as a person who
// reads does.
func (s *subject) storeOne() float64 {
	w := s.selected()
	defer w.Close()
	sign := s.sign("one")
	begin := time.Now()
	for i := range 200 {
		s.must(w, `UID STORE %d %cFLAGS.SILENT (\Draft)`, 1+i*40, sign)
	}
	return time.Since(begin).Seconds()
}

// storePipelined does the same, not waiting for the answers.
func (s *subject) storePipelined() float64 {
	w := s.selected()
	defer w.Close()
	sign := s.sign("pipelined")
	begin := time.Now()
	for i := range 200 {
		if err := w.Start(fmt.Sprintf(`UID STORE %d %cFLAGS.SILENT (\Draft)`, 2+i*40, sign)); err != nil {
			s.t.Fatal(err)
		}
	}
	for range 200 {
		if _, err := w.Wait(nil); err != nil {
			s.t.Fatal(err)
		}
	}
	return time.Since(begin).Seconds()
}

func (s *subject) copyAll() float64 {
	w := s.selected()
	defer w.Close()
	s.must(w, "CREATE Copy")
	begin := time.Now()
	s.must(w, "UID COPY 1:* Copy")
	took := time.Since(begin).Seconds()
	s.must(w, "DELETE Copy")
	return took
}

// thousand makes a mailbox of 1,000 messages and selects it.
func (s *subject) thousand(w *rig.Wire, name string) {
	s.must(w, "CREATE %s", name)
	s.must(w, "COPY 1:1000 %s", name)
	s.must(w, "SELECT %s", name)
}

func (s *subject) move() float64 {
	w := s.selected()
	defer w.Close()
	s.thousand(w, "From")
	s.must(w, "CREATE To")
	begin := time.Now()
	s.must(w, "UID MOVE 1:* To")
	took := time.Since(begin).Seconds()
	s.must(w, "SELECT %s", inbox)
	s.must(w, "DELETE From")
	s.must(w, "DELETE To")
	return took
}

func (s *subject) expunge() float64 {
	w := s.selected()
	defer w.Close()
	s.thousand(w, "Expunge")
	s.must(w, `STORE 1:* +FLAGS.SILENT (\Deleted)`)
	begin := time.Now()
	s.must(w, "EXPUNGE")
	took := time.Since(begin).Seconds()
	s.must(w, "SELECT %s", inbox)
	s.must(w, "DELETE Expunge")
	return took
}

// handshakes measures connections up to the greeting, one after the other.
func (s *subject) handshakes(n int, resume bool) float64 {
	config := s.tls(s.t).Clone()
	if resume {
		config.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	}
	once := func() {
		w, err := rig.DialWire(s.addr(s.t), config) // which reads the greeting
		if err != nil {
			s.t.Fatal(err)
		}
		w.Close()
	}
	once()
	begin := time.Now()
	for range n {
		once()
	}
	return time.Since(begin).Seconds()
}

// login measures connections with handshake, LOGIN and LOGOUT, one after the
// other.
func (s *subject) login(n int, resume bool) float64 {
	config := s.tls(s.t).Clone()
	once := func() bool {
		w, err := rig.DialWire(s.addr(s.t), config)
		if err != nil {
			s.t.Fatal(err)
		}
		defer w.Close()
		if err := w.Login(user, password); err != nil {
			s.t.Fatal(err)
		}
		if err := w.Start("LOGOUT"); err != nil {
			s.t.Fatal(err)
		}
		return w.Conn().(*tls.Conn).ConnectionState().DidResume
	}
	if resume {
		config.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	}
	once()
	resumed := 0
	begin := time.Now()
	for range n {
		if once() {
			resumed++
		}
	}
	took := time.Since(begin).Seconds()
	if resume && resumed < n {
		fmt.Printf("# %s resumed %d of %d handshakes\n", s.name(), resumed, n)
	}
	return took
}

// idle brings 200 clients of four people into IDLE.
func (s *subject) idle() []*rig.Wire {
	var conns []*rig.Wire
	for i := range 200 {
		w := s.wire(idlers[i%len(idlers)])
		s.must(w, "SELECT %s", inbox)
		startIdle(s.t, w)
		conns = append(conns, w)
	}
	return conns
}

func (s *subject) idleMemory() float64 {
	s.stop(s.t)
	s.start(s.t)
	for _, w := range s.idle() {
		defer w.Close()
	}
	return float64(memory(s.t, s.pid()))
}

// idleNotice measures the time from the begin of a delivery until one of 200
// idle clients, of whom 50 are told, has read of it.
func (s *subject) idleNotice() float64 {
	conns := s.idle()
	for _, w := range conns {
		defer w.Close()
	}
	l, err := rig.DialLMTP(s.lmtp())
	if err != nil {
		s.t.Fatal(err)
	}
	defer l.Close()
	var times []time.Duration
	for _, mail := range s.next(15) {
		begin := time.Now()
		if err := deliverOne(l, idlers[0], mail); err != nil {
			s.t.Fatal(err)
		}
		for told := false; !told; {
			line, err := conns[0].Line()
			if err != nil {
				s.t.Fatal(err)
			}
			told = bytes.HasSuffix(line, []byte(" EXISTS"))
		}
		times = append(times, time.Since(begin))
	}
	slices.Sort(times)
	return times[len(times)/2].Seconds()
}
