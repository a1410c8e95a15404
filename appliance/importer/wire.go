package importer

import (
	"bufio"
	"errors"
	"net"
	"sync/atomic"
	"time"
)

// errTalkative says that a server sends more than anything that was asked for
// can be.
var errTalkative = errors.New("the server sends more than it was asked for")

// errSlow says that a server never falls silent and comes to no end.
var errSlow = errors.New("the server sends so slowly that it would come to no end")

// leastOctets must come while the server may be silent twice: less than the
// slowest modem brings.
const leastOctets = 4 << 10

// How long a server may be silent: while something is waited for, and in IDLE,
// where RFC 2177 has it say something every 29 minutes.
const (
	silence     = 5 * time.Minute
	idleSilence = 35 * time.Minute
)

// wire is a connection with bounds of its own on time and octets: those of the
// client library end a message that is slow because it is throttled, and it
// takes strings of any length into memory.
type wire struct {
	net.Conn

	silence time.Duration // how long it may be silent usually
	left    atomic.Int64  // octets that may still come
	limit   atomic.Int64  // time.Duration for which it may be silent

	asked atomic.Int64 // when something was last asked for, Unix nanoseconds

	// For how long what was asked for was waited for, and how much came of it,
	// since enough had come; only Read uses them.
	since  int64
	waited time.Duration
	came   int64
	slow   bool // for good: the library passes over an error that comes once

	speller speller
}

func newWire(c net.Conn, way *Way) *wire {
	w := &wire{Conn: c, silence: way.Silence}
	if w.silence == 0 {
		w.silence = silence
	}
	w.left.Store(1 << 20)
	w.limit.Store(int64(w.silence))
	w.speller.on = way.spelling != asItIs
	if way.spelling == bothSpelled {
		w.speller.in = bufio.NewReaderSize(readerFunc(w.receive), spellLine)
	}
	return w
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// allow is told that n octets are asked for; what was left is forgotten.
func (w *wire) allow(n int64) {
	w.left.Store(n + 1<<20)
	w.asked.Store(time.Now().UnixNano())
}

// read is told that n octets of a message were taken out of memory.
func (w *wire) read(n int) { w.left.Add(int64(n)) }

// expect sets for how long the server may be silent; 0 means as long as usual.
func (w *wire) expect(d time.Duration) {
	if d == 0 {
		d = w.silence
	}
	w.limit.Store(int64(d))
	_ = w.Conn.SetReadDeadline(time.Now().Add(d)) // a connection that is closed tells at the next read
}

// Read implements net.Conn.
func (w *wire) Read(p []byte) (int, error) {
	if w.speller.in != nil {
		return w.speller.Read(p)
	}
	return w.receive(p)
}

// Write implements net.Conn.
func (w *wire) Write(p []byte) (int, error) {
	if !w.speller.on {
		return w.Conn.Write(p)
	}
	if out := w.speller.send(p); len(out) > 0 {
		if _, err := w.Conn.Write(out); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func (w *wire) receive(p []byte) (int, error) {
	switch {
	case w.left.Load() <= 0:
		return 0, errTalkative
	case w.slow:
		return 0, errSlow
	}
	limit := time.Duration(w.limit.Load())
	begin := time.Now()
	if err := w.Conn.SetReadDeadline(begin.Add(limit)); err != nil {
		return 0, err
	}
	n, err := w.Conn.Read(p)
	w.left.Add(-int64(n))
	if err == nil && limit <= w.silence { // else it only tells what happens
		err = w.pace(begin, n)
	}
	return n, err
}

// pace fails when octets come, and too few.
func (w *wire) pace(begin time.Time, n int) error {
	asked := w.asked.Load()
	if asked != w.since {
		w.since, w.waited, w.came = asked, 0, 0
	}
	if at := time.Unix(0, asked); at.After(begin) {
		begin = at
	}
	w.waited += time.Since(begin)
	w.came += int64(n)
	switch {
	case w.came >= leastOctets:
		w.waited, w.came = 0, 0
	case w.waited > 2*w.silence:
		w.slow = true
		return errSlow
	}
	return nil
}

// SetReadDeadline does nothing: the library's deadlines are too short.
func (w *wire) SetReadDeadline(time.Time) error { return nil }
