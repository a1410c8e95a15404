package access

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Config says what a Listener allows.
type Config struct {
	Logger *slog.Logger     // must not be nil
	Now    func() time.Time // nil means time.Now

	// MaxConns bounds the open connections in all; 0 means 2000.
	MaxConns int
	// MaxPerAddress bounds those of one IPv4 address or IPv6 /64; 0 means
	// 300, which is a branch office behind one address. Loopback is bounded
	// by MaxConns alone: proxies and web mail come from there.
	MaxPerAddress int
	// MaxHandshakes and MaxHandshakesPerAddress bound the connections whose
	// handshake is not done; 0 means 512 and 64.
	MaxHandshakes           int
	MaxHandshakesPerAddress int

	// Rate and Burst bound the new connections of one IPv4 address or IPv6
	// /64: so many a minute, and so many at once; 0 means 300 and 100, as the
	// firewall has them where there is one. Loopback is not bounded.
	Rate  int
	Burst int
	// StrangerRate and StrangerBurst bound those of all addresses together
	// from which nobody signed in lately; 0 means 6,000 and 2,000. An office
	// that comes back after a power cut is within that; a flood finds the
	// processor free for those who belong here.
	StrangerRate  int
	StrangerBurst int
	// BoundLoopback bounds loopback addresses like all others: for tests.
	BoundLoopback bool

	// Bans tells who may not connect; nil means that all may.
	Bans *Bans

	// HandshakeTimeout is from accept to the end of the handshake; 0 means 10 s.
	HandshakeTimeout time.Duration
	// Grace is how long handlers may take to end after Serve's context has
	// ended, before their connections are closed; 0 means 10 s.
	Grace time.Duration

	// Observe is told of each handshake, done or failed, also of those who
	// connected and left without a word. It must return soon; nil means nobody.
	Observe func(Handshake)

	// Refused is told why a connection was closed at once; nil means nobody.
	Refused func(reason string)

	// PlainHint is sent to a client that speaks plain text, or waits for a
	// greeting, on a TLS port: a line of the port's protocol with CRLF. Empty
	// means that nothing is sent.
	PlainHint string
}

// Handler serves a connection whose handshake is done. It returns when the
// session has ended; when ctx ends it is to end the session soon. The
// connection is closed for it.
type Handler func(ctx context.Context, c *Conn)

// Listener serves TLS ports. One Listener serves any number of ports, which
// share its bounds.
type Listener struct {
	conf   Config
	log    *slog.Logger
	gate   *gate
	rates  *rates[source]
	crowd  *rates[struct{}] // of strangers in all
	refuse *pace            // of lines about refused connections
	banned *pace            // of lines about those of who is banned
	failed *pace            // of lines about failed handshakes

	mu       sync.Mutex
	services map[*service]struct{} // that run
}

// New returns a Listener that serves nothing yet.
func New(c *Config) *Listener {
	conf := *c
	if conf.Now == nil {
		conf.Now = time.Now
	}
	conf.MaxConns = cmp.Or(conf.MaxConns, 2000)
	conf.MaxPerAddress = cmp.Or(conf.MaxPerAddress, 300)
	conf.MaxHandshakes = cmp.Or(conf.MaxHandshakes, 512)
	conf.MaxHandshakesPerAddress = cmp.Or(conf.MaxHandshakesPerAddress, 64)
	conf.Rate = cmp.Or(conf.Rate, 300)
	conf.Burst = cmp.Or(conf.Burst, 100)
	conf.StrangerRate = cmp.Or(conf.StrangerRate, 6000)
	conf.StrangerBurst = cmp.Or(conf.StrangerBurst, 2000)
	conf.HandshakeTimeout = cmp.Or(conf.HandshakeTimeout, 10*time.Second)
	conf.Grace = cmp.Or(conf.Grace, 10*time.Second)
	l := &Listener{
		conf: conf,
		log:  conf.Logger,
		gate: &gate{
			all:  bound{open: conf.MaxConns, shaking: conf.MaxHandshakes},
			each: bound{open: conf.MaxPerAddress, shaking: conf.MaxHandshakesPerAddress},
			use:  map[source]*usage{},

			loopback: conf.BoundLoopback,
		},
		rates:  newRates[source](conf.Now, conf.Rate, conf.Burst),
		crowd:  newRates[struct{}](conf.Now, conf.StrangerRate, conf.StrangerBurst),
		refuse: newPace(conf.Now, 1, 5),
		banned: newPace(conf.Now, 1./60, 5),
		failed: newPace(conf.Now, 10, 50),

		services: map[*service]struct{}{},
	}
	if conf.Bans != nil {
		conf.Bans.onBan(l.cut)
	}
	return l
}

// Open returns how many connections are open.
func (l *Listener) Open() int { return l.gate.open() }

// OpenAt returns how many connections are open with the listeners of a name,
// those too whose handshake is not done.
func (l *Listener) OpenAt(name string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for s := range l.services {
		if s.name == name {
			s.mu.Lock()
			n += len(s.conns)
			s.mu.Unlock()
		}
	}
	return n
}

// Serve accepts connections from ln, which has a name, and calls handler for
// each, in its own goroutine, until ctx ends. It then closes ln, waits for the handlers, closes
// the connections of those that outlast Config.Grace, waits for them too and
// returns nil. It returns an error if ln fails for good.
func (l *Listener) Serve(ctx context.Context, ln net.Listener, name string, conf *tls.Config, handler Handler) error {
	return l.run(ctx, ln, &service{name: name, tls: conf, handler: handler})
}

// ServePlain is Serve for a port that has no TLS, under the same bounds and
// bans; what the handler is given has no deadline yet. Redirects and a
// certificate authority's questions need such a port.
func (l *Listener) ServePlain(ctx context.Context, ln net.Listener, name string, handler func(context.Context, net.Conn)) error {
	return l.run(ctx, ln, &service{name: name, plain: handler})
}

func (l *Listener) run(ctx context.Context, ln net.Listener, s *service) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.Listener, s.port, s.conns = l, port(ln.Addr()), map[net.Conn]struct{}{}
	l.mu.Lock()
	l.services[s] = struct{}{}
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.services, s)
	}()
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	err := s.accept(ctx, ln)
	if stop() {
		ln.Close()
	}
	cancel()
	s.finish()
	return err
}

// cut closes the connections of a network that was banned.
func (l *Listener) cut(network netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for s := range l.services {
		s.mu.Lock()
		for c := range s.conns {
			// Somebody in it may be spared.
			if a := addressOf(c.RemoteAddr()); network.Contains(a) && l.conf.Bans.bans(a) {
				c.Close()
			}
		}
		s.mu.Unlock()
	}
}

// service is one Serve.
type service struct {
	*Listener
	tls     *tls.Config
	handler Handler
	plain   func(context.Context, net.Conn) // serves a port without TLS; nil for one with it
	port    int
	name    string

	wg    sync.WaitGroup
	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

func (s *service) accept(ctx context.Context, ln net.Listener) error {
	var backOff time.Duration
	for {
		c, err := ln.Accept()
		switch {
		case err == nil:
			backOff = 0
			s.admit(ctx, c)
			continue
		case ctx.Err() != nil:
			return nil
		case !passes(err):
			return fmt.Errorf("accept connection on port %d: %w", s.port, err)
		}
		backOff = min(max(2*backOff, 5*time.Millisecond), time.Second)
		if n, ok := s.refuse.take(); ok {
			s.log.Warn("connections cannot be accepted for the moment", "port", s.port, "err", err, "left_out", n)
		}
		select {
		case <-time.After(backOff):
		case <-ctx.Done():
			return nil
		}
	}
}

// passes tells whether an error of accept(2) is a shortage that may pass, or
// the fault of one connection.
func passes(err error) bool {
	for _, e := range [...]syscall.Errno{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM,
		syscall.ECONNABORTED, syscall.ECONNRESET, syscall.EINTR, syscall.EPROTO, syscall.EPERM,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// admit starts the connection's goroutine, or closes it if there are too many
// or its address is banned.
func (s *service) admit(ctx context.Context, c net.Conn) {
	from := sourceOf(c.RemoteAddr())
	if reason, lines := s.refuses(c.RemoteAddr(), from); reason != "" {
		// Closing costs one segment; a TLS alert would need the handshake's memory.
		c.Close()
		if s.conf.Refused != nil {
			s.conf.Refused(reason)
		}
		if n, ok := lines.take(); ok {
			s.log.Warn("connection refused", "reason", reason, "remote", c.RemoteAddr().String(), "port", s.port, "left_out", n)
		}
		return
	}
	s.mu.Lock()
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	s.wg.Go(func() {
		defer func() {
			c.Close()
			s.mu.Lock()
			delete(s.conns, c)
			s.mu.Unlock()
		}()
		s.serve(ctx, c, from)
	})
}

// refuses tells why a connection is refused, "" if it is not and was counted,
// and the bound of the lines about it.
func (s *service) refuses(remote net.Addr, from source) (reason string, lines *pace) {
	if s.conf.Bans != nil && !s.conf.Bans.Connects(remote) {
		return "the address is banned", s.banned
	}
	bounded := from.IsValid() && (s.conf.BoundLoopback || !from.Addr().IsLoopback())
	switch {
	case bounded && !s.rates.take(from):
		return "too many new connections from this address", s.refuse
	case bounded && (s.conf.Bans == nil || !s.conf.Bans.knows(remote)) && !s.crowd.take(struct{}{}):
		return "too many new connections of strangers in all", s.refuse
	}
	return s.gate.enter(from), s.refuse
}

func (s *service) serve(ctx context.Context, c net.Conn, from source) {
	shaking := true
	defer func() { s.gate.leave(from, shaking) }()
	remote := c.RemoteAddr().String()
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("a session broke down", "remote", remote, "port", s.port, "err", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	keepAlive(c)
	if s.plain != nil {
		s.gate.shaken(from)
		shaking = false
		s.plain(ctx, c)
		return
	}
	heard := &heardConn{Conn: c}
	t := newConn(heard, s.tls, s.name)
	if err := s.handshake(ctx, t.Conn); err != nil {
		if ctx.Err() == nil {
			s.hint(heard, err)
			s.report(t, heard, err)
		}
		return
	}
	s.gate.shaken(from)
	shaking = false
	s.observe(t, "")
	s.handler(ctx, t)
	// Close tells the client that nothing was cut off (close_notify).
	t.Close()
}

func (s *service) handshake(ctx context.Context, t *tls.Conn) error {
	if err := t.SetDeadline(time.Now().Add(s.conf.HandshakeTimeout)); err != nil {
		return fmt.Errorf("set deadline: %w", err)
	}
	if err := t.HandshakeContext(ctx); err != nil {
		return err
	}
	if err := t.SetDeadline(time.Time{}); err != nil {
		return fmt.Errorf("clear deadline: %w", err)
	}
	return nil
}

// hint answers plain text in plain text.
func (s *service) hint(c *heardConn, err error) {
	var head tls.RecordHeaderError
	plain := errors.As(err, &head) && head.Conn != nil
	waits := isTimeout(err) && c.octets == 0
	if s.conf.PlainHint == "" || !plain && !waits {
		return
	}
	if c.SetWriteDeadline(time.Now().Add(time.Second)) == nil {
		_, _ = io.WriteString(c.Conn, s.conf.PlainHint)
	}
}

// report writes the log's line about a failed handshake.
func (s *service) report(t *Conn, c *heardConn, err error) {
	s.observe(t, reason(err, c))
	level := slog.LevelInfo
	if c.octets == 0 && !isTimeout(err) {
		// Health checks and port scans connect and go: counted they are, and a line
		// for each would hide the others.
		level = slog.LevelDebug
	}
	if !s.log.Enabled(context.Background(), level) {
		return
	}
	n, ok := s.failed.take()
	if !ok {
		return
	}
	s.log.Log(context.Background(), level, "TLS handshake failed",
		"reason", reason(err, c), "remote", c.RemoteAddr().String(), "port", s.port,
		"sni", cmp.Or(t.below.offer.serverName, t.ConnectionState().ServerName), "err", err, "left_out", n)
}

// finish waits for the handlers, at most Config.Grace, then cuts them off.
func (s *service) finish() {
	done := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(done)
	}()
	t := time.NewTimer(s.conf.Grace)
	defer t.Stop()
	select {
	case <-done:
		return
	case <-t.C:
	}
	s.mu.Lock()
	s.log.Warn("sessions did not end in time and are cut off", "port", s.port, "count", len(s.conns))
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	<-done
}

// keepAlive finds out within 4 minutes that a phone has gone without a word.
func keepAlive(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetKeepAliveConfig(net.KeepAliveConfig{
			Enable: true, Idle: 2 * time.Minute, Interval: 30 * time.Second, Count: 4,
		})
	}
}

func port(a net.Addr) int {
	if a == nil {
		return 0
	}
	_, p, err := net.SplitHostPort(a.String())
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(p)
	return n
}
