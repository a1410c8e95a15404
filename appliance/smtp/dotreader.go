package smtp

import (
	"bufio"
	"errors"
	"io"
)

// errEndless says that the rest of a refused message is too long to wait for.
var errEndless = errors.New("the message does not end")

// dotReader reads the data up to the line with the dot, with the dots that
// were put in front of others taken away (RFC 5321, section 4.5.2). All other
// octets come through as they are. Reading past the end yields io.EOF; if the
// connection ends before, io.ErrUnexpectedEOF.
type dotReader struct {
	r       *bufio.Reader
	pending []byte // of r's buffer
	midLine bool   // the next octet is not the first of a line
	cr      bool   // the last octet read was CR
	err     error
}

// Read implements io.Reader.
func (d *dotReader) Read(p []byte) (int, error) {
	for len(d.pending) == 0 {
		if d.err != nil {
			return 0, d.err
		}
		d.next()
	}
	n := copy(p, d.pending)
	d.pending = d.pending[n:]

	return n, nil
}

// next reads a line, or as much of it as fits the buffer.
func (d *dotReader) next() {
	piece, err := d.r.ReadSlice('\n')
	if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
		// Without the final dot the message is not complete, and what came
		// must not be taken for one.
		d.err = err
		if errors.Is(err, io.EOF) {
			d.err = io.ErrUnexpectedEOF
		}
		return
	}
	last := len(piece) - 1
	crlf := piece[last] == '\n' && (last > 0 && piece[last-1] == '\r' || last == 0 && d.cr)
	if !d.midLine && piece[0] == '.' {
		if len(piece) == 3 && crlf {
			d.err = io.EOF
			return
		}
		piece = piece[1:]
	}
	d.cr = len(piece) > 0 && piece[len(piece)-1] == '\r'
	d.midLine = !crlf
	d.pending = piece
}

// drain reads on to the end of the data, but no more than limit octets.
func (d *dotReader) drain(limit int64) error {
	d.pending = nil
	var n int64
	for d.err == nil {
		d.next()
		n += int64(len(d.pending))
		d.pending = nil
		if n > limit {
			return errEndless
		}
	}
	if errors.Is(d.err, io.EOF) {
		return nil
	}

	return d.err
}
