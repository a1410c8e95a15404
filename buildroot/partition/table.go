package partition

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"hash/fnv"
	"io"
	"strings"
	"unicode/utf16"
)

// SectorSize is the size of a disk's sector in bytes.
const SectorSize = 512

const (
	entries      = 128
	entrySize    = 128
	tableSectors = entries * entrySize / SectorSize
	headerSize   = 92
	firstUsable  = 2048 // leaves room for the second table; see the package comment
)

// GUID is an identifier in its written form.
type GUID string

// Types of partitions.
const (
	TypeESP       GUID = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
	TypeBasicData GUID = "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7"
	TypeLinux     GUID = "0fc63daf-8483-4772-8e79-3d69d8477de4"
)

// bytes returns the form on disk: the first three groups are little-endian.
func (g GUID) bytes() ([16]byte, error) {
	var out [16]byte
	raw, err := hex.DecodeString(strings.ReplaceAll(string(g), "-", ""))
	if err != nil || len(raw) != len(out) {
		return out, fmt.Errorf("%q is no GUID", g)
	}
	for i, from := range []int{3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15} {
		out[i] = raw[from]
	}

	return out, nil
}

// ID returns the identifier of partition n on the disk of a host, and for n = 0
// that of the disk.
func ID(host string, n int) GUID {
	h := fnv.New32a()
	h.Write([]byte(host))

	return GUID(fmt.Sprintf("60c24cc1-f3f9-427a-8199-%08x00%02x", h.Sum32(), n))
}

// Partition is a run of sectors.
type Partition struct {
	Type  GUID
	ID    GUID
	Name  string
	First uint64 // sector
	Count uint64 // sectors
}

// Offset returns where the partition begins, in bytes.
func (p *Partition) Offset() int64 { return int64(p.First) * SectorSize }

// Size returns the partition's size in bytes.
func (p *Partition) Size() int64 { return int64(p.Count) * SectorSize }

// Table is the whole partition table.
type Table struct {
	Disk       GUID
	Sectors    uint64 // of the disk
	Code       []byte // what a legacy BIOS runs, at most CodeSize; may be empty
	Partitions []Partition
}

// CodeSize is the room for a BIOS's code before the MBR's partitions.
const CodeSize = 440

// Reserved is how many sectors the table takes at the end of the disk.
const Reserved = tableSectors + 1

// Write writes the protective MBR, both headers and both copies of the table.
func (t *Table) Write(w io.WriterAt) error {
	if len(t.Code) > CodeSize {
		return fmt.Errorf("boot code of %d bytes does not fit", len(t.Code))
	}
	table, err := t.entries()
	if err != nil {
		return err
	}
	last := t.Sectors - 1
	primary, err := t.header(1, last, 2, table)
	if err != nil {
		return err
	}
	backup, err := t.header(last, 1, last-tableSectors, table)
	if err != nil {
		return err
	}
	for _, part := range []struct {
		what   string
		sector uint64
		data   []byte
	}{
		{"hybrid MBR", 0, t.mbr()},
		{"header", 1, primary},
		{"table", 2, table},
		{"backup table", last - tableSectors, table},
		{"backup header", last, backup},
	} {
		if _, err := w.WriteAt(part.data, int64(part.sector)*SectorSize); err != nil {
			return fmt.Errorf("write %s: %w", part.what, err)
		}
	}

	return nil
}

func (t *Table) entries() ([]byte, error) {
	table := make([]byte, entries*entrySize)
	var free uint64 = firstUsable
	for i, p := range t.Partitions {
		if p.First < free || p.Count == 0 || p.First+p.Count > t.Sectors-Reserved {
			return nil, fmt.Errorf("partition %d does not fit in its place", i+1)
		}
		free = p.First + p.Count
		kind, err := p.Type.bytes()
		if err != nil {
			return nil, err
		}
		id, err := p.ID.bytes()
		if err != nil {
			return nil, err
		}
		e := table[i*entrySize:]
		copy(e, kind[:])
		copy(e[16:], id[:])
		binary.LittleEndian.PutUint64(e[32:], p.First)
		binary.LittleEndian.PutUint64(e[40:], p.First+p.Count-1)
		for j, unit := range utf16.Encode([]rune(p.Name)) {
			binary.LittleEndian.PutUint16(e[56+2*j:], unit)
		}
	}

	return table, nil
}

func (t *Table) header(self, other, table uint64, content []byte) ([]byte, error) {
	disk, err := t.Disk.bytes()
	if err != nil {
		return nil, err
	}
	h := make([]byte, SectorSize)
	le := binary.LittleEndian
	copy(h, "EFI PART")
	le.PutUint32(h[8:], 0x00010000) // revision 1.0
	le.PutUint32(h[12:], headerSize)
	le.PutUint64(h[24:], self)
	le.PutUint64(h[32:], other)
	le.PutUint64(h[40:], firstUsable)
	le.PutUint64(h[48:], t.Sectors-Reserved-1)
	copy(h[56:], disk[:])
	le.PutUint64(h[72:], table)
	le.PutUint32(h[80:], entries)
	le.PutUint32(h[84:], entrySize)
	le.PutUint32(h[88:], crc32.ChecksumIEEE(content))
	le.PutUint32(h[16:], crc32.ChecksumIEEE(h[:headerSize]))

	return h, nil
}

// mbr returns the hybrid MBR: the boot partition as FAT, and before it, behind
// it and for all other readers the mark of a GPT.
func (t *Table) mbr() []byte {
	m := make([]byte, SectorSize)
	boot := t.Partitions[0]
	copy(m, t.Code)
	// The disk's signature, from which Linux makes PARTUUIDs of MBR partitions.
	copy(m[CodeSize:], "PBOX")
	record := func(i int, status, kind byte, first, count uint32) {
		e := m[446+16*i:]
		e[0] = status
		copy(e[1:], "\xfe\xff\xff") // the sector lies beyond what CHS can say
		e[4] = kind
		copy(e[5:], "\xfe\xff\xff")
		binary.LittleEndian.PutUint32(e[8:], first)
		binary.LittleEndian.PutUint32(e[12:], count)
	}
	record(0, 0x80, 0x0c, uint32(boot.First), uint32(boot.Count))
	record(1, 0x00, 0xee, 1, uint32(boot.First-1))
	m[510], m[511] = 0x55, 0xaa

	return m
}
