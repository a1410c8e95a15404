package wire

import (
	"io"
	"sync"
)

const (
	// flushAt is two TLS records: enough that an answer to a listing leaves
	// in few system calls, little enough that a slow client holds little.
	flushAt = 32 << 10
	// keepUpTo is the capacity beyond which a buffer is left to the
	// collector instead of the pool.
	keepUpTo = 2 * flushAt
	// firstBuffer leaves room for the token that crosses flushAt.
	firstBuffer = flushAt + 4<<10
)

var buffers = sync.Pool{New: func() any {
	b := make([]byte, 0, firstBuffer)
	return &b
}}

// Writer collects answers in a buffer from a pool. Append to Buf between
// Acquire and Release, and call Spill wherever an answer may grow long. An
// error of the destination is kept and returned by every later call; what is
// appended after it is thrown away. A Writer is used by one goroutine at a
// time.
type Writer struct {
	Buf []byte

	dst    io.Writer
	pooled *[]byte
	err    error

	streaming bool    // between Begin and End
	stream    *stream // nil until the answer is long
}

// NewWriter returns a Writer that holds no buffer yet.
func NewWriter(dst io.Writer) *Writer { return &Writer{dst: dst} }

// Acquire takes a buffer from the pool unless the Writer holds one.
func (w *Writer) Acquire() {
	if w.pooled != nil {
		return
	}
	w.pooled = buffers.Get().(*[]byte)
	w.Buf = append((*w.pooled)[:0], w.Buf...)
}

// Full tells whether the buffer has grown to the size worth a write.
func (w *Writer) Full() bool {
	if w.stream != nil {
		return len(w.Buf) >= streamAt
	}
	return len(w.Buf) >= flushAt
}

// Spill writes the buffer out if it is full.
func (w *Writer) Spill() error {
	if !w.Full() {
		return w.err
	}
	if !w.streaming {
		return w.Flush()
	}
	if w.stream == nil {
		w.startStream()
		return w.Spill()
	}
	return w.hand()
}

// Flush writes out what has been collected.
func (w *Writer) Flush() error {
	if w.err == nil && len(w.Buf) > 0 {
		_, w.err = w.dst.Write(w.Buf)
	}
	w.Buf = w.Buf[:0]
	return w.err
}

// Release gives the buffer back, for the time the connection is idle. What
// was not flushed stays, in a buffer of its own.
func (w *Writer) Release() {
	if w.pooled == nil {
		return
	}
	rest := w.Buf
	w.Buf = nil
	if len(rest) > 0 {
		w.Buf = append(w.Buf, rest...)
	}
	if cap(rest) <= keepUpTo {
		*w.pooled = rest[:0]
		buffers.Put(w.pooled)
	}
	w.pooled = nil
}
