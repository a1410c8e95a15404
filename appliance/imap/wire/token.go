package wire

import (
	"bytes"
	"math"
	"strings"
	"unicode/utf8"
)

// maxTag bounds a tag, which is repeated in the answer; clients send a few
// octets.
const maxTag = 128

// Peek returns the next octet of the line, or 0 at its end.
func (d *Decoder) Peek() byte {
	if d.pos < len(d.line) {
		return d.line[d.pos]
	}
	return 0
}

// Take takes c if it is next.
func (d *Decoder) Take(c byte) bool {
	if d.pos < len(d.line) && d.line[d.pos] == c {
		d.pos++
		return true
	}
	return false
}

// Want takes c, which must be next.
func (d *Decoder) Want(c byte) {
	if !d.Take(c) {
		d.Fail("expected %q%s", c, d.found())
	}
}

// Space takes one space, or several as some clients send.
func (d *Decoder) Space() {
	if !d.Spaces() {
		d.Fail("expected a space%s", d.found())
	}
}

// Spaces takes spaces, if there are any.
func (d *Decoder) Spaces() bool {
	start := d.pos
	for d.Take(' ') {
	}
	return d.pos > start
}

// More takes spaces and tells whether something follows them.
func (d *Decoder) More() bool {
	spaces := d.Spaces()
	if d.pos == len(d.line) {
		return false
	}
	if !spaces {
		d.Fail("expected a space%s", d.found())
	}
	return d.err == nil
}

// End takes the end of the command.
func (d *Decoder) End() {
	d.Spaces()
	if d.err != nil {
		return
	}
	if d.pos < len(d.line) {
		d.Fail("expected the end of the command%s", d.found())
		return
	}
	// The last line of defence: no token ends with an announcement, so this
	// is a literal that nobody has read.
	if _, _, ok := announced(d.line); ok || d.state == inLiteral {
		d.Fail("a literal is not allowed here")
		return
	}
	d.state = between
}

// found describes what is next, for the text of a mistake.
func (d *Decoder) found() string {
	if d.pos >= len(d.line) {
		return " before the end of the line"
	}
	return " before " + Printable(string(d.line[d.pos:min(len(d.line), d.pos+20)]))
}

// Printable quotes a few octets of what a client sent, so that they can be
// shown in a response's text and in a log.
func Printable(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(s); i++ {
		if i == 40 {
			b.WriteString("...")
			break
		}
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			b.WriteByte('?')
		} else {
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// Tag takes a command's tag.
func (d *Decoder) Tag() string {
	start := d.pos
	for d.pos < len(d.line) && isAStringChar(d.line[d.pos]) && d.line[d.pos] != '+' {
		d.pos++
	}
	if d.pos == start || d.pos-start > maxTag {
		d.Fail("expected a tag%s", d.found())
		return ""
	}
	return string(d.line[start:d.pos])
}

// Word takes a word of the protocol, up to the next "[" or the end of the
// atom, and returns it in upper case. The slice is valid until the next call
// of any method.
func (d *Decoder) Word() []byte {
	start := d.pos
	for d.pos < len(d.line) && isAtomChar(d.line[d.pos]) && d.line[d.pos] != '[' {
		if c := d.line[d.pos]; 'a' <= c && c <= 'z' {
			d.line[d.pos] = c - 'a' + 'A'
		}
		d.pos++
	}
	if d.pos == start {
		d.Fail("expected a word%s", d.found())
	}
	return d.line[start:d.pos]
}

// Atom takes an atom.
func (d *Decoder) Atom() string {
	start := d.pos
	for d.pos < len(d.line) && isAtomChar(d.line[d.pos]) {
		d.pos++
	}
	if d.pos == start {
		d.Fail("expected an atom%s", d.found())
	}
	return string(d.line[start:d.pos])
}

// AString takes an atom or a string; "]" is allowed in the atom.
func (d *Decoder) AString() string {
	if c := d.Peek(); c == '"' || c == '{' {
		return d.String()
	}
	start := d.pos
	for d.pos < len(d.line) && isAStringChar(d.line[d.pos]) {
		d.pos++
	}
	if d.pos == start {
		d.Fail("expected a string%s", d.found())
	}
	return string(d.line[start:d.pos])
}

// String takes a quoted string or a literal. It may hold any octet but NUL:
// what they mean is the caller's to decide.
func (d *Decoder) String() string {
	switch d.Peek() {
	case '"':
		return d.quoted()
	case '{':
		return string(d.readLiteral(false))
	}
	d.Fail("expected a string%s", d.found())
	return ""
}

// NString takes a string or NIL; ok is false for NIL.
func (d *Decoder) NString() (s string, ok bool) {
	if d.TakeNil() {
		return "", false
	}
	return d.String(), true
}

// TakeNil takes NIL if it is next.
func (d *Decoder) TakeNil() bool {
	rest := d.line[d.pos:]
	if len(rest) < 3 || !bytes.EqualFold(rest[:3], []byte("NIL")) || len(rest) > 3 && isAtomChar(rest[3]) {
		return false
	}
	d.pos += 3
	return true
}

func (d *Decoder) quoted() string {
	rest := d.line[d.pos+1:]
	end := bytes.IndexAny(rest, `"\`)
	if end < 0 {
		d.Fail("a quoted string has no end")
		return ""
	}
	if rest[end] == '"' {
		d.pos += end + 2
		return string(rest[:end])
	}
	b := append(make([]byte, 0, 2*end+16), rest[:end]...)
	for i := end; i < len(rest); i++ {
		c := rest[i]
		if c == '"' {
			d.pos += i + 2
			return string(b)
		}
		if c == '\\' {
			i++
			if i == len(rest) || rest[i] != '"' && rest[i] != '\\' {
				d.Fail(`only " and \ may follow a \ in a quoted string`)
				return ""
			}
			c = rest[i]
		}
		b = append(b, c)
	}
	d.Fail("a quoted string has no end")
	return ""
}

// Number takes a number of 32 bits.
func (d *Decoder) Number() uint32 {
	n := d.Number64()
	if n > math.MaxUint32 {
		d.Fail("a number is too large")
		return 0
	}
	return uint32(n)
}

// PositiveNumber takes a number of 32 bits that is not zero.
func (d *Decoder) PositiveNumber() uint32 {
	n := d.Number()
	if n == 0 {
		d.Fail("expected a number above zero")
	}
	return n
}

// Number64 takes a number of 63 bits (RFC 9051, section 9).
func (d *Decoder) Number64() uint64 {
	start := d.pos
	var n uint64
	for d.pos < len(d.line) && isDigit(d.line[d.pos]) {
		n = n*10 + uint64(d.line[d.pos]-'0')
		if n > math.MaxInt64 {
			d.Fail("a number is too large")
			return 0
		}
		d.pos++
	}
	if d.pos == start {
		d.Fail("expected a number%s", d.found())
	}
	return n
}

// Mailbox takes a mailbox name and returns it in UTF-8, INBOX in upper case.
// utf8Enabled tells that the client has enabled UTF8=ACCEPT or IMAP4rev2: "&"
// is then an ordinary character (RFC 9051, section 5.1).
func (d *Decoder) Mailbox(utf8Enabled bool) string {
	name := d.mailboxName(d.AString(), utf8Enabled)
	if strings.EqualFold(name, "INBOX") {
		return "INBOX"
	}
	return name
}

// ListPattern takes a mailbox name with wildcards, as LIST has it.
func (d *Decoder) ListPattern(utf8Enabled bool) string {
	if c := d.Peek(); c == '"' || c == '{' {
		return d.mailboxName(d.String(), utf8Enabled)
	}
	start := d.pos
	for d.pos < len(d.line) && isListChar(d.line[d.pos]) {
		d.pos++
	}
	if d.pos == start {
		d.Fail("expected a mailbox name%s", d.found())
	}
	return d.mailboxName(string(d.line[start:d.pos]), utf8Enabled)
}

func (d *Decoder) mailboxName(s string, utf8Enabled bool) string {
	if d.err != nil {
		return ""
	}
	if utf8Enabled {
		if !utf8.ValidString(s) {
			d.Fail("a mailbox name is not UTF-8")
		}
		return s
	}
	name, err := DecodeUTF7(s)
	if err != nil {
		d.Fail("a mailbox name is %v", err)
	}
	return name
}

// isAStringChar: RFC 9051, section 9, ASTRING-CHAR.
func isAStringChar(c byte) bool { return isAtomChar(c) || c == ']' }

// isListChar: RFC 9051, section 9, list-char.
func isListChar(c byte) bool { return isAStringChar(c) || c == '%' || c == '*' }
