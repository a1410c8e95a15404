package delivery

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	maxHeader   = 256 << 10 // octets of a header that are searched for traces
	maxReceived = 100       // hops, as RFC 5321, section 6.3 advises
	maxText     = 255       // octets of what a peer says that are repeated
)

// traceReader keeps the header of what is read through it.
type traceReader struct {
	r      io.Reader
	header []byte
	whole  bool // the header has ended, or is as long as is kept
}

// Read implements io.Reader.
func (t *traceReader) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	if !t.whole && n > 0 {
		seen := len(t.header)
		t.header = append(t.header, p[:min(n, maxHeader-seen)]...)
		from := max(0, seen-3)
		if i := headerEnd(t.header[from:]); i >= 0 {
			t.header, t.whole = t.header[:from+i], true
		} else if len(t.header) == maxHeader {
			t.whole = true
		}
	}

	return n, err
}

// headerEnd finds the empty line, whatever the line ends.
func headerEnd(b []byte) int {
	i, j := bytes.Index(b, []byte("\n\r\n")), bytes.Index(b, []byte("\n\n"))
	switch {
	case i < 0:
		return j
	case j < 0:
		return i
	}

	return min(i, j)
}

// traceFields are the fields of a header that tell where a message has been.
type traceFields struct{ delivered []string }

// fields reads the trace fields. ErrLoop if there are too many Received.
func (t *traceReader) fields() (traceFields, error) {
	var f traceFields
	received := 0
	for line := range bytes.Lines(t.header) {
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok || len(name) == 0 || name[0] == ' ' || name[0] == '\t' {
			continue
		}
		switch name = bytes.TrimRight(name, " \t"); {
		case bytes.EqualFold(name, []byte("Received")):
			received++
		case bytes.EqualFold(name, []byte("Delivered-To")) && len(value) <= 2*maxText && len(f.delivered) < maxReceived:
			f.delivered = append(f.delivered, strings.TrimSpace(string(value)))
		}
	}
	if received > maxReceived {
		return f, fmt.Errorf("%w: it has passed %d servers", ErrLoop, received)
	}

	return f, nil
}

// deliveredTo tells whether the message has been delivered to an address.
func (f *traceFields) deliveredTo(address string) bool {
	for _, d := range f.delivered {
		if strings.EqualFold(strings.Trim(d, "<>"), address) {
			return true
		}
	}

	return false
}

// prefix makes the fields that final delivery adds (RFC 5321, section 4.4).
func prefix(env *Envelope, t *target, hostname, id string, now time.Time) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "Return-Path: <%s>\r\n", printable(env.From))
	fmt.Fprintf(&b, "Delivered-To: %s\r\n", t.account.Address)
	b.WriteString("Received:")
	if helo := token(env.Helo); helo != "" {
		fmt.Fprintf(&b, " from %s", helo)
		if remote := token(env.Remote); remote != "" {
			fmt.Fprintf(&b, " (%s)", remote)
		}
		b.WriteString("\r\n\t")
	} else {
		b.WriteByte(' ')
	}
	fmt.Fprintf(&b, "by %s", hostname)
	if with := token(env.With); with != "" {
		fmt.Fprintf(&b, " with %s", with)
	}
	fmt.Fprintf(&b, " id %s\r\n\tfor <%s>;\r\n\t%s\r\n", id, printable(t.recipient), now.Format(time.RFC1123Z))

	return b.Bytes()
}

// newID names one arrival, in the log and in Received.
func newID() string { return rand.Text()[:16] }

// printable drops what could end or disturb a header field, and what is too long.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || r == '<' || r == '>' || unicode.IsControl(r) || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
	for len(s) > maxText {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}

	return s
}

// token is printable without what separates parts of a Received field.
func token(s string) string {
	return strings.Map(func(r rune) rune {
		if r == ' ' || r == '(' || r == ')' || r == ';' || r == '"' || r == '\\' {
			return -1
		}
		return r
	}, printable(s))
}
