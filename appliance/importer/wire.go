package importer

import (
	"errors"
	"net"
	"sync/atomic"
	"time"
)

// errTalkative says that a server sends more than anything that was asked for
// can be.
var errTalkative = errors.New("the server sends more than it was asked for")

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

	left  atomic.Int64 // octets that may still come
	limit atomic.Int64 // time.Duration for which it may be silent
}

func newWire(c net.Conn) *wire {
	w := &wire{Conn: c}
	w.left.Store(1 << 20)
	w.limit.Store(int64(silence))
	return w
}

// allow is told that n octets are asked for; what was left is forgotten.
func (w *wire) allow(n int64) { w.left.Store(n + 1<<20) }

// read is told that n octets of a message were taken out of memory.
func (w *wire) read(n int) { w.left.Add(int64(n)) }

// expect sets for how long the server may be silent.
func (w *wire) expect(d time.Duration) {
	w.limit.Store(int64(d))
	_ = w.Conn.SetReadDeadline(time.Now().Add(d)) // a connection that is closed tells at the next read
}

// Read implements net.Conn.
func (w *wire) Read(p []byte) (int, error) {
	if w.left.Load() <= 0 {
		return 0, errTalkative
	}
	if err := w.Conn.SetReadDeadline(time.Now().Add(time.Duration(w.limit.Load()))); err != nil {
		return 0, err
	}
	n, err := w.Conn.Read(p)
	w.left.Add(-int64(n))
	return n, err
}

// SetReadDeadline does nothing: the library's deadlines are too short.
func (w *wire) SetReadDeadline(time.Time) error { return nil }
