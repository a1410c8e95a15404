package imap

import (
	"context"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"pillarbox/storage"
)

// Config says what a Server serves.
type Config struct {
	Accounts Accounts      // must not be nil
	Stager   Stager        // must not be nil
	Auth     Authenticator // must not be nil
	Logger   *slog.Logger  // must not be nil
	Version  string        // told to clients by ID; may be empty
	Limits   Limits
	Now      func() time.Time // nil means time.Now
	// Carried is told how long each command took, but for IDLE; nil means nobody.
	Carried func(command string, took time.Duration)

	// Mechanisms says which ways to log in are offered, and knows those besides
	// PLAIN and LOGIN; nil means just these.
	Mechanisms Mechanisms
	// Describe returns what the line about a log-in is to tell of the
	// connection, such as its TLS version; may be nil.
	Describe func(c net.Conn) []slog.Attr
	// Notices says what clients are told of the way by which they come; nil means
	// nothing.
	Notices Notices
	// SignedIn is told of each try to log in, and must return soon; may be nil.
	SignedIn func(ctx context.Context, s SignIn)
	// Named is told of each client that says what it is, whether it has logged in
	// or not, and must return soon; may be nil.
	Named func(ctx context.Context, id ClientID)
}

// SignIn is a try to log in.
type SignIn struct {
	Account   string // the address, or, of one that failed, the name as the client gave it
	Mechanism string
	Identity  Identity // zero where it failed
	Conn      net.Conn
	Failure   string // why it failed, "" if it did not
	// Turned tells that the password was right, and that they are not let in by
	// this way.
	Turned bool
}

// ClientID is what a client says that it is (RFC 2971, section 3.3). Nothing is
// true of it but that it is UTF-8 and short.
type ClientID struct {
	Name, Version, OS string
}

// Accounts opens the mail of an account. *storage.Store is one.
type Accounts interface {
	Account(ctx context.Context, id storage.AccountID) (*storage.Account, error)
}

// Stager receives messages. *storage.Store is one.
type Stager interface {
	Stage(ctx context.Context, r io.Reader) (*storage.Staged, error)
}

// Authenticator checks names and passwords. It returns ErrCredentials for
// wrong ones; it bounds by itself how many checks run at a time.
type Authenticator interface {
	Authenticate(ctx context.Context, login, password string, remote net.Addr) (Identity, error)
}

// Identity is who logged in.
type Identity struct {
	Account    storage.AccountID
	Address    string // the main address, for logs and people
	Credential string // by what, see DisconnectCredential
	Device     string // whose password it was, "" for the person's own
}

// Mechanisms are the ways to log in, also those that need to know more than names
// and passwords, such as what is below the connection.
type Mechanisms interface {
	// Offered returns the names of those that can be used on a connection. With
	// LOGIN the command of that name can.
	Offered(c net.Conn) []string
	// Begin begins an exchange by one of them that is neither PLAIN nor LOGIN.
	Begin(c net.Conn, mechanism string) Exchange
}

// Exchange is one log-in by a mechanism.
type Exchange interface {
	// Step takes what the client sent and returns what it is to be sent. At the
	// end there is an identity; what is sent with it the client answers with
	// nothing. Errors are ErrCredentials, ErrMessage and those that Authenticate
	// may return; what is sent with one the client answers before it is refused.
	Step(ctx context.Context, response []byte) (challenge []byte, ident *Identity, err error)
	// Names returns who the client says that it is, and for whom it wants to
	// act, as far as it has said so.
	Names() (name, as string)
}

// Server speaks IMAP on connections handed to it.
type Server struct {
	accounts Accounts
	stager   Stager
	auth     Authenticator
	log      *slog.Logger
	version  string
	limits   Limits
	now      func() time.Time
	more     Mechanisms
	notices  Notices
	carried  func(command string, took time.Duration)
	describe func(c net.Conn) []slog.Attr
	signedIn func(ctx context.Context, s SignIn)
	named    func(ctx context.Context, id ClientID)

	stats counters

	mu      sync.Mutex
	members map[storage.AccountID]map[*session]struct{} // sessions that are logged in
	cuts    uint64                                      // calls of Disconnect and DisconnectCredential
	cut     map[cutKey]uint64                           // the last of them
}

// cutKey is what was cut off: an account, or, of one, a credential.
type cutKey struct {
	account    storage.AccountID
	credential string
}

// New returns a Server.
func New(c *Config) *Server {
	now := c.Now
	if now == nil {
		now = time.Now
	}
	return &Server{
		accounts: c.Accounts,
		stager:   c.Stager,
		auth:     c.Auth,
		log:      c.Logger,
		version:  c.Version,
		limits:   c.Limits.withDefaults(),
		now:      now,
		more:     c.Mechanisms,
		notices:  c.Notices,
		carried:  c.Carried,
		describe: c.Describe,
		signedIn: c.SignedIn,
		named:    c.Named,
		members:  map[storage.AccountID]map[*session]struct{}{},
		cut:      map[cutKey]uint64{},
	}
}

// ServeConn speaks with one client until it leaves, breaks the rules or is
// silent for too long. When ctx is cancelled the command that runs is
// finished, the client is told BYE, and ServeConn returns. It closes c.
func (s *Server) ServeConn(ctx context.Context, c net.Conn) {
	sess := newSession(s, c)
	defer sess.close()
	stop := context.AfterFunc(ctx, func() { sess.link.stop("[UNAVAILABLE] The server is shutting down") })
	defer stop()
	sess.run(ctx)
}

// Stats is what a Server counts.
type Stats struct {
	Sessions     int64 // open now
	Opened       int64 // since the start
	Commands     int64 // carried out or refused
	Logins       int64 // that succeeded
	FailedLogins int64
	Panics       int64 // handlers that ended in a panic; any is a fault of ours
}

type counters struct {
	sessions, opened, commands, logins, failedLogins, panics atomic.Int64
}

// Stats returns the present counts.
func (s *Server) Stats() Stats {
	return Stats{
		Sessions:     s.stats.sessions.Load(),
		Opened:       s.stats.opened.Load(),
		Commands:     s.stats.commands.Load(),
		Logins:       s.stats.logins.Load(),
		FailedLogins: s.stats.failedLogins.Load(),
		Panics:       s.stats.panics.Load(),
	}
}

// mark returns what enter is to be given by a log-in that begins now.
func (s *Server) mark() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cuts
}

// enter admits a session to an account: not if that has too many already
// (errCrowded), nor if it, or what was logged in by, was disconnected since the
// mark, for then what was checked at the log-in may no longer hold
// (ErrCredentials).
func (s *Server) enter(sess *session, a *Arrival, mark uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := a.Account
	all := s.members[id]
	switch {
	case s.cut[cutKey{account: id}] > mark, s.cut[cutKey{id, a.Credential}] > mark:
		return ErrCredentials
	case len(all) >= s.limits.ConnectionsPerAccount:
		return errCrowded
	case all == nil:
		all = map[*session]struct{}{}
		s.members[id] = all
	}
	all[sess] = struct{}{}
	sess.ident, sess.arrival = a.Identity, *a
	return nil
}

// leave takes back what enter did.
func (s *Server) leave(sess *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := sess.ident.Account
	if delete(s.members[id], sess); len(s.members[id]) == 0 {
		delete(s.members, id)
	}
}

// Disconnect ends the sessions of an account, as when it was removed or has
// another password: the commands that run are finished, then the clients are
// told BYE with the reason. It does not wait for them.
func (s *Server) Disconnect(id storage.AccountID, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cuts++
	s.cut[cutKey{account: id}] = s.cuts
	for sess := range s.members[id] {
		sess.link.stop("[UNAVAILABLE] " + reason)
	}
}

// DisconnectCredential is Disconnect for the sessions alone that were logged in
// to by one credential.
func (s *Server) DisconnectCredential(id storage.AccountID, credential, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cuts++
	s.cut[cutKey{id, credential}] = s.cuts
	for sess := range s.members[id] {
		if sess.ident.Credential == credential {
			sess.link.stop("[UNAVAILABLE] " + reason)
		}
	}
}
