package appliance

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"slices"

	"pillarbox/appliance/access"
	"pillarbox/appliance/directory"
	"pillarbox/appliance/imap"
	"pillarbox/appliance/scram"
)

// Begin implements imap.Mechanisms.
func (s *signIn) Begin(c net.Conn, mechanism string) imap.Exchange {
	if isBearer(mechanism) {
		return &tokenExchange{s: s, remote: c.RemoteAddr(), mechanism: mechanism, tokens: s.policy.now().tokens}
	}

	if mechanism == external {
		return &externalExchange{s: s, conn: c}
	}

	return &exchange{s: s, remote: c.RemoteAddr(), server: scram.NewServer(scram.Config{
		Plus:    mechanism == scram.MechanismPlus,
		Offered: slices.Contains(s.Offered(c), scram.MechanismPlus),
		Binding: func(kind string) []byte { return binding(c, kind) },
	})}
}

// The kinds of channel binding. There is no tls-server-end-point: a connection
// does not tell which of its certificates a server has shown on it, and these two
// bind more tightly.
const (
	tlsExporter = "tls-exporter" // RFC 9266
	tlsUnique   = "tls-unique"   // RFC 5929, section 3; before TLS 1.3
)

func bindable(c net.Conn) bool {
	return binding(c, tlsExporter) != nil || binding(c, tlsUnique) != nil
}

// binding returns a connection's data for a kind of channel binding, nil if it
// has none. Package tls gives it only where it is safe (RFC 7627, section 5.4,
// RFC 9266, section 4.2).
func binding(c net.Conn, kind string) []byte {
	t, ok := c.(*access.Conn)
	if !ok {
		return nil
	}
	state := t.ConnectionState()
	switch kind {
	case tlsExporter:
		data, err := state.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32)
		if err != nil {
			return nil
		}
		return data
	case tlsUnique:
		return state.TLSUnique
	}

	return nil
}

// exchange is one log-in by SCRAM.
type exchange struct {
	s      *signIn
	remote net.Addr
	server *scram.Server
	asked  bool
}

// Names implements imap.Exchange.
func (x *exchange) Names() (name, as string) { return x.server.Name, x.server.As }

// Step implements imap.Exchange.
func (x *exchange) Step(ctx context.Context, response []byte) ([]byte, *imap.Identity, error) {
	if !x.asked {
		x.asked = true
		if err := x.server.First(response); err != nil {
			return nil, nil, refused(err)
		}

		return x.server.Challenge(x.s.dir.Salt(x.server.Name)), nil, nil
	}
	proof, err := x.server.Final(response)
	if err != nil {
		return nil, nil, refused(err)
	}

	return x.finish(ctx, proof)
}

// finish looks at the proof first, which costs next to nothing, so that throttle
// and bans know a password that was right from there again. What they say of
// others they say whatever came out.
func (x *exchange) finish(ctx context.Context, proof *scram.Proof) ([]byte, *imap.Identity, error) {
	name := x.s.dir.Spelling(x.server.Name)
	l, keys, err := x.s.dir.Match(x.server.Name, proof)
	credential := ""
	if err == nil {
		credential = "\x00" + hex.EncodeToString(keys.Stored)
	} else {
		credential = x.s.throttle.Unseen(x.remote, name)
	}
	ident, err := x.s.admit(ctx, name, credential, x.remote, func() (directory.Login, error) { return l, err })
	if err != nil {
		return nil, nil, err
	}

	return proof.Success(keys), &ident, nil
}

// refused tells IMAP what was wrong with a message.
func refused(err error) error {
	if errors.Is(err, scram.ErrMessage) {
		return fmt.Errorf("%w: %w", imap.ErrMessage, err)
	}

	return fmt.Errorf("%w: %w", imap.ErrRefused, err)
}
