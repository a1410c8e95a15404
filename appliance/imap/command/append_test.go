package command_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"pillarbox/appliance/imap/command"
	"pillarbox/appliance/imap/wire"
)

func readAppend(t *testing.T, r *command.Reader) *command.Append {
	t.Helper()
	cmd, err := r.Read()
	if err != nil {
		t.Fatal(err)
	}
	a, ok := cmd.Args.(*command.Append)
	if !ok {
		t.Fatalf("got %T", cmd.Args)
	}
	return a
}

func wantNext(t *testing.T, r *command.Reader, tag string) {
	t.Helper()
	cmd, err := r.Read()
	if err != nil {
		t.Fatalf("reading the next command: %v", err)
	}
	if cmd.Tag != tag {
		t.Errorf("got the command %s %s, want %s", cmd.Tag, cmd.Name, tag)
	}
}

func TestAppend(t *testing.T) {
	type message struct {
		command.AppendMessage
		Body string
	}
	date := time.Date(1994, time.February, 7, 21, 52, 25, 0, time.FixedZone("", -8*3600))
	plain := func(body string) message {
		return message{AppendMessage: command.AppendMessage{Size: int64(len(body))}, Body: body}
	}
	for _, c := range []struct {
		name string
		line string
		want []message
	}{
		{"a message", "APPEND x {3+}\r\na\r\n", []message{plain("a\r\n")}},
		{"an empty message", "APPEND x {0+}\r\n", []message{plain("")}},
		{"flags", "APPEND x (\\seen $a) {1+}\r\na", []message{{command.AppendMessage{Flags: []imap.Flag{imap.FlagSeen, "$a"}, Size: 1}, "a"}}},
		{"no flags", "APPEND x () {1+}\r\na", []message{{command.AppendMessage{Flags: []imap.Flag{}, Size: 1}, "a"}}},
		{"a date", "APPEND x \" 7-Feb-1994 21:52:25 -0800\" {1+}\r\na", []message{{command.AppendMessage{Time: date, Size: 1}, "a"}}},
		{"flags and a date", "APPEND x (\\Draft) \"07-Feb-1994 21:52:25 -0800\" {1+}\r\na ", []message{{command.AppendMessage{
			Flags: []imap.Flag{imap.FlagDraft}, Time: date, Size: 1,
		}, "a"}}},
		{"a binary message", "APPEND x ~{3+}\r\na\x00b", []message{{command.AppendMessage{Size: 3, Binary: true}, "a\x00b"}}},
		{"UTF8", "APPEND x utf8 (~{1+}\r\na)", []message{{command.AppendMessage{Size: 1, Binary: true, UTF8: true}, "a"}}},
		{"several", "APPEND x {1+}\r\na (b) {2+}\r\nbb UTF8 (~{3+}\r\nccc)  {4+}\r\ndddd", []message{
			plain("a"),
			{command.AppendMessage{Flags: []imap.Flag{"b"}, Size: 2}, "bb"},
			{command.AppendMessage{Size: 3, Binary: true, UTF8: true}, "ccc"},
			plain("dddd"),
		}},
		{"a message that looks like commands", "APPEND x {41+}\r\nq LOGOUT\r\nq DELETE x\r\nz {3+}\r\nq NOOP\r\nq\r\n", []message{plain("q LOGOUT\r\nq DELETE x\r\nz {3+}\r\nq NOOP\r\nq\r\n")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, _ := newReader(t, wire.Limits{}, "a "+c.line+"\r\nz NOOP\r\n")
			a := readAppend(t, r)
			if a.Mailbox != "x" {
				t.Errorf("mailbox %q", a.Mailbox)
			}
			var got []message
			for {
				m, err := a.Next()
				if err != nil {
					t.Fatal(err)
				}
				if m == nil {
					break
				}
				body, err := m.Accept()
				if err != nil {
					t.Fatal(err)
				}
				b, err := io.ReadAll(body)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, message{*m, string(b)})
			}
			if diff := cmp.Diff(c.want, got, cmpopts.IgnoreFields(command.AppendMessage{}, "Accept", "Refuse")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if m, err := a.Next(); m != nil || err != nil {
				t.Errorf("after the end: %v, %v", m, err)
			}
			wantNext(t, r, "z")
		})
	}
}

func TestAppendMistakes(t *testing.T) {
	for _, c := range []struct {
		name string
		line string
		text string
	}{
		{"no message", "APPEND x", "expected a space"},
		{"a quoted string", `APPEND x "a"`, "expected a digit"},
		{"an atom", `APPEND x a`, "expected a literal"},
		{"a wrong date", "APPEND x \"32-Feb-1994 21:52:25 -0800\" {10+}\r\nq LOGOUT\r\n", "no such date"},
		{"a wrong hour", "APPEND x \"01-Feb-1994 25:52:25 -0800\" {10+}\r\nq LOGOUT\r\n", "no such date"},
		{"a wrong zone", "APPEND x \"01-Feb-1994 21:52:25 -9900\" {10+}\r\nq LOGOUT\r\n", "no such time zone"},
		{"a wrong flag", "APPEND x (\\Foo) {10+}\r\nq LOGOUT\r\n", "no flag"},
		{"text after the literal", "APPEND x {1+}\r\naq LOGOUT", "expected a space"},
		{"a literal in the middle", "APPEND x {1+} b {10+}\r\nq LOGOUT\r\n", "expected a literal"},
		{"UTF8 without parenthesis", "APPEND x UTF8 ~{10+}\r\nq LOGOUT\r\n", `expected '('`},
		{"UTF8 with a plain literal", "APPEND x UTF8 ({10+}\r\nq LOGOUT\r\n)", "binary literal"},
		{"UTF8 without end", "APPEND x UTF8 (~{1+}\r\na", `expected ')'`},
		{"CATENATE", "APPEND x CATENATE (TEXT {10+}\r\nq LOGOUT\r\n)", "expected a literal"},
		{"a mistake in the second", "APPEND x {1+}\r\na foo {10+}\r\nq LOGOUT\r\n", "expected a literal"},
		{"too many messages", "APPEND x" + strings.Repeat(" {0+}\r\n", 1001), "more than 1000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, _ := newReader(t, wire.Limits{}, "a "+c.line+"\r\nz NOOP\r\n")
			a := readAppend(t, r)
			for {
				m, err := a.Next()
				if err == nil && m != nil {
					if _, err := m.Accept(); err != nil {
						t.Fatal(err)
					}
					continue
				}
				var bad *command.Error
				if !errors.As(err, &bad) || bad.Tag != "a" || bad.Name != "APPEND" || !strings.Contains(bad.Text, c.text) {
					t.Errorf("got %v, want %s", err, c.text)
				}
				break
			}
			wantNext(t, r, "z")
		})
	}
}

func TestAppendAsksTheClientToSend(t *testing.T) {
	r, asked := newReader(t, wire.Limits{}, "a APPEND x {3}\r\n", "abc", " {2}\r\n", "de", "\r\n", "z NOOP\r\n")
	a := readAppend(t, r)
	for i, want := range []string{"abc", "de"} {
		m, err := a.Next()
		if err != nil {
			t.Fatal(err)
		}
		if *asked != i {
			t.Fatalf("asked %d times before Accept", *asked)
		}
		body, err := m.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(body); err != nil || string(got) != want {
			t.Errorf("got %q, %v", got, err)
		}
	}
	if m, err := a.Next(); m != nil || err != nil {
		t.Errorf("at the end: %v, %v", m, err)
	}
	if *asked != 2 {
		t.Errorf("asked %d times, want 2", *asked)
	}
	wantNext(t, r, "z")
}

func TestAppendRefused(t *testing.T) {
	for name, c := range map[string]struct {
		parts  []string
		accept int // messages accepted before
	}{
		"synchronising":                {[]string{"a APPEND x {100}\r\n", "z NOOP\r\n"}, 0},
		"non-synchronising":            {[]string{"a APPEND x {10+}\r\nq LOGOUT\r\n\r\nz NOOP\r\n"}, 0},
		"with more messages behind it": {[]string{"a APPEND x {10+}\r\nq LOGOUT\r\n (b) {3+}\r\nb\r\n\r\nz NOOP\r\n"}, 0},
		"the second":                   {[]string{"a APPEND x {3+}\r\nabc {10+}\r\nq LOGOUT\r\n\r\nz NOOP\r\n"}, 1},
		"with a synchronising behind":  {[]string{"a APPEND x {10+}\r\nq LOGOUT\r\n {5}\r\n", "z NOOP\r\n"}, 0},
		"large":                        {[]string{"a APPEND x {1000000+}\r\n", strings.Repeat("q LOGOUT\r\n", 100000), "\r\nz NOOP\r\n"}, 0},
		"binary and UTF8":              {[]string{"a APPEND x UTF8 (~{10+}\r\nq LOGOUT\r\n)\r\nz NOOP\r\n"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r, asked := newReader(t, wire.Limits{}, c.parts...)
			a := readAppend(t, r)
			for range c.accept {
				m, err := a.Next()
				if err != nil {
					t.Fatal(err)
				}
				if _, err := m.Accept(); err != nil {
					t.Fatal(err)
				}
			}
			m, err := a.Next()
			if err != nil {
				t.Fatal(err)
			}
			if err := m.Refuse(); err != nil {
				t.Fatal(err)
			}
			if m, err := a.Next(); m != nil || err != nil {
				t.Errorf("after Refuse: %v, %v", m, err)
			}
			if *asked != 0 {
				t.Errorf("the client was asked to send")
			}
			wantNext(t, r, "z")
		})
	}
}

func TestAppendGivenUpByTheSession(t *testing.T) {
	const tail = "q LOGOUT\r\n {3+}\r\nb\r\n\r\nz NOOP\r\n"
	for name, use := range map[string]func(*command.Append){
		"before the first message": func(*command.Append) {},
		"at a message":             func(a *command.Append) { a.Next() },
		"before reading it":        func(a *command.Append) { m, _ := a.Next(); m.Accept() },
		"within it": func(a *command.Append) {
			m, _ := a.Next()
			body, _ := m.Accept()
			io.CopyN(io.Discard, body, 3)
		},
		"refused after a part of it": func(a *command.Append) {
			m, _ := a.Next()
			body, _ := m.Accept()
			io.CopyN(io.Discard, body, 3)
			m.Refuse()
		},
		"Next without taking the message": func(a *command.Append) { a.Next(); a.Next() },
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := newReader(t, wire.Limits{}, "a APPEND x {10+}\r\n"+tail)
			use(readAppend(t, r))
			wantNext(t, r, "z")
		})
	}
}

func TestAppendBeyondTheDrainBound(t *testing.T) {
	r, _ := newReader(t, wire.Limits{Drain: 1000}, "a APPEND x {1001+}\r\nq LOGOUT\r\n")
	m, err := readAppend(t, r).Next()
	if err != nil {
		t.Fatal(err)
	}
	var fatal *wire.FatalError
	if err := m.Refuse(); !errors.As(err, &fatal) {
		t.Errorf("got %v, want a FatalError", err)
	}
	if _, err := r.Read(); !errors.As(err, &fatal) {
		t.Errorf("the next Read: got %v, want a FatalError", err)
	}
}
