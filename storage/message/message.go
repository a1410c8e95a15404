package message

import (
	"io"
	"time"
)

// NOTE for the team: signatures first; the bodies arrive file by file.

// Limits bounds what a hostile message can cost. Zero fields mean the defaults.
type Limits struct {
	Depth        int // nesting of parts; beyond it a part is a leaf
	Parts        int // parts in all; beyond it the rest belongs to the last one
	HeaderBytes  int // octets of one header that are looked at
	HeaderFields int // fields of one header that are looked at
}

// Message is what one parse yields. Offsets count octets from the start of the body given to Parse.
type Message struct {
	Size       int64
	HeaderSize int64     // up to and with the empty line
	Date       time.Time // of the Date field; zero if there is none that can be read
	Envelope   []byte    // RFC 9051 envelope as sent on the wire, with the parentheses
	Structure  []byte    // BODYSTRUCTURE as sent on the wire, with extension data
	Extension  []Span    // the extension data within Structure, which BODY leaves out
	Fields     []byte    // the fields of Listed, as they stand in the message, in order
	Parts      []Part    // depth first; Parts[0] is the message itself
}

// Span is a range of octets.
type Span struct{ Start, End int }

// Part is one node of the MIME tree.
type Part struct {
	Parent      int   // index in Parts; -1 for the message itself
	HeaderStart int64 // first octet of the part's MIME header
	BodyStart   int64 // first octet after its empty line
	End         int64 // after its last octet (the line end before a boundary belongs to the boundary)
	Lines       int64 // of the body
	Kind        Kind
	Encoding    Encoding
	Charset     string // lower case; "" if not given
	Type        string // "text/plain", lower case
}

// Kind tells what a part holds.
type Kind uint8

// The kinds of part.
const (
	Leaf      Kind = iota
	Multipart      // its parts follow it
	Embedded       // message/rfc822 or message/global: its one child is the message within (HeaderStart of the child is BodyStart of this one)
)

// Encoding is a Content-Transfer-Encoding.
type Encoding uint8

// The encodings.
const (
	Identity Encoding = iota // 7bit, 8bit, binary, or none
	Base64
	QuotedPrintable
	UnknownEncoding
)

// Parse reads a message to its end. It fails only if r does.
func Parse(r io.Reader, lim Limits) (*Message, error) { panic("todo") }

// Append encodes the message for storage.
func (m *Message) Append(b []byte) []byte { panic("todo") }

// Record is an encoded message. Reading from it allocates nothing except in Parts.
type Record struct{ b []byte }

// View checks an encoded message and returns it. The Record shares b.
func View(b []byte) (Record, error) { panic("todo") }

// Envelope returns the envelope as sent on the wire.
func (r Record) Envelope() []byte { panic("todo") }

// Structure returns the BODYSTRUCTURE as sent on the wire.
func (r Record) Structure() []byte { panic("todo") }

// AppendBody appends the BODY form: the structure without extension data.
func (r Record) AppendBody(b []byte) []byte { panic("todo") }

// Fields returns the listed header fields.
func (r Record) Fields() []byte { panic("todo") }

// HeaderSize returns the octets of the header with its empty line.
func (r Record) HeaderSize() int64 { panic("todo") }

// Date returns the Date field's time in Unix seconds and its zone in minutes; ok is false if there is none.
func (r Record) Date() (unix int64, zoneMinutes int, ok bool) { panic("todo") }

// Parts decodes the MIME tree.
func (r Record) Parts() ([]Part, error) { panic("todo") }

// Listed tells whether a header field (any case) is among those that Fields holds.
func Listed(name string) bool { panic("todo") }

// AppendFields appends the fields of a header that are named (or, with not,
// those that are not), as they stand, and the closing empty line: what
// BODY[HEADER.FIELDS (…)] and HEADER.FIELDS.NOT answer.
func AppendFields(b, header []byte, names []string, not bool) []byte { panic("todo") }

// Section is where a FETCH section lies.
type Section struct {
	Start, End int64
	Part       int // index in Parts
}

// Find locates the part that an IMAP section path (1-based numbers) names; an
// empty path is the message itself. Paths step through message/rfc822 as
// RFC 9051, section 6.4.5.1 says, and part 1 of a message that is not a
// multipart is its body. ok is false where there is no such part.
func Find(parts []Part, path []int) (index int, ok bool) { panic("todo") }

// Decoded returns a part's body with its transfer encoding undone (lenient:
// bad bytes are skipped). err is ErrUnknownEncoding for one that is not known.
func Decoded(r io.ReaderAt, base int64, p *Part) (io.Reader, error) { panic("todo") }

// DecodeHeader undoes RFC 2047 encoded words, whatever their charset, into UTF-8.
func DecodeHeader(s string) string { panic("todo") }
