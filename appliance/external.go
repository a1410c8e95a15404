package appliance

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"net"
	"strings"
	"time"

	"pillarbox/appliance/access"
	"pillarbox/appliance/directory"
	"pillarbox/appliance/imap"
)

// external is the mechanism of RFC 4422, appendix A: who it is, the connection
// tells by the device's certificate.
const external = "EXTERNAL"

// shown returns the certificate that a client has shown, nil if none.
func shown(c net.Conn) *x509.Certificate {
	t, ok := c.(*access.Conn)
	if !ok {
		return nil
	}
	if all := t.ConnectionState().PeerCertificates; len(all) > 0 {
		return all[0]
	}

	return nil
}

// certified tells whether a client has shown the certificate of a device. The
// handshake has made sure that it holds the key.
func (s *signIn) certified(c net.Conn) bool {
	cert := shown(c)

	return cert != nil && s.policy.knows(cert) == nil
}

// externalExchange is one log-in by a certificate.
type externalExchange struct {
	s    *signIn
	conn net.Conn

	name, as string
}

// Names implements imap.Exchange.
func (x *externalExchange) Names() (name, as string) { return x.name, x.as }

// Step implements imap.Exchange. The response is whom the client wants to act
// for, or nothing.
func (x *externalExchange) Step(ctx context.Context, response []byte) ([]byte, *imap.Identity, error) {
	cert := shown(x.conn)
	if cert == nil {
		return nil, nil, fmt.Errorf("%w: the client has shown no certificate", imap.ErrRefused)
	}
	x.as = string(response)
	f := directory.Fingerprint(sha256.Sum256(cert.Raw))
	l, err := x.s.dir.Certified(f)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", imap.ErrRefused, err)
	}
	x.name = l.Address
	ident, err := x.s.admit(ctx, l.Address, "\x02"+f.String(), x.conn.RemoteAddr(), func() (directory.Login, error) { return l, nil })
	if err != nil {
		return nil, nil, err
	}

	return nil, &ident, nil
}

// deviceNotice is how long before a device's certificate expires that is told.
const deviceNotice = 30 * 24 * time.Hour

// expiringDevices tells of devices that soon cannot sign in any more.
func (a *Appliance) expiringDevices() error {
	all := a.office.directory.Expiring(deviceNotice)
	if len(all) == 0 {
		return nil
	}
	left := ""
	if n := len(all); n > maxNamed {
		all, left = all[:maxNamed], fmt.Sprintf(" and %d more", n-maxNamed)
	}

	return fmt.Errorf("these cannot sign in by their certificate after the date: %s%s. Revoke each and make another (pillarbox account device certificate)",
		strings.Join(all, "; "), left)
}
