package wire

import (
	"bytes"
	"fmt"
	"io"
	"math"
)

// Literal is a literal that the client has announced.
type Literal struct {
	Size   int64
	Sync   bool // the client waits for a continuation request
	Binary bool // literal8: NUL is allowed
}

// Literal takes the announcement of a literal, which is to be read by
// [Decoder.Open] or left to [Decoder.Skip].
func (d *Decoder) Literal() Literal {
	l, start, ok := announced(d.line)
	if !ok || start != d.pos || d.err != nil {
		d.Fail("expected a literal")
		return Literal{}
	}
	d.pos = len(d.line)
	return l
}

// Open lets the client send the literal just taken and returns its octets. It
// does not ask how long the literal is. When they have been read, or are to be
// thrown away, [Decoder.Resume] goes on with the command.
func (d *Decoder) Open(l Literal) (io.Reader, error) {
	if d.err != nil {
		return nil, d.err
	}
	if l.Sync {
		if err := d.Continue(); err != nil {
			return nil, err
		}
	}
	d.state, d.lit = inLiteral, l.Size
	return (*literalReader)(d), nil
}

// Resume discards what is left of the literal and loads the line after it.
func (d *Decoder) Resume() error {
	err := d.discard()
	if err == nil {
		err = eofIsUnexpected(d.nextLine())
	}
	if err != nil {
		d.setErr(err)
	}
	return err
}

// literalReader reads the open literal.
type literalReader Decoder

func (r *literalReader) Read(p []byte) (int, error) {
	if r.state != inLiteral || r.lit == 0 {
		return 0, io.EOF
	}
	n, err := r.br.Read(p[:min(int64(len(p)), r.lit)])
	r.lit -= int64(n)
	return n, eofIsUnexpected(err)
}

// readLiteral reads a literal into memory and loads the line after it.
func (d *Decoder) readLiteral(binary bool) []byte {
	l := d.Literal()
	if d.err != nil {
		return nil
	}
	switch {
	case l.Binary && !binary:
		d.Fail("a binary literal is not allowed here")
		return nil
	case l.Size > d.limits.Literal:
		d.setErr(&LimitError{Text: fmt.Sprintf("a literal is longer than %d octets", d.limits.Literal)})
		return nil
	case l.Size > d.limits.Command-d.used:
		d.setErr(d.tooLong())
		return nil
	}
	d.used += l.Size
	r, err := d.Open(l)
	if err != nil {
		d.setErr(err)
		return nil
	}
	b := make([]byte, l.Size)
	if _, err := io.ReadFull(r, b); err != nil {
		d.setErr(eofIsUnexpected(err))
		return nil
	}
	if d.Resume() != nil {
		return nil
	}
	if !l.Binary && bytes.IndexByte(b, 0) >= 0 {
		d.Fail("NUL is not allowed")
		return nil
	}
	return b
}

// undecided tells that the end of a line is not enough to say whether a
// literal follows: digits fill all of it.
func undecided(tail []byte) bool {
	t := bytes.TrimSuffix(bytes.TrimSuffix(tail, []byte{'}'}), []byte{'+'})
	return len(t) < len(tail) && len(bytes.TrimLeft(t, "0123456789")) == 0
}

// announced parses the announcement of a literal at the end of a line and
// tells where it starts. A size beyond the range of int64 is its largest.
func announced(line []byte) (l Literal, start int, ok bool) {
	i := len(line) - 1
	if i < 2 || line[i] != '}' {
		return Literal{}, 0, false
	}
	l.Sync = true
	if line[i-1] == '+' {
		l.Sync = false
		i--
	}
	end := i
	for i > 0 && isDigit(line[i-1]) {
		i--
	}
	if i == end || i == 0 || line[i-1] != '{' {
		return Literal{}, 0, false
	}
	for _, c := range line[i:end] {
		if l.Size > (math.MaxInt64-9)/10 {
			l.Size = math.MaxInt64
			break
		}
		l.Size = l.Size*10 + int64(c-'0')
	}
	start = i - 1
	if start > 0 && line[start-1] == '~' {
		l.Binary = true
		start--
	}
	return l, start, true
}
