package access

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
)

// heardConn remembers of what the client sent as much as the reason of a failed
// handshake takes: how many octets, and the last ones. The handshake and what
// asks for them run in one goroutine.
type heardConn struct {
	net.Conn
	octets int64
	tail   [alertSize]byte
}

func (c *heardConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.octets += int64(n)
	if n >= alertSize {
		copy(c.tail[:], b[n-alertSize:n])
	} else if n > 0 {
		copy(c.tail[:], c.tail[n:])
		copy(c.tail[alertSize-n:], b[:n])
	}
	return n, err
}

// alertSize is a record that holds an alert: type, version, length, level, code.
const alertSize = 7

// plainAlert returns the alert that the client sent last without encryption.
// OpenSSL does that when it refuses our certificate in TLS 1.3; crypto/tls,
// which expects an encrypted record by then, calls it a bad record MAC.
func (c *heardConn) plainAlert() (tls.AlertError, bool) {
	t := &c.tail
	if t[0] != 21 || t[1] != 3 || t[3] != 0 || t[4] != 2 {
		return 0, false
	}
	return tls.AlertError(t[6]), true
}

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
	{"client didn't provide a certificate", "the client has no certificate of its own, which is required here"},
	{"is not one of a device that may sign in", "the client's certificate is not one of a device that may sign in: it is another's, was revoked or has expired"},
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

// reason says in words why a handshake failed.
func reason(err error, c *heardConn) string {
	var head tls.RecordHeaderError
	var op *net.OpError
	alert, plain := c.plainAlert()
	switch {
	case errors.As(err, &head) && head.Conn != nil:
		return "not TLS: " + spoken(head.RecordHeader)
	case isTimeout(err) && c.octets == 0:
		return "the client sent nothing; one that is set to no encryption or STARTTLS waits like that for a greeting"
	case isTimeout(err):
		return "the client did not finish the handshake in time"
	case errors.As(err, &op) && op.Op == "remote error":
		return alertReason(op.Err.Error())
	case plain:
		return alertReason(alert.Error())
	}
	for _, r := range tlsReasons {
		if strings.Contains(err.Error(), r.text) {
			return r.reason
		}
	}
	switch {
	case isGone(err) && c.octets == 0:
		return "the client connected and left without a word (a port scan or a health check)"
	case isGone(err):
		return "the client left in the middle of the handshake; some do that when they do not trust the certificate"
	}
	return "what the client sent is not correct TLS"
}

func alertReason(text string) string {
	text = strings.TrimPrefix(text, "tls: ")
	for _, r := range alertReasons {
		if text == r.text {
			return r.reason
		}
	}
	return "the client refused: " + text
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
		{"AUTH ", "POP3 or FTP"},
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
