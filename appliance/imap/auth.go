package imap

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"slices"
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

const (
	maxResponse = 32 << 10 // octets of one line of a SASL exchange
	maxSteps    = 4        // of an exchange; SCRAM has two
)

// login is LOGIN (RFC 9051, section 6.2.3). It is offered where the mechanism of
// the same name is.
func (s *session) login(ctx context.Context, a *command.Login) error {
	if !slices.Contains(s.mechanisms(), mechanismLogin) {
		return s.notOffered()
	}
	return s.check(ctx, "LOGIN", a.Username, "", s.byPassword(a.Username, a.Password))
}

// The mechanisms that need no more than a name and a password.
const (
	mechanismPlain = "PLAIN"
	mechanismLogin = "LOGIN"
)

// authenticate is AUTHENTICATE (RFC 9051, section 6.2.2).
func (s *session) authenticate(ctx context.Context, a *command.Authenticate) error {
	switch {
	case !slices.Contains(s.mechanisms(), a.Mechanism):
		return s.notOffered()
	case a.Mechanism == mechanismPlain:
		return s.authPlain(ctx, a.Initial)
	case a.Mechanism == mechanismLogin:
		return s.authLogin(ctx, a.Initial)
	}
	return s.authExchange(ctx, a.Mechanism, a.Initial)
}

// notOffered refuses a way to log in that is not for this connection.
func (s *session) notOffered() error {
	all := s.mechanisms()
	if len(all) == 0 {
		return no(imap.ResponseCodeCannot, "Nobody can log in by this port from there")
	}
	return no(imap.ResponseCodeCannot, "That way to log in is not available here; use "+strings.Join(all, ", "))
}

// mechanisms returns what can be used here.
func (s *session) mechanisms() []string {
	if s.srv.more == nil {
		return []string{mechanismPlain, mechanismLogin}
	}
	return s.srv.more.Offered(s.link.conn)
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
	return s.check(ctx, mechanismPlain, name, as, s.byPassword(name, password))
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
	return s.check(ctx, "LOGIN (SASL)", username, "", s.byPassword(username, string(password)))
}

// authExchange is AUTHENTICATE by a mechanism of the [Mechanisms].
func (s *session) authExchange(ctx context.Context, mechanism string, response []byte) error {
	mark := s.srv.mark()
	if response == nil {
		var err error
		if response, err = s.challenge(""); err != nil {
			return err
		}
	}
	x := s.srv.more.Begin(s.link.conn, mechanism)
	for range maxSteps {
		challenge, ident, err := x.Step(ctx, response)
		if errors.Is(err, ErrMessage) {
			return bad("The " + mechanism + " message is not valid")
		}
		name, as := x.Names()
		if err != nil {
			if len(challenge) > 0 {
				// What the client says to that changes nothing, nor does it if it
				// gives up.
				_, _ = s.challenge(string(challenge))
			}
			return s.check(ctx, mechanism, name, as, func(context.Context) (Identity, uint64, error) { return Identity{}, mark, err })
		}
		if ident == nil || len(challenge) > 0 {
			// RFC 9051 has no room for it in the tagged answer.
			if response, err = s.challenge(string(challenge)); err != nil {
				return err
			}
		}
		if ident != nil {
			return s.check(ctx, mechanism, name, as, func(context.Context) (Identity, uint64, error) { return *ident, mark, nil })
		}
	}
	return bad("The " + mechanism + " exchange does not end")
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
	if string(line) == "=" {
		// RFC 4959, section 3 has this for an initial response that is empty;
		// go-imap's client takes it for any that is.
		return nil, nil
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

// verifier tells who somebody is, with the server's mark from before it knew.
type verifier func(context.Context) (Identity, uint64, error)

// byPassword asks whether name and password are right.
func (s *session) byPassword(name, password string) verifier {
	return func(ctx context.Context) (Identity, uint64, error) {
		mark := s.srv.mark()
		ident, err := s.srv.auth.Authenticate(ctx, name, password, s.link.conn.RemoteAddr())
		return ident, mark, err
	}
}

// check lets a client in that is who it says. as is whom it wants to act for: ""
// or, in whatever form, the same person.
func (s *session) check(ctx context.Context, mechanism, name, as string, verify verifier) error {
	acct, alerts, err := s.enter(ctx, mechanism, name, as, verify)
	var turned *turnedError
	switch {
	case errors.As(err, &turned):
		s.logLogin(ctx, mechanism, name, err)
		s.parting = &ending{text: "Not by this way any more"}
		return no(imap.ResponseCodeAlert, turned.alert)
	case errors.Is(err, ErrCredentials):
		s.logLogin(ctx, mechanism, name, errWrong)
		return s.refuseLogin(ctx, no(imap.ResponseCodeAuthenticationFailed, "The name or the password is wrong"))
	case errors.Is(err, ErrRefused):
		s.logLogin(ctx, mechanism, name, err)
		return s.refuseLogin(ctx, no(imap.ResponseCodeAuthenticationFailed, "That way to log in failed"))
	case errors.Is(err, errForeign):
		s.logLogin(ctx, mechanism, name, err)
		return s.refuseLogin(ctx, no(imap.ResponseCodeAuthorizationFailed, "Nobody can act for another here"))
	case errors.Is(err, errCrowded):
		s.logLogin(ctx, mechanism, name, err)
		return s.refuseLogin(ctx, no(imap.ResponseCodeLimit, "The account has too many connections; close some of them"))
	case err != nil:
		s.logLogin(ctx, mechanism, name, err)
		return s.refuseLogin(ctx, no(imap.ResponseCodeUnavailable, "Log-in is not possible at the moment; try again later"))
	}
	s.acct, s.tries = acct, 0
	s.srv.stats.logins.Add(1)
	s.logLogin(ctx, mechanism, s.ident.Address, nil)
	s.log = s.log.With("account", s.ident.Address)
	s.link.until = time.Time{}
	s.dec.SetLimits(s.srv.memberLimits())
	for _, text := range alerts {
		s.untagged("OK [ALERT] " + text)
	}
	return ok("CAPABILITY "+s.capabilities(), "Logged in")
}

// errWrong is what the record says of a wrong name or password.
var errWrong = errors.New("wrong name or password")

// errCrowded is an account with as many sessions as it may have.
var errCrowded = errors.New("too many connections")

// errForeign is a client that wants to act for somebody else.
var errForeign = errors.New("acting for another is not possible")

// enter verifies who it is, opens the account and counts the session. alerts are
// what they are to be told.
func (s *session) enter(ctx context.Context, mechanism, name, as string, verify verifier) (acct *storage.Account, alerts []string, err error) {
	ident, mark, err := verify(ctx)
	if err != nil {
		return nil, nil, err
	}
	if as != "" && !strings.EqualFold(as, name) && !strings.EqualFold(as, ident.Address) {
		return nil, nil, errForeign
	}
	a := &Arrival{Identity: ident, Conn: s.link.conn, Mechanism: mechanism}
	if alerts, err = s.notice(ctx, a); err != nil {
		return nil, nil, err
	}
	if acct, err = s.srv.accounts.Account(ctx, ident.Account); err != nil {
		return nil, nil, fmt.Errorf("open mailboxes: %w", err)
	}
	// The last step, so that nothing that fails leaves the session counted.
	return acct, alerts, s.srv.enter(s, a, mark)
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
// know; failed is why it failed, nil if it did not.
func (s *session) logLogin(ctx context.Context, mechanism, name string, failed error) {
	failure, turned := "", errors.As(failed, new(*turnedError))
	if failed != nil {
		failure = failed.Error()
	}
	if s.srv.signedIn != nil {
		s.srv.signedIn(ctx, SignIn{
			Account: shorten(name), Mechanism: mechanism, Identity: s.ident, Conn: s.link.conn, Failure: failure, Turned: turned,
		})
	}
	attrs := []slog.Attr{
		slog.String("account", shorten(name)),
		slog.String("mechanism", mechanism),
	}
	if s.ident.Device != "" {
		attrs = append(attrs, slog.String("device", s.ident.Device))
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
