package message_test

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"pillarbox/storage/message"
)

func parseLimited(t *testing.T, body string, lim message.Limits) *message.Message {
	t.Helper()
	m, err := message.Parse(strings.NewReader(body), lim)
	if err != nil {
		t.Fatal(err)
	}
	if err := check(m, []byte(body)); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestDepthLimit(t *testing.T) {
	var b strings.Builder
	for i := range 10 {
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	b.WriteString("\r\ninnermost")
	m := parseLimited(t, b.String(), message.Limits{Depth: 4})
	if len(m.Parts) != 4 || m.Parts[3].Kind != message.Leaf || m.Parts[3].Type != "application/octet-stream" {
		t.Errorf("parts = %+v, want 4, the last a leaf", m.Parts)
	}
	if m := parseLimited(t, b.String(), message.Limits{}); len(m.Parts) != 11 {
		t.Errorf("%d parts without the limit, want 11", len(m.Parts))
	}
}

func TestDepthLimitOfEmbedded(t *testing.T) {
	body := strings.Repeat("Content-Type: message/rfc822\r\n\r\n", 500)
	if m := parseLimited(t, body, message.Limits{}); len(m.Parts) != 50 {
		t.Errorf("%d parts, want 50", len(m.Parts))
	}
}

func TestPartsLimit(t *testing.T) {
	body := "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n\r\nx\r\n", 100) + "--b--\r\n"
	m := parseLimited(t, body, message.Limits{Parts: 10})
	if len(m.Parts) != 10 || m.Parts[9].End != m.Size {
		t.Errorf("%d parts, want 10, of which the last has the rest", len(m.Parts))
	}
}

func TestHeaderLimits(t *testing.T) {
	body := "Subject: first\r\n" + strings.Repeat("X-Junk: "+strings.Repeat("y", 90)+"\r\n", 100) + "To: late@example.org\r\n\r\nbody"
	for _, lim := range []message.Limits{{HeaderBytes: 1000}, {HeaderFields: 50}} {
		m := parseLimited(t, body, lim)
		if !bytes.Contains(m.Envelope, []byte("first")) || bytes.Contains(m.Envelope, []byte("late")) {
			t.Errorf("%+v: envelope = %s, want the first field and not the last", lim, m.Envelope)
		}
		if want := int64(len(body) - len("body")); m.HeaderSize != want {
			t.Errorf("%+v: header size = %d, want %d", lim, m.HeaderSize, want)
		}
	}
	long := "Subject: first\r\nTo: " + strings.Repeat("x", 100_000) + "\r\n\r\n"
	if m := parseLimited(t, long, message.Limits{HeaderBytes: 50_000}); string(m.Fields) != "Subject: first\r\n" {
		t.Errorf("Fields = %.80q, want no field that was cut off", m.Fields)
	}
}

// TestHostileMessages parses messages that are made to cost a lot and bounds
// what comes out, and how long it takes.
func TestHostileMessages(t *testing.T) {
	const size = 4 << 20
	embedded := "--b\r\nContent-Type: message/rfc822\r\n\r\n"
	top := "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
	fill := func(prefix, unit, suffix string, n int) string {
		return prefix + strings.Repeat(unit, n/len(unit)) + suffix
	}
	var deep strings.Builder
	for i := range 48 {
		fmt.Fprintf(&deep, "Content-Type: multipart/mixed; boundary=\"%d-\"\r\n\r\n--%d-\r\n", i, i)
	}
	for _, tt := range []struct{ name, body string }{
		{"addresses", fill("From: ", "a,", "\r\n\r\n", size)},
		{"addresses in many messages", top + strings.Repeat(embedded+fill("From: ", "a,", "\r\n\r\n", 100_000), 40)},
		{"quotes", fill("From: ", `"\`, "\r\n\r\n", 250_000)},
		{"open quotes", fill("From: ", `"\"`, "\r\n\r\n", 250_000)},
		{"comments", fill("From: ", "(", "\r\n\r\n", 250_000)},
		{"brackets", fill("From: ", "<@", "\r\n\r\n", 250_000)},
		{"literals", fill("From: ", "[", "\r\n\r\n", 250_000)},
		{"encoded words", fill("From: ", "=?a?q?", "\r\n\r\n", 250_000)},
		{"encoded words without end", fill("From: ", "=?", "\r\n\r\n", 250_000)},
		{"at signs", fill("From: ", "a@b ", "\r\n\r\n", 250_000)},
		{"parameters", fill("Content-Type: text/plain", ";a=b", "\r\n\r\n", 250_000)},
		{"parameters without a value", fill("Content-Type: text/plain", ";a", "\r\n\r\n", 250_000)},
		{"continuations", fill("Content-Type: text/plain", ";a*1=b;a*2=c", "\r\n\r\n", 250_000)},
		{"blanks in parameters", fill("Content-Type: text/plain;a=", "b (", "\r\n\r\n", 250_000)},
		{"folded", fill("Subject: ", "\r\n x", "\r\n\r\n", 250_000)},
		{"fields", fill("", "a:\r\n", "\r\n\r\n", size)},
		{"long descriptions", top + strings.Repeat("--b\r\nContent-Description: "+strings.Repeat("x", 200_000)+"\r\n\r\n\r\n", 20)},
		{"dashes", fill(deep.String()+"\r\n", "--\n", "", size)},
		{"near boundaries", fill(deep.String()+"\r\n", "--1\n", "", size)},
		{"boundaries", fill(top, "--b\n", "", size)},
		{"line ends", fill("\r\n", "\n", "", size)},
		{"dates", fill("Date: ", "1 Jan ", "\r\n\r\n", 250_000)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Now()
			m := parseLimited(t, tt.body, message.Limits{})
			// Milliseconds, or hours where the work grows with the square.
			if took := time.Since(start); took > time.Minute {
				t.Errorf("took %v", took)
			}
			if n := len(m.Envelope); n > 3<<20 {
				t.Errorf("the envelope has %d octets", n)
			}
			if n := len(m.Structure); n > 6<<20 {
				t.Errorf("the structure has %d octets", n)
			}
			if n := len(m.Append(nil)); n > 8<<20 {
				t.Errorf("the record has %d octets", n)
			}
		})
	}
}

// endless yields a pattern for ever.
type endless struct {
	pattern []byte
	pos     int
}

func (r *endless) Read(p []byte) (int, error) {
	n := copy(p, r.pattern[r.pos:])
	r.pos = (r.pos + n) % len(r.pattern)
	return n, nil
}

func TestParseKeepsLittle(t *testing.T) {
	const size = 50 << 20
	line := []byte(strings.Repeat("QUJD", 19) + "\r\n")
	body := io.MultiReader(
		strings.NewReader("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Transfer-Encoding: base64\r\n\r\n"),
		io.LimitReader(&endless{pattern: line}, size),
		strings.NewReader("\r\n--b--\r\n"))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	m, err := message.Parse(body, message.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 256<<10 {
		t.Errorf("allocated %d octets for a message of %d", allocated, m.Size)
	}
	if len(m.Parts) != 2 || m.Parts[1].End-m.Parts[1].BodyStart != size {
		t.Errorf("parts = %+v", m.Parts)
	}
}
