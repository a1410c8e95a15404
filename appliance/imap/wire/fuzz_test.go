package wire_test

import (
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"pillarbox/appliance/imap/wire"
)

// FuzzDecoder takes tokens of every kind from any octets: no panic, no hang,
// no more memory than allowed, and nothing is read after a FatalError.
func FuzzDecoder(f *testing.F) {
	for _, s := range []string{
		"a NOOP\r\n",
		"a LOGIN \"x\\\"\" {3+}\r\nabc\r\nb NOOP\r\n",
		"a {10+}\r\nx LOGOUT\r\n\r\nb NOOP\n",
		"a ~{3+}\r\na\x00b {99999999999999999999+}\r\n",
		"a (\\Seen $x) \" 7-Feb-1994 21:52:25 -0800\" 1:*,$ NIL &AOk-\r\n",
		"a \"{5+}\r\nabcde\"\r\n{0+}\r\n{0+}\r\n\r\n",
		"{5}\r\nabcde\r\n",
		strings.Repeat("x", 300) + "{3+}\r\nabc\r\nnext\r\n",
	} {
		f.Add([]byte(s), []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13})
		f.Add([]byte(s), []byte{1, 0, 12})
	}
	f.Fuzz(func(t *testing.T, input, ops []byte) {
		l := wire.Limits{Line: 300, Literal: 100, Command: 1000, Drain: 2000}
		d := wire.NewDecoder(iotest.OneByteReader(strings.NewReader(string(input))), l)
		defer d.Close()
		d.Continue = func() error { return nil }
		if len(ops) == 0 {
			return
		}
		for op := 0; ; {
			if err := d.Begin(); err != nil {
				var syntax *wire.SyntaxError
				var limit *wire.LimitError
				if errors.As(err, &syntax) || errors.As(err, &limit) {
					d.Tag()
					continue
				}
				if again := d.Begin(); again == nil {
					t.Fatalf("after %v a command was read", err)
				}
				return
			}
			taken := 0
			for range len(input) + 1 {
				taken += takeAny(d, ops[op%len(ops)])
				op++
				if d.Err() != nil || !d.More() {
					break
				}
			}
			d.End()
			if taken > 4*1000 {
				t.Fatalf("a command of at most 1000 octets gave %d", taken)
			}
		}
	})
}

// takeAny takes a token and returns about how many octets it holds.
func takeAny(d *wire.Decoder, op byte) int {
	switch op % 16 {
	case 0:
		return len(d.Tag())
	case 1:
		return len(d.Word())
	case 2:
		return len(d.Atom())
	case 3:
		return len(d.AString())
	case 4:
		return len(d.String())
	case 5:
		s, _ := d.NString()
		return len(s)
	case 6:
		d.Number64()
	case 7:
		d.PositiveNumber()
	case 8:
		return len(d.UIDSet())
	case 9:
		return len(d.FlagList())
	case 10:
		d.Date()
	case 11:
		d.DateTime()
	case 12:
		return len(d.Mailbox(op >= 128))
	case 13:
		return len(d.ListPattern(op >= 128))
	case 14:
		return len(d.Flags())
	case 15:
		l := d.Literal()
		if r, err := d.Open(l); err == nil && op >= 128 {
			n, _ := r.Read(make([]byte, 10))
			d.Resume()
			return n
		}
	}
	return 0
}

// FuzzRoundTrip appends strings and names in every form and takes them again.
func FuzzRoundTrip(f *testing.F) {
	for _, s := range []string{"", "a", "NIL", "a b", `"\`, "a\r\nb", "Entwürfe", "R&D", "台北/😀", "\xff", "INBOX", "{5+}", strings.Repeat("x", 1001)} {
		f.Add(s, false)
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, s string, enabled bool) {
		if strings.IndexByte(s, 0) >= 0 || len(s) > 10000 {
			return
		}
		line := wire.AppendString(nil, s, enabled)
		line = wire.AppendAString(append(line, ' '), s, enabled)
		name := strings.ToValidUTF8(s, "")
		if strings.EqualFold(name, "INBOX") {
			name = "INBOX"
		}
		line = wire.AppendMailbox(append(line, ' '), name, enabled)
		d := newDecoder(t, wire.Limits{}, string(line)+"\r\n")
		if err := d.Begin(); err != nil {
			t.Fatal(err)
		}
		first := d.String()
		d.Space()
		second := d.AString()
		d.Space()
		third := d.Mailbox(enabled)
		d.End()
		if d.Err() != nil || first != s || second != s || third != name {
			t.Errorf("%q: %q was read as %q, %q, %q, %v", s, line, first, second, third, d.Err())
		}
	})
}
