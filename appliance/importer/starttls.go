package importer

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/emersion/go-imap/v2"
)

// Bounds of what a server may say before the connection is encrypted.
const (
	clearLine  = 8 << 10 // octets
	clearLines = 100
)

// startTLS encrypts a connection by STARTTLS (RFC 9051, section 6.2.1). What it
// returns begins with a greeting, as a connection does that was encrypted from
// the first octet. With an error the connection has ended.
func startTLS(ctx context.Context, conn net.Conn, conf *tls.Config) (_ net.Conn, err error) {
	defer func() {
		if err != nil {
			conn.Close()
		}
	}()
	in := bufio.NewReaderSize(conn, clearLine)
	greeting, err := in.ReadSlice('\n')
	if err != nil {
		return nil, fmt.Errorf("read the greeting: %w", err)
	}
	kind, text, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(string(greeting)), "* "), " ")
	switch {
	case strings.EqualFold(kind, "BYE"):
		return nil, asBusy(&imap.Error{Type: imap.StatusResponseTypeBye, Text: text})
	case !strings.EqualFold(kind, "OK"): // PREAUTH would sign in somebody by a word that anyone may have said
		return nil, fmt.Errorf("%w: it does not let the connection be encrypted (STARTTLS): it greets with %s", ErrRefused, plainText(kind))
	}
	if _, err := io.WriteString(conn, "S STARTTLS\r\n"); err != nil {
		return nil, err
	}
	for range clearLines {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return nil, fmt.Errorf("begin to encrypt: %w", err)
		}
		answer, ours := strings.CutPrefix(strings.TrimSpace(string(line)), "S ")
		if !ours {
			continue
		}
		kind, text, _ := strings.Cut(answer, " ")
		if !strings.EqualFold(kind, "OK") {
			return nil, fmt.Errorf("%w: it does not let the connection be encrypted (STARTTLS): %s", ErrRefused, plainText(text))
		}
		if in.Buffered() > 0 {
			return nil, fmt.Errorf("%w: something was said between STARTTLS and the encryption: somebody may be in between", ErrRefused)
		}
		c := tls.Client(conn, conf)
		if err := c.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		return &greetedConn{Conn: c, greeting: strings.NewReader("* OK encrypted\r\n")}, nil
	}
	return nil, errTalkative
}

// greetedConn begins with a greeting of our own.
type greetedConn struct {
	net.Conn

	greeting *strings.Reader
}

// Read implements net.Conn.
func (c *greetedConn) Read(p []byte) (int, error) {
	if c.greeting.Len() > 0 {
		return c.greeting.Read(p)
	}
	return c.Conn.Read(p)
}
