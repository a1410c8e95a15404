package command_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/imap/command"
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

// newReader returns a Reader of what a client sends, and the number of
// continuation requests it has got.
func newReader(t testing.TB, limits wire.Limits, parts ...string) (*command.Reader, *int) {
	t.Helper()
	c := chunks(parts)
	dec := wire.NewDecoder(&c, limits)
	t.Cleanup(dec.Close)
	asked := 0
	dec.Continue = func() error { asked++; return nil }
	return command.NewReader(dec), &asked
}

// readOne reads "a LINE" and makes sure that the command after it is found.
func readOne(t *testing.T, line string, utf8 bool) (*command.Command, error) {
	t.Helper()
	r, _ := newReader(t, wire.Limits{}, "a "+line+"\r\nz NOOP\r\n")
	r.SetUTF8(utf8)
	cmd, err := r.Read()
	next, nextErr := r.Read()
	if nextErr != nil {
		t.Fatalf("reading the next command: %v", nextErr)
	}
	if want := (&command.Command{Tag: "z", Name: "NOOP", Args: &command.Noop{}}); !cmp.Equal(want, next) {
		t.Errorf("next command:\n%s", cmp.Diff(want, next))
	}
	if _, err := r.Read(); err != io.EOF {
		t.Errorf("at the end: got %v, want EOF", err)
	}
	return cmd, err
}

type goodCase struct {
	name string
	line string
	want command.Args
}

func testGood(t *testing.T, verb string, cases []goodCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cmd, err := readOne(t, c.line, false)
			if err != nil {
				t.Fatalf("%s: %v", c.line, err)
			}
			if cmd.Tag != "a" || cmd.Name != verb {
				t.Errorf("got %s %s, want a %s", cmd.Tag, cmd.Name, verb)
			}
			if diff := cmp.Diff(c.want, cmd.Args); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.line, diff)
			}
		})
	}
}

type badCase struct {
	name string
	line string
	text string // part of the answer's text
}

func testBad(t *testing.T, verb string, cases []badCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := readOne(t, c.line, false)
			var bad *command.Error
			if !errors.As(err, &bad) {
				t.Fatalf("%s: got %v, want an *Error", c.line, err)
			}
			if bad.Tag != "a" || bad.Name != verb || bad.Type != imap.StatusResponseTypeBad || bad.Code != imap.ResponseCodeClientBug {
				t.Errorf("got tag %q, name %q, type %s, code %s", bad.Tag, bad.Name, bad.Type, bad.Code)
			}
			if !strings.Contains(bad.Text, c.text) {
				t.Errorf("text %q does not say %q", bad.Text, c.text)
			}
		})
	}
}

func TestCommandsWithoutArguments(t *testing.T) {
	for line, want := range map[string]command.Args{
		"CAPABILITY": &command.Capability{},
		"NOOP":       &command.Noop{},
		"LOGOUT":     &command.Logout{},
		"STARTTLS":   &command.StartTLS{},
		"CHECK":      &command.Check{},
		"CLOSE":      &command.Close{},
		"UNSELECT":   &command.Unselect{},
		"NAMESPACE":  &command.Namespace{},
		"IDLE":       &command.Idle{},
		"EXPUNGE":    &command.Expunge{},
	} {
		testGood(t, line, []goodCase{
			{line, line, want},
			{line + " in lower case", strings.ToLower(line), want},
			{line + " with spaces around", " " + line + "  ", want},
		})
		testBad(t, line, []badCase{{line + " with an argument", line + " x", "expected the end of the command"}})
	}
}

func TestUnknownCommands(t *testing.T) {
	testBad(t, "", []badCase{
		{"a word", "XYZZY now", `there is no command "XYZZY"`},
		{"nothing", "", "expected a word"},
		{"only a space", " ", "expected a word"},
		{"a UID form that does not exist", "UID LOGIN a b", `there is no command UID "LOGIN"`},
		{"UID alone", "UID", "expected a space"},
		{"a string", `"NOOP"`, "expected a word"},
		{"octets that are not text", "NO\x01OP\xff", "there is no command"},
		{"a NUL", "NO\x00OP", "NUL"},
		{"a CR within", "NO\rOP", "CR"},
		{"a literal in place of the name", "{4+}\r\nNOOP", "expected a word"},
	})
}

func TestLinesWithoutTag(t *testing.T) {
	for name, line := range map[string]string{
		"empty":           "",
		"a space":         " NOOP",
		"a plus":          "+ NOOP",
		"a parenthesis":   "(",
		"a very long tag": strings.Repeat("t", 200) + " NOOP",
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := newReader(t, wire.Limits{}, line+"\r\nz NOOP\r\n")
			_, err := r.Read()
			var bad *command.Error
			if !errors.As(err, &bad) || bad.Tag != "" || bad.Type != imap.StatusResponseTypeBad {
				t.Errorf("got %#v, want an untagged BAD", err)
			}
			if cmd, err := r.Read(); err != nil || cmd.Tag != "z" {
				t.Errorf("the next command: %v, %v", cmd, err)
			}
		})
	}
}

func TestPipelinedCommands(t *testing.T) {
	r, _ := newReader(t, wire.Limits{}, "1 NOOP\r\n2 SELECT {5+}\r\nINBOX\n3 CHECK\n4 LOG", "OUT\r\n")
	var got []string
	for {
		cmd, err := r.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, cmd.Tag+" "+cmd.Name)
	}
	want := []string{"1 NOOP", "2 SELECT", "3 CHECK", "4 LOGOUT"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestClientThatGoesWithinACommand(t *testing.T) {
	for name, sent := range map[string]string{
		"within a line":             "a NO",
		"within a literal":          "a SELECT {10+}\r\nINB",
		"after a literal":           "a SELECT {5+}\r\nINBOX",
		"within a skipped literal":  "a BAD {10+}\r\nINB",
		"before a skipped literal":  "a BAD {10+}\r\n",
		"within a very long line":   "a " + strings.Repeat("x", 70000),
		"after a very long literal": "a SELECT {70000+}\r\n" + strings.Repeat("x", 70000),
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := newReader(t, wire.Limits{}, sent)
			_, err := r.Read()
			var bad *command.Error
			if errors.As(err, &bad) {
				_, err = r.Read()
			}
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("got %v, want an unexpected EOF", err)
			}
		})
	}
}
