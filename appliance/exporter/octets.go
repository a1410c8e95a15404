package exporter

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
)

// pieceSize is how much of a message is in memory at once, in octets.
const pieceSize = 64 << 10

// shape is what is to be known of a message before it is written.
type shape struct {
	sum      [32]byte
	verbatim bool  // LF instead of CRLF would lose something
	size     int64 // octets of the file
	virtual  int64 // octets with CRLF at the end of each line
}

// look reads a message once.
func look(body io.ReaderAt, size int64) (shape, error) {
	h := sha256.New()
	var (
		s      shape
		lf     int64 // all line ends
		pairs  int64 // CRLF
		last   byte
		before byte
	)
	buf := make([]byte, pieceSize)
	r := io.NewSectionReader(body, 0, size)
	for {
		n, err := r.Read(buf)
		h.Write(buf[:n])
		for _, c := range buf[:n] {
			if c == '\n' {
				lf++
				if last == '\r' {
					pairs++
					s.verbatim = s.verbatim || before == '\r'
				}
			}
			before, last = last, c
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return s, fmt.Errorf("read message: %w", err)
		}
	}
	s.verbatim = s.verbatim || lf != pairs || last == '\r'
	s.virtual = size + lf - pairs
	s.size = size
	if !s.verbatim {
		s.size -= pairs
	}
	h.Sum(s.sum[:0])

	return s, nil
}

// writeBody writes a message with the line ends that look has chosen, and with
// ">" before each "From " of a line's begin where quote says so (mboxrd).
func writeBody(w io.Writer, body io.Reader, s *shape, quote bool) error {
	br := bufio.NewReaderSize(body, pieceSize)
	begin := true // of a line
	var held bool // a CR at the end of the last piece
	for {
		line, err := br.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read message: %w", err)
		}
		if begin && quote && bytes.HasPrefix(bytes.TrimLeft(line, ">"), []byte("From ")) {
			if _, err := w.Write([]byte{'>'}); err != nil {
				return err
			}
		}
		ended := len(line) > 0 && line[len(line)-1] == '\n'
		if len(line) > 0 {
			begin = ended
		}
		if !s.verbatim && len(line) > 0 {
			line, held, err = unixEnds(w, line, held, err)
			if err != nil && !errors.Is(err, bufio.ErrBufferFull) && !errors.Is(err, io.EOF) {
				return err
			}
		}
		if _, werr := w.Write(line); werr != nil {
			return werr
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
	}
}

// unixEnds takes the CR before a line's LF away. One at the end of a piece is
// held back until it is known what follows.
func unixEnds(w io.Writer, line []byte, held bool, err error) ([]byte, bool, error) {
	if held && line[0] != '\n' {
		if _, werr := w.Write([]byte{'\r'}); werr != nil {
			return nil, false, werr
		}
	}
	if bytes.HasSuffix(line, []byte("\r\n")) {
		line = line[:len(line)-1]
		line[len(line)-1] = '\n'
		return line, false, err
	}
	if line[len(line)-1] == '\r' {
		return line[:len(line)-1], true, err
	}

	return line, false, err
}

// sumOf hashes what a reader gives.
func sumOf(r io.Reader) (sum [32]byte, size int64, err error) {
	h := sha256.New()
	size, err = io.CopyBuffer(struct{ io.Writer }{h}, r, make([]byte, pieceSize))
	h.Sum(sum[:0])

	return sum, size, err
}
