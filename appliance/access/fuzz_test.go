package access_test

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"pillarbox/appliance/access"
)

// FuzzHandshake sends any octets where a handshake is expected. No session
// begins, the connection ends, and the log's words are ours, not the client's.
func FuzzHandshake(f *testing.F) {
	for _, seed := range []string{
		"", "a1 NOOP\r\n", "GET / HTTP/1.1\r\n\r\n", "\x00\x01\x02\x03\x04\x05",
		"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10", // SSL 2
		"\x16\x03\x01\x00\x05\x63\x00\x00\x01\x00",     // no hello
		"\x15\x03\x03\x00\x02\x02\x30",                 // an alert
		"\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x03" + strings.Repeat("r", 32) + "\x00\x00\x02\x13\x01\x01\x00\x00\x00",
	} {
		f.Add([]byte(seed))
	}
	p := serve(f, "tcp", "127.0.0.1:0", access.Config{PlainHint: hint}, func(context.Context, *access.Conn) {
		panic("a session began")
	})
	f.Fuzz(func(t *testing.T, sent []byte) {
		p.log.forget()
		c, err := net.Dial("tcp", p.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write(sent) // it may be refused before it is all sent
		_ = c.(*net.TCPConn).CloseWrite()
		if _, err := io.Copy(io.Discard, c); isTimeout(err) {
			t.Fatal("the handshake hangs")
		}
		awaitOpen(t, p.lis, 0)
		if broken := p.log.lines(t, "a session broke down"); len(broken) > 0 {
			t.Errorf("%v", broken)
		}
		for _, m := range p.log.lines(t, "TLS handshake failed") {
			if s := m["reason"].(string); len(s) > 200 || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("the reason is %q", s)
			}
		}
	})
}

func isTimeout(err error) bool {
	e, ok := err.(net.Error)
	return ok && e.Timeout()
}
