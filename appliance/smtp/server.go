package smtp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"pillarbox/appliance/delivery"
)

// Config says how a Server works.
type Config struct {
	Deliverer  Deliverer    // must not be nil
	Hostname   string       // how the server introduces itself; must not be empty
	MaxMessage int64        // octets; must not be 0
	Limits     Limits       // zero fields mean the defaults
	Logger     *slog.Logger // must not be nil
}

// Deliverer takes messages. *delivery.Pipeline is one.
type Deliverer interface {
	Check(ctx context.Context, sender, recipient string) error
	Deliver(ctx context.Context, env *delivery.Envelope, r io.Reader) []delivery.Result
}

// Limits bounds what clients can cost.
type Limits struct {
	Connections int           // at a time; 0 means 64
	Recipients  int           // of a message; 0 means 1000
	Line        int           // octets of a command line; 0 means 4096
	Errors      int           // wrong commands of a connection; 0 means 20
	Idle        time.Duration // wait for a command or for data; 0 means 5 minutes (RFC 5321, section 4.5.3.2.7)
	Data        time.Duration // for one message to arrive; 0 means 30 minutes
	Grace       time.Duration // for a message that is arriving when the server stops; 0 means 8 s
}

func (l Limits) withDefaults() Limits {
	return Limits{
		Connections: cmp.Or(l.Connections, 64),
		Recipients:  cmp.Or(l.Recipients, 1000),
		Line:        cmp.Or(l.Line, 4096),
		Errors:      cmp.Or(l.Errors, 20),
		Idle:        cmp.Or(l.Idle, 5*time.Minute),
		Data:        cmp.Or(l.Data, 30*time.Minute),
		Grace:       cmp.Or(l.Grace, 8*time.Second),
	}
}

// Server speaks LMTP.
type Server struct {
	deliverer  Deliverer
	hostname   string
	maxMessage int64
	limits     Limits
	log        *slog.Logger
	slots      chan struct{}
}

// New returns a Server.
func New(c *Config) *Server {
	limits := c.Limits.withDefaults()

	return &Server{
		deliverer:  c.Deliverer,
		hostname:   c.Hostname,
		maxMessage: c.MaxMessage,
		limits:     limits,
		log:        c.Logger,
		slots:      make(chan struct{}, limits.Connections),
	}
}

// Serve accepts connections until ctx is cancelled. Then it closes ln, lets
// messages that are arriving come to their answer, and returns nil.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()

	var sessions sync.WaitGroup
	defer sessions.Wait()
	for {
		conn, err := ln.Accept()
		if ctx.Err() != nil {
			if err == nil {
				_ = conn.Close()
			}
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("accept: %w", err)
		}
		if err != nil {
			// Out of file descriptors, most likely: it passes.
			s.log.WarnContext(ctx, "connection not accepted", "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}

		select {
		case s.slots <- struct{}{}:
			sessions.Go(func() {
				defer func() { <-s.slots }()
				s.serveConn(ctx, conn)
			})
		default:
			s.refuse(ctx, conn)
		}
	}
}

// refuse tells a client that there are too many.
func (s *Server) refuse(ctx context.Context, conn net.Conn) {
	s.log.WarnContext(ctx, "connection refused", "remote", remoteName(conn), "reason", "too many connections")
	// The line fits the socket's buffer: this does not block.
	_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = fmt.Fprintf(conn, "421 4.3.2 %s has too many connections; try again later\r\n", s.hostname)
	_ = conn.Close()
}

// remoteName names a peer; one on a unix socket has no address.
func remoteName(conn net.Conn) string {
	if conn.RemoteAddr().Network() == "unix" {
		return "unix"
	}

	return conn.RemoteAddr().String()
}
