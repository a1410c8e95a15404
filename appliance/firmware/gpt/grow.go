package gpt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

const (
	sectorSize   = 512
	headerSize   = 92
	entrySize    = 128
	entryCount   = 128
	tableSectors = entrySize * entryCount / sectorSize
	align        = 2048 // sectors; partitions end at whole MiB

	primaryHeader = 1

	// The two places of the table.
	firstTable  = 2
	secondTable = firstTable + tableSectors
)

// ErrNoTable says that there is no table of the form that our images have.
var ErrNoTable = errors.New("the disk has no partition table of ours")

// Device is a disk.
type Device interface {
	io.ReaderAt
	io.WriterAt
	Sync() error // makes all writes durable
}

// Partition is where a partition lies, in sectors.
type Partition struct {
	First, Count uint64
}

// header is the header in sector 1, checked.
type header struct {
	raw   []byte
	table []byte
}

func (h *header) uint64(at int) uint64 { return binary.LittleEndian.Uint64(h.raw[at:]) }

// Offsets in a header.
const (
	atHeaderSum   = 16
	atSelf        = 24
	atBackup      = 32
	atFirstUsable = 40
	atLastUsable  = 48
	atTable       = 72
	atTableSum    = 88
)

// Offsets in an entry.
const (
	atFirst = 32
	atLast  = 40
)

// readHeader reads the header in sector 1 and its table.
func readHeader(d io.ReaderAt) (*header, error) {
	raw := make([]byte, sectorSize)
	if _, err := d.ReadAt(raw, primaryHeader*sectorSize); err != nil {
		return nil, fmt.Errorf("read partition table: %w", err)
	}
	h := &header{raw: raw}
	le := binary.LittleEndian
	switch {
	case string(raw[:8]) != "EFI PART", le.Uint32(raw[12:]) != headerSize:
		return nil, fmt.Errorf("%w: no header", ErrNoTable)
	case le.Uint32(raw[atHeaderSum:]) != headerSum(raw):
		return nil, fmt.Errorf("%w: the header is damaged", ErrNoTable)
	case h.uint64(atSelf) != primaryHeader,
		le.Uint32(raw[80:]) != entryCount, le.Uint32(raw[84:]) != entrySize,
		h.uint64(atTable) != firstTable && h.uint64(atTable) != secondTable,
		h.uint64(atFirstUsable) < secondTable+tableSectors:
		return nil, fmt.Errorf("%w: another program wrote it", ErrNoTable)
	}
	h.table = make([]byte, entryCount*entrySize)
	if _, err := d.ReadAt(h.table, int64(h.uint64(atTable))*sectorSize); err != nil {
		return nil, fmt.Errorf("read partition table: %w", err)
	}
	if crc32.ChecksumIEEE(h.table) != le.Uint32(raw[atTableSum:]) {
		return nil, fmt.Errorf("%w: it is damaged", ErrNoTable)
	}

	return h, nil
}

func headerSum(raw []byte) uint32 {
	h := bytes.Clone(raw[:headerSize])
	clear(h[atHeaderSum : atHeaderSum+4])

	return crc32.ChecksumIEEE(h)
}

// entry returns the entry of partition n, counted from 1.
func (h *header) entry(n int) []byte { return h.table[(n-1)*entrySize : n*entrySize] }

func (h *header) partition(n int) Partition {
	e := h.entry(n)
	first, last := binary.LittleEndian.Uint64(e[atFirst:]), binary.LittleEndian.Uint64(e[atLast:])

	return Partition{First: first, Count: last + 1 - first}
}

// Grow makes partition n, which must be the last on the disk, as large as a
// disk of that many sectors allows, and puts the backup to the disk's end. If
// all is so already it writes nothing. It returns where the partition lies.
func Grow(d Device, n int, sectors uint64) (Partition, error) {
	if n < 1 || n > entryCount {
		return Partition{}, fmt.Errorf("there is no partition %d", n)
	}
	h, err := readHeader(d)
	if err != nil {
		return Partition{}, err
	}
	p := h.partition(n)
	for i := 1; i <= entryCount; i++ {
		if other := h.partition(i); i != n && other.First >= p.First {
			return Partition{}, fmt.Errorf("partition %d is not the last one", n)
		}
	}
	if p.First == 0 || sectors < p.First+p.Count+tableSectors+1 {
		return Partition{}, fmt.Errorf("partition %d does not fit on the disk of %d sectors", n, sectors)
	}
	end := max((sectors-tableSectors-1)/align*align, p.First+p.Count)
	if end == p.First+p.Count && h.uint64(atBackup) == sectors-1 {
		return p, nil
	}
	p.Count = end - p.First

	return p, h.grow(d, n, p, sectors)
}

func (h *header) grow(d Device, n int, p Partition, sectors uint64) error {
	le := binary.LittleEndian
	le.PutUint64(h.entry(n)[atLast:], p.First+p.Count-1)
	place := uint64(firstTable)
	if h.uint64(atTable) == firstTable {
		place = secondTable
	}
	last := sectors - 1
	primary, backup := bytes.Clone(h.raw), bytes.Clone(h.raw)
	for _, raw := range [][]byte{primary, backup} {
		le.PutUint64(raw[atBackup:], last)
		le.PutUint64(raw[atLastUsable:], last-tableSectors-1)
		le.PutUint64(raw[atTable:], place)
		le.PutUint32(raw[atTableSum:], crc32.ChecksumIEEE(h.table))
	}
	le.PutUint64(backup[atSelf:], last)
	le.PutUint64(backup[atBackup:], primaryHeader)
	le.PutUint64(backup[atTable:], last-tableSectors)
	le.PutUint32(primary[atHeaderSum:], headerSum(primary))
	le.PutUint32(backup[atHeaderSum:], headerSum(backup))

	for _, w := range []struct {
		what   string
		sector uint64
		data   []byte
		sync   bool
	}{
		{"table", place, h.table, false},
		{"backup table", last - tableSectors, h.table, false},
		{"backup header", last, backup, true},
		{"header", primaryHeader, primary, true},
	} {
		if _, err := d.WriteAt(w.data, int64(w.sector)*sectorSize); err != nil {
			return fmt.Errorf("write %s: %w", w.what, err)
		}
		if !w.sync {
			continue
		}
		if err := d.Sync(); err != nil {
			return fmt.Errorf("make %s durable: %w", w.what, err)
		}
	}

	return nil
}
