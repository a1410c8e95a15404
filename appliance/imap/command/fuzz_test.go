package command_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/imap/command"
	"pillarbox/appliance/imap/wire"
)

var fuzzLimits = wire.Limits{Line: 600, Literal: 100, Command: 1500, Drain: 4000}

// FuzzReader reads commands from any octets: no panic, no hang, and nothing
// is read after the end.
func FuzzReader(f *testing.F) {
	for _, s := range []string{
		"a NOOP\r\n\r\nb LOGIN u {3+}\r\nabc\r\n",
		"a APPEND x (\\Seen) \" 7-Feb-1994 21:52:25 -0800\" {10+}\r\nq LOGOUT\r\n UTF8 (~{3+}\r\nabc)\r\nz NOOP\r\n",
		"a FETCH 1:*,$ (BODY.PEEK[1.2.HEADER.FIELDS (a \"b\")]<0.5> BINARY.SIZE[1] RFC822.PEEK) (CHANGEDSINCE 0)\r\n",
		"a UID SEARCH RETURN (MIN SAVE) CHARSET koi8-r OR (NOT UID 1:*) TEXT {3+}\r\n\xd4\xd2\xc9 ON 1-Jan-2000\r\n",
		"a LIST (SUBSCRIBED) \"\" (\"%\" *) RETURN (STATUS (SIZE UNSEEN) CHILDREN)\r\n",
		"a UID STORE $ (UNCHANGEDSINCE 5) -FLAGS.SILENT (\\Deleted $x)\r\nb ID (\"a\" NIL)\r\nc ENABLE IMAP4rev2\r\n",
		"a CREATE &U,BTFw- (USE (\\Sent))\r\nb RENAME R&D x\r\nc STATUS x (MESSAGES)\r\n",
		"a IDLE\r\nDONE\r\nb AUTHENTICATE PLAIN\r\nAGEAYg==\r\nc AUTHENTICATE X =\r\nd LOGOUT\r\n",
		"a SELECT x (QRESYNC (1 2 3:4 (1,5:6 3,9:10)))\r\nb EXAMINE y (QRESYNC (1 2 (1 *)))\r\n",
		"a UID FETCH 1:9 (EMAILID THREADID SAVEDATE) (CHANGEDSINCE 5 VANISHED)\r\nb STATUS x (MAILBOXID)\r\n",
		"a SEARCH SAVEDON 1-Feb-1994 OR EMAILID M-1 NOT THREADID T_2 SAVEDATESUPPORTED\r\n",
		"a SELECT x (CONDSTORE QRESYNC (1 2 3:4))\r\nb SETQUOTA \"\" (STORAGE 5)\r\n",
	} {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, input []byte, utf8 bool) {
		c := chunks{string(input)}
		dec := wire.NewDecoder(&c, fuzzLimits)
		defer dec.Close()
		dec.Continue = func() error { return nil }
		r := command.NewReader(dec)
		r.SetUTF8(utf8)
		s := &session{reader: r, dec: dec, choices: input}
		err := s.run()
		if _, again := r.Read(); again == nil {
			t.Fatalf("after %v a command was read", err)
		}
	})
}

// FuzzStream lets a client that keeps to the protocol send mistaken commands
// whose literals hold other commands. Each of its commands, and nothing else,
// must be seen, once and in order, and a message must arrive as it was sent.
func FuzzStream(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, []byte{0})
	f.Add([]byte("APPEND SEARCH LOGIN {} \"\" \r\n abcdefghijklmnopqrstuvwxyz 0123456789"), []byte{1, 2, 3})
	for seed := range 20 {
		script := make([]byte, 60)
		for i := range script {
			script[i] = byte(i*i*7 + i*seed*31 + seed*13)
		}
		f.Add(script, script[seed:seed+5])
	}
	f.Fuzz(func(t *testing.T, script, choices []byte) {
		c := newClient(script[:min(len(script), 400)])
		dec := wire.NewDecoder(c, fuzzLimits)
		defer dec.Close()
		dec.Continue = func() error { c.asked = true; return nil }
		s := &session{reader: command.NewReader(dec), dec: dec, choices: choices, client: c}
		err := s.run()

		want := c.sent
		var fatal *wire.FatalError
		switch {
		case errors.As(err, &fatal):
			// The connection ends; until then all was in order.
			want = want[:min(len(want), len(s.seen))]
		case err != io.EOF:
			t.Errorf("the end is %v", err)
		}
		if diff := cmp.Diff(want, s.seen); diff != "" {
			t.Errorf("of %q were seen (-want +got):\n%s", c.log.String(), diff)
		}
		for _, body := range s.bodies {
			if !c.bodies[body] {
				t.Errorf("of %q a message was read as %q", c.log.String(), body)
			}
		}
	})
}

// session carries out commands in the way that choices tell.
type session struct {
	reader  *command.Reader
	dec     *wire.Decoder
	choices []byte
	client  *client
	seen    []string
	bodies  []string
	count   int
}

func (s *session) choose(n int) int {
	if len(s.choices) == 0 {
		return 0
	}
	s.count++
	return int(s.choices[s.count%len(s.choices)]) % n
}

func (s *session) run() error {
	for {
		if s.choose(2) == 1 {
			if err := s.dec.Wait(); err != nil {
				return err
			}
		}
		cmd, err := s.reader.Read()
		var bad *command.Error
		if errors.As(err, &bad) {
			s.seen = append(s.seen, bad.Tag)
			continue
		}
		if err != nil {
			return err
		}
		s.seen = append(s.seen, cmd.Tag)
		switch a := cmd.Args.(type) {
		case *command.Append:
			err = s.append(a)
		case *command.Idle:
			err = s.rawLine()
		case *command.Authenticate:
			if a.Initial == nil && s.client == nil {
				err = s.rawLine()
			}
		}
		var limit *wire.LimitError
		if err != nil && !errors.As(err, &bad) && !errors.As(err, &limit) {
			return err
		}
	}
}

// rawLine reads a line that is no command and, at times, takes it for one.
func (s *session) rawLine() error {
	_, err := s.dec.RawLine(100)
	if err == nil && s.client == nil && s.choose(3) == 1 {
		s.dec.UnreadLine()
	}
	return err
}

func (s *session) append(a *command.Append) error {
	for s.choose(9) != 8 {
		m, err := a.Next()
		if err != nil || m == nil {
			return err
		}
		switch s.choose(6) {
		case 0:
			return m.Refuse()
		case 1:
			return nil
		}
		if m.Size > 5000 {
			return m.Refuse()
		}
		body, err := m.Accept()
		if err != nil {
			return err
		}
		part := int64(s.choose(40))
		if part > 20 {
			b, err := io.ReadAll(body)
			if err != nil {
				return err
			}
			s.bodies = append(s.bodies, string(b))
			continue
		}
		io.CopyN(io.Discard, body, part)
		if part == 3 {
			return m.Refuse()
		}
	}
	return nil
}

// client makes commands of a script. It sends a synchronising literal when it
// is asked to, and goes on with the next command when it is not.
type client struct {
	script  []byte
	pending []string // parts yet to be sent of the current command
	waiting bool     // the part sent last announced a synchronising literal
	asked   bool
	out     string
	sent    []string
	bodies  map[string]bool
	log     strings.Builder
}

func newClient(script []byte) *client {
	return &client{script: script, bodies: map[string]bool{}}
}

func (c *client) next() int {
	if len(c.script) == 0 {
		return 0
	}
	b := c.script[0]
	c.script = c.script[1:]
	return int(b)
}

func (c *client) Read(p []byte) (int, error) {
	if c.out == "" {
		if c.waiting && !c.asked {
			c.pending = nil // it was refused
		}
		if len(c.pending) == 0 {
			if len(c.script) == 0 {
				return 0, io.EOF
			}
			c.make()
		}
		c.waiting, c.asked = false, false
		// Everything up to the next synchronising literal is sent at once.
		for len(c.pending) > 0 && !c.waiting {
			c.out += c.pending[0]
			c.waiting = strings.HasSuffix(c.pending[0], "}\r\n") && !strings.HasSuffix(c.pending[0], "+}\r\n")
			c.pending = c.pending[1:]
		}
		c.log.WriteString(c.out)
	}
	n := copy(p, c.out)
	c.out = c.out[n:]
	return n, nil
}

var fuzzNames = []string{
	"APPEND x", "APPEND x (\\Seen)", "APPEND x UTF8 (", "SEARCH TEXT", "SEARCH CHARSET koi8-r BODY", "SEARCH CHARSET foo TEXT",
	"LOGIN u", "LOGIN", "RENAME R&D", "LIST \"\"", "ID (\"a\"", "FETCH 1 BODY[HEADER.FIELDS (a", "STORE 1 FLAGS (\\Foo", "SELECT",
	"NOOP", "IDLE", "XYZZY", "UID", "", "STATUS", "AUTHENTICATE PLAIN", "ENABLE", "SELECT x (QRESYNC (1 2 3:4 (1 3", "CREATE", "UID SEARCH OR TEXT",
}

var fuzzTokens = []string{
	" ", " x", " \"", "\"", ")", " (", "]", " \\Seen", " {5}x", " {5+} ", " ~", " UTF8 (", " TEXT", " 1:*", " \x01\xff", " \x00", "\r", "{", "}",
	" \"7-Feb-1994 21:52:25 -0800\"", " NIL", " x" + strings.Repeat("y", 700), " \"\\\"\"", "<0.1>", " ALL", " ", " ", "+", "*", "%",
}

// make puts the parts of the next command into pending.
func (c *client) make() {
	tag := fmt.Sprintf("t%d", len(c.sent))
	c.sent = append(c.sent, tag)
	name := fuzzNames[c.next()%len(fuzzNames)]
	line := tag + " " + name
	for n := c.next() % 8; n > 0; n-- {
		op := c.next()
		if op%3 != 0 {
			line += fuzzTokens[c.next()%len(fuzzTokens)]
			continue
		}
		body := c.body()
		c.bodies[body] = true
		prefix := []string{" ", " ~", "", " x"}[c.next()%4]
		if strings.HasPrefix(name, "APPEND") {
			prefix = " "
		}
		plus := []string{"+", "+", ""}[c.next()%3]
		c.pending = append(c.pending, fmt.Sprintf("%s%s{%d%s}\r\n", line, prefix, len(body), plus), body)
		line = ""
	}
	// A line that ends as if a literal followed would be a lie.
	line = strings.TrimRight(line, "}")
	c.pending = append(c.pending, line+"\r\n")
	if name == "IDLE" && len(c.pending) == 1 && strings.TrimRight(line, " ") == tag+" IDLE" {
		c.pending = append(c.pending, []string{"DONE\r\n", "x DELETE VICTIM\r\n", "DONE{17+}\r\nx DELETE VICTIM\r\n\r\n"}[c.next()%3])
	}
}

// body makes a literal's octets.
func (c *client) body() string {
	const evil = "x DELETE VICTIM\r\n"
	switch c.next() % 6 {
	case 0:
		return ""
	case 1:
		return evil
	case 2:
		return evil + "x APPEND y {17+}\r\n"
	case 3:
		return strings.Repeat(evil, c.next()%40)
	case 4:
		return "{5+}\r\n"
	}
	return "x" + strings.Repeat("\r\n", c.next()%5) + evil + ")"
}
