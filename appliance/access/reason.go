package access

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
)

// countedConn counts what the client sent: silence, and a client that stopped
// in the middle, mean different things.
type countedConn struct {
	net.Conn
	n atomic.Int64
}

func (c *countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.n.Add(int64(n))
	return n, err
}

func (c *countedConn) received() int64 { return c.n.Load() }

// Crypto/tls has no types for most of its errors. The texts are pinned by
// tests with clients that provoke them.
var tlsReasons = []struct{ text, reason string }{
	{"client offered only unsupported versions", "the client speaks only protocols older than TLS 1.2"},
	{"unsupported SSLv2 handshake", "the client speaks only protocols older than TLS 1.2 (SSL 2)"},
	{"no cipher suite supported by both", "no cipher that both sides know"},
	{"no key exchanges supported by both", "no key exchange that both sides know"},
	{"no ECDHE curve supported by both", "no key exchange that both sides know"},
	{"unsupported application protocols", "the client wants another application protocol on this port"},
	{"inappropriate protocol fallback", "the client fell back to an older protocol than it knows"},
	{"peer doesn't support any of the certificate's signature algorithms", "the client cannot use the certificate's kind of key"},
}

// alertReasons are alerts that the client sent (RFC 8446, section 6.2). Which
// one says "I do not trust this CA" depends on the client's library.
var alertReasons = []struct{ text, reason string }{
	{"unknown certificate authority", "the client does not trust our CA: install its certificate on the device"},
	{"bad certificate", "the client does not accept our certificate: its CA is not installed on the device, or the name differs"},
	{"unknown certificate", "the client does not accept our certificate: its CA is not installed on the device, or somebody declined it"},
	{"expired certificate", "the client takes our certificate for expired or not yet valid: check both clocks"},
	{"revoked certificate", "the client takes our certificate for revoked"},
	{"unsupported certificate", "the client cannot use our kind of certificate"},
	{"unrecognized name", "the client does not find its name for us in our certificate"},
	{"protocol version not supported", "the client does not accept TLS 1.2 or 1.3"},
	{"handshake failure", "the client found nothing acceptable in what we offered"},
	{"insufficient security level", "the client wants stronger encryption than we offered"},
	{"user canceled", "somebody cancelled at the client"},
	{"close notify", "the client ended the handshake"},
	{"access denied", "the client does not allow itself to go on"},
}

// reason says in words why a handshake failed after the client had sent
// received octets.
func reason(err error, received int64) string {
	var head tls.RecordHeaderError
	var op *net.OpError
	switch {
	case errors.As(err, &head) && head.Conn != nil:
		return "not TLS: " + spoken(head.RecordHeader)
	case isTimeout(err) && received == 0:
		return "the client sent nothing; one that is set to no encryption or STARTTLS waits like that for a greeting"
	case isTimeout(err):
		return "the client did not finish the handshake in time"
	case errors.As(err, &op) && op.Op == "remote error":
		text := op.Err.Error()
		for _, r := range alertReasons {
			if strings.HasSuffix(text, r.text) {
				return r.reason
			}
		}
		return "the client refused: " + strings.TrimPrefix(text, "tls: ")
	}
	for _, r := range tlsReasons {
		if strings.Contains(err.Error(), r.text) {
			return r.reason
		}
	}
	switch {
	case isGone(err) && received == 0:
		return "the client connected and left without a word (a port scan or a health check)"
	case isGone(err):
		return "the client left in the middle of the handshake; some do that when they do not trust the certificate"
	}
	return "what the client sent is not correct TLS"
}

// spoken guesses a protocol from the first octets of plain text.
func spoken(b [5]byte) string {
	s := strings.ToUpper(string(b[:]))
	for _, p := range [...]struct{ prefix, name string }{
		{"GET ", "HTTP"},
		{"HEAD ", "HTTP"},
		{"POST ", "HTTP"},
		{"PUT ", "HTTP"},
		{"OPTIO", "HTTP"},
		{"CONNE", "HTTP"},
		{"PRI *", "HTTP/2"},
		{"EHLO ", "SMTP"},
		{"HELO ", "SMTP"},
		{"LHLO ", "LMTP"},
		{"USER ", "POP3 or FTP"},
		{"AUTH ", "plain POP3 or FTP"},
		{"SSH-2", "SSH"},
		{"PROXY", "the PROXY protocol"},
	} {
		if strings.HasPrefix(s, p.prefix) {
			return "the client speaks " + p.name + " without encryption"
		}
	}
	for _, c := range b {
		if (c < ' ' || c > '~') && c != '\r' && c != '\n' {
			return "the client sends something unknown"
		}
	}
	// A command of IMAP begins with a tag of the client's choice.
	if tag, _, ok := strings.Cut(s, " "); ok && tag != "" {
		return "the client speaks IMAP without encryption, by the looks of it"
	}
	return "the client sends plain text"
}

func isTimeout(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded)
}

func isGone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
