package ledger

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

const (
	magic     = "PBLEDG1\n"
	frameHead = 8 // octets before the data: length and checksum

	// MaxEntry bounds an entry in octets.
	MaxEntry = 64 << 10

	// sector is what a disk writes as a whole, at least.
	sector = 512
)

// appendFrame adds an entry in its form on the disk.
func appendFrame(b, data []byte) []byte {
	var head [frameHead]byte
	binary.LittleEndian.PutUint32(head[:4], uint32(len(data)))
	binary.LittleEndian.PutUint32(head[4:], checksum(head[:4], data))
	b = append(b, head[:]...)

	return append(b, data...)
}

func checksum(length, data []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)

	return crc32.Update(crc32.Checksum(length, table), table, data)
}

// nextFrame returns the entry at the beginning of b and what it takes; ok is
// false if there is no whole and sound entry.
func nextFrame(b []byte) (data []byte, size int, ok bool) {
	if len(b) < frameHead {
		return nil, 0, false
	}
	n := binary.LittleEndian.Uint32(b)
	if n > MaxEntry || int(n) > len(b)-frameHead {
		return nil, 0, false
	}
	size = frameHead + int(n)
	data = b[frameHead:size]

	return data, size, checksum(b[:4], data) == binary.LittleEndian.Uint32(b[4:])
}

// torn tells whether the end of a file, in which there is no sound entry, is
// what a power cut leaves: an entry that is cut short, or one whose last
// sectors were never written.
func torn(offset int64, end []byte) bool {
	if offset < int64(len(magic)) { // the file's beginning was synced before all else
		return len(end) <= len(magic)
	}
	if len(end) < frameHead {
		return true
	}
	n := binary.LittleEndian.Uint32(end)
	if n <= MaxEntry && int(n) > len(end)-frameHead {
		return true
	}
	for border := int(-offset & (sector - 1)); border < len(end); border += sector {
		if len(bytes.Trim(end[border:], "\x00")) == 0 {
			return true
		}
	}

	return false
}
