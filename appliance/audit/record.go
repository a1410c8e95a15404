package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// recordVersion is the first octet of every record.
const recordVersion = 1

// ErrRecord says that octets are no record.
var ErrRecord = errors.New("not a record of this version")

// Hash is the SHA-256 of a record's octets.
type Hash [sha256.Size]byte

// String returns it in hexadecimal.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText implements encoding.TextMarshaler.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *Hash) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err != nil || len(b) != len(h) {
		return errors.New("a hash has 64 hexadecimal digits")
	}
	copy(h[:], b)

	return nil
}

// Record is one entry of a book. Its octets are:
//
//	1 octet    version, 1
//	32 octets  Prev
//	uvarint    Seq
//	varint     Time, in milliseconds since 1970
//	string     Kind
//	uvarint    number of values, then of each, by ascending name:
//	           string name, string value
//
// where a string is its length (uvarint) and its octets, and numbers are as
// short as they can be.
type Record struct {
	Seq    uint64            `json:"seq"` // 1, 2, 3, … in each book
	Time   time.Time         `json:"time"`
	Kind   Kind              `json:"kind"`
	Values map[string]string `json:"values,omitempty"`
	Prev   Hash              `json:"prev"`
}

// Encode returns the record's octets.
func (r *Record) Encode() []byte {
	b := make([]byte, 0, 160)
	b = append(b, recordVersion)
	b = append(b, r.Prev[:]...)
	b = binary.AppendUvarint(b, r.Seq)
	b = binary.AppendVarint(b, r.Time.UnixMilli())
	b = appendString(b, string(r.Kind))
	b = binary.AppendUvarint(b, uint64(len(r.Values)))
	for _, name := range slices.Sorted(maps.Keys(r.Values)) {
		b = appendString(b, name)
		b = appendString(b, r.Values[name])
	}

	return b
}

// HashOf returns the hash of a record's octets.
func HashOf(octets []byte) Hash { return sha256.Sum256(octets) }

// DecodeRecord reads the octets of one record. It takes only what Encode
// makes.
func DecodeRecord(octets []byte) (Record, error) {
	d := decoder{rest: octets}
	r := Record{}
	if version := d.take(1); len(version) != 1 || version[0] != recordVersion {
		return Record{}, ErrRecord
	}
	copy(r.Prev[:], d.take(len(r.Prev)))
	r.Seq = d.uvarint()
	r.Time = time.UnixMilli(d.varint()).UTC()
	r.Kind = Kind(d.text())
	n := d.uvarint()
	if n > uint64(len(d.rest)) { // each takes two octets and more
		return Record{}, ErrRecord
	}
	for range n {
		name := d.text()
		if r.Values == nil {
			r.Values = map[string]string{}
		}
		r.Values[name] = d.text()
	}
	// One encoding of a record is the only one: this finds long numbers, and
	// names that are twice or not in order.
	if d.bad || len(d.rest) > 0 || !bytes.Equal(r.Encode(), octets) {
		return Record{}, ErrRecord
	}

	return r, nil
}

// glimpse is what stands at the beginning of a record.
type glimpse struct {
	seq  uint64
	at   int64 // milliseconds since 1970
	kind []byte
	rest []byte // the values
}

// glance reads that, and nothing else of a record.
func glance(octets []byte) (g glimpse, ok bool) {
	d := decoder{rest: octets}
	d.take(1 + len(Hash{}))
	g.seq, g.at = d.uvarint(), d.varint()
	if n := d.uvarint(); n <= uint64(len(d.rest)) {
		g.kind = d.take(int(n))
	} else {
		d.bad = true
	}
	g.rest = d.rest

	return g, !d.bad
}

// next returns the record that follows one with this number and hash.
func next(seq uint64, prev Hash, at time.Time, kind Kind, values map[string]string) Record {
	return Record{Seq: seq + 1, Time: stamp(at), Kind: kind, Values: values, Prev: prev}
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// decoder reads octets; after the first error it returns zeros.
type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) take(n int) []byte {
	if d.bad || n > len(d.rest) {
		d.bad, d.rest = true, nil
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]

	return b
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 {
		d.bad, d.rest = true, nil
		return 0
	}
	d.take(n)

	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.rest)
	if n <= 0 {
		d.bad, d.rest = true, nil
		return 0
	}
	d.take(n)

	return v
}

func (d *decoder) text() string {
	n := d.uvarint()
	if n > uint64(len(d.rest)) {
		d.bad, d.rest = true, nil
		return ""
	}

	return string(d.take(int(n)))
}

// Head is the number and hash of a book's last record; the zero Head is that
// of an empty book.
type Head struct {
	Seq  uint64
	Hash Hash
}

// String returns "NUMBER:HASH".
func (h Head) String() string { return fmt.Sprintf("%d:%s", h.Seq, h.Hash) }
