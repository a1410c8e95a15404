package message

import (
	"bytes"
	"strconv"
	"strings"
)

// maxStructure is the length of all the pieces of a body structure, in
// octets, from which on what may be missing is left out: a hostile message
// can have thousands of parts with long headers.
const maxStructure = 1 << 20

// appendParams appends a body-fld-param; NIL if there is none.
func appendParams(b []byte, params []param) []byte {
	start := len(b)
	for _, f := range params {
		if len(b)+len(f.name)+len(f.value) > maxStructure {
			continue
		}
		sep := byte(' ')
		if len(b) == start {
			sep = '('
		}
		b = append(b, sep)
		b = appendString(b, f.name)
		b = append(b, ' ')
		b = appendString(b, f.value)
	}
	if len(b) == start {
		return append(b, "NIL"...)
	}
	return append(b, ')')
}

// appendDisposition appends a body-fld-dsp.
func appendDisposition(b, value []byte) []byte {
	token, rest := parseToken(value)
	if len(token) == 0 || len(token) > maxToken {
		return append(b, "NIL"...)
	}
	b = append(b, '(')
	b = appendString(b, token)
	b = append(b, ' ')
	b = appendParams(b, parseParams(rest))
	return append(b, ')')
}

// appendLanguages appends a body-fld-lang: the tags of a Content-Language
// (RFC 3282).
func appendLanguages(b, value []byte) []byte {
	start := len(b)
	for tag := range bytes.SplitSeq(value, []byte{','}) {
		tag = bytes.TrimSpace(tag)
		if len(tag) == 0 || len(tag) > maxToken || len(b) > maxStructure {
			continue
		}
		sep := byte(' ')
		if len(b) == start {
			sep = '('
		}
		b = append(b, sep)
		b = appendString(b, tag)
	}
	if len(b) == start {
		return append(b, "NIL"...)
	}
	return append(b, ')')
}

// message puts together what was read.
func (p *parser) message() *Message {
	root := &p.nodes[0]
	m := &Message{
		Size:       p.in.offset,
		HeaderSize: root.BodyStart,
		Date:       p.date,
		Envelope:   bytes.Clone(p.piece(root.envelope)),
		Fields:     p.fields,
		Parts:      make([]Part, len(p.nodes)),
	}
	for i := range p.nodes {
		n := &p.nodes[i]
		if n.Kind == Multipart && n.children == 0 {
			// A multipart has one part at least (RFC 9051, section 9:
			// body-type-mpart): show what is there as text.
			n.Kind, n.Type = Leaf, "text/plain"
		}
		m.Parts[i] = n.Part
	}
	s := structureWriter{parser: p, m: m}
	s.b = make([]byte, 0, len(p.text)-len(m.Envelope)+64*len(p.nodes))
	s.body()
	m.Structure = s.b
	return m
}

func (p *parser) piece(s Span) []byte { return p.text[s.Start:s.End] }

// structureWriter writes the body structure of node next and those within it.
type structureWriter struct {
	*parser
	m    *Message
	b    []byte
	next int
}

func (s *structureWriter) body() {
	i := s.next
	s.next++
	n := &s.nodes[i]
	typ, subtype, _ := strings.Cut(n.Type, "/")
	s.b = append(s.b, '(')
	if n.Kind == Multipart {
		for s.next < len(s.nodes) && s.nodes[s.next].Parent == i {
			s.body() // no space between parts (RFC 9051, section 9: 1*body)
		}
		s.b = append(s.b, ' ')
		s.b = appendString(s.b, []byte(subtype))
		s.extension([]byte{' '}, s.piece(n.params), s.piece(n.tail))
		s.b = append(s.b, ')')
		return
	}
	s.b = appendString(s.b, []byte(typ))
	s.b = append(s.b, ' ')
	s.b = appendString(s.b, []byte(subtype))
	s.b = append(s.b, ' ')
	s.b = append(s.b, s.piece(n.params)...)
	s.b = append(s.b, s.piece(n.basic)...)
	s.number(n.End - n.BodyStart)
	switch {
	case n.Kind == Embedded:
		s.b = append(s.b, ' ')
		s.b = append(s.b, s.piece(s.nodes[s.next].envelope)...)
		s.b = append(s.b, ' ')
		s.body()
		s.number(n.Lines)
	case typ == "text":
		s.number(n.Lines)
	}
	s.extension(s.piece(n.md5), s.piece(n.tail))
	s.b = append(s.b, ')')
}

func (s *structureWriter) number(n int64) {
	s.b = append(s.b, ' ')
	s.b = strconv.AppendInt(s.b, n, 10)
}

func (s *structureWriter) extension(pieces ...[]byte) {
	start := len(s.b)
	for _, piece := range pieces {
		s.b = append(s.b, piece...)
	}
	s.m.Extension = append(s.m.Extension, Span{start, len(s.b)})
}
