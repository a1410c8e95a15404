package message

import (
	"bytes"
	"errors"
	"io"
)

// ErrUnknownEncoding says that a part's transfer encoding cannot be undone.
var ErrUnknownEncoding = errors.New("the transfer encoding is not known")

// decodeBuffer is how much a decoder reads at once, in octets.
const decodeBuffer = 16 << 10

// Decoded returns a part's body with its transfer encoding undone (lenient:
// bad bytes are skipped). The body starts at base in r. err is
// ErrUnknownEncoding for one that is not known.
func Decoded(r io.ReaderAt, base int64, p *Part) (io.Reader, error) {
	body := io.NewSectionReader(r, base+p.BodyStart, p.End-p.BodyStart)
	switch p.Encoding {
	case Identity:
		return body, nil
	case Base64:
		return &base64Reader{in: source{r: body, buf: make([]byte, decodeBuffer)}}, nil
	case QuotedPrintable:
		return &quotedReader{in: source{r: body, buf: make([]byte, decodeBuffer)}}, nil
	default:
		return nil, ErrUnknownEncoding
	}
}

// source is a reader's octets that are read but not yet decoded.
type source struct {
	r          io.Reader
	buf        []byte
	start, end int
	err        error // what the reader ended with
}

func (s *source) bytes() []byte { return s.buf[s.start:s.end] }

// fill reads until there are n octets, or all there will be.
func (s *source) fill(n int) {
	if s.end-s.start >= n || s.err != nil {
		return
	}
	copy(s.buf, s.buf[s.start:s.end])
	s.end -= s.start
	s.start = 0
	for empty := 0; s.end < n && s.err == nil; {
		got, err := s.r.Read(s.buf[s.end:])
		s.end += got
		s.err = err
		if got > 0 {
			empty = 0
		} else if empty++; empty == maxEmptyReads && err == nil {
			s.err = io.ErrNoProgress
		}
	}
}

// base64Reader decodes base64. Octets that are not of its alphabet are
// skipped; after padding another stream may begin.
type base64Reader struct {
	in   source
	bits uint32 // of a quantum that is not complete
	n    int    // how many characters are in bits
	rest [3]byte
	held []byte // of rest, decoded but not yet asked for
}

func (d *base64Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if len(d.held) > 0 {
			n := copy(p, d.held)
			d.held = d.held[n:]
			return n, nil
		}
		d.in.fill(4)
		src := d.in.bytes()
		if len(src) == 0 {
			if d.flush(); len(d.held) > 0 {
				continue
			}
			return 0, d.in.err
		}
		read, written := d.decode(p, src)
		d.in.start += read
		if written > 0 {
			return written, nil
		}
	}
}

// decode writes whole quanta to dst; where dst is too small for one, to held.
func (d *base64Reader) decode(dst, src []byte) (read, written int) {
	for read < len(src) {
		if d.n == 0 {
			// The fast way: four good characters in a row.
			for read+4 <= len(src) && written+3 <= len(dst) {
				s := src[read : read+4 : read+4]
				a, b, c, e := base64Values[s[0]], base64Values[s[1]], base64Values[s[2]], base64Values[s[3]]
				if a|b|c|e > 63 {
					break
				}
				t := dst[written : written+3 : written+3]
				t[0], t[1], t[2] = a<<2|b>>4, b<<4|c>>2, c<<6|e
				read, written = read+4, written+3
			}
			if read == len(src) {
				break
			}
		}
		c := src[read]
		read++
		v := base64Values[c]
		switch {
		case v <= 63:
			d.bits = d.bits<<6 | uint32(v)
			d.n++
		case c == '=':
			d.flush()
		}
		if d.n == 4 {
			d.rest = [3]byte{byte(d.bits >> 16), byte(d.bits >> 8), byte(d.bits)}
			d.held, d.bits, d.n = d.rest[:], 0, 0
		}
		if len(d.held) > 0 {
			n := copy(dst[written:], d.held)
			written += n
			if d.held = d.held[n:]; len(d.held) > 0 {
				break
			}
		}
	}
	return read, written
}

// flush ends a quantum early.
func (d *base64Reader) flush() {
	switch d.n {
	case 2:
		d.rest[0] = byte(d.bits >> 4)
		d.held = d.rest[:1]
	case 3:
		d.rest[0], d.rest[1] = byte(d.bits>>10), byte(d.bits>>2)
		d.held = d.rest[:2]
	}
	d.bits, d.n = 0, 0
}

// base64Values maps a character to its value, all others to 0xff.
var base64Values = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	for i, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") {
		t[c] = byte(i)
	}
	return t
}()

// maxSoftBreak bounds the blanks between the "=" and the line end of a soft
// line break, in octets.
const maxSoftBreak = 80

// quotedReader decodes quoted-printable. A "=" that means nothing stands for
// itself.
type quotedReader struct{ in source }

func (d *quotedReader) Read(p []byte) (int, error) {
	written := 0
	for written < len(p) {
		d.in.fill(maxSoftBreak + len("=\r\n"))
		src := d.in.bytes()
		if len(src) == 0 {
			if written > 0 {
				return written, nil
			}
			return 0, d.in.err
		}
		i := bytes.IndexByte(src, '=')
		if i < 0 {
			i = len(src)
		}
		if i > 0 {
			n := copy(p[written:], src[:i])
			written += n
			d.in.start += n
			continue
		}
		c, n, ok := decodeEscape(src)
		d.in.start += n
		if ok {
			p[written] = c
			written++
		}
	}
	return written, nil
}

// decodeEscape decodes what begins with a "=": one octet, or (ok is false)
// none. n octets of src are used up.
func decodeEscape(src []byte) (c byte, n int, ok bool) {
	if len(src) >= 3 {
		if hi, lo := unhex[src[1]], unhex[src[2]]; hi|lo < 16 {
			return hi<<4 | lo, 3, true
		}
	}
	i := 1
	for i < len(src) && i <= maxSoftBreak && isWSP(src[i]) {
		i++
	}
	switch {
	case i == len(src):
		return 0, i, false
	case src[i] == '\n':
		return 0, i + 1, false
	case src[i] == '\r' && i+1 < len(src) && src[i+1] == '\n':
		return 0, i + 2, false
	}
	return '=', 1, true
}
