package syslog

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"time"

	"pillarbox/appliance/audit"
)

const (
	// priority is facility 13, "log audit", with severity 5, "notice"
	// (RFC 5424, section 6.2.1).
	priority = 13*8 + 5

	appName = "pillarbox"
	msgID   = "audit-checkpoint"

	// patience is how long the server may take in all.
	patience = 10 * time.Second
)

// ErrTarget says that a log server is not named as it should be.
var ErrTarget = errors.New("a log server is named like udp://HOST:514, tcp://HOST:601 or tls://HOST:6514?ca=FILE")

// Sender is an audit.Sender.
type Sender struct {
	network  string
	address  string
	tls      *tls.Config // nil without TLS
	hostname string
}

// New returns a Sender to a target such as "udp://log.office.example:514",
// which gives the machine's name as hostname. The port may be left out. With
// TLS the server's certificate is checked against the CA file, or, without
// one, against the system's.
func New(target, hostname string) (*Sender, error) {
	u, err := url.Parse(target)
	if err != nil || u.Hostname() == "" || u.Path != "" || u.User != nil {
		return nil, ErrTarget
	}
	// RFC 5426, section 3.3; RFC 6587, section 3.4 leaves TCP's open, IANA has
	// 601; RFC 5425, section 4.1.
	ports := map[string]string{"udp": "514", "tcp": "601", "tls": "6514"}
	port, ok := ports[u.Scheme]
	if !ok {
		return nil, ErrTarget
	}
	if u.Port() != "" {
		port = u.Port()
	}
	s := &Sender{network: u.Scheme, address: net.JoinHostPort(u.Hostname(), port), hostname: printable(hostname)}
	if u.Scheme == "tls" {
		s.network = "tcp"
		if s.tls, err = config(u.Hostname(), u.Query().Get("ca")); err != nil {
			return nil, err
		}
	}

	return s, nil
}

func config(name, file string) (*tls.Config, error) {
	c := &tls.Config{ServerName: name, MinVersion: tls.VersionTLS12}
	if file == "" {
		return c, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the log server's CA: %w", err)
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("read the log server's CA: there is no certificate in %s", file)
	}

	return c, nil
}

// printable is a name as RFC 5424, section 6 wants it: at most 255 printable
// characters of ASCII, "-" where there is none.
func printable(name string) string {
	b := []byte(name[:min(len(name), 255)])
	for i, c := range b {
		if c <= ' ' || c > '~' {
			b[i] = '_'
		}
	}
	if len(b) == 0 {
		return "-"
	}

	return string(b)
}

// Send implements audit.Sender.
func (s *Sender) Send(ctx context.Context, c *audit.Checkpoint) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	message := s.message(c)
	conn, err := s.dial(ctx)
	if err != nil {
		return fmt.Errorf("connect to the log server %s: %w", s.address, err)
	}
	deadline, _ := ctx.Deadline()
	err = conn.SetDeadline(deadline)
	if err == nil {
		_, err = conn.Write(message)
	}
	if err = errors.Join(err, conn.Close()); err != nil {
		return fmt.Errorf("send to the log server %s: %w", s.address, err)
	}

	return nil
}

func (s *Sender) dial(ctx context.Context) (net.Conn, error) {
	if s.tls != nil {
		return (&tls.Dialer{Config: s.tls}).DialContext(ctx, s.network, s.address)
	}

	return (&net.Dialer{}).DialContext(ctx, s.network, s.address)
}

// message returns what is written: in UDP a datagram is a message, in a stream
// its length stands before it.
func (s *Sender) message(c *audit.Checkpoint) []byte {
	m := fmt.Appendf(nil, "<%d>1 %s %s %s %d %s - %s", priority,
		c.Time.UTC().Format(time.RFC3339), s.hostname, appName, os.Getpid(), msgID, c)
	if s.network == "udp" {
		return m
	}

	return append(fmt.Appendf(nil, "%d ", len(m)), m...)
}
