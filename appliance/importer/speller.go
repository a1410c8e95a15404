package importer

import (
	"bufio"
	"bytes"
	"io"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"

	imapwire "pillarbox/appliance/imap/wire"
)

// speller stands between a server and the client library, which ends the
// connection at a mailbox's name that is not in modified UTF-7 (RFC 3501,
// section 5.1.3) and knows no LSUB. Towards the library such a name is one in
// which each octet that cannot be has a character of its own (markOf), and a
// command that uses it goes out with the octets that the server has.
type speller struct {
	on   bool
	in   *bufio.Reader // nil: what the server says is not looked at
	done []byte        // what was looked at and not yet read
	pass int64         // octets of a literal that follow
	text bool          // within a line, behind its beginning
	last []byte        // the end of that line so far
	out  []byte        // of a command whose end is not there yet

	lsub atomic.Bool // LIST goes out as LSUB
}

// spelling says whose names a connection spells otherwise.
type spelling int

const (
	asItIs      spelling = iota // nobody's
	oursSpelled                 // those that we say; messages pass as they are
	bothSpelled                 // also those that the server says
)

const (
	spellLine  = 16 << 10 // octets of a response about a mailbox; longer ones are not looked at
	firstMark  = '\uf700' // a private use character, for the octet 0
	maxLiteral = 24       // octets of what announces a literal
)

func isMark(r rune) bool { return r >= firstMark && r <= firstMark+0xff }

// spell makes a name that the library can read of one in octets, if it cannot.
func spell(octets string) (name string, odd bool) {
	if isASCII(octets) { // and what the library sends is the same again
		decoded, err := imapwire.DecodeUTF7(octets)
		if err == nil && encodeUTF7(decoded) == octets && !strings.ContainsFunc(decoded, isMark) {
			return decoded, false
		}
	}
	var b strings.Builder
	for _, c := range []byte(octets) {
		if c < ' ' || c > '~' || c == '&' {
			b.WriteRune(firstMark + rune(c))
		} else {
			b.WriteByte(c)
		}
	}
	return b.String(), true
}

// octetsOf is the way back. odd is false for a name without marks.
func octetsOf(name string) (octets string, odd bool) {
	if !strings.ContainsFunc(name, isMark) {
		return name, false
	}
	b := make([]byte, 0, len(name))
	for _, r := range name {
		if isMark(r) {
			b = append(b, byte(r-firstMark))
		} else {
			b = utf8.AppendRune(b, r)
		}
	}
	return string(b), true
}

// readable makes octets of no known meaning fit for people: UTF-8, or what
// Windows took for text in Western Europe.
func readable(octets string) string {
	if utf8.ValidString(octets) {
		return octets
	}
	text, err := charmap.Windows1252.NewDecoder().String(octets)
	if err != nil {
		return strings.ToValidUTF8(octets, "?")
	}
	return text
}

// Read reads what the server says, with names that can be read.
func (s *speller) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if len(s.done) > 0 {
			n := copy(p, s.done)
			s.done = s.done[n:]
			return n, nil
		}
		if s.pass > 0 {
			n, err := s.in.Read(p[:min(int64(len(p)), s.pass)])
			s.pass -= int64(n)
			return n, err
		}
		line, err := s.in.ReadSlice('\n')
		if len(line) == 0 && err != nil {
			return 0, err
		}
		if err := s.line(line, err == nil); err != nil {
			return 0, err
		}
	}
}

// aboutMailbox are the responses that name one.
var aboutMailbox = regexp.MustCompile(`(?i)^\* (LIST|LSUB|STATUS|ACL) `)

// conditions are responses that end with text, in which nothing is a literal.
var conditions = regexp.MustCompile(`(?i)^(\* (OK|NO|BAD|BYE|PREAUTH)\b|[^*])`)

// line takes a line, or what is there of one that is long.
func (s *speller) line(line []byte, whole bool) error {
	if !s.text && whole {
		if m := aboutMailbox.FindSubmatch(line); m != nil {
			return s.mailbox(bytes.Clone(line), strings.ToUpper(string(m[1])))
		}
	}
	if !s.text {
		s.last = s.last[:0]
		s.text = true
		if conditions.Match(line) {
			s.text = !whole
			s.last = append(s.last, '?') // which no literal's end has
			s.done = append(s.done[:0], line...)
			return nil
		}
	}
	s.done = append(s.done[:0], line...)
	if len(s.last) > 0 && s.last[0] == '?' {
		s.text = !whole
		return nil
	}
	s.last = append(s.last, line...)
	s.last = s.last[max(0, len(s.last)-maxLiteral):]
	if !whole {
		return nil
	}
	n, literal := literalAt(s.last)
	s.pass, s.text, s.last = n, literal, s.last[:0]
	return nil
}

// literalAt returns the size of the literal that a line announces at its end.
func literalAt(line []byte) (int64, bool) {
	line = bytes.TrimRight(line, "\r\n")
	at := bytes.LastIndexByte(line, '{')
	if at < 0 || line[len(line)-1] != '}' {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSuffix(string(line[at+1:len(line)-1]), "+"), 10, 64)
	return n, err == nil && n >= 0
}

// mailbox takes a whole response that names a mailbox.
func (s *speller) mailbox(all []byte, kind string) error {
	for {
		n, literal := literalAt(all)
		if !literal {
			break
		}
		if n > spellLine || len(all) > spellLine {
			s.done, s.pass, s.text = all, n, true
			return nil
		}
		all = append(all, make([]byte, n)...)
		if _, err := io.ReadFull(s.in, all[len(all)-int(n):]); err != nil {
			return err
		}
		rest, err := s.in.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			return err
		}
		all = append(all, rest...)
		if err != nil { // longer than anything of the kind
			s.done, s.text = all, true
			return nil
		}
	}
	s.done = rename(all, kind)
	return nil
}

// rename returns a response of which the mailbox's name can be read.
func rename(all []byte, kind string) []byte {
	at := len("* ") + len(kind) + len(" ")
	from := at
	if kind == "LIST" || kind == "LSUB" {
		end := bytes.IndexByte(all, ')')
		if end < 0 {
			return all
		}
		if _, at = token(all, end+2); at < 0 { // the delimiter
			return all
		}
		at++
	}
	name, end := token(all, at)
	if end < 0 {
		return all
	}
	spelled, odd := spell(name)
	if !odd && kind != "LSUB" {
		return all
	}
	if kind == "LSUB" {
		kind = "LIST"
	}
	out := append([]byte("* "+kind+" "), all[from:at]...)
	if odd {
		out = appendQuoted(out, encodeUTF7(spelled))
	} else {
		out = append(out, all[at:end]...)
	}
	return append(out, all[end:]...)
}

// token reads an astring or NIL at a place, and tells where it ends; -1 if there
// is none.
func token(b []byte, at int) (text string, end int) {
	if at >= len(b) {
		return "", -1
	}
	switch b[at] {
	case '"':
		var out []byte
		for i := at + 1; i < len(b); i++ {
			switch {
			case b[i] == '"':
				return string(out), i + 1
			case b[i] == '\\' && i+1 < len(b):
				i++
			case b[i] == '\r' || b[i] == '\n':
				return "", -1
			}
			out = append(out, b[i])
		}
		return "", -1
	case '{':
		line := bytes.IndexByte(b[at:], '\n')
		if line < 0 {
			return "", -1
		}
		n, ok := literalAt(b[at : at+line+1])
		begin := int64(at + line + 1)
		if !ok || n > int64(len(b))-begin {
			return "", -1
		}
		return string(b[begin : begin+n]), int(begin + n)
	}
	n := bytes.IndexAny(b[at:], " \r\n")
	if n <= 0 {
		return "", -1
	}
	return string(b[at : at+n]), at + n
}

func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	for _, c := range []byte(s) {
		if c == '"' || c == '\\' {
			b = append(b, '\\')
		}
		b = append(b, c)
	}
	return append(b, '"')
}

// naming are the commands that we send with a mailbox's name.
var naming = regexp.MustCompile(`^(\S+ (?:SELECT|EXAMINE|STATUS|GETACL) )"`)

// send returns what goes to the server of what the library writes.
func (s *speller) send(p []byte) []byte {
	s.out = append(s.out, p...)
	end := bytes.LastIndexByte(s.out, '\n') + 1
	var now []byte
	for line := range bytes.Lines(s.out[:end]) {
		now = append(now, s.command(line)...)
	}
	s.out = append(s.out[:0], s.out[end:]...)
	return now
}

func (s *speller) command(line []byte) []byte {
	if s.lsub.Load() {
		if tag, rest, ok := bytes.Cut(line, []byte(" LIST ")); ok && !bytes.ContainsRune(tag, ' ') {
			return append(append(bytes.Clone(tag), " LSUB "...), rest...)
		}
	}
	m := naming.FindSubmatchIndex(line)
	if m == nil {
		return line
	}
	name, end := token(line, m[3])
	if end < 0 {
		return line
	}
	decoded, err := imapwire.DecodeUTF7(name)
	octets, odd := octetsOf(decoded)
	if !odd { // where it announces IMAP4rev2 the library takes UTF-8, which nobody has enabled
		octets = encodeUTF7(decoded)
	}
	if err != nil || octets == name {
		return line
	}
	return append(appendQuoted(bytes.Clone(line[:m[3]]), octets), line[end:]...)
}

// isASCII tells whether octets are printable ASCII.
func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

func encodeUTF7(s string) string { return string(imapwire.AppendUTF7(nil, s)) }
