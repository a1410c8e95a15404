package imap_test

import (
	"fmt"
	"testing"
)

// BenchmarkRoundTrip measures commands that do next to nothing: what is left
// is the session's own cost, over TLS.
func BenchmarkRoundTrip(b *testing.B) {
	for _, command := range []string{"NOOP", "STATUS INBOX (MESSAGES UIDNEXT)", `LIST "" *`} {
		b.Run(command, func(b *testing.B) {
			c := newOffice(b).login()
			b.ReportAllocs()
			for b.Loop() {
				c.quiet(command)
			}
		})
	}
}

// BenchmarkPipeline measures a hundred commands that are sent together.
func BenchmarkPipeline(b *testing.B) {
	c := newOffice(b).login()
	script := ""
	for i := range 100 {
		script += fmt.Sprintf("n%d NOOP\r\n", i)
	}
	b.ReportAllocs()
	for b.Loop() {
		c.write(script)
		for range 100 {
			c.line()
		}
	}
}

// BenchmarkLogin measures log-ins on new connections, with handshakes and
// without the cost of checking a password.
func BenchmarkLogin(b *testing.B) {
	o := newOffice(b)
	for b.Loop() {
		c := o.login()
		c.quiet("LOGOUT")
		_ = c.conn.Close()
	}
}

// BenchmarkAppend measures messages of 8 KiB, each durable before its OK.
func BenchmarkAppend(b *testing.B) {
	body := letter
	for len(body) < 8<<10 {
		body += "0123456789abcdef0123456789abcdef0123456789abcdef\r\n"
	}
	c := newOffice(b).login()
	command := fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", len(body), body)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		c.quiet(command)
	}
}
