package wire

import "sync"

const (
	// record is what one TLS record holds.
	record = 16 << 10
	// streamAt is how much of a long answer is written at a time.
	streamAt = 8 * record
	// streamBuffer leaves room for the record that is not full yet.
	streamBuffer = streamAt + record
)

// pair is the memory of a stream.
type pair struct{ filling, spare []byte }

var pairs = sync.Pool{New: func() any {
	return &pair{make([]byte, 0, streamBuffer), make([]byte, 0, streamBuffer)}
}}

// stream writes a long answer from two buffers: a goroutine writes one while
// the other is being filled, so that what the disk and what the network cost
// is not added up.
type stream struct {
	pair  *pair
	work  chan []byte
	spare chan []byte // the buffer that is neither filled nor written
	ended chan struct{}
	err   error // may be read after taking spare, or when ended
}

// Begin says that a long answer may follow. If it gets long, Spill leaves
// writing to a goroutine. Until End nothing else may use the destination.
func (w *Writer) Begin() { w.streaming = true }

// End waits until what Spill took is written. Buf keeps what it did not take.
func (w *Writer) End() error {
	w.streaming = false
	s := w.stream
	if s == nil {
		return w.err
	}
	w.stream = nil
	close(s.work)
	<-s.ended
	if w.err == nil {
		w.err = s.err
	}
	rest := w.Buf
	w.Buf = (*w.pooled)[:0]
	if len(rest) < flushAt {
		w.Buf = append(w.Buf, rest...)
	} else if w.err == nil {
		_, w.err = w.dst.Write(rest)
	}
	if spare := <-s.spare; max(cap(rest), cap(spare)) <= 2*streamBuffer {
		s.pair.filling, s.pair.spare = rest[:0], spare[:0]
		pairs.Put(s.pair)
	}
	return w.err
}

// startStream goes on in the larger buffers.
func (w *Writer) startStream() {
	p := pairs.Get().(*pair)
	s := &stream{pair: p, work: make(chan []byte), spare: make(chan []byte, 1), ended: make(chan struct{})}
	s.spare <- p.spare
	w.stream = s
	w.Buf = append(p.filling, w.Buf...)
	go func() {
		defer close(s.ended)
		for b := range s.work {
			if s.err == nil {
				_, s.err = w.dst.Write(b)
			}
			s.spare <- b
		}
	}()
}

// hand gives the full records of the buffer to the goroutine, once that has
// written those before.
func (w *Writer) hand() error {
	s := w.stream
	spare := <-s.spare
	if w.err == nil {
		w.err = s.err
	}
	if w.err != nil {
		s.spare <- spare
		w.Buf = w.Buf[:0]
		return w.err
	}
	full := len(w.Buf) / record * record
	rest := append(spare[:0], w.Buf[full:]...)
	s.work <- w.Buf[:full]
	w.Buf = rest
	return nil
}
