package doctor

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

const (
	maxLine = 64 << 10 // octets; capabilities and envelopes of hostile length
	// maxTalk bounds what a server may send in one conversation, in octets.
	maxTalk = 64 << 20
	// maxReply bounds the lines of one reply of SMTP.
	maxReply = 200
	// maxResponses bounds the responses to one IMAP command.
	maxResponses = 100_000
	// maxKept bounds the octets of literals that are kept.
	maxKept = 16 << 20
)

// talk is a conversation with a server, of whatever protocol. Each step has its
// own time.
type talk struct {
	conn net.Conn
	r    *bufio.Reader
	tag  int
}

func newTalk(conn net.Conn) *talk {
	return &talk{conn: conn, r: bufio.NewReaderSize(io.LimitReader(conn, maxTalk), maxLine)}
}

func (t *talk) close() { _ = t.conn.Close() }

// literal is our address as SMTP takes it for a name (RFC 5321, section 4.1.3).
func (t *talk) literal() string {
	a, ok := t.conn.LocalAddr().(*net.TCPAddr)
	switch {
	case !ok:
		return "localhost"
	case a.IP.To4() != nil:
		return "[" + a.IP.String() + "]"
	}

	return "[IPv6:" + a.IP.String() + "]"
}

func (t *talk) within(d time.Duration) { _ = t.conn.SetDeadline(time.Now().Add(d)) }

func (t *talk) write(text string) error {
	t.within(conversationTime)
	_, err := io.WriteString(t.conn, text)

	return err
}

// line reads one line without its end.
func (t *talk) line() (string, error) {
	b, err := t.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return "", errors.New("the server sends a line without end")
	}
	if err != nil {
		return "", err
	}

	return strings.TrimRight(string(b), "\r\n"), nil
}

// reply is an answer of SMTP or LMTP.
type reply struct {
	code  int
	lines []string // without the code
}

func (r *reply) String() string { return fmt.Sprintf("%d %s", r.code, strings.Join(r.lines, " / ")) }

func (r *reply) good() bool { return r.code >= 200 && r.code < 300 }

// reply reads one (RFC 5321, section 4.2).
func (t *talk) reply() (*reply, error) {
	t.within(conversationTime)
	r := &reply{}
	for len(r.lines) < maxReply {
		line, err := t.line()
		if err != nil {
			return nil, err
		}
		code, rest, more, ok := replyLine(line)
		if !ok || r.code != 0 && code != r.code {
			return nil, fmt.Errorf("the server answers %s, which is no reply of SMTP", quote(line))
		}
		r.code = code
		r.lines = append(r.lines, rest)
		if !more {
			return r, nil
		}
	}

	return nil, errors.New("the server's reply has no end")
}

func replyLine(line string) (code int, rest string, more, ok bool) {
	if len(line) < 3 {
		return 0, "", false, false
	}
	code, err := strconv.Atoi(line[:3])
	if err != nil || code < 200 || code > 599 || line[0] == '+' {
		return 0, "", false, false
	}
	switch {
	case len(line) == 3:
		return code, "", false, true
	case line[3] == '-' || line[3] == ' ':
		return code, line[4:], line[3] == '-', true
	}

	return 0, "", false, false
}

// ask sends a command of SMTP and reads its reply.
func (t *talk) ask(command string) (*reply, error) {
	if err := t.write(command + "\r\n"); err != nil {
		return nil, err
	}

	return t.reply()
}

// answer is what IMAP says to a command.
type answer struct {
	untagged []string // without "* "; literals are replaced by {n}
	literals [][]byte
	status   string // OK, NO, BAD or BYE
	text     string // after it
}

func (a *answer) ok() bool { return a.status == "OK" }

// find returns the first response that begins with a word.
func (a *answer) find(word string) (string, bool) {
	for _, u := range a.untagged {
		if first, rest, _ := strings.Cut(u, " "); strings.EqualFold(first, word) {
			return rest, true
		}
	}

	return "", false
}

// response reads one response of IMAP with its literals (RFC 9051, section 4.3).
func (t *talk) response() (string, [][]byte, error) {
	var b strings.Builder
	var literals [][]byte
	kept := 0
	for {
		line, err := t.line()
		if err != nil {
			return "", nil, err
		}
		if b.Len()+len(line) > maxKept {
			return "", nil, errors.New("the server sends a response without end")
		}
		b.WriteString(line)
		n, ok := literalSize(line)
		if !ok {
			return b.String(), literals, nil
		}
		if kept += n; kept > maxKept || len(literals) > maxReply {
			return "", nil, fmt.Errorf("the server sends %d octets where so many were not asked for", n)
		}
		text := make([]byte, n)
		if _, err := io.ReadFull(t.r, text); err != nil {
			return "", nil, err
		}
		literals = append(literals, text)
	}
}

// literalSize returns what a line announces at its end.
func literalSize(line string) (int, bool) {
	if !strings.HasSuffix(line, "}") {
		return 0, false
	}
	at := strings.LastIndexByte(line, '{')
	if at < 0 {
		return 0, false
	}
	n, err := strconv.ParseUint(line[at+1:len(line)-1], 10, 31)
	if err != nil {
		return 0, false
	}

	return int(n), true
}

// next returns a new tag.
func (t *talk) next() string {
	t.tag++
	return "d" + strconv.Itoa(t.tag)
}

// command sends an IMAP command and reads the answer.
func (t *talk) command(text string) (*answer, error) {
	tag := t.next()
	if err := t.write(tag + " " + text + "\r\n"); err != nil {
		return nil, err
	}

	return t.finish(tag)
}

// finish reads responses until that with the tag.
func (t *talk) finish(tag string) (*answer, error) {
	a := &answer{}
	for range maxResponses {
		t.within(conversationTime)
		line, literals, err := t.response()
		if err != nil {
			return nil, err
		}
		first, rest, _ := strings.Cut(line, " ")
		switch first {
		case "*":
			a.untagged = append(a.untagged, rest)
			a.literals = append(a.literals, literals...)
			if bye, text, _ := strings.Cut(rest, " "); strings.EqualFold(bye, "BYE") && !strings.HasPrefix(tag, "bye") {
				a.status, a.text = "BYE", text
			}
		case "+":
			return nil, fmt.Errorf("the server waits for more: %s", quote(rest))
		case tag:
			status, text, _ := strings.Cut(rest, " ")
			a.status, a.text = strings.ToUpper(status), text
			return a, nil
		default:
			return nil, fmt.Errorf("the server answers %s, which is no response of IMAP", quote(line))
		}
	}

	return nil, errors.New("the server's answer has no end")
}

// continuation reads until the server waits for more of the command.
func (t *talk) continuation(tag string) error {
	for range maxResponses {
		t.within(conversationTime)
		line, _, err := t.response()
		switch {
		case err != nil:
			return err
		case strings.HasPrefix(line, "+"):
			return nil
		case strings.HasPrefix(line, tag+" "):
			return fmt.Errorf("the server refuses: %s", quote(line[len(tag)+1:]))
		}
	}

	return errors.New("the server's answer has no end")
}
