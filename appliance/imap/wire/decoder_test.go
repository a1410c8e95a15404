package wire_test

import (
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"pillarbox/appliance/imap/wire"
)

// chunks gives one part to each Read, as a client does that waits in between.
type chunks []string

func (c *chunks) Read(p []byte) (int, error) {
	for len(*c) > 0 && (*c)[0] == "" {
		*c = (*c)[1:]
	}
	if len(*c) == 0 {
		return 0, io.EOF
	}
	n := copy(p, (*c)[0])
	(*c)[0] = (*c)[0][n:]
	return n, nil
}

func newDecoder(t testing.TB, l wire.Limits, parts ...string) *wire.Decoder {
	t.Helper()
	c := chunks(parts)
	d := wire.NewDecoder(&c, l)
	d.Continue = func() error { return nil }
	t.Cleanup(d.Close)
	return d
}

func TestSkipFindsTheNextCommand(t *testing.T) {
	const evil = "x LOGOUT\r\n"
	for name, parts := range map[string][]string{
		"a line":                             {"foo\r\n", "next\r\n"},
		"an empty line":                      {"\r\n", "next\r\n"},
		"a line that ends with LF":           {"foo\nnext\n"},
		"a literal":                          {"foo {10+}\r\n" + evil + "\r\nnext\r\n"},
		"a literal announced with LF":        {"foo {10+}\n" + evil + "\nnext\n"},
		"a binary literal":                   {"foo ~{10+}\r\n" + evil + "\r\nnext\r\n"},
		"a literal in the middle of an atom": {"foo{10+}\r\n" + evil + "\r\nnext\r\n"},
		"a literal within quotes":            {"foo \"{10+}\r\n" + evil + "\"\r\nnext\r\n"},
		"a size with leading zeros":          {"foo {" + strings.Repeat("0", 30) + "10+}\r\n" + evil + "\r\nnext\r\n"},
		"a literal after a literal":          {"foo {10+}\r\n" + evil + " {10+}\r\n" + evil + "\r\nnext\r\n"},
		"a literal that ends like one":       {"foo {15+}\r\n" + evil + "{9+}\n\r\nnext\r\n"},
		"a synchronising literal":            {"foo {10}\r\n", "next\r\n"},
		"a literal, then a synchronising":    {"foo {10+}\r\n" + evil + " {5}\r\n", "next\r\n"},
		"braces at the end of a string":      {"foo \"{10+}\"\r\nnext\r\n"},
		"no digits":                          {"foo {+}\r\nnext\r\n"},
		"a negative size":                    {"foo {-1+}\r\nnext\r\n"},
		"a sign":                             {"foo {+10}\r\nnext\r\n"},
		"a space before the line end":        {"foo {10+} \r\nnext\r\n"},
		"a long line":                        {strings.Repeat("x", 10000) + "\r\nnext\r\n"},
		"a long line and a literal":          {strings.Repeat("x", 10000) + "{10+}\r\n" + evil + "\r\nnext\r\n"},
		"a very long line and a literal":     {strings.Repeat("x", 300000) + "{10+}\r\n" + evil + "\r\nnext\r\n"},
		"a very long line after a literal":   {"foo {1+}\r\n" + strings.Repeat("x", 300000) + "{10+}\r\n" + evil + "\r\nnext\r\n"},
		"a literal of 5 MB":                  {"foo {5000000+}\r\n" + strings.Repeat(evil, 500000) + "\r\nnext\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDecoder(t, wire.Limits{}, parts...)
			var limit *wire.LimitError
			if err := d.Begin(); err != nil && !errors.As(err, &limit) {
				t.Fatal(err)
			}
			if err := d.Skip(); err != nil {
				t.Fatal(err)
			}
			if err := d.Begin(); err != nil {
				t.Fatal(err)
			}
			if got := d.Atom(); got != "next" {
				t.Errorf("the next command is %q", got)
			}
			d.End()
			if err := d.Begin(); err != io.EOF {
				t.Errorf("at the end: %v", err)
			}
		})
	}
}

func TestSkipGivesUp(t *testing.T) {
	for name, parts := range map[string][]string{
		"a literal beyond the bound":                {"foo {2000000+}\r\nnext\r\n"},
		"a size beyond int64":                       {"foo {9223372036854775808+}\r\nnext\r\n"},
		"a size of very many digits":                {"foo {" + strings.Repeat("9", 1000) + "+}\r\nnext\r\n"},
		"a size of more digits than a line may be":  {"foo {" + strings.Repeat("0", 100000) + "5+}\r\nnext\r\n"},
		"a synchronising literal sent unasked":      {"foo {10}\r\nnext\r\n"},
		"literals without end":                      {"foo {0+}\r\n", strings.Repeat("{1000+}\r\n"+strings.Repeat("x", 1000), 3000)},
		"empty literals without end":                {"foo ", strings.Repeat(strings.Repeat("x", 1000)+"{0+}\r\n", 3000)},
		"a line without end":                        {"foo ", strings.Repeat("x", 2<<20)},
		"a line without end after a literal":        {"foo {1+}\r\n", strings.Repeat("x", 2<<20)},
		"a line without end after a skipped string": {"foo {1+}\r\n \r\n", strings.Repeat("x", 2<<20)},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDecoder(t, wire.Limits{Drain: 1 << 20}, parts...)
			var err error
			for range 3 { // and it does not begin anew
				var limit *wire.LimitError
				if err = d.Begin(); err == nil || errors.As(err, &limit) {
					err = d.Skip()
				}
			}
			var fatal *wire.FatalError
			if !errors.As(err, &fatal) {
				t.Errorf("got %v, want a FatalError", err)
			}
		})
	}
}

func TestALineWithoutEndCostsLittleMemory(t *testing.T) {
	line := "foo " + strings.Repeat("x", 60<<20) + "\r\nnext\r\n"
	d := newDecoder(t, wire.Limits{}, line)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var limit *wire.LimitError
	if err := d.Begin(); !errors.As(err, &limit) {
		t.Errorf("got %v, want a LimitError", err)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("a line of 60 MiB took %d octets of memory", n)
	}
	if got := d.Tag(); got != "foo" {
		t.Errorf("its tag is %q", got)
	}
	if err := d.Begin(); err != nil || d.Atom() != "next" {
		t.Errorf("the next command was not found: %v", err)
	}
}

func TestLimits(t *testing.T) {
	l := wire.Limits{Line: 1000, Literal: 100, Command: 1500, Drain: 5000}
	literal := func(n int) string { return "{" + itoa(n) + "+}\r\n" + strings.Repeat("x", n) }
	for name, c := range map[string]struct {
		sent string
		ok   bool
	}{
		"a line at the limit":         {strings.Repeat("x", 1000), true},
		"a line beyond it":            {strings.Repeat("x", 1001), false},
		"a literal at the limit":      {literal(100), true},
		"a literal beyond it":         {literal(101), false},
		"a command at the limit":      {strings.Repeat("x", 894) + " " + literal(100) + " " + literal(100) + " " + literal(100) + " " + literal(100) + " " + literal(100) + " " + literal(61), true},
		"a command beyond it":         {strings.Repeat("x", 894) + " " + literal(100) + " " + literal(100) + " " + literal(100) + " " + literal(100) + " " + literal(100) + " " + literal(100), false},
		"a command of lines too long": {literal(1) + " " + strings.Repeat("x", 900) + " " + literal(1) + " " + strings.Repeat("y", 900), false},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDecoder(t, l, c.sent+"\r\nnext\r\n")
			err := d.Begin()
			if err == nil {
				d.AString()
				for d.More() {
					d.AString()
				}
				d.End()
				err = d.Err()
			}
			var limit *wire.LimitError
			if c.ok && err != nil || !c.ok && !errors.As(err, &limit) {
				t.Errorf("got %v", err)
			}
			if err := d.Begin(); err != nil || d.Atom() != "next" {
				t.Errorf("the next command was not found: %v", err)
			}
		})
	}
}

func TestWaitAndBuffered(t *testing.T) {
	d := newDecoder(t, wire.Limits{}, "a {3+}\r\n", "xyz\r\n", "b\r\nc\r\n")
	if err := d.Begin(); err != nil {
		t.Fatal(err)
	}
	if err := d.Wait(); err != nil {
		t.Fatal(err)
	}
	if n := d.Buffered(); n != len("b\r\nc\r\n") {
		t.Errorf("after Wait %d octets are buffered", n)
	}
	for _, want := range []string{"b", "c"} {
		if err := d.Begin(); err != nil || d.Atom() != want {
			t.Errorf("%s was not read: %v", want, err)
		}
		d.End()
	}
	if err := d.Wait(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

func TestWaitCanBeRepeatedAfterADeadline(t *testing.T) {
	d := wire.NewDecoder(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("ab\r\n"))), wire.Limits{})
	defer d.Close()
	if err := d.Wait(); err != nil {
		t.Fatal(err)
	}
	// The first octet is there; the reader fails once for the second.
	if err := d.Begin(); !errors.Is(err, iotest.ErrTimeout) {
		t.Errorf("Begin: %v", err)
	}
	if err := d.Begin(); !errors.Is(err, iotest.ErrTimeout) {
		t.Errorf("a line of which a part is lost was read: %v", err)
	}
	d = wire.NewDecoder(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("\nab\n"))), wire.Limits{})
	defer d.Close()
	if err := d.Begin(); err != nil {
		t.Fatal(err)
	}
	d.End()
	if err := d.Wait(); !errors.Is(err, iotest.ErrTimeout) {
		t.Errorf("Wait: %v", err)
	}
	if err := d.Begin(); err != nil || d.Atom() != "ab" {
		t.Errorf("after a deadline in Wait: %v", err)
	}
}

func TestContinuationRequestThatCannotBeSent(t *testing.T) {
	broken := errors.New("broken")
	d := newDecoder(t, wire.Limits{}, "{3}\r\n", "abc\r\n")
	d.Continue = func() error { return broken }
	if err := d.Begin(); err != nil {
		t.Fatal(err)
	}
	if s := d.String(); s != "" || !errors.Is(d.Err(), broken) {
		t.Errorf("got %q, %v", s, d.Err())
	}
}

func TestALiteralThatNobodyReadIsNotTheEnd(t *testing.T) {
	for name, open := range map[string]bool{"not opened": false, "opened": true} {
		t.Run(name, func(t *testing.T) {
			d := newDecoder(t, wire.Limits{}, "{10+}\r\nx LOGOUT\r\n\r\nnext\r\n")
			if err := d.Begin(); err != nil {
				t.Fatal(err)
			}
			l := d.Literal()
			if want := (wire.Literal{Size: 10}); l != want {
				t.Errorf("got %+v", l)
			}
			if open {
				if _, err := d.Open(l); err != nil {
					t.Fatal(err)
				}
			}
			if d.End(); d.Err() == nil {
				t.Error("the command was taken to have ended")
			}
			if err := d.Begin(); err != nil || d.Atom() != "next" {
				t.Errorf("the next command was not found: %v", err)
			}
		})
	}
}

func TestRawLine(t *testing.T) {
	long := strings.Repeat("x", 5000)
	for name, c := range map[string]struct {
		line string
		want string
		long bool
	}{
		"a line":                        {line: "DONE", want: "DONE"},
		"an empty line":                 {},
		"a line with CR and NUL":        {line: "a\r\x00b", want: "a\r\x00b"},
		"a line beyond the buffer":      {line: long, want: long},
		"a line beyond the limit":       {line: long + long, long: true},
		"a command with a literal":      {line: "b X {10+}\r\nx LOGOUT\r\n", want: "b X {10+}"},
		"a long command with a literal": {line: long + long + " {10+}\r\nx LOGOUT\r\n", long: true},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDecoder(t, wire.Limits{}, "a IDLE\r\n", c.line+"\r\nnext\r\n")
			if err := d.Begin(); err != nil {
				t.Fatal(err)
			}
			line, err := d.RawLine(6000)
			var limit *wire.LimitError
			if c.long != errors.As(err, &limit) || err != nil && !c.long || string(line) != c.want {
				t.Errorf("got %.40q, %v", line, err)
			}
			if err := d.Begin(); err != nil || d.Atom() != "next" {
				t.Errorf("the next command was not found: %v", err)
			}
		})
	}
}

func TestUnreadLineIsTheNextCommand(t *testing.T) {
	d := newDecoder(t, wire.Limits{}, "a IDLE\r\n", "b {3+}\r\nabc {10+}\r\nx LOGOUT\r\n\r\nnext\r\n")
	if err := d.Begin(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.RawLine(100); err != nil {
		t.Fatal(err)
	}
	d.UnreadLine()
	if err := d.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := d.Begin(); err != nil {
		t.Fatal(err)
	}
	tag := d.Tag()
	d.Space()
	if s := d.AString(); tag != "b" || s != "abc" || d.Err() != nil {
		t.Errorf("got %q, %q, %v", tag, s, d.Err())
	}
	if err := d.Begin(); err != nil || d.Atom() != "next" {
		t.Errorf("the next command was not found: %v", err)
	}
}

func TestLimitsCanBeRaised(t *testing.T) {
	const line = "{5+}\r\nabcde\r\n"
	d := newDecoder(t, wire.Limits{Literal: 4}, line+line)
	var limit *wire.LimitError
	if err := d.Begin(); err != nil {
		t.Fatal(err)
	}
	if s := d.String(); s != "" || !errors.As(d.Err(), &limit) {
		t.Errorf("got %q, %v", s, d.Err())
	}
	d.SetLimits(wire.Limits{})
	if err := d.Begin(); err != nil {
		t.Fatal(err)
	}
	if s := d.String(); s != "abcde" || d.Err() != nil {
		t.Errorf("got %q, %v", s, d.Err())
	}
}

func itoa(n int) string { return string(wire.AppendInt(nil, n)) }
