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

// byToken lets in whom a token names. It looks at the token first, which costs
// little, so that throttle and bans know whose account it is. The reason for a
// refusal is for the log, not for the client. What was not guessed does not
// count: a provider that is down, a token that is too old, which programs send
// again until they have a new one, and one of the provider's that is of no use.
func (s *signIn) byToken(ctx context.Context, tokens *bearer.Verifier, m *bearer.Message, remote net.Addr) (imap.Identity, error) {
	var l directory.Login
	name := s.dir.Spelling(m.Name)
	t, why := tokens.Verify(ctx, m.Token)
	if why == nil {
		if l, why = s.dir.Vouched(t.Account, m.Name); why == nil {
			name = l.Address
		}
	}
	ident, err := s.admit(ctx, name, "\x01"+m.Token, remote, func() (directory.Login, error) {
		if errors.Is(why, bearer.ErrToken) {
			return l, fmt.Errorf("%w: %w", directory.ErrCredentials, why)
		}
		return l, why
	})
	if why != nil && !errors.Is(why, bearer.ErrUnavailable) {
		return ident, fmt.Errorf("%w: %w", imap.ErrRefused, why)
	}

	return ident, err
}
