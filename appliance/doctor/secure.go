package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

// secured is a port with what its TLS showed.
type secured struct {
	*port

	state   *tls.ConnectionState
	trusted bool // the certificate is good for the name: a password may be sent
}

// portSteps are the checks of the ports that are open.
func (x *examination) portSteps(open []*port) []step {
	var all []step
	for _, p := range open {
		all = append(all, step{
			name: fmt.Sprintf("what port %s speaks", p),
			run:  func(ctx context.Context) bool { return x.detect(ctx, p) },
			more: func() []step { return x.serviceSteps(p) },
		})
	}

	return all
}

func (x *examination) serviceSteps(p *port) []step {
	s := &secured{port: p}
	protocol := step{
		name: fmt.Sprintf("SMTP on port %s", p),
		run:  func(ctx context.Context) bool { return x.smtp(ctx, s) },
	}
	if p.service.isIMAP() {
		protocol.name = fmt.Sprintf("IMAP on port %s", p)
		protocol.run = func(ctx context.Context) bool { return x.imap(ctx, s) }
	}
	if p.service == LMTP { // which knows no TLS
		return []step{{name: "LMTP on port " + p.String(), run: func(ctx context.Context) bool { return x.lmtp(ctx, s) }}}
	}
	handshake := step{
		name: fmt.Sprintf("the TLS handshake on port %s", p),
		run:  func(ctx context.Context) bool { return x.tls(ctx, s) },
		below: []step{
			{name: fmt.Sprintf("the certificate on port %s", p), run: func(ctx context.Context) bool { s.trusted = x.certificate(ctx, s); return true }},
			{name: fmt.Sprintf("old versions and weak ciphers on port %s", p), run: func(ctx context.Context) bool { x.weakness(ctx, s); return true }},
			protocol,
		},
	}
	if p.service.implicit() {
		return []step{handshake}
	}

	return []step{{
		name:  fmt.Sprintf("STARTTLS on port %s", p),
		run:   func(ctx context.Context) bool { return x.startTLS(ctx, s) },
		below: []step{handshake},
	}}
}

// at is where a port is seen with openssl.
func (p *port) at() place {
	see := place{port: p.number}
	switch p.service {
	case IMAP:
		see.start = "imap"
	case SMTP, Submission:
		see.start = "smtp"
	}

	return see
}

// open connects to a port up to where TLS begins.
func (x *examination) open(ctx context.Context, p *port) (net.Conn, error) {
	conn, err := dial(ctx, p.addr)
	if err != nil || p.service.implicit() {
		return conn, err
	}
	t := newTalk(conn)
	if p.service == IMAP {
		err = t.startIMAP()
	} else {
		err = t.startSMTP()
	}
	if err == nil && t.r.Buffered() > 0 {
		err = errors.New("the server goes on in clear text after it agreed to TLS")
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}

	return conn, nil
}

func (t *talk) startIMAP() error {
	t.within(conversationTime)
	if _, err := t.line(); err != nil {
		return err
	}
	a, err := t.command("STARTTLS")
	if err == nil && !a.ok() {
		err = fmt.Errorf("the server refuses STARTTLS: %s", quote(a.status+" "+a.text))
	}

	return err
}

func (t *talk) startSMTP() error {
	if _, err := t.reply(); err != nil {
		return err
	}
	if _, err := t.ask("EHLO " + t.literal()); err != nil {
		return err
	}
	r, err := t.ask("STARTTLS")
	if err == nil && r.code != 220 {
		err = fmt.Errorf("the server refuses STARTTLS: %s", quote(r.String()))
	}

	return err
}

// handshake makes one that takes whatever crypto/tls can: what is wrong with it
// is told, not refused.
func (x *examination) handshake(ctx context.Context, conn net.Conn) (*tls.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, conversationTime)
	defer cancel()
	var suites []uint16
	for _, s := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		suites = append(suites, s.ID)
	}
	c := &tls.Config{
		MinVersion: tls.VersionTLS10, CipherSuites: suites,
		InsecureSkipVerify: true, // the chain is examined afterwards, and no password sent before
	}
	c.ServerName = x.indication()
	secure := tls.Client(conn, c)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, err
	}

	return secure, nil
}

// indication is the name in the hello; addresses are not sent (RFC 6066, section 3).
func (x *examination) indication() string {
	if _, err := netip.ParseAddr(x.name); err == nil {
		return ""
	}

	return x.name
}

// secure opens a port with TLS.
func (x *examination) secure(ctx context.Context, p *port) (*talk, *tls.Conn, error) {
	conn, err := x.open(ctx, p)
	if err != nil {
		return nil, nil, err
	}
	secure, err := x.handshake(ctx, conn)
	if err != nil {
		_ = conn.Close()
		return nil, nil, err
	}

	return newTalk(secure), secure, nil
}

func (x *examination) tls(ctx context.Context, s *secured) bool {
	begun := time.Now()
	conn, err := x.open(ctx, s.port)
	if err != nil {
		x.find("tls-fails", s.String(), "a connection ends before TLS begins: "+refusal(err), s.at())
		return false
	}
	defer conn.Close()
	secure, err := x.handshake(ctx, conn)
	if err != nil {
		x.find("tls-fails", s.String(), handshakeReason(err), s.at())
		return false
	}
	x.time("TLS handshake "+s.String(), begun)
	state := secure.ConnectionState()
	s.state = &state

	return true
}

// handshakeReason says in words why a handshake failed.
func handshakeReason(err error) string {
	var head tls.RecordHeaderError
	switch {
	case errors.As(err, &head):
		return "the port does not speak TLS from the first octet: it answers " + quote(string(head.RecordHeader[:])) + " to the handshake"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return "the server does not finish the TLS handshake in time; the port may want STARTTLS or no encryption"
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return "the server closes the connection during the TLS handshake: it may have no certificate, refuse this address, or its log says more"
	case strings.Contains(err.Error(), "protocol version"):
		return "the server takes no version of TLS from 1.0 to 1.3"
	case strings.Contains(err.Error(), "handshake failure"):
		return "server and client have no cipher in common, or the server has no certificate: it answers by the alert “handshake failure”"
	}

	return "the TLS handshake fails: " + err.Error()
}

// weakness offers what should be refused.
func (x *examination) weakness(ctx context.Context, s *secured) {
	switch v := s.state.Version; {
	case v < tls.VersionTLS12:
		x.find("tls-no-modern", s.String(), fmt.Sprintf("the newest version of TLS that the server speaks is %s", versionName(v)), s.at())
	case v < tls.VersionTLS13:
		x.find("tls-no-13", s.String(), "the server speaks TLS 1.2 but not 1.3", s.at())
	}
	if s.state.Version >= tls.VersionTLS12 {
		var old []string
		for _, v := range []uint16{ssl3, tls10, tls11} {
			if c := x.offer(ctx, s, v, allSuites(), false); c != nil && c.version == v {
				old = append(old, versionName(v))
			}
		}
		if len(old) > 0 {
			x.find("tls-old", s.String(), "the server still takes "+strings.Join(old, ", "), s.at())
		}
	}
	// In the version that it takes, so that one cause is told once.
	version := min(s.state.Version, tls12)
	if c := x.offer(ctx, s, version, weakSuites(), false); c != nil {
		x.find("tls-weak-cipher", s.String(), "the server takes the weak cipher "+tls.CipherSuiteName(c.suite), s.at())
	}
	if c := x.offer(ctx, s, version, fixedSuites(), false); c != nil {
		x.find("tls-no-secrecy", s.String(), "the server takes ciphers without forward secrecy, such as "+tls.CipherSuiteName(c.suite), s.at())
	}
	if c := x.offer(ctx, s, version, ephemeralSuites(), true); c != nil && c.dhBits > 0 && c.dhBits < 2048 {
		x.find("tls-weak-group", s.String(), fmt.Sprintf("the server's Diffie-Hellman group has %d bits", c.dhBits), s.at())
	}
}

func (x *examination) offer(ctx context.Context, s *secured, version uint16, suites []uint16, wantGroup bool) *choice {
	conn, err := x.open(ctx, s.port)
	if err != nil {
		x.skip(fmt.Sprintf("%s on port %s", versionName(version), s), refusal(err))
		return nil
	}
	defer conn.Close()
	c, err := offer(conn, version, suites, x.indication(), wantGroup)
	if c == nil && isTimeout(err) {
		x.skip(fmt.Sprintf("%s on port %s", versionName(version), s), "the server does not answer the offer")
	}

	return c
}

func isTimeout(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded)
}
