package command_test

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"

	"pillarbox/appliance/imap/command"
	"pillarbox/appliance/imap/wire"
)

// evil is mail that would do harm if it were read as commands.
func evil(n int) string {
	s := strings.Repeat("x DELETE VICTIM\r\n", n/17+1)
	return s[:n]
}

// drive reads commands to the end and returns a line for each. An APPEND's
// messages are accepted up to max octets.
func drive(r *command.Reader, max int64) (seen []string, end error) {
	for {
		cmd, err := r.Read()
		var bad *command.Error
		switch {
		case errors.As(err, &bad):
			seen = append(seen, fmt.Sprintf("%s %s", bad.Tag, bad.Type))
			continue
		case err != nil:
			return seen, err
		}
		a, ok := cmd.Args.(*command.Append)
		if !ok {
			seen = append(seen, cmd.Tag+" "+cmd.Name)
			continue
		}
		for {
			m, err := a.Next()
			if errors.As(err, &bad) {
				seen = append(seen, fmt.Sprintf("%s %s", bad.Tag, bad.Type))
				break
			}
			if err != nil {
				return seen, err
			}
			if m == nil {
				seen = append(seen, cmd.Tag+" APPEND")
				break
			}
			if m.Size > max {
				if err := m.Refuse(); err != nil {
					return seen, err
				}
				seen = append(seen, cmd.Tag+" refused")
				break
			}
			body, err := m.Accept()
			if err != nil {
				return seen, err
			}
			if n, err := io.Copy(io.Discard, body); err != nil || n != m.Size {
				return seen, fmt.Errorf("%d octets of %d: %w", n, m.Size, err)
			}
		}
	}
}

func TestNothingIsExecutedFromInsideALiteral(t *testing.T) {
	for name, c := range map[string]struct {
		parts []string
		want  string
		end   string
	}{
		"a message beyond the size limit": {
			parts: []string{"a APPEND x {200000+}\r\n", evil(200000), "\r\nz NOOP\r\n"}, want: "a refused;z NOOP", end: "EOF",
		},
		"a password beyond the limit": {
			parts: []string{"a LOGIN u {200000+}\r\n", evil(200000), "\r\nz NOOP\r\n"}, want: "a NO;z NOOP", end: "EOF",
		},
		"a password beyond the limit that waits": {
			parts: []string{"a LOGIN u {200000}\r\n", "z NOOP\r\n"}, want: "a NO;z NOOP", end: "EOF",
		},
		"a password beyond the limit that does not wait": {
			parts: []string{"a LOGIN u {200000}\r\n" + evil(200000) + "\r\nz NOOP\r\n"}, want: "a NO", end: "without waiting",
		},
		"an unknown command": {
			parts: []string{"a REPLACE 4 x {34+}\r\n", evil(34), "\r\nz NOOP\r\n"}, want: "a BAD;z NOOP", end: "EOF",
		},
		"a second literal after a mistake": {
			parts: []string{"a LOGIN (u) {17+}\r\n", evil(17), " {34+}\r\n", evil(34), "\r\nz NOOP\r\n"}, want: "a BAD;z NOOP", end: "EOF",
		},
		"an argument too many": {
			parts: []string{"a LOGIN u p {17+}\r\n", evil(17), "\r\nz NOOP\r\n"}, want: "a BAD;z NOOP", end: "EOF",
		},
		"within quotes": {
			parts: []string{"a LOGIN u \"{17+}\r\n", evil(17), "\"\r\nz NOOP\r\n"}, want: "a BAD;z NOOP", end: "EOF",
		},
		"after a tag": {
			parts: []string{"a{17+}\r\n", evil(17), "\r\nz NOOP\r\n"}, want: "a BAD;z NOOP", end: "EOF",
		},
		"in place of a tag": {
			parts: []string{"{17+}\r\n", evil(17), "\r\nz NOOP\r\n"}, want: " BAD;z NOOP", end: "EOF",
		},
		"after a NUL": {
			parts: []string{"a NOOP \x00{17+}\r\n", evil(17), "\r\nz NOOP\r\n"}, want: "a BAD;z NOOP", end: "EOF",
		},
		"after a very long line": {
			parts: []string{"a SEARCH TEXT " + strings.Repeat("y", 100000) + " {17+}\r\n", evil(17), "\r\nz NOOP\r\n"}, want: "a NO;z NOOP", end: "EOF",
		},
		"binary where it is not allowed": {
			parts: []string{"a SEARCH TEXT ~{17+}\r\n", evil(17), "\r\nz NOOP\r\n"}, want: "a BAD;z NOOP", end: "EOF",
		},
		"a charset nobody knows": {
			parts: []string{"a SEARCH CHARSET foo TEXT {17+}\r\n", evil(17), " TEXT {34+}\r\n", evil(34), "\r\nz NOOP\r\n"}, want: "a NO;z NOOP", end: "EOF",
		},
		"a name that is not UTF-7": {
			parts: []string{"a RENAME R&D {17+}\r\n", evil(17), "\r\nz NOOP\r\n"}, want: "a BAD;z NOOP", end: "EOF",
		},
		"more literals than a command may hold": {
			parts: []string{"a SEARCH", strings.Repeat(" TEXT {60010+}\r\n"+evil(60010), 20), "\r\nz NOOP\r\n"}, want: "a NO;z NOOP", end: "EOF",
		},
		"more than is ever skipped": {
			parts: []string{"a APPEND x {70000000+}\r\n", evil(100000)}, want: "", end: "too long to be skipped",
		},
		"a size that is no number of 64 bits": {
			parts: []string{"a APPEND x {18446744073709551633+}\r\n", evil(17), "\r\nz NOOP\r\n"}, want: "", end: "too long to be skipped",
		},
		"a mistake after a message that was read": {
			parts: []string{"a APPEND x {17+}\r\n", evil(17), " (\\Foo) {17+}\r\n", evil(17), "\r\nz NOOP\r\n"}, want: "a BAD;z NOOP", end: "EOF",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := newReader(t, wire.Limits{}, c.parts...)
			seen, end := drive(r, 100000)
			if got := strings.Join(seen, ";"); got != c.want {
				t.Errorf("seen %q, want %q", got, c.want)
			}
			if !strings.Contains(end.Error(), c.end) {
				t.Errorf("the end is %v, want %s", end, c.end)
			}
		})
	}
}

func TestCommandsTooLongAreAnswered(t *testing.T) {
	for name, line := range map[string]string{
		"a line":            "a SEARCH TEXT " + strings.Repeat("x", 70000),
		"a literal":         "a SEARCH TEXT {70000+}\r\n" + strings.Repeat("x", 70000),
		"a set":             "a FETCH 1" + strings.Repeat(",3", 20000) + " FLAGS",
		"a list of flags":   "a STORE 1 FLAGS (" + strings.Repeat("x ", 300) + ")",
		"flags without one": "a STORE 1 FLAGS" + strings.Repeat(" x", 300),
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := newReader(t, wire.Limits{}, line+"\r\nz NOOP\r\n")
			_, err := r.Read()
			var bad *command.Error
			if !errors.As(err, &bad) || bad.Tag != "a" || bad.Type != imap.StatusResponseTypeNo || bad.Code != imap.ResponseCodeTooBig {
				t.Errorf("got %#v", err)
			}
			wantNext(t, r, "z")
		})
	}
}

// The dearest commands that fit the limits.
func TestMemoryOfACommandIsBounded(t *testing.T) {
	for name, line := range map[string]string{
		"search keys":      "a SEARCH" + strings.Repeat(" ALL", 1000),
		"dates":            "a SEARCH" + strings.Repeat(" ON 1-Jan-2000", 1000),
		"many search keys": "a SEARCH" + strings.Repeat(" ALL", 16000),
		"ranges":           "a FETCH 1" + strings.Repeat(",3", 16000) + " FLAGS",
		"sets":             "a SEARCH" + strings.Repeat(" 1,5,3", 900),
		"sections":         "a FETCH 1 (" + strings.Repeat("BODY[] ", 9000) + ")",
		"literals":         "a SEARCH" + strings.Repeat(" TEXT {60000+}\r\n"+strings.Repeat("x", 60000), 17),
		"a wide charset":   "a SEARCH CHARSET KOI8-R" + strings.Repeat(" TEXT {60000+}\r\n"+strings.Repeat("\xc1", 60000), 17),
		"parts":            "a FETCH 1 (" + strings.Repeat("BODY["+strings.Repeat("1.", 99)+"1] ", 250) + ")",
		"ID":               "a ID (" + strings.Repeat(`"a" "b" `, 8000) + ")",
		"escapes":          `a LOGIN x "` + strings.Repeat(`\"`, 32000) + `"`,
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := newReader(t, wire.Limits{}, line+"\r\nz NOOP\r\n")
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			cmd, err := r.Read()
			runtime.ReadMemStats(&after)
			if n := after.TotalAlloc - before.TotalAlloc; n > 12<<20 {
				t.Errorf("%d octets", n)
			}
			runtime.KeepAlive(cmd)
			var bad *command.Error
			if err != nil && !errors.As(err, &bad) {
				t.Error(err)
			}
			wantNext(t, r, "z")
		})
	}
}
