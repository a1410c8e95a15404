package appliance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"pillarbox/appliance/access"
	"pillarbox/appliance/directory"
	"pillarbox/appliance/imap"
)

// Why a log-in was refused although nothing was wrong with it.
var (
	errBanned        = errors.New("banned")
	errTooManyLogins = errors.New("too many failed log-ins; wait a minute")
	errTooFast       = errors.New("the account is logged in to too often; wait some seconds")
)

// signIn shows the directory to IMAP, with throttle and bans in front.
type signIn struct {
	dir      *directory.Directory
	throttle *access.Throttle
	bans     *access.Bans
	policy   *signInPolicy
	log      *slog.Logger
}

// Authenticate implements imap.Authenticator.
func (s *signIn) Authenticate(ctx context.Context, login, password string, remote net.Addr) (imap.Identity, error) {
	return s.admit(ctx, s.dir.Spelling(login), password, remote, func() (directory.Login, error) {
		return s.dir.Authenticate(ctx, login, password, remote)
	})
}

// admit has throttle and bans look at a log-in, then verifies it. name and
// credential are what they are to know it by, whatever was typed.
func (s *signIn) admit(ctx context.Context, name, credential string, remote net.Addr,
	verify func() (directory.Login, error),
) (imap.Identity, error) {
	if err := s.banned(name, credential, remote); err != nil {
		return imap.Identity{}, err
	}
	wait, ok := s.throttle.Delay(remote, name, credential)
	if !ok {
		return imap.Identity{}, errTooManyLogins
	}
	if wait > 0 {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return imap.Identity{}, ctx.Err()
		}
	}
	l, err := verify()
	if errors.Is(err, directory.ErrCredentials) {
		s.throttle.Failed(remote, name, credential)
		s.bans.Failed(&access.Attempt{
			Remote: remote, Account: name, Credential: credential, Unknown: errors.Is(err, directory.ErrNoAccount),
		})
		if errors.Is(err, directory.ErrAmbiguous) { // the client learns no more than of any other
			s.log.WarnContext(ctx, "log-in by a short name that several accounts share; the full address is wanted",
				"account", name, "remote", remote)
		}
		return imap.Identity{}, fmt.Errorf("%w (%w)", imap.ErrCredentials, err)
	}
	if err != nil {
		return imap.Identity{}, err
	}
	if l.Suspended {
		return imap.Identity{}, fmt.Errorf("%w (%w)", imap.ErrCredentials, directory.ErrSuspended)
	}
	s.bans.Passed(remote, name)
	if !s.throttle.OK(remote, name, credential) {
		return imap.Identity{}, errTooFast
	}
	s.dir.Used(ctx, &l, remote)

	return imap.Identity{Account: l.ID, Address: l.Address, Credential: l.Credential, Device: l.Device}, nil
}

// banned returns an error where a log-in is banned. A password that was right
// from there before still is: others who guess behind the same address must not
// lock its owner out.
func (s *signIn) banned(name, password string, remote net.Addr) error {
	if s.throttle.Known(remote, name, password) {
		return nil
	}
	ban, ok := s.bans.Refuses(remote, name)
	if !ok {
		return nil
	}
	what := ban.Network.String()
	if ban.Account != "" {
		what = "this account from " + what
		s.bans.Failed(&access.Attempt{Remote: remote, Account: name, Credential: password, Unchecked: true})
	}

	return &bannedError{what, ban.Until}
}

// bannedError says that a log-in is banned.
type bannedError struct {
	what  string
	until time.Time
}

// Error implements error.
func (e *bannedError) Error() string {
	return fmt.Sprintf("%s is %v until %s", e.what, errBanned, e.until.Local().Format(time.DateTime))
}

// Unwrap makes it an errBanned.
func (e *bannedError) Unwrap() error { return errBanned }
