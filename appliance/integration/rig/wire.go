package rig

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// wireTime bounds how long a Wire waits for bytes; the longest answer takes
// seconds.
const wireTime = 60 * time.Second

// Wire is an IMAP client that understands as little as possible: it sends
// bytes and counts what comes back until the tagged line. A benchmark with it
// measures the server, a test with it can send what no library would.
type Wire struct {
	conn net.Conn
	r    *bufio.Reader
	tag  int
	cmd  []byte
}

// DialWire connects by TLS and reads the greeting.
func DialWire(addr string, config *tls.Config) (*Wire, error) {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: wireTime}, "tcp", addr, config)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", addr, err)
	}
	w := &Wire{conn: conn, r: bufio.NewReaderSize(conn, 64<<10)}
	line, err := w.Line()
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("read the greeting: %w", err)
	}
	if !bytes.HasPrefix(line, []byte("* OK ")) && !bytes.HasPrefix(line, []byte("* PREAUTH ")) {
		conn.Close()
		return nil, fmt.Errorf("greeting is %q", line)
	}
	return w, nil
}

// Conn returns the connection below.
func (w *Wire) Conn() net.Conn { return w.conn }

// Close closes the connection without a LOGOUT.
func (w *Wire) Close() error { return w.conn.Close() }

// Send writes bytes as they are.
func (w *Wire) Send(p []byte) error {
	if err := w.conn.SetWriteDeadline(time.Now().Add(wireTime)); err != nil {
		return err
	}
	_, err := w.conn.Write(p)
	return err
}

// Line reads one line, literals not followed. It is valid until the next read.
func (w *Wire) Line() ([]byte, error) {
	if err := w.conn.SetReadDeadline(time.Now().Add(wireTime)); err != nil {
		return nil, err
	}
	line, err := w.r.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	return bytes.TrimRight(line, "\r\n"), nil
}

// ReplyError is a tagged answer other than OK.
type ReplyError struct{ Line string }

func (e *ReplyError) Error() string { return "answered " + e.Line }

// Do sends a command and skips its answer. It returns how many octets came
// back, tagged line included.
func (w *Wire) Do(command string) (int64, error) {
	if err := w.Start(command); err != nil {
		return 0, err
	}
	return w.Wait(nil)
}

// Start sends a command without waiting for the answer.
func (w *Wire) Start(command string) error {
	w.tag++
	w.cmd = append(w.cmd[:0], 'w')
	w.cmd = strconv.AppendInt(w.cmd, int64(w.tag), 10)
	w.cmd = append(w.cmd, ' ')
	w.cmd = append(w.cmd, command...)
	w.cmd = append(w.cmd, '\r', '\n')
	return w.Send(w.cmd)
}

// Wait reads to the next tagged line. Where into is not nil the answer is
// written to it too.
func (w *Wire) Wait(into io.Writer) (n int64, err error) {
	begun := true   // at the beginning of a line
	var tail []byte // the end of a line's chunk before, where a literal's size may begin
	for {
		if err := w.conn.SetReadDeadline(time.Now().Add(wireTime)); err != nil {
			return n, err
		}
		line, err := w.r.ReadSlice('\n')
		n += int64(len(line))
		if into != nil {
			if _, err := into.Write(line); err != nil {
				return n, err
			}
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			begun = false
			tail = append(tail[:0], line[len(line)-32:]...)
			continue
		}
		if err != nil {
			return n, err
		}
		if begun && line[0] == 'w' {
			_, rest, _ := bytes.Cut(line, []byte(" "))
			if bytes.HasPrefix(rest, []byte("OK")) {
				return n, nil
			}
			return n, &ReplyError{Line: string(bytes.TrimSpace(line))}
		}
		if begun && bytes.HasPrefix(line, []byte("* BYE")) {
			return n, &ReplyError{Line: string(bytes.TrimSpace(line))}
		}
		size, isLiteral := literal(line)
		if len(tail) > 0 && len(line) < len(tail) {
			size, isLiteral = literal(append(tail, line...))
		}
		tail = tail[:0]
		begun = !isLiteral
		if !isLiteral {
			continue
		}
		m, err := w.skip(size, into)
		n += m
		if err != nil {
			return n, err
		}
	}
}

func (w *Wire) skip(size int64, into io.Writer) (int64, error) {
	if into != nil {
		return io.CopyN(into, w.r, size)
	}
	m, err := w.r.Discard(int(size))
	return int64(m), err
}

// literal tells whether a line ends with the announcement of a literal.
func literal(line []byte) (size int64, ok bool) {
	line = bytes.TrimRight(line, "\r\n")
	if len(line) == 0 || line[len(line)-1] != '}' {
		return 0, false
	}
	open := bytes.LastIndexByte(line, '{')
	if open < 0 {
		return 0, false
	}
	size, err := strconv.ParseInt(string(line[open+1:len(line)-1]), 10, 64)
	return size, err == nil
}

// Login logs in.
func (w *Wire) Login(user, password string) error {
	_, err := w.Do(fmt.Sprintf("LOGIN %q %q", user, password))
	return err
}

// AppendBytes makes the command that appends a message by a non-synchronising
// literal, ready for Send.
func AppendBytes(b []byte, tag, mailbox string, date time.Time, message []byte) []byte {
	b = fmt.Appendf(b, "%s APPEND %q ", tag, mailbox)
	if !date.IsZero() {
		b = date.AppendFormat(b, `"_2-Jan-2006 15:04:05 -0700" `)
	}
	b = fmt.Appendf(b, "{%d+}\r\n", len(message))
	b = append(b, message...)
	return append(b, '\r', '\n')
}

// Append appends one message and waits for the answer.
func (w *Wire) Append(mailbox string, date time.Time, message []byte) error {
	w.tag++
	w.cmd = AppendBytes(w.cmd[:0], "w"+strconv.Itoa(w.tag), mailbox, date, message)
	if err := w.Send(w.cmd); err != nil {
		return err
	}
	_, err := w.Wait(nil)
	return err
}
