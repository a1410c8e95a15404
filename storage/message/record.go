package message

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// recordVersion is the first octet of a record.
const recordVersion = 1

// The fields of a record, see the package comment. Their numbers are on disk
// and never change their meaning.
const (
	tagEnvelope = 1 + iota
	tagStructure
	tagExtension
	tagFields
	tagSizes
	tagDate
	tagParts
)

var errRecord = errors.New("the stored message data is damaged")

// Append encodes the message for storage.
func (m *Message) Append(b []byte) []byte {
	b = append(b, recordVersion)
	b = appendTagged(b, tagEnvelope, m.Envelope)
	b = appendTagged(b, tagStructure, m.Structure)
	b = appendTagged(b, tagExtension, appendSpans(nil, m.Extension))
	b = appendTagged(b, tagFields, m.Fields)

	var buf []byte
	buf = binary.AppendUvarint(buf, uint64(m.Size))
	buf = binary.AppendUvarint(buf, uint64(m.HeaderSize))
	b = appendTagged(b, tagSizes, buf)
	if !m.Date.IsZero() {
		_, zone := m.Date.Zone()
		buf = binary.AppendVarint(buf[:0], m.Date.Unix())
		buf = binary.AppendVarint(buf, int64(zone/int(time.Minute/time.Second)))
		b = appendTagged(b, tagDate, buf)
	}
	return appendTagged(b, tagParts, appendParts(buf[:0], m.Parts))
}

func appendTagged(b []byte, tag uint64, value []byte) []byte {
	b = binary.AppendUvarint(b, tag)
	b = binary.AppendUvarint(b, uint64(len(value)))
	return append(b, value...)
}

func appendSpans(b []byte, spans []Span) []byte {
	end := 0
	for _, s := range spans {
		b = binary.AppendUvarint(b, uint64(s.Start-end))
		b = binary.AppendUvarint(b, uint64(s.End-s.Start))
		end = s.End
	}
	return b
}

func appendParts(b []byte, parts []Part) []byte {
	b = binary.AppendUvarint(b, uint64(len(parts)))
	for i := range parts {
		p := &parts[i]
		var from int64
		if p.Parent >= 0 {
			from = parts[p.Parent].HeaderStart
		}
		b = append(b, byte(p.Kind)|byte(p.Encoding)<<4)
		b = binary.AppendUvarint(b, uint64(p.Parent+1))
		b = binary.AppendUvarint(b, uint64(p.HeaderStart-from))
		b = binary.AppendUvarint(b, uint64(p.BodyStart-p.HeaderStart))
		b = binary.AppendUvarint(b, uint64(p.End-p.BodyStart))
		b = binary.AppendUvarint(b, uint64(p.Lines))
		b = binary.AppendUvarint(b, uint64(len(p.Charset)))
		b = append(b, p.Charset...)
		b = binary.AppendUvarint(b, uint64(len(p.Type)))
		b = append(b, p.Type...)
	}
	return b
}

// Record is an encoded message. Reading from it allocates nothing except in Parts.
type Record struct {
	envelope, structure, extension, fields, parts []byte

	size, headerSize int64
	date             int64
	zone             int
	hasDate          bool
}

// View checks an encoded message and returns it. The Record shares b.
func View(b []byte) (Record, error) {
	if len(b) == 0 {
		return Record{}, fmt.Errorf("read version: %w", errRecord)
	}
	if b[0] != recordVersion {
		return Record{}, fmt.Errorf("read version %d: %w", b[0], errRecord)
	}
	var r Record
	d := decoder{b: b[1:]}
	for len(d.b) > 0 && !d.bad {
		tag := d.uvarint()
		value := d.bytes()
		v := decoder{b: value}
		switch tag {
		case tagEnvelope:
			r.envelope = value
		case tagStructure:
			r.structure = value
		case tagExtension:
			r.extension = value
		case tagFields:
			r.fields = value
		case tagSizes:
			r.size, r.headerSize = v.length(), v.length()
		case tagDate:
			r.date, r.zone, r.hasDate = v.varint(), int(v.varint()), true
		case tagParts:
			r.parts = value
		}
		d.bad = d.bad || v.bad
	}
	if d.bad || r.headerSize > r.size || r.zone < -maxZone || r.zone > maxZone || !r.checkExtension() {
		return Record{}, fmt.Errorf("read fields: %w", errRecord)
	}
	return r, nil
}

// maxZone bounds an offset from UTC, in minutes.
const maxZone = 24 * 60

func (r *Record) checkExtension() bool {
	d := decoder{b: r.extension}
	end := uint64(0)
	for len(d.b) > 0 && !d.bad {
		gap, n := d.uvarint(), d.uvarint()
		limit := uint64(len(r.structure))
		if gap > limit-end || n > limit-end-gap {
			return false
		}
		end += gap + n
	}
	return !d.bad
}

// Envelope returns the envelope as sent on the wire.
func (r Record) Envelope() []byte { return r.envelope }

// Structure returns the BODYSTRUCTURE as sent on the wire.
func (r Record) Structure() []byte { return r.structure }

// AppendBody appends the BODY form: the structure without extension data.
func (r Record) AppendBody(b []byte) []byte {
	d := decoder{b: r.extension}
	rest := r.structure
	for len(d.b) > 0 {
		gap, n := d.uvarint(), d.uvarint()
		b = append(b, rest[:gap]...)
		rest = rest[gap+n:]
	}
	return append(b, rest...)
}

// Fields returns the listed header fields.
func (r Record) Fields() []byte { return r.fields }

// Size returns the octets of the message.
func (r Record) Size() int64 { return r.size }

// HeaderSize returns the octets of the header with its empty line.
func (r Record) HeaderSize() int64 { return r.headerSize }

// Date returns the Date field's time in Unix seconds and its zone in minutes; ok is false if there is none.
func (r Record) Date() (unix int64, zoneMinutes int, ok bool) { return r.date, r.zone, r.hasDate }

// minPart is the least that a part takes in a record, in octets.
const minPart = 8

// Parts decodes the MIME tree.
func (r Record) Parts() ([]Part, error) {
	d := decoder{b: r.parts}
	n := d.uvarint()
	if n == 0 || n > uint64(len(d.b)/minPart) {
		return nil, fmt.Errorf("read number of parts: %w", errRecord)
	}
	parts := make([]Part, n)
	for i := range parts {
		if !d.part(parts, i, r.size) {
			return nil, fmt.Errorf("read part %d: %w", i, errRecord)
		}
	}
	return parts, nil
}

// part decodes parts[i]; it is false unless the part lies within its parent.
func (d *decoder) part(parts []Part, i int, size int64) bool {
	p := &parts[i]
	kinds := d.octet()
	p.Kind, p.Encoding = Kind(kinds&15), Encoding(kinds>>4)
	parent := d.uvarint()
	if p.Kind > Embedded || p.Encoding > UnknownEncoding || parent > uint64(i) || (parent == 0) != (i == 0) {
		return false
	}
	p.Parent = int(parent) - 1
	start, end := int64(0), size
	if p.Parent >= 0 {
		if parts[p.Parent].Kind == Leaf {
			return false
		}
		start, end = parts[p.Parent].HeaderStart, parts[p.Parent].End
	}
	p.HeaderStart = start + d.length()
	p.BodyStart = p.HeaderStart + d.length()
	p.End = p.BodyStart + d.length()
	p.Lines = d.length()
	p.Charset = intern(d.bytes())
	p.Type = intern(d.bytes())
	return !d.bad && p.End <= end
}

// intern returns a string; for what most parts have, without allocating it.
func intern(b []byte) string {
	for _, s := range [...]string{
		"text/plain", "text/html", "multipart/alternative", "multipart/mixed", "multipart/related",
		"utf-8", "us-ascii", "iso-8859-1", "windows-1252",
		"application/pdf", "image/jpeg", "image/png", "application/octet-stream",
	} {
		if string(b) == s {
			return s
		}
	}
	return string(b)
}

// decoder reads from a record. Once it is bad it yields only zeros.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) octet() byte {
	if d.bad || len(d.b) == 0 {
		d.bad = true
		return 0
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if d.bad || n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if d.bad || n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

// length reads a number of octets or lines; those of several may be added up.
func (d *decoder) length() int64 {
	const max = 1 << 60
	v := d.uvarint()
	if v > max {
		d.bad = true
		return 0
	}
	return int64(v)
}

// bytes reads a length and so many octets, which it shares.
func (d *decoder) bytes() []byte {
	n := d.uvarint()
	if d.bad || n > uint64(len(d.b)) {
		d.bad, d.b = true, nil
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}
