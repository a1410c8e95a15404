package appliance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"pillarbox/appliance/bearer"
	"pillarbox/appliance/directory"
	"pillarbox/appliance/imap"
)

// source returns where a client is.
func source(a net.Addr) netip.Addr {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}

	return t.AddrPort().Addr().Unmap()
}

// tokenExchange is one log-in by a bearer token.
type tokenExchange struct {
	s         *signIn
	remote    net.Addr
	mechanism string
	tokens    *bearer.Verifier

	name string
}

// Names implements imap.Exchange.
func (x *tokenExchange) Names() (name, as string) { return x.name, "" }

// Step implements imap.Exchange.
func (x *tokenExchange) Step(ctx context.Context, response []byte) ([]byte, *imap.Identity, error) {
	if x.tokens == nil {
		return nil, nil, fmt.Errorf("%w: %w", imap.ErrRefused, errNoProvider)
	}
	m, err := bearer.ParseMessage(x.mechanism, response)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", imap.ErrMessage, err)
	}
	x.name = m.Name
	ident, err := x.s.byToken(ctx, x.tokens, &m, x.remote)
	switch {
	case err == nil:
		x.name = ident.Address
		return nil, &ident, nil
	case errors.Is(err, imap.ErrRefused):
		return x.tokens.Refusal(x.mechanism), nil, err
	}

	return nil, nil, err
}

// byToken lets in whom a token names. The reason for a refusal is for the log, not
// for the client. A provider that is down is no wrong password, and neither is a
// token that is too old: programs send theirs again until they have a new one.
func (s *signIn) byToken(ctx context.Context, tokens *bearer.Verifier, m *bearer.Message, remote net.Addr) (imap.Identity, error) {
	var why error
	ident, err := s.admit(ctx, m.Name, "\x01"+m.Token, remote, func() (l directory.Login, err error) {
		t, err := tokens.Verify(ctx, m.Token)
		if err == nil {
			l, err = s.dir.Vouched(t.Account, m.Name)
		}
		switch why = err; {
		case errors.Is(err, bearer.ErrToken):
			err = fmt.Errorf("%w: %w", directory.ErrCredentials, err)
		case errors.Is(err, bearer.ErrUnavailable):
			why = nil
		}
		return l, err
	})
	if why != nil {
		return ident, fmt.Errorf("%w: %w", imap.ErrRefused, why)
	}

	return ident, err
}
