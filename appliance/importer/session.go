package importer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"
)

// dialTime is how long it may take to reach a server and sign in.
const dialTime = time.Minute

// Way is how servers are reached.
type Way struct {
	// Dial opens connections; nil means a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Roots are the CAs that are trusted; nil means the system's.
	Roots *x509.CertPool
	// Token returns an access token for Server.OAuth, another one if the server
	// did not take the last; nil means that Server.Secret is one.
	Token func(ctx context.Context, another bool) (Secret, error)
	// Silence is how long a server may be silent while something is waited for,
	// and half of how long it may send next to nothing; 0 means 5 minutes.
	Silence time.Duration

	spelling spelling
}

// Session is a connection that is signed in.
type Session struct {
	*imapclient.Client

	wire    *wire
	early   atomic.Bool   // the server says behind a message which it is
	changed chan struct{} // gets a value when the server tells of a change by itself
}

// Connect reaches a server and signs in. Beside errors that pass it returns
// *TrustError, ErrSignIn, ErrRefused and *BusyError.
func (s *Server) Connect(ctx context.Context, way *Way) (*Session, error) {
	if err := s.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	c, err := s.connect(ctx, way, false)
	if way.Token != nil && errors.Is(err, errToken) {
		c, err = s.connect(ctx, way, true) // it may have been taken back, or clocks differ
	}
	if err != nil && ctx.Err() != nil && !errors.Is(err, ErrTrust) {
		return nil, fmt.Errorf("connect to %s: %w", s.address(), ctx.Err())
	}
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", s.address(), err)
	}
	return c, nil
}

func (s *Server) connect(ctx context.Context, way *Way, another bool) (*Session, error) {
	secret := s.Secret
	if way.Token != nil {
		var err error
		if secret, err = way.Token(ctx, another); err != nil {
			return nil, err
		}
	}
	conf, err := s.tlsConfig(way.Roots)
	if err != nil {
		return nil, err
	}
	dial := way.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	conn, err := dial(ctx, "tcp", s.address())
	if err != nil {
		return nil, err
	}
	conn = quick(conn)
	// The library knows no context.
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if s.security() == TLS {
		c := tls.Client(conn, conf)
		if err := c.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, err
		}
		conn = c
	}
	if s.security() == STARTTLS {
		if conn, err = startTLS(ctx, conn, conf); err != nil {
			return nil, err
		}
	}
	out := &Session{wire: newWire(conn, way), changed: make(chan struct{}, 1)}
	out.Client = imapclient.New(out.wire, &imapclient.Options{UnilateralDataHandler: out.handler()})
	if err := out.WaitGreeting(); err != nil {
		out.abort()
		return nil, asBusy(err)
	}
	if err := s.signIn(out, string(secret)); err != nil {
		out.abort()
		return nil, err
	}
	return out, nil
}

func (s *Server) signIn(c *Session, secret string) error {
	if c.State() == imap.ConnStateAuthenticated {
		return nil // PREAUTH
	}
	caps := c.Caps()
	if caps == nil {
		return errors.New("the server does not tell what it can do")
	}
	user, authzid := s.User, ""
	if s.Admin != "" {
		if s.AdminBy == ByMasterUser {
			user = s.User + "*" + s.Admin
		} else {
			user, authzid = s.Admin, s.User
		}
	}
	var err error
	switch {
	case s.SignIn == ByXOAUTH2:
		err = c.Authenticate(&xoauth2{user: s.User, token: secret})
	case caps.Has("AUTH=PLAIN") || authzid != "":
		err = c.Authenticate(sasl.NewPlainClient(authzid, user, secret))
	case caps.Has(imap.CapLoginDisabled):
		return fmt.Errorf("%w: it lets nobody sign in by a password", ErrRefused)
	default:
		err = c.Login(user, secret).Wait()
	}
	var no *imap.Error
	if !errors.As(err, &no) {
		return err
	}
	if busy := asBusy(err); busy != err {
		return busy
	}
	refused := ErrSignIn
	if s.SignIn == ByXOAUTH2 {
		refused = errToken
	}
	return fmt.Errorf("%w of %s: %s", refused, s.User, plainText(no.Text))
}

// errToken is ErrSignIn by a token that the server does not take.
var errToken = fmt.Errorf("%w by the token", ErrSignIn)

// xoauth2 signs in by a token as Exchange and Gmail have it.
type xoauth2 struct{ user, token string }

// Start implements sasl.Client.
func (x *xoauth2) Start() (mech string, ir []byte, err error) {
	return "XOAUTH2", fmt.Appendf(nil, "user=%s\x01auth=Bearer %s\x01\x01", x.user, x.token), nil
}

// Next implements sasl.Client: the server says in JSON why it refuses, and
// waits for an empty answer before it does.
func (x *xoauth2) Next([]byte) ([]byte, error) { return []byte{}, nil }

func (c *Session) handler() *imapclient.UnilateralDataHandler {
	tell := func() {
		select {
		case c.changed <- struct{}{}:
		default:
		}
	}
	return &imapclient.UnilateralDataHandler{
		Expunge: func(uint32) { tell() },
		Mailbox: func(*imapclient.UnilateralDataMailbox) { tell() },
		Fetch: func(m *imapclient.FetchMessageData) {
			for item := m.Next(); item != nil; item = m.Next() {
				if body, ok := item.(imapclient.FetchItemDataBodySection); ok && body.Literal != nil {
					c.early.Store(true)
					_, _ = io.Copy(io.Discard, &counted{r: body.Literal, wire: c.wire}) // the connection tells
				}
			}
			tell()
		},
	}
}

// bind lets ctx end what the session is doing. The caller calls the result.
func (c *Session) bind(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, c.abort)
}

// abort ends the connection, without a word and without waiting.
func (c *Session) abort() { _ = c.wire.Close() }

// End signs out.
func (c *Session) End() {
	c.wire.expect(2 * time.Second)
	if c.State() != imap.ConnStateLogout {
		_ = c.Logout().Wait()
	}
	c.abort()
}

var backoffTime = regexp.MustCompile(`(?i)back-?off time: *([0-9]{1,9}) *(milliseconds|ms|seconds)?`)

// asBusy turns an answer by which a server wants to be left alone for a while
// into a *BusyError, and leaves all other errors as they are.
func asBusy(err error) error {
	var no *imap.Error
	if !errors.As(err, &no) {
		return err
	}
	text := strings.ToLower(no.Text)
	busy := no.Type == imap.StatusResponseTypeBye
	switch no.Code {
	case imap.ResponseCodeUnavailable, imap.ResponseCodeInUse, imap.ResponseCodeLimit, "THROTTLED", "OVERQUOTA-BANDWIDTH":
		busy = true
	}
	for _, sign := range []string{"throttl", "server busy", "server unavailable", "too many", "try again later", "not connected", "maximum number of connections"} {
		busy = busy || strings.Contains(text, sign)
	}
	if !busy {
		return err
	}
	b := &BusyError{Text: plainText(no.Text)}
	if m := backoffTime.FindStringSubmatch(no.Text); m != nil {
		n, _ := strconv.Atoi(m[1])
		unit := time.Millisecond
		if strings.EqualFold(m[2], "seconds") {
			unit = time.Second
		}
		b.For = min(time.Duration(n)*unit, time.Hour)
	}
	return b
}

// plainText makes what a server says fit for a log and a report.
func plainText(s string) string {
	return cut(oneLine(s), 200)
}

// oneLine has no control characters and is UTF-8.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

// cut shortens a text to at most n octets, at the border of a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}
