package imap

import (
	"github.com/emersion/go-imap/v2"

	"pillarbox/appliance/imap/command"
	"pillarbox/appliance/imap/wire"
	"pillarbox/storage/message"
)

// extent is a range of octets of a message, the server's prefix included.
type extent struct{ start, end int64 }

func (e extent) len() int64 { return e.end - e.start }

// cut returns the part of the range that "<offset.size>" asks for; what lies
// beyond the end is empty (RFC 9051, section 6.4.5).
func (e extent) cut(p *imap.SectionPartial) extent {
	if p == nil {
		return e
	}
	start := e.start + min(max(p.Offset, 0), e.len())
	return extent{start, start + min(max(p.Size, 0), e.end-start)}
}

// clip returns the range within a message of size octets, whatever a damaged
// record says.
func (e extent) clip(size int64) extent {
	start := min(max(e.start, 0), size)
	return extent{start, min(max(e.end, start), size)}
}

// layout is what must be known of a message to find its sections.
type layout struct {
	prefix int64          // octets the server added in front
	size   int64          // octets of prefix and body
	header int64          // octets of the body's header with its empty line
	parts  []message.Part // nil unless a section names a part
}

// section is a FETCH item with octets of the message.
type section struct {
	label   string // the name of the item in the answer
	part    []int
	spec    imap.PartSpecifier
	names   []string // HEADER.FIELDS and HEADER.FIELDS.NOT
	fields  bool
	not     bool
	partial *imap.SectionPartial
	form    sectionForm
}

// sectionForm is how a section's octets are sent.
type sectionForm int

const (
	raw        sectionForm = iota
	decoded                // BINARY: without the transfer encoding
	decodedLen             // BINARY.SIZE: only how many they would be
)

// sectionsOf returns the sections a FETCH asks for.
func sectionsOf(c *command.Fetch) []section {
	var out []section
	for _, item := range c.Items.BodySection {
		out = append(out, bodySection(item))
	}
	for _, item := range c.Items.BinarySection {
		out = append(out, section{
			label:   partLabel("BINARY[", item.Part, item.Partial),
			part:    item.Part,
			partial: item.Partial,
			form:    decoded,
		})
	}
	for _, item := range c.Items.BinarySectionSize {
		out = append(out, section{label: partLabel("BINARY.SIZE[", item.Part, nil), part: item.Part, form: decodedLen})
	}
	if c.RFC822 || c.RFC822Peek {
		out = append(out, section{label: "RFC822"})
	}
	if c.RFC822Header {
		out = append(out, section{label: "RFC822.HEADER", spec: imap.PartSpecifierHeader})
	}
	if c.RFC822Text {
		out = append(out, section{label: "RFC822.TEXT", spec: imap.PartSpecifierText})
	}
	return out
}

func bodySection(item *imap.FetchItemBodySection) section {
	sec := section{part: item.Part, spec: item.Specifier, partial: item.Partial}
	switch {
	case len(item.HeaderFields) > 0:
		sec.fields, sec.names = true, item.HeaderFields
	case len(item.HeaderFieldsNot) > 0:
		sec.fields, sec.not, sec.names = true, true, item.HeaderFieldsNot
	}
	sec.label = sec.bodyLabel()
	return sec
}

// bodyLabel returns the name of a BODY[…] item: as it was asked, for clients
// compare it with what they sent.
func (sec *section) bodyLabel() string {
	b := appendPath([]byte("BODY["), sec.part)
	if sec.spec != imap.PartSpecifierNone {
		if len(sec.part) > 0 {
			b = append(b, '.')
		}
		b = append(b, sec.spec...)
	}
	if sec.fields {
		b = append(b, ".FIELDS"...)
		if sec.not {
			b = append(b, ".NOT"...)
		}
		b = append(b, " ("...)
		for i, name := range sec.names {
			if i > 0 {
				b = append(b, ' ')
			}
			b = wire.AppendAString(b, name, false)
		}
		b = append(b, ')')
	}
	return string(appendOrigin(append(b, ']'), sec.partial))
}

func partLabel(name string, part []int, partial *imap.SectionPartial) string {
	return string(appendOrigin(append(appendPath([]byte(name), part), ']'), partial))
}

func appendPath(b []byte, part []int) []byte {
	for i, n := range part {
		if i > 0 {
			b = append(b, '.')
		}
		b = wire.AppendInt(b, n)
	}
	return b
}

// appendOrigin appends where a partial answer begins, which is all that an
// answer says of what was asked.
func appendOrigin(b []byte, p *imap.SectionPartial) []byte {
	if p == nil {
		return b
	}
	b = append(b, '<')
	b = wire.AppendInt(b, p.Offset)
	return append(b, '>')
}

// stored tells whether the header fields kept beside the index answer the section.
func (sec *section) stored() bool {
	if !sec.fields || sec.not || len(sec.part) > 0 {
		return false
	}
	for _, name := range sec.names {
		if !message.Listed(name) {
			return false
		}
	}
	return true
}

// locate finds the octets of a section; for HEADER.FIELDS, those of the
// header. It tells false where the message has no such part.
func (sec *section) locate(l *layout) (extent, bool) {
	whole := extent{0, l.size}
	if len(sec.part) == 0 {
		header := l.prefix + l.header
		switch sec.spec {
		case imap.PartSpecifierHeader:
			return extent{0, header}.clip(l.size), true
		case imap.PartSpecifierText:
			return extent{header, l.size}.clip(l.size), true
		case imap.PartSpecifierNone:
			return whole, true
		}
		return extent{}, false
	}
	i, ok := message.Find(l.parts, sec.part)
	if !ok {
		return extent{}, false
	}
	e, ok := partExtent(l.parts, i, sec.spec)
	return extent{e.start + l.prefix, e.end + l.prefix}.clip(l.size), ok
}

// partExtent finds what a specifier means for a part, counted from the start
// of the body. HEADER and TEXT are those of the message within a
// message/rfc822 part (RFC 9051, section 6.4.5.1).
func partExtent(parts []message.Part, i int, spec imap.PartSpecifier) (extent, bool) {
	p := &parts[i]
	switch spec {
	case imap.PartSpecifierNone:
		return extent{p.BodyStart, p.End}, true
	case imap.PartSpecifierMIME:
		return extent{p.HeaderStart, p.BodyStart}, true
	}
	if p.Kind != message.Embedded || i+1 >= len(parts) || parts[i+1].Parent != i {
		return extent{}, false
	}
	inner := &parts[i+1]
	if spec == imap.PartSpecifierHeader {
		return extent{inner.HeaderStart, inner.BodyStart}, true
	}
	return extent{inner.BodyStart, inner.End}, true
}
