package message

import (
	"bytes"
	"io"
)

// windowSize is how much of a message is looked at at once, in octets.
const windowSize = 16 << 10

// maxEmptyReads is how often in a row a reader may return nothing.
const maxEmptyReads = 100

// window is a reader's octets that are read but not yet consumed, and what is
// known of those before them.
type window struct {
	r      io.Reader
	buf    []byte
	start  int // of what is not consumed, in buf
	end    int
	eof    bool
	offset int64 // of buf[start] in the message
	lines  int64 // line ends consumed
	last   [2]byte
}

func newWindow(r io.Reader) *window {
	return &window{r: r, buf: make([]byte, windowSize)}
}

// bytes returns what is there.
func (w *window) bytes() []byte { return w.buf[w.start:w.end] }

// fill reads until there are n octets (at most windowSize), or all there will be.
func (w *window) fill(n int) error {
	for empty := 0; w.end-w.start < n && !w.eof; {
		if w.start > 0 {
			copy(w.buf, w.buf[w.start:w.end])
			w.end -= w.start
			w.start = 0
		}
		got, err := w.r.Read(w.buf[w.end:])
		w.end += got
		switch {
		case err == io.EOF:
			w.eof = true
		case err != nil:
			return err
		case got > 0:
			empty = 0
		default:
			if empty++; empty == maxEmptyReads {
				return io.ErrNoProgress
			}
		}
	}
	return nil
}

// line returns the octets up to the first line end, or as many as the window
// holds of a longer line, without consuming them; none at the end.
func (w *window) line() ([]byte, error) {
	seen := 0
	for {
		b := w.bytes()
		if i := bytes.IndexByte(b[seen:], '\n'); i >= 0 {
			return b[:seen+i+1], nil
		}
		if len(b) == len(w.buf) || w.eof {
			return b, nil
		}
		seen = len(b)
		if err := w.fill(len(b) + 1); err != nil {
			return nil, err
		}
	}
}

// atLineStart tells whether a line begins with the next octet.
func (w *window) atLineStart() bool { return w.offset == 0 || w.last[1] == '\n' }

// lineEnd returns the octets of the line end that was consumed last.
func (w *window) lineEnd() int64 {
	switch {
	case w.last[1] != '\n':
		return 0
	case w.last[0] == '\r':
		return 2
	default:
		return 1
	}
}

// skip consumes n octets.
func (w *window) skip(n int) {
	b := w.buf[w.start : w.start+n]
	switch {
	case n >= 2:
		w.last = [2]byte(b[n-2:])
	case n == 1:
		w.last = [2]byte{w.last[1], b[0]}
	}
	w.lines += int64(bytes.Count(b, []byte{'\n'}))
	w.start += n
	w.offset += int64(n)
}
