package ledger

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

const (
	magic     = "PBLEDG1\n"
	frameHead = 8 // octets before the entries: length and checksum

	// MaxAppend bounds what one Append adds, in octets.
	MaxAppend = 2 << 20

	// sector is what a disk writes as a whole, at least.
	sector = 512
)

// newFrame returns what one Append writes.
func newFrame(entries [][]byte) []byte {
	b := make([]byte, frameHead)
	for _, e := range entries {
		b = append(binary.AppendUvarint(b, uint64(len(e))), e...)
	}
	binary.LittleEndian.PutUint32(b, uint32(len(b)-frameHead))
	binary.LittleEndian.PutUint32(b[4:], checksum(b[:4], b[frameHead:]))

	return b
}

func checksum(length, data []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)

	return crc32.Update(crc32.Checksum(length, table), table, data)
}

// nextFrame returns the entries of the frame at the beginning of b, with where
// each is in b, and what the frame takes; ok is false if there is no whole and
// sound frame.
func nextFrame(b []byte) (entries []placed, size int, ok bool) {
	if len(b) < frameHead {
		return nil, 0, false
	}
	n := binary.LittleEndian.Uint32(b)
	if n == 0 || n > MaxAppend || int(n) > len(b)-frameHead {
		return nil, 0, false
	}
	size = frameHead + int(n)
	if checksum(b[:4], b[frameHead:size]) != binary.LittleEndian.Uint32(b[4:]) {
		return nil, 0, false
	}
	for at := frameHead; at < size; {
		n, digits := binary.Uvarint(b[at:size])
		if digits <= 0 || n > uint64(size-at-digits) {
			return nil, 0, false
		}
		end := at + digits + int(n)
		entries = append(entries, placed{at, b[at+digits : end]})
		at = end
	}

	return entries, size, true
}

// placed is an entry and where it is.
type placed struct {
	at   int
	data []byte
}

// torn tells whether the end of a file, in which there is no sound frame, is
// what a power cut leaves of the last: it is cut short, or sectors of it were
// never written, in whatever order the disk took them.
func torn(offset int64, end []byte) bool {
	if offset < int64(len(magic)) { // the file's beginning was synced before all else
		return len(end) <= len(magic)
	}
	if len(end) < frameHead {
		return true
	}
	n := binary.LittleEndian.Uint32(end)
	if n <= MaxAppend && int(n) > len(end)-frameHead {
		return true
	}
	for at := 0; at < len(end); {
		border := min(len(end), at+sector-int(offset+int64(at))%sector)
		if len(bytes.Trim(end[at:border], "\x00")) == 0 {
			return true
		}
		at = border
	}

	return false
}
