package wire

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"sync"
)

// Limits bound what one command may cost. A zero field means the default.
type Limits struct {
	Line    int   // octets of a line; 64 KiB, as RFC 7162, section 4 asks
	Literal int64 // octets of a literal that is read into memory; 64 KiB
	Command int64 // octets of a command's lines and literals in memory; 1 MiB
	Drain   int64 // octets discarded of a refused command; 64 MiB, for a message that is refused after a client began to send it
}

func (l Limits) withDefaults() Limits {
	if l.Line == 0 {
		l.Line = 64 << 10
	}
	if l.Literal == 0 {
		l.Literal = 64 << 10
	}
	if l.Command == 0 {
		l.Command = 1 << 20
	}
	if l.Drain == 0 {
		l.Drain = 64 << 20
	}
	return l
}

// readBuffer is held as long as a connection lives, so it is small.
const readBuffer = 4 << 10

var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, readBuffer) }}

// state says where in a command the reader stands.
type state uint8

const (
	between   state = iota // at the start of a line that no one has asked for
	inLine                 // a line is loaded; the literal it may announce has not begun
	inLiteral              // lit octets of a literal are still to come, then a line
)

// Decoder takes tokens from a connection. Its token methods share one error,
// as bufio.Scanner's do: after the first mistake they do nothing and return
// zero values, [Decoder.Peek] tells the end of the line, and [Decoder.Err]
// tells what was wrong. A Decoder is used by one goroutine at a time.
type Decoder struct {
	// Continue sends a continuation request and flushes. It must be set
	// before a command is read.
	Continue func() error

	br     *bufio.Reader
	limits Limits

	state state
	lit   int64
	line  []byte // within br's buffer, or long; without its line end
	pos   int
	long  []byte
	held  bool // line is to be the next command

	used    int64 // octets of this command in memory
	drained int64 // octets of this command discarded
	err     error
	fatal   error // why nothing can be read any more
}

// NewDecoder returns a Decoder that reads from r.
func NewDecoder(r io.Reader, l Limits) *Decoder {
	br := readers.Get().(*bufio.Reader)
	br.Reset(r)
	return &Decoder{br: br, limits: l.withDefaults()}
}

// SetLimits replaces the limits, for a client that has logged in.
func (d *Decoder) SetLimits(l Limits) { d.limits = l.withDefaults() }

// Close gives the buffer back. The Decoder must not be used afterwards.
func (d *Decoder) Close() {
	if d.br == nil {
		return
	}
	d.br.Reset(nil)
	readers.Put(d.br)
	d.br, d.line, d.long = nil, nil, nil
}

// Wait finishes the last command, as [Decoder.Skip] does, and returns when the
// next one has begun to arrive. The caller sets a long deadline for Wait and a
// shorter one for what follows. A Wait that a deadline ended can be repeated.
func (d *Decoder) Wait() error {
	if err := d.Skip(); err != nil || d.held {
		return err
	}
	_, err := d.br.Peek(1)
	return err
}

// Buffered tells how many octets have been read from the connection but not
// been used: if there are any, the client has sent more commands ahead.
func (d *Decoder) Buffered() int { return d.br.Buffered() }

// Ahead waits, after a command without literals was read, for the line of the
// next and tells whether that is all of it, so that reading it waits for
// nothing more. It takes nothing; an Ahead that a deadline ended can be
// repeated.
func (d *Decoder) Ahead() (whole bool, err error) {
	if d.fatal != nil {
		return false, d.fatal
	}
	for {
		buffered, err := d.br.Peek(d.br.Buffered())
		if err != nil {
			return false, err
		}
		if end := bytes.IndexByte(buffered, '\n'); end >= 0 {
			_, _, literal := announced(trimEnd(buffered[:end+1]))
			return !literal, nil
		}
		if len(buffered) == readBuffer {
			return false, nil
		}
		if _, err := d.br.Peek(len(buffered) + 1); err != nil {
			return false, err
		}
	}
}

// Begin finishes the last command, as [Decoder.Skip] does, and loads the first
// line of the next. The error is io.EOF if the client has gone between
// commands. After a SyntaxError or a LimitError the command's tag can still be
// taken, for the answer.
func (d *Decoder) Begin() error {
	if err := d.Skip(); err != nil {
		return err
	}
	d.used, d.drained, d.err = 0, 0, nil
	if d.held {
		d.held, d.state, d.pos = false, inLine, 0
		return d.check()
	}
	return d.nextLine()
}

// Err returns the first error of the token methods.
func (d *Decoder) Err() error { return d.err }

// Fail makes a mistake in the command known, unless one is known already.
func (d *Decoder) Fail(format string, args ...any) {
	if d.err == nil {
		d.setErr(syntaxf(format, args...))
	}
}

func (d *Decoder) setErr(err error) {
	if d.err == nil {
		d.err = err
	}
	d.pos = len(d.line)
}

// Skip finds the end of the current command, whatever has been read of it. It
// does nothing between commands. A [FatalError] tells that the end could not
// be found.
func (d *Decoder) Skip() error {
	for d.fatal == nil {
		switch d.state {
		case between:
			return nil

		case inLiteral:
			if err := d.discard(); err != nil {
				return err
			}
			if err := d.readLine(d.limits.Line); err != nil && !isLimit(err) {
				return eofIsUnexpected(err)
			}
			if d.drained += int64(len(d.line)); d.drained > d.limits.Drain {
				return d.die("a refused command is too long to be skipped")
			}
			d.state = inLine

		case inLine:
			l, _, ok := announced(d.line)
			d.state = between
			if !ok {
				return nil
			}
			if l.Sync {
				// The client waits for a continuation request that does not
				// come, unless it does not keep to the protocol.
				if d.br.Buffered() > 0 {
					return d.die("a literal was sent without waiting for its continuation request")
				}
				return nil
			}
			if l.Size > d.limits.Drain-d.drained {
				return d.die("a refused literal is too long to be skipped")
			}
			d.drained += l.Size
			d.state, d.lit = inLiteral, l.Size
		}
	}
	return d.fatal
}

// die makes sure that nothing is read any more.
func (d *Decoder) die(text string) error {
	d.fatal = &FatalError{Text: text}
	return d.fatal
}

// discard reads what is left of the open literal. Its size was checked when
// it was accepted, or skipped.
func (d *Decoder) discard() error {
	for d.lit > 0 {
		n, err := d.br.Discard(int(min(d.lit, readBuffer)))
		d.lit -= int64(n)
		if err != nil {
			return eofIsUnexpected(err)
		}
	}
	return nil
}

// nextLine loads the next line of a command.
func (d *Decoder) nextLine() error {
	err := d.readLine(d.limits.Line)
	if err != nil && !isLimit(err) {
		return err
	}
	d.state = inLine
	if err != nil {
		return err
	}
	return d.check()
}

// check tells whether the line may be part of the command.
func (d *Decoder) check() error {
	d.used += int64(len(d.line))
	switch {
	case d.used > d.limits.Command:
		return d.tooLong()
	case bytes.IndexByte(d.line, 0) >= 0:
		return syntaxf("NUL is not allowed")
	case bytes.IndexByte(d.line, '\r') >= 0:
		return syntaxf("CR is allowed at the end of a line only")
	}
	return nil
}

const (
	headKept = 192 // octets kept of the start of a line that is too long: its tag
	tailKept = 64  // octets kept of its end: whether a literal follows
)

// readLine reads a line into d.line. Of one longer than limit it keeps the
// start and the end, and returns a LimitError.
func (d *Decoder) readLine(limit int) error {
	if d.fatal != nil {
		return d.fatal
	}
	d.line, d.pos, d.long = nil, 0, nil
	part, err := d.br.ReadSlice('\n')
	if err == nil && len(part) <= limit+2 {
		d.line = trimEnd(part)
		return nil
	}
	limit = max(limit, headKept+tailKept)
	over := false
	for {
		if err != nil && err != bufio.ErrBufferFull {
			if err == io.EOF && len(d.long)+len(part) > 0 {
				err = io.ErrUnexpectedEOF
			}
			d.fatal = err // a part of the line may be lost
			return err
		}
		d.long = append(d.long, part...)
		if n := len(d.long); n > limit+2 {
			over = true
			if d.drained += int64(n); d.drained > d.limits.Drain {
				return d.die("a line is too long to be skipped")
			}
			d.long = append(d.long[:headKept], d.long[n-tailKept:]...)
		}
		if err == nil {
			break
		}
		part, err = d.br.ReadSlice('\n')
	}
	d.line = trimEnd(d.long)
	if !over {
		return nil
	}
	if undecided(d.line[headKept:]) {
		return d.die("a line is too long to be skipped")
	}
	return &LimitError{Text: fmt.Sprintf("a line is longer than %d octets", limit)}
}

func (d *Decoder) tooLong() error {
	return &LimitError{Text: fmt.Sprintf("a command is longer than %d octets", d.limits.Command)}
}

// RawLine reads a line that is not part of a command: a SASL response or the
// end of IDLE. The slice is valid until the next call of any method. Of a line
// longer than limit nothing is returned but a LimitError. Should the line end
// with the announcement of a literal, [Decoder.Skip] takes care of it.
func (d *Decoder) RawLine(limit int) ([]byte, error) {
	if err := d.Skip(); err != nil {
		return nil, err
	}
	d.drained, d.err = 0, nil
	err := d.readLine(limit)
	if err != nil && !isLimit(err) {
		return nil, eofIsUnexpected(err)
	}
	d.state = inLine
	if err != nil {
		return nil, err
	}
	return d.line, nil
}

// UnreadLine makes the line that RawLine has just returned the next command.
func (d *Decoder) UnreadLine() { d.held, d.state = true, between }

func trimEnd(line []byte) []byte {
	line = line[:len(line)-1]
	if n := len(line); n > 0 && line[n-1] == '\r' {
		return line[:n-1]
	}
	return line
}

func isLimit(err error) bool {
	_, ok := err.(*LimitError)
	return ok
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func eofIsUnexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
