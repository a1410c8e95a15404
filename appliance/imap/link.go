package imap

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// errStopped is what reading fails with after the session was told to stop.
var errStopped = errors.New("the session is stopped")

// errInterrupted is what reading fails with after interrupt; nothing is lost.
var errInterrupted = errors.New("reading was interrupted")

// chunk bounds one write to the connection, so that its deadline applies to
// what a slow client can take in that time.
const chunk = 64 << 10

// lostError is an error of the connection, as opposed to one of storage.
type lostError struct{ err error }

func (e *lostError) Error() string { return "connection: " + e.err.Error() }
func (e *lostError) Unwrap() error { return e.err }

// link is a connection whose reads and writes have deadlines. Before it waits
// for the client it sends what is waiting to be sent: so an answer leaves in
// one piece, and pipelined commands are answered together.
//
// Apart from stop and interrupt, it is used by one goroutine at a time.
type link struct {
	conn  net.Conn
	stall time.Duration // how long one write may take

	wait  time.Duration // how long one read may take; 0 is for ever
	until time.Time     // where not zero: when reading ends, whatever comes

	ackNow func() // acknowledges what the client sent; may be nil
	eager  bool   // a literal is coming in whose end the client may hold back until then

	flush   func() error // sends what is pending; nil while another goroutine does
	moved   func()       // called after bytes went either way
	written int64        // octets sent in all

	done chan struct{} // closed by stop

	mu          sync.Mutex
	stopped     bool
	why         string // what stop was called with
	interrupted bool
}

func newLink(c net.Conn, stall time.Duration) *link {
	l := &link{conn: c, stall: stall, moved: func() {}, done: make(chan struct{})}
	if a, ok := c.(interface{ AckNow() }); ok {
		l.ackNow = a.AckNow
	}
	return l
}

// stop makes the present read and all later ones fail with errStopped. Writing
// goes on: why is what the BYE will say.
func (l *link) stop(why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return
	}
	l.stopped, l.why = true, why
	close(l.done)
	_ = l.conn.SetReadDeadline(time.Unix(1, 0))
}

// interrupt makes the present read and later ones fail with errInterrupted,
// until resume.
func (l *link) interrupt() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.interrupted = true
	_ = l.conn.SetReadDeadline(time.Unix(1, 0))
}

// resume allows reading again.
func (l *link) resume() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.interrupted = false
}

// isInterrupted tells whether interrupt was called, and resume was not.
func (l *link) isInterrupted() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.interrupted
}

// isStopped tells whether stop was called.
func (l *link) isStopped() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stopped
}

// Read implements io.Reader.
func (l *link) Read(p []byte) (int, error) {
	if l.flush != nil {
		if err := l.flush(); err != nil {
			return 0, err
		}
	}
	if err := l.arm(); err != nil {
		return 0, &lostError{err}
	}
	if l.eager && l.ackNow != nil {
		l.ackNow()
	}
	n, err := l.conn.Read(p)
	if n > 0 {
		l.moved()
		return n, nil // an error comes again with the next read
	}
	if err == nil {
		return 0, nil
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		switch {
		case l.isStopped():
			err = errStopped
		case l.isInterrupted():
			err = errInterrupted
		}
	}
	return 0, &lostError{err}
}

// reason returns what stop was called with.
func (l *link) reason() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.why
}

// arm sets the deadline of the next read.
func (l *link) arm() error {
	deadline := l.until
	if l.wait > 0 {
		if d := time.Now().Add(l.wait); deadline.IsZero() || d.Before(deadline) {
			deadline = d
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.stopped:
		return errStopped
	case l.interrupted:
		return errInterrupted
	}
	return l.conn.SetReadDeadline(deadline)
}

// Write implements io.Writer.
func (l *link) Write(p []byte) (int, error) {
	var n int
	for len(p) > 0 {
		if err := l.conn.SetWriteDeadline(time.Now().Add(l.stall)); err != nil {
			return n, &lostError{err}
		}
		m, err := l.conn.Write(p[:min(len(p), chunk)])
		n += m
		l.written += int64(m)
		if err != nil {
			return n, &lostError{err}
		}
		l.moved()
		p = p[m:]
	}
	return n, nil
}

const (
	lingerTime  = time.Second
	lingerBytes = 1 << 20
)

// linger takes in for a moment what the client is still sending: closing a
// connection with unread input resets it, and the client might never read the
// BYE before that.
func (l *link) linger() {
	if half, ok := l.conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() != nil {
		return
	}
	l.flush, l.wait, l.until = nil, 0, time.Now().Add(lingerTime)
	p := make([]byte, 4<<10)
	for total := 0; total < lingerBytes; {
		n, err := l.Read(p)
		if err != nil {
			return
		}
		total += n
	}
}
