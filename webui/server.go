package webui

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// Config says what a Server works with. Nothing but what says so may be nil.
type Config struct {
	Logger  *slog.Logger
	Version string
	Store   Store
	Book    *Book
	Gate    Gate
	API     API
	// Record writes down what was done here; an error is the answer to who did it.
	Record func(ctx context.Context, a Act) error
	// Office returns what the settings say of the office.
	Office func() Office
	// Names returns the host names under which the page may be opened.
	Names func() []string
	// Inside tells whether an address is of one of the networks from which the
	// page may be opened.
	Inside func(netip.Addr) bool
	// Ports returns the ports of HTTP and HTTPS, 0 for one that is closed.
	Ports func() (plain, secure int)
	// Proof answers below ProofPath on the plain port, to everybody.
	Proof     http.Handler
	ProofPath string
	// Public answers what everybody may ask without signing in, by plain HTTP
	// too, under whatever name; it returns nil for what is not its own. nil means
	// that there is no such thing.
	Public func(r *http.Request, secure bool) http.Handler
	// Power tells whether the box has its machine to itself, so that it can be
	// started anew from here; otherwise there is no page for that.
	Power bool
	// Now is nil for time.Now.
	Now func() time.Time
}

// Store keeps records by section and key.
type Store interface {
	// All calls f for each record of a section; value is valid only within the call.
	All(section string, f func(key string, value []byte) error) error
	// Save writes records, all or none; a nil value removes one. Nobody misses
	// what is passing.
	Save(ctx context.Context, passing bool, records ...Record) error
}

// Record is a value that is kept; nil means that there is none any more.
type Record struct {
	Section, Key string
	Value        []byte
}

// Act is something that was done, for the audit record.
type Act struct {
	Kind    string // as package audit calls it
	Actor   string
	Account string
	Remote  netip.Addr
	Secure  bool
	More    map[string]string
}

// Caller is in whose name the API is asked.
type Caller struct {
	Name  string    // as the audit record has it
	Began time.Time // when their connection began; they signed in on it, or were known on it
	User  string    // the ID of the user, for a token that of who made it; "" if that is none
}

type userKey struct{}

// asking notes in a request who asks.
func (c Caller) asking(r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), userKey{}, c.User))
}

// API answers requests in JSON: everything that the box can do.
type API interface {
	// Answer answers a request in somebody's name.
	Answer(w http.ResponseWriter, r *http.Request, by Caller)
	// Routes returns the patterns of all requests, "METHOD /v1/…", each with the
	// name of the role that it wants.
	Routes() map[string]string
	// OpenAPI describes them.
	OpenAPI() []byte
}

// Server serves the pages. Run must run while ServeConn is called.
type Server struct {
	conf       Config
	log        *slog.Logger
	now        func() time.Time
	mux        *http.ServeMux
	routes     []Route
	menu       []Route
	api        *http.ServeMux // of tokens
	pages      map[string]*template.Template
	assets     *assets
	sessions   *sessions
	users      *users
	tokens     *tokens
	office     *office
	claimCode  string // by which the box is claimed
	halves     *halves
	ceremonies ceremonies
	origins    *http.CrossOriginProtection
	hand       *handover
	streams    streams
	rounds     *rounds
	batches    batches
	stopping   chan struct{}
	stop       sync.Once
}

// New reads what is kept.
func New(c *Config) (*Server, error) {
	s := &Server{
		conf: *c, log: c.Logger, now: c.Now, origins: http.NewCrossOriginProtection(),
		hand: newHandover(), stopping: make(chan struct{}), streams: streams{by: map[string]int{}},
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.batches.now = s.now
	var err error
	if s.assets, err = loadAssets(); err != nil {
		return nil, fmt.Errorf("open the web page: %w", err)
	}
	if s.pages, err = s.loadPages(); err != nil {
		return nil, fmt.Errorf("open the web page: %w", err)
	}
	s.sessions, s.users, s.tokens, s.rounds, s.halves = c.Book.sessions, c.Book.users, c.Book.tokens, c.Book.rounds, &c.Book.halves
	if s.office, err = loadOffice(s.conf.Store, s.conf.Office); err != nil {
		return nil, fmt.Errorf("open the web page: %w", err)
	}
	s.claimCode = newClaimCode()
	s.register()
	s.registerAPI()

	return s, nil
}

// The bounds of a connection.
const (
	headerTime = 10 * time.Second
	readTime   = time.Minute
	writeTime  = 2 * time.Minute
	idleTime   = time.Minute
	stopTime   = 5 * time.Second
	maxHeader  = 16 << 10
)

// Run serves the connections that ServeConn is given until ctx ends, whose error
// it returns.
func (s *Server) Run(ctx context.Context) error {
	srv := &http.Server{
		Handler:           s,
		ConnContext:       func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
		ReadHeaderTimeout: headerTime, ReadTimeout: readTime, WriteTimeout: writeTime, IdleTimeout: idleTime,
		MaxHeaderBytes: maxHeader,
		ErrorLog:       slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(s.hand) }()
	tick := time.NewTicker(sessionSaving)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := s.sessions.save(ctx); err != nil {
				s.log.WarnContext(ctx, "sessions of the web page not saved", "err", err)
			}
			continue
		case err := <-ended:
			return fmt.Errorf("serve the web page: %w", err)
		case <-ctx.Done():
		}
		break
	}
	s.stop.Do(func() { close(s.stopping) }) // live parts end
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	if err := srv.Shutdown(limit); err != nil {
		err = errors.Join(err, srv.Close())
		s.log.Warn("requests of the web page are cut off", "err", err)
	}
	s.rounds.wg.Wait()
	s.batches.wg.Wait()
	if err := s.sessions.save(limit); err != nil {
		s.log.Warn("sessions of the web page not saved", "err", err)
	}

	return ctx.Err()
}

// ServeConn serves a connection until it is closed. Secure tells whether it is
// inside TLS.
func (s *Server) ServeConn(ctx context.Context, c net.Conn, secure bool) {
	h := &handed{Conn: c, secure: secure, began: s.now(), closed: make(chan struct{})}
	if !s.hand.give(ctx, h) {
		return
	}
	<-h.closed
}

// ClaimCode returns the code by which the box is claimed, "" once that is done.
func (s *Server) ClaimCode() string {
	if claimed, err := s.conf.Gate.Claimed(); err != nil || claimed {
		return ""
	}

	return s.claimCode
}

type connKey struct{}

// handed is a connection that was given to the HTTP server.
type handed struct {
	net.Conn

	secure bool
	began  time.Time
	once   sync.Once
	closed chan struct{}
}

// Close implements net.Conn.
func (h *handed) Close() error {
	err := h.Conn.Close()
	h.once.Do(func() { close(h.closed) })

	return err
}

// handover is a listener whose connections others have accepted.
type handover struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newHandover() *handover {
	return &handover{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (h *handover) give(ctx context.Context, c net.Conn) bool {
	select {
	case h.conns <- c:
		return true
	case <-ctx.Done():
	case <-h.done:
	}

	return false
}

// Accept implements net.Listener.
func (h *handover) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (h *handover) Close() error {
	h.once.Do(func() { close(h.done) })

	return nil
}

// Addr implements net.Listener.
func (h *handover) Addr() net.Addr { return &net.TCPAddr{} }

// connOf returns the connection of a request; one that is not ours counts as
// plain and new.
func (s *Server) connOf(r *http.Request) *handed {
	if h, ok := r.Context().Value(connKey{}).(*handed); ok {
		return h
	}

	return &handed{began: s.now()}
}

// remoteOf returns where a request comes from.
func remoteOf(r *http.Request) netip.Addr {
	p, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}

	return p.Addr().Unmap().WithZone("")
}

// discard reads what is left of a body, within reason.
func discard(r io.Reader) { _, _ = io.CopyN(io.Discard, r, 64<<10) }
