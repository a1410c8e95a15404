package rig

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/textproto"
	"time"
)

// LMTP is an LMTP client (RFC 2033) that sends bytes as they are.
type LMTP struct {
	conn net.Conn
	text *textproto.Conn
}

// DialLMTP connects to a TCP address or, with network "unix", to a socket, and
// says LHLO.
func DialLMTP(network, addr string) (*LMTP, error) {
	conn, err := net.DialTimeout(network, addr, wireTime)
	if err != nil {
		return nil, err
	}
	l := &LMTP{conn: conn, text: textproto.NewConn(conn)}
	if err := l.greet(); err != nil {
		conn.Close()
		return nil, err
	}
	return l, nil
}

func (l *LMTP) greet() error {
	if err := l.conn.SetDeadline(time.Now().Add(wireTime)); err != nil {
		return err
	}
	if _, _, err := l.text.ReadResponse(220); err != nil {
		return fmt.Errorf("greeting: %w", err)
	}
	return l.say(250, "LHLO tests.example")
}

func (l *LMTP) say(want int, format string, args ...any) error {
	if err := l.text.PrintfLine(format, args...); err != nil {
		return err
	}
	if _, _, err := l.text.ReadResponse(want); err != nil {
		return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), err)
	}
	return nil
}

// Close ends the connection.
func (l *LMTP) Close() error { return l.text.Close() }

// Deliver sends one message to several people and returns each one's answer,
// nil for those who have it now. The error in the second place is one of the
// whole transaction. A message that does not end with CRLF gets one: DATA
// cannot say otherwise.
func (l *LMTP) Deliver(from string, to []string, message []byte) ([]error, error) {
	if err := l.conn.SetDeadline(time.Now().Add(wireTime)); err != nil {
		return nil, err
	}
	if err := l.say(250, "MAIL FROM:<%s>", from); err != nil {
		return nil, err
	}
	answers := make([]error, len(to))
	accepted := 0
	for i, rcpt := range to {
		if answers[i] = l.say(250, "RCPT TO:<%s>", rcpt); answers[i] == nil {
			accepted++
		}
	}
	if accepted == 0 {
		return answers, l.say(250, "RSET")
	}
	if err := l.say(354, "DATA"); err != nil {
		return nil, err
	}
	w := bufio.NewWriter(l.conn)
	for line := range bytes.Lines(message) {
		if line[0] == '.' {
			w.WriteByte('.')
		}
		w.Write(line)
	}
	if !bytes.HasSuffix(message, []byte("\r\n")) {
		w.WriteString("\r\n")
	}
	w.WriteString(".\r\n")
	if err := w.Flush(); err != nil {
		return nil, err
	}
	for i := range to {
		if answers[i] == nil {
			_, _, answers[i] = l.text.ReadResponse(250)
		}
	}
	return answers, nil
}
