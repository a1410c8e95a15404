package smtp

import (
	"net"
	"os"
	"time"
)

// stop makes a session end that waits for a command; a message that is
// arriving has some time left.
func (c *session) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopping = true
	deadline := time.Unix(1, 0)
	if c.inData {
		c.dataUntil = earlier(c.dataUntil, time.Now().Add(c.srv.limits.Grace))
		deadline = c.dataUntil
	}
	_ = c.conn.SetReadDeadline(deadline)
}

func (c *session) isStopping() bool {
	c.mu.Lock()
	defer c.mu.Unlock()

	return c.stopping
}

// beginData tells stop to wait for a message; false if it is too late.
func (c *session) beginData() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inData = !c.stopping
	c.dataUntil = time.Now().Add(c.srv.limits.Data)

	return c.inData
}

func (c *session) endData() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inData = false
}

// arm sets the deadline of the next read.
func (c *session) arm() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	deadline := time.Now().Add(c.srv.limits.Idle)
	switch {
	case c.inData:
		deadline = earlier(deadline, c.dataUntil)
	case c.stopping:
		return os.ErrDeadlineExceeded
	}

	return c.conn.SetReadDeadline(deadline)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}

	return b
}

// timedWriter gives every write a deadline.
type timedWriter struct {
	conn    net.Conn
	timeout time.Duration
}

func (w *timedWriter) Write(p []byte) (int, error) {
	if err := w.conn.SetWriteDeadline(time.Now().Add(w.timeout)); err != nil {
		return 0, err
	}

	return w.conn.Write(p)
}
