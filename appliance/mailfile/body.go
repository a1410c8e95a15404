package mailfile

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"sync"
)

// lineBuffer is how much of one line is looked at, in octets. Longer lines
// pass through in pieces.
const lineBuffer = 64 << 10

// lineEnds says what becomes of line ends.
type lineEnds uint8

const (
	endsKept lineEnds = iota
	endsToCRLF
	endsFromFirstLine // endsToCRLF if the first line ends in a bare LF
)

// body reads a message out of a file, with its line ends and From quoting undone.
type body struct {
	br      *bufio.Reader
	pending []byte // of br's buffer, or crlf; to be given out
	tail    bool   // pending is to be followed by CRLF
	ends    lineEnds
	unquote bool // undo mboxrd's quoting
	inLine  bool // the next piece goes on with a line
	lastCR  bool // the last piece ended in CR
	err     error
}

var (
	crlf    = []byte("\r\n")
	readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, lineBuffer) }}
)

func newBody(r io.Reader, ends lineEnds, unquote bool) (*body, error) {
	br := readers.Get().(*bufio.Reader)
	br.Reset(r)
	b := &body{br: br, ends: ends, unquote: unquote}
	if ends == endsFromFirstLine {
		first, err := peekLine(br)
		if err != nil {
			return nil, errors.Join(err, b.Close())
		}
		b.ends = endsOf(first)
	}

	return b, nil
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if b.br == nil {
		return 0, io.ErrClosedPipe
	}
	n := 0
	for n < len(p) {
		if len(b.pending) == 0 {
			if b.tail {
				b.pending, b.tail = crlf, false
			} else if n > 0 && b.br.Buffered() == 0 {
				break // do not wait for more while there is something to give
			} else if !b.next() {
				break
			}
		}
		m := copy(p[n:], b.pending)
		n, b.pending = n+m, b.pending[m:]
	}
	if n == 0 && len(p) > 0 {
		return 0, b.err
	}

	return n, nil
}

// Close gives the buffer back; it does not close what it reads from.
func (b *body) Close() error {
	if b.br != nil {
		b.br.Reset(nil)
		readers.Put(b.br)
		b.br, b.pending = nil, nil
	}

	return nil
}

// next makes the next line, or piece of a long one, pending.
func (b *body) next() bool {
	if b.err != nil {
		return false
	}
	line, err := b.br.ReadSlice('\n')
	if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
		b.err = err
	}
	if len(line) == 0 {
		return false
	}

	ended := line[len(line)-1] == '\n'
	hadCR := b.lastCR
	if len(line) > 1 {
		hadCR = line[len(line)-2] == '\r'
	}
	b.lastCR = line[len(line)-1] == '\r'
	if b.unquote && !b.inLine && isQuotedFrom(line) {
		line = line[1:]
	}
	b.inLine = !ended
	if ended && b.ends == endsToCRLF && !hadCR {
		line, b.tail = line[:len(line)-1], true
	}
	b.pending = line

	return true
}

// dropFromLine skips a "From " line at the start.
func (b *body) dropFromLine() error {
	first, err := peekLine(b.br)
	if err != nil || !bytes.HasPrefix(first, []byte("From ")) {
		return err
	}
	_, err = b.br.Discard(len(first))

	return err
}

// peekLine returns the first line with its end, or what fits of it.
func peekLine(br *bufio.Reader) ([]byte, error) {
	for n := 256; ; n = min(2*n, lineBuffer) {
		p, err := br.Peek(n)
		if i := bytes.IndexByte(p, '\n'); i >= 0 {
			return p[:i+1], nil
		}
		if errors.Is(err, io.EOF) || n == lineBuffer {
			return p, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func endsOf(line []byte) lineEnds {
	if bytes.HasSuffix(line, []byte("\n")) && !bytes.HasSuffix(line, crlf) {
		return endsToCRLF
	}

	return endsKept
}

// isQuotedFrom tells whether a line is "From " with at least one ">" in front.
func isQuotedFrom(line []byte) bool {
	rest := bytes.TrimLeft(line, ">")

	return len(rest) < len(line) && bytes.HasPrefix(rest, []byte("From "))
}
