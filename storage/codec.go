package storage

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/emersion/go-imap/v2"

	"pillarbox/storage/message"
)

// Versions of the records, their first octet. A record with a higher one was
// written by a newer format, which Open refuses before it gets here.
const (
	chunkVersion    = 1
	mailboxVersion  = 1
	countersVersion = 1
	dataVersion     = 1
	traceVersion    = 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// decoder reads the varint records of the index. After the first error it
// returns zeros.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

// bytes returns the next n octets, which it shares with the record.
func (d *decoder) bytes(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.bad, d.b = true, nil
		return nil
	}
	out := d.b[:n:n]
	d.b = d.b[n:]
	return out
}

func (d *decoder) byte() byte {
	if b := d.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) string() string { return string(d.bytes(d.uvarint())) }

// appendSum adds a CRC-32C of the record that begins at start: bbolt has no
// checksum for anything but its first two pages.
func appendSum(b []byte, start int) []byte {
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// summed returns a decoder of the record without its checksum, which fails at
// once if that is wrong.
func summed(b []byte) decoder {
	if len(b) < 4 {
		return decoder{bad: true}
	}
	body, sum := b[:len(b)-4], binary.BigEndian.Uint32(b[len(b)-4:])
	if crc32.Checksum(body, castagnoli) != sum {
		return decoder{bad: true}
	}
	return decoder{b: body}
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// hasKeywords marks, beside the system flags, a message record with keywords.
const hasKeywords = 1 << 7

// appendChunk encodes a chunk: version, count, then each message as
// differences to the one before, then the checksum.
func appendChunk(b []byte, c *chunk) []byte {
	start := len(b)
	b = append(b, chunkVersion)
	b = binary.AppendUvarint(b, uint64(len(c.msgs)))
	prev := Message{UID: c.base}
	for i := range c.msgs {
		m := &c.msgs[i]
		b = binary.AppendUvarint(b, uint64(m.UID-prev.UID))
		b = binary.AppendVarint(b, int64(m.ModSeq-prev.ModSeq))
		b = binary.AppendVarint(b, int64(m.Data-prev.Data))
		b = binary.AppendUvarint(b, uint64(m.Size))
		b = binary.AppendVarint(b, m.InternalDate-prev.InternalDate)
		b = binary.AppendVarint(b, m.SaveDate-prev.SaveDate)
		b = binary.AppendVarint(b, int64(m.Zone-prev.Zone))
		flags := byte(m.Flags)
		if m.Keywords != (Keywords{}) {
			flags |= hasKeywords
		}
		b = append(b, flags)
		if flags&hasKeywords != 0 {
			b = binary.AppendUvarint(b, m.Keywords[0])
			b = binary.AppendUvarint(b, m.Keywords[1])
		}
		prev = *m
	}
	return appendSum(b, start)
}

func decodeChunk(base imap.UID, b []byte) (*chunk, error) {
	d := summed(b)
	if d.byte() != chunkVersion {
		return nil, fmt.Errorf("decode messages from UID %d: %w", base, ErrCorrupt)
	}
	n := d.uvarint()
	if n > chunkSize {
		return nil, fmt.Errorf("count of messages from UID %d: %w", base, ErrCorrupt)
	}
	c := &chunk{base: base, msgs: make([]Message, n)}
	prev := Message{UID: base}
	for i := range c.msgs {
		m := &c.msgs[i]
		m.UID = prev.UID + imap.UID(d.uvarint())
		m.ModSeq = prev.ModSeq + ModSeq(d.varint())
		m.Data = prev.Data + DataID(d.varint())
		m.Size = int64(d.uvarint())
		m.InternalDate = prev.InternalDate + d.varint()
		m.SaveDate = prev.SaveDate + d.varint()
		m.Zone = prev.Zone + int16(d.varint())
		flags := d.byte()
		m.Flags = SystemFlags(flags &^ hasKeywords)
		if flags&hasKeywords != 0 {
			m.Keywords = Keywords{d.uvarint(), d.uvarint()}
		}
		if i > 0 && m.UID <= prev.UID || m.UID < base || m.Size < 0 {
			d.bad = true
		}
		prev = *m
	}
	if d.bad || len(d.b) > 0 {
		return nil, fmt.Errorf("decode messages from UID %d: %w", base, ErrCorrupt)
	}
	return c, nil
}

// mailboxRecord is what the index holds of a mailbox beside its messages.
type mailboxRecord struct {
	Mailbox
	recent   imap.UID // lowest UID that no session was told of
	traces   traces
	keywords []string
}

func (r *mailboxRecord) append(b []byte) []byte {
	start := len(b)
	b = append(b, mailboxVersion)
	b = appendString(b, r.Name)
	b = appendString(b, string(r.SpecialUse))
	for _, v := range [...]uint64{
		uint64(r.UIDValidity), uint64(r.UIDNext), uint64(r.HighestModSeq), uint64(r.NumMessages), uint64(r.NumUnseen),
		uint64(r.NumDeleted), uint64(r.Size), uint64(r.DeletedSize), uint64(r.Created), uint64(r.recent),
		uint64(r.traces.ranges), uint64(r.traces.floor), uint64(len(r.keywords)),
	} {
		b = binary.AppendUvarint(b, v)
	}
	for _, k := range r.keywords {
		b = appendString(b, k)
	}
	return appendSum(b, start)
}

func decodeMailbox(id MailboxID, b []byte) (*mailboxRecord, error) {
	d := summed(b)
	if d.byte() != mailboxVersion {
		return nil, fmt.Errorf("decode mailbox %d: %w", id, ErrCorrupt)
	}
	r := &mailboxRecord{}
	r.ID = id
	r.Name = d.string()
	r.SpecialUse = imap.MailboxAttr(d.string())
	r.UIDValidity = uint32(d.uvarint())
	r.UIDNext = imap.UID(d.uvarint())
	r.HighestModSeq = ModSeq(d.uvarint())
	r.NumMessages = uint32(d.uvarint())
	r.NumUnseen = uint32(d.uvarint())
	r.NumDeleted = uint32(d.uvarint())
	r.Size = int64(d.uvarint())
	r.DeletedSize = int64(d.uvarint())
	r.Created = int64(d.uvarint())
	r.recent = imap.UID(d.uvarint())
	r.traces = traces{ranges: uint32(d.uvarint()), floor: ModSeq(d.uvarint())}
	n := d.uvarint()
	if n > MaxKeywords {
		return nil, fmt.Errorf("keywords of mailbox %d: %w", id, ErrCorrupt)
	}
	for range n {
		r.keywords = append(r.keywords, d.string())
	}
	if d.bad || len(d.b) > 0 {
		return nil, fmt.Errorf("decode mailbox %d: %w", id, ErrCorrupt)
	}
	return r, nil
}

// counters are the account-wide numbers, one record that each commit rewrites.
type counters struct {
	epoch       uint64 // see [Account.Epoch]
	modSeq      ModSeq
	nextMailbox MailboxID
	nextData    DataID
	uidValidity uint32
	quota       Quota
}

func (c *counters) append(b []byte) []byte {
	start := len(b)
	b = append(b, countersVersion)
	for _, v := range [...]uint64{
		c.epoch, uint64(c.modSeq), uint64(c.nextMailbox), uint64(c.nextData), uint64(c.uidValidity),
		uint64(c.quota.UsedBytes), uint64(c.quota.UsedMessages), uint64(c.quota.LimitBytes),
	} {
		b = binary.AppendUvarint(b, v)
	}
	return appendSum(b, start)
}

func decodeCounters(b []byte) (counters, error) {
	d := summed(b)
	if d.byte() != countersVersion {
		return counters{}, fmt.Errorf("decode counters: %w", ErrCorrupt)
	}
	c := counters{
		epoch:       d.uvarint(),
		modSeq:      ModSeq(d.uvarint()),
		nextMailbox: MailboxID(d.uvarint()),
		nextData:    DataID(d.uvarint()),
		uidValidity: uint32(d.uvarint()),
	}
	c.quota = Quota{UsedBytes: int64(d.uvarint()), UsedMessages: int64(d.uvarint()), LimitBytes: int64(d.uvarint())}
	if d.bad || len(d.b) > 0 {
		return counters{}, fmt.Errorf("decode counters: %w", ErrCorrupt)
	}
	return c, nil
}

// bodyHash is the SHA-256 of a body.
type bodyHash [32]byte

// inlineBody marks a data record whose body lies in the index.
const inlineBody = 1 << 0

// dataRecord is a decoded record of the data bucket; it shares its octets.
type dataRecord struct {
	Data
	inline bool
	hash   bodyHash
}

func appendDataRecord(b []byte, staged *Staged, prefix []byte) []byte {
	start := len(b)
	var flags byte
	if staged.path == "" {
		flags |= inlineBody
	}
	b = append(b, dataVersion, flags)
	b = binary.AppendUvarint(b, uint64(staged.size))
	b = append(b, staged.hash[:]...)
	b = binary.AppendUvarint(b, uint64(len(prefix)))
	b = append(b, prefix...)
	return appendSum(append(b, staged.record...), start)
}

// decodeData decodes into r, so that a loop over many allocates nothing.
func decodeData(id DataID, b []byte, r *dataRecord) error {
	d := summed(b)
	version, flags := d.byte(), d.byte()
	r.BodySize = int64(d.uvarint())
	hash := d.bytes(uint64(len(r.hash)))
	r.Prefix = d.bytes(d.uvarint())
	if d.bad || version != dataVersion || r.BodySize < 0 {
		return fmt.Errorf("decode data %d: %w", id, ErrCorrupt)
	}
	copy(r.hash[:], hash)
	r.inline = flags&inlineBody != 0
	var err error
	if r.Record, err = message.View(d.b); err != nil {
		return fmt.Errorf("decode parsed data %d: %w: %w", id, ErrCorrupt, err)
	}
	return nil
}

// decodeRefs decodes a value of refsBucket; where there is none, one message
// has the data.
func decodeRefs(id DataID, v []byte) (uint64, error) {
	if v == nil {
		return 1, nil
	}
	if n, size := binary.Uvarint(v); size == len(v) && n > 1 {
		return n, nil
	}
	return 0, fmt.Errorf("decode the count of data %d: %w", id, ErrCorrupt)
}

// Keys. Numbers are big-endian so that they sort.

func mailboxKey(id MailboxID) []byte { return binary.BigEndian.AppendUint32(nil, uint32(id)) }

func chunkKey(id MailboxID, base imap.UID) []byte {
	return binary.BigEndian.AppendUint32(mailboxKey(id), uint32(base))
}

func dataKey(id DataID) []byte { return binary.BigEndian.AppendUint64(nil, uint64(id)) }
