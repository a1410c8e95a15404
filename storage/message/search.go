package message

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/transform"
)

// Scope says where a text is looked for.
type Scope uint8

// The scopes.
const (
	ScopeBody Scope = iota // in the text of the body
	ScopeText              // in all headers, those of parts and of messages within too, and in the body
)

const (
	// maxSearchedHeader is how much of one header is looked at, in octets.
	maxSearchedHeader = defaultHeaderBytes
	// maxSearchedText is how much of one part's encoded text is looked at, in octets.
	maxSearchedText = 64 << 20
	// searchChunk is how much decoded text is looked at at once, in octets.
	searchChunk = 32 << 10
)

// Searcher looks for texts in messages, one after the other. It keeps its
// buffers from one to the next, and is for one goroutine.
type Searcher struct {
	in, raw, decoded, folded []byte
	base64                   base64Reader
	quoted                   quotedReader

	ms      []*Matcher
	found   []bool
	missing int  // matchers that have not found theirs
	ascii   bool // all needles are ASCII
	longest int  // needle, in octets
}

// NewSearcher makes a Searcher.
func NewSearcher() *Searcher { return new(Searcher) }

// Search looks for every matcher's text within a scope of the message that
// starts at base in r (what stands in r before it is header, too), and sets
// found[i] if ms[i] found its own. found must be as long as ms. Only text and
// delivery reports are read, decoded from transfer encoding and charset piece
// by piece; what is found may lie across pieces, but not across parts or fields.
func (s *Searcher) Search(r io.ReaderAt, base int64, parts []Part, scope Scope, ms []*Matcher, found []bool) error {
	s.begin(ms, found)
	for i := range parts {
		if s.missing == 0 {
			return nil
		}
		p := &parts[i]
		if scope == ScopeText {
			start := base + p.HeaderStart
			if i == 0 {
				start = 0
			}
			if err := s.header(r, start, base+p.BodyStart); err != nil {
				return fmt.Errorf("search header of part %d: %w", i, err)
			}
		}
		if isText(p) && s.missing > 0 {
			if err := s.text(r, base, p); err != nil {
				return fmt.Errorf("search part %d: %w", i, err)
			}
		}
	}
	return nil
}

// isText tells whether a part is for people to read. A leaf of type message
// is a delivery report, a receipt, or a piece of a message.
func isText(p *Part) bool {
	return p.Kind == Leaf && (strings.HasPrefix(p.Type, "text/") || strings.HasPrefix(p.Type, "message/"))
}

func (s *Searcher) begin(ms []*Matcher, found []bool) {
	if s.in == nil {
		s.in = make([]byte, decodeBuffer)
		s.raw = make([]byte, searchChunk)
		s.decoded = make([]byte, searchChunk)
	}
	s.ms, s.found, s.missing, s.ascii, s.longest = ms, found, 0, true, 0
	for i, m := range ms {
		found[i] = len(m.needle) == 0
		if !found[i] {
			s.missing++
		}
		s.ascii = s.ascii && m.ascii
		s.longest = max(s.longest, len(m.needle))
	}
}

// look looks for what is missing in folded text.
func (s *Searcher) look(text []byte) {
	for i, m := range s.ms {
		if !s.found[i] && bytes.Contains(text, m.needle) {
			s.found[i] = true
			s.missing--
		}
	}
}

// header looks at one field after the other, unfolded and decoded.
func (s *Searcher) header(r io.ReaderAt, start, end int64) error {
	size := int(min(end-start, maxSearchedHeader))
	if cap(s.raw) < size {
		s.raw = make([]byte, size)
	}
	header := s.raw[:size]
	if n, err := r.ReadAt(header, start); n < size {
		return unexpectedEOF(err)
	}
	for s.missing > 0 {
		f, rest, ok := NextField(header)
		if !ok {
			break
		}
		header = rest
		line := AppendUnfolded(append(append(s.folded[:0], f.Name...), ": "...), f.Value)
		s.folded = line
		if bytes.Contains(line, []byte("=?")) || !isPlain(line) {
			s.folded = appendFolded(s.folded[:0], []byte(DecodeHeader(string(line))))
		} else {
			foldASCII(s.folded)
		}
		s.look(s.folded)
	}
	return nil
}

// text looks at a part's text.
func (s *Searcher) text(r io.ReaderAt, base int64, p *Part) error {
	body := io.NewSectionReader(r, base+p.BodyStart, min(p.End-p.BodyStart, maxSearchedText))
	var in io.Reader = body
	switch p.Encoding {
	case Base64:
		s.base64 = base64Reader{in: source{r: body, buf: s.in}}
		in = &s.base64
	case QuotedPrintable:
		s.quoted = quotedReader{in: source{r: body, buf: s.in}}
		in = &s.quoted
	}
	e := charsetEncoding(p.Charset)
	if e == nil || s.ascii && isASCIISuperset(e) {
		return s.scan(in)
	}
	return s.scan(transform.NewReader(in, e.NewDecoder()))
}

// scan looks at text in UTF-8, chunk by chunk.
func (s *Searcher) scan(in io.Reader) error {
	s.folded = s.folded[:0]
	kept := 0 // octets of decoded at its start that are an incomplete character
	for s.missing > 0 {
		n, err := readFull(in, s.decoded[kept:])
		chunk := s.decoded[:kept+n]
		if err == nil {
			kept = incompleteRune(chunk)
		} else {
			kept = 0
		}
		tail := chunk[len(chunk)-kept:]
		chunk = chunk[:len(chunk)-kept]
		if s.ascii {
			start := len(s.folded)
			s.folded = append(s.folded, chunk...)
			foldASCII(s.folded[start:])
		} else {
			s.folded = appendFolded(s.folded, chunk)
		}
		s.look(s.folded)
		copy(s.decoded, tail)
		if over := len(s.folded) - (s.longest - 1); over > 0 {
			s.folded = s.folded[:copy(s.folded, s.folded[over:])]
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
	return nil
}

// readFull fills b; io.EOF means that it may not be full and nothing follows.
func readFull(r io.Reader, b []byte) (n int, err error) {
	for empty := 0; n < len(b) && err == nil; {
		var got int
		got, err = r.Read(b[n:])
		n += got
		if got > 0 {
			empty = 0
		} else if empty++; empty == maxEmptyReads && err == nil {
			err = io.ErrNoProgress
		}
	}
	return n, err
}

// incompleteRune returns how many octets at the end of b may be the beginning
// of a character that is not yet whole.
func incompleteRune(b []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		if c := b[len(b)-n]; utf8.RuneStart(c) {
			if utf8.FullRune(b[len(b)-n:]) {
				return 0
			}
			return n
		}
	}
	return 0
}

func unexpectedEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
