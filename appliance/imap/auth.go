package imap

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"

	"pillarbox/appliance/imap/command"
	"pillarbox/appliance/imap/wire"
	"pillarbox/storage"
)

// strangerLimits bound what a client that has not logged in may send. A
// line can hold the long tokens of single sign-on.
var strangerLimits = wire.Limits{Line: 32 << 10, Literal: 4 << 10, Command: 64 << 10, Drain: 256 << 10}

// maxResponse bounds one line of a SASL exchange, in octets.
const maxResponse = 32 << 10

// login is LOGIN (RFC 9051, section 6.2.3).
func (s *session) login(ctx context.Context, a *command.Login) error {
	return s.check(ctx, "LOGIN", a.Username, a.Password, "")
}

// authenticate is AUTHENTICATE (RFC 9051, section 6.2.2).
func (s *session) authenticate(ctx context.Context, a *command.Authenticate) error {
	switch a.Mechanism {
	case "PLAIN":
		return s.authPlain(ctx, a.Initial)
	case "LOGIN":
		return s.authLogin(ctx, a.Initial)
	}
	return no(imap.ResponseCodeCannot, "That way to log in is not available; use PLAIN or LOGIN")
}

// authPlain is SASL PLAIN (RFC 4616).
func (s *session) authPlain(ctx context.Context, response []byte) error {
	if response == nil {
		var err error
		if response, err = s.challenge(""); err != nil {
			return err
		}
	}
	fields := bytes.Split(response, []byte{0})
	if len(fields) != 3 {
		return bad("The PLAIN response is not valid")
	}
	as, name, password := string(fields[0]), string(fields[1]), string(fields[2])
	return s.check(ctx, "PLAIN", name, password, as)
}

// authLogin is SASL LOGIN, which was never specified: two questions, which
// clients do not read. Some send the name as initial response.
func (s *session) authLogin(ctx context.Context, name []byte) error {
	if name == nil {
		var err error
		if name, err = s.challenge("Username:"); err != nil {
			return err
		}
	}
	username := string(name)
	password, err := s.challenge("Password:")
	if err != nil {
		return err
	}
	return s.check(ctx, "LOGIN (SASL)", username, string(password), "")
}

// challenge sends a SASL challenge and returns the response.
func (s *session) challenge(text string) ([]byte, error) {
	b := append(s.out.Buf, "+ "...)
	b = base64.StdEncoding.AppendEncode(b, []byte(text))
	s.out.Buf = append(b, "\r\n"...)
	if err := s.out.Flush(); err != nil {
		return nil, err
	}
	line, err := s.rawLine(maxResponse)
	if err != nil {
		return nil, err
	}
	if string(line) == "*" {
		return nil, bad("Log-in cancelled") // RFC 9051, section 6.2.2
	}
	response, err := base64.StdEncoding.AppendDecode(nil, line)
	if err != nil {
		if bytes.IndexByte(line, ' ') >= 0 {
			// Some clients give up by sending LOGOUT, and what looks like a
			// command must be skipped as one, with its literals.
			s.dec.UnreadLine()
		}
		return nil, bad("The response is not base64")
	}
	return response, nil
}

// check asks whether name and password are right, and lets the client in. as
// is whom it wants to act for: "" or, in whatever form, the same person.
func (s *session) check(ctx context.Context, mechanism, name, password, as string) error {
	ident, acct, err := s.enter(ctx, name, password, as)
	switch {
	case errors.Is(err, ErrCredentials):
		s.logLogin(ctx, mechanism, name, "wrong name or password")
		return s.refuseLogin(ctx, no(imap.ResponseCodeAuthenticationFailed, "The name or the password is wrong"))
	case errors.Is(err, errForeign):
		s.logLogin(ctx, mechanism, name, errForeign.Error())
		return s.refuseLogin(ctx, no(imap.ResponseCodeAuthorizationFailed, "Nobody can act for another here"))
	case errors.Is(err, errCrowded):
		s.logLogin(ctx, mechanism, name, errCrowded.Error())
		return s.refuseLogin(ctx, no(imap.ResponseCodeLimit, "The account has too many connections; close some of them"))
	case err != nil:
		s.logLogin(ctx, mechanism, name, err.Error())
		return s.refuseLogin(ctx, no(imap.ResponseCodeUnavailable, "Log-in is not possible at the moment; try again later"))
	}
	s.acct, s.ident, s.tries = acct, ident, 0
	s.srv.stats.logins.Add(1)
	s.logLogin(ctx, mechanism, ident.Address, "")
	s.log = s.log.With("account", ident.Address)
	s.link.until = time.Time{}
	s.dec.SetLimits(s.srv.memberLimits())
	return ok("CAPABILITY "+s.capabilities(), "Logged in")
}

// errCrowded is an account with as many sessions as it may have.
var errCrowded = errors.New("too many connections")

// errForeign is a client that wants to act for somebody else.
var errForeign = errors.New("acting for another is not possible")

// enter checks name and password, opens the account and counts the session.
func (s *session) enter(ctx context.Context, name, password, as string) (Identity, *storage.Account, error) {
	mark := s.srv.mark()
	ident, err := s.srv.auth.Authenticate(ctx, name, password, s.link.conn.RemoteAddr())
	if err != nil {
		return Identity{}, nil, err
	}
	if as != "" && !strings.EqualFold(as, name) && !strings.EqualFold(as, ident.Address) {
		return Identity{}, nil, errForeign
	}
	acct, err := s.srv.accounts.Account(ctx, ident.Account)
	if err != nil {
		return Identity{}, nil, fmt.Errorf("open mailboxes: %w", err)
	}
	// The last step, so that nothing that fails leaves the session counted.
	if err := s.srv.enter(s, ident.Account, mark); err != nil {
		return Identity{}, nil, err
	}
	return ident, acct, nil
}

// refuseLogin holds the answer to a failed log-in back, longer each time, and
// ends the session after the last try. Nothing is locked meanwhile, and a stop
// of the server cuts it short.
func (s *session) refuseLogin(ctx context.Context, answer error) error {
	s.srv.stats.failedLogins.Add(1)
	s.tries++
	delay := time.NewTimer(time.Duration(s.tries) * s.srv.limits.LoginDelay)
	defer delay.Stop()
	select {
	case <-delay.C:
	case <-s.link.done:
	case <-ctx.Done():
	}
	return answer
}

// logLogin writes the one line about a try to log in, and tells who wants to
// know; failure is why it failed, "" if it did not.
func (s *session) logLogin(ctx context.Context, mechanism, name, failure string) {
	if s.srv.signedIn != nil {
		s.srv.signedIn(ctx, SignIn{Account: shorten(name), Mechanism: mechanism, Conn: s.link.conn, Failure: failure})
	}
	attrs := []slog.Attr{
		slog.String("account", shorten(name)),
		slog.String("mechanism", mechanism),
	}
	if s.srv.describe != nil {
		attrs = append(attrs, s.srv.describe(s.link.conn)...)
	}
	if s.clientID != "" {
		attrs = append(attrs, slog.String("client", s.clientID))
	}
	if failure == "" {
		s.log.LogAttrs(ctx, slog.LevelInfo, "log-in", attrs...)
		return
	}
	attrs = append(attrs, slog.String("err", failure))
	s.log.LogAttrs(ctx, slog.LevelWarn, "log-in failed", attrs...)
}
