package message

import "time"

// Limits bounds what a hostile message can cost. Zero fields mean the defaults.
type Limits struct {
	Depth        int // nesting of parts; beyond it a part is a leaf (default 50)
	Parts        int // parts in all; beyond it the rest belongs to the last one (default 1000)
	HeaderBytes  int // octets of one header that are looked at (default 256 KiB)
	HeaderFields int // fields of one header that are looked at (default 1000)
}

const (
	defaultDepth        = 50
	defaultParts        = 1000
	defaultHeaderBytes  = 256 << 10
	defaultHeaderFields = 1000
)

func (l Limits) withDefaults() Limits {
	for _, f := range []struct {
		value *int
		def   int
	}{
		{&l.Depth, defaultDepth},
		{&l.Parts, defaultParts},
		{&l.HeaderBytes, defaultHeaderBytes},
		{&l.HeaderFields, defaultHeaderFields},
	} {
		if *f.value <= 0 {
			*f.value = f.def
		}
	}
	return l
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
	Lines       int64 // line ends within the body
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
