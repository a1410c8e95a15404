package imap

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// errStopped is what reading fails with after the server was told to stop.
var errStopped = errors.New("the server is stopping")

// chunk bounds one write to the connection, so that a deadline applies to
// what a slow client can take in that time.
const chunk = 64 << 10

// link is a connection whose reads and writes have deadlines. Before it waits
// for the client it sends what is waiting to be sent: so an answer leaves in
// one piece, and pipelined commands are answered together.
type link struct {
	conn  net.Conn
	stall time.Duration

	// flush sends what is pending; Read calls it before it blocks.
	flush func() error
	// moved is called whenever bytes went either way.
	moved func()
	// until, where not zero, is a deadline for reading that no progress extends.
	until time.Time

	first    byte // the byte that await read ahead
	hasFirst bool

	mu      sync.Mutex
	stopped bool
}

// stop makes the present read and all later ones fail with errStopped.
// Writing goes on.
func (l *link) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = true
	_ = l.conn.SetReadDeadline(time.Unix(1, 0))
}

// isStopped tells whether stop was called.
func (l *link) isStopped() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stopped
}

// arm sets the deadline of the next read.
func (l *link) arm(deadline time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return errStopped
	}
	return l.conn.SetReadDeadline(deadline)
}

// Read implements io.Reader for the decoder.
func (l *link) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if l.hasFirst {
		p[0], l.hasFirst = l.first, false
		return 1, nil
	}
	if err := l.flush(); err != nil {
		return 0, err
	}
	deadline := time.Now().Add(l.stall)
	if !l.until.IsZero() && l.until.Before(deadline) {
		deadline = l.until
	}
	return l.read(p, deadline)
}

func (l *link) read(p []byte, deadline time.Time) (int, error) {
	if err := l.arm(deadline); err != nil {
		return 0, err
	}
	n, err := l.conn.Read(p)
	if n > 0 {
		l.moved()
		return n, nil // an error comes again with the next read
	}
	if errors.Is(err, os.ErrDeadlineExceeded) && l.isStopped() {
		return 0, errStopped
	}
	return 0, err
}

// await waits until the client has sent something, and keeps the first byte
// for Read, so that no buffer is needed while waiting.
func (l *link) await(deadline time.Time) error {
	if l.hasFirst {
		return nil
	}
	if !l.until.IsZero() && l.until.Before(deadline) {
		deadline = l.until
	}
	var p [1]byte
	for {
		n, err := l.read(p[:], deadline)
		if n > 0 {
			l.first, l.hasFirst = p[0], true
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Write implements io.Writer for what is flushed.
func (l *link) Write(p []byte) (int, error) {
	var n int
	for len(p) > 0 {
		if err := l.conn.SetWriteDeadline(time.Now().Add(l.stall)); err != nil {
			return n, err
		}
		m, err := l.conn.Write(p[:min(len(p), chunk)])
		n += m
		if err != nil {
			return n, err
		}
		l.moved()
		p = p[m:]
	}
	return n, nil
}
