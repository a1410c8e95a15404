package access

import (
	"crypto/tls"
	"net"
	"sync"
	"syscall"
)

const (
	// record is what one TLS record carries.
	record = 16 << 10
	// gathered is the most that is sent in one piece: eight records and what
	// encryption adds to them. Half as much costs a fifth more processor time,
	// twice as much saves nothing.
	gathered = 8 * (record + 256)
)

var gathers = sync.Pool{New: func() any {
	b := make([]byte, 0, gathered)
	return &b
}}

// Conn is a connection whose handshake is done. It sends what is written at
// once in one piece: package tls hands each record to the network by itself,
// and these calls, at each of which the client wakes up, are a good part of
// what a download costs.
type Conn struct {
	*tls.Conn
	below *gatherConn
	raw   syscall.RawConn // nil where there is no socket
	mu    sync.Mutex      // held during a long Write
}

// newConn returns a Conn in front of a connection on which nothing was said.
func newConn(c *heardConn, conf *tls.Config, by string) *Conn {
	below := &gatherConn{Conn: c, by: by}
	conn := &Conn{Conn: tls.Server(below, conf), below: below}
	if t, ok := c.Conn.(*net.TCPConn); ok {
		conn.raw, _ = t.SyscallConn()
	}
	return conn
}

// ListenerOf returns the name of the listener by which a connection came, also
// during its handshake and after the listener was closed; "" if it came by none
// of ours.
func ListenerOf(c net.Conn) string {
	switch c := c.(type) {
	case *Conn:
		return c.below.by
	case *gatherConn:
		return c.by
	}
	return ""
}

// AckNow acknowledges what the client has sent so far. Many send a message and
// the line end after it by two writes, and their kernel holds the second back
// until the first is acknowledged (RFC 896).
func (c *Conn) AckNow() {
	if c.raw != nil {
		ackNow(c.raw)
	}
}

// Write implements net.Conn.
func (c *Conn) Write(p []byte) (int, error) {
	if len(p) <= record {
		return c.Conn.Write(p)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.below.hold()
	n, err := c.Conn.Write(p)
	if sent := c.below.send(); err == nil && sent != nil {
		return 0, sent
	}
	return n, err
}

// gatherConn is the connection below TLS. What TLS writes between hold and send
// it keeps together, in the order in which it came.
type gatherConn struct {
	net.Conn
	by    string // the name of the listener
	offer offer  // of the handshake, whose goroutine alone has it

	mu   sync.Mutex
	held *[]byte // nil while nothing is held
	err  error   // what sending failed with: nothing that follows makes sense
}

// Write implements net.Conn.
func (g *gatherConn) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.err != nil:
		return 0, g.err
	case g.held == nil:
		return g.Conn.Write(p)
	case len(*g.held)+len(p) > gathered:
		if err := g.flush(); err != nil {
			return 0, err
		}
	}
	*g.held = append(*g.held, p...)
	return len(p), nil
}

func (g *gatherConn) hold() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held = gathers.Get().(*[]byte)
}

func (g *gatherConn) send() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	err := g.flush()
	gathers.Put(g.held)
	g.held = nil
	return err
}

func (g *gatherConn) flush() error {
	if g.err == nil && len(*g.held) > 0 {
		_, g.err = g.Conn.Write(*g.held)
	}
	*g.held = (*g.held)[:0]
	return g.err
}
