package appliance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"pillarbox/appliance/access"
	"pillarbox/appliance/directory"
	"pillarbox/appliance/imap"
)

// errTooManyLogins says that a log-in was refused without being tried.
var errTooManyLogins = errors.New("too many failed log-ins; wait a minute")

// signIn shows the directory to IMAP, with a throttle in front.
type signIn struct {
	dir      *directory.Directory
	throttle *access.Throttle
	log      *slog.Logger
}

// Authenticate implements imap.Authenticator.
func (s *signIn) Authenticate(ctx context.Context, login, password string, remote net.Addr) (imap.Identity, error) {
	name := strings.ToLower(login)
	wait, ok := s.throttle.Delay(remote, name, password)
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
	a, err := s.dir.Authenticate(ctx, login, password, remote)
	if errors.Is(err, directory.ErrCredentials) {
		s.throttle.Failed(remote, name, password)
		if errors.Is(err, directory.ErrAmbiguous) { // the client learns no more than of any other
			s.log.WarnContext(ctx, "log-in by a short name that several accounts share; the full address is wanted",
				"account", name, "remote", remote)
		}
		return imap.Identity{}, fmt.Errorf("%w (%w)", imap.ErrCredentials, err)
	}
	if err != nil {
		return imap.Identity{}, err
	}
	s.throttle.OK(remote, name, password)

	return imap.Identity{Account: a.ID, Address: a.Address}, nil
}
