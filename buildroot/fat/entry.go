package fat

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"
	"unicode/utf16"
)

const (
	mediaDescriptor = 0xf8 // a fixed disk

	attrVolume    = 0x08
	attrDirectory = 0x10
	attrArchive   = 0x20
	attrLongName  = 0x0f

	longNameUnits = 13 // UTF-16 units in one entry of a long name
	lastLongEntry = 0x40
)

// bootSector returns the first sector, with the parameters of the volume.
func bootSector(c *Config, l *layout) []byte {
	b := make([]byte, sectorSize)
	le := binary.LittleEndian
	copy(b, "\xeb\x3c\x90PILLARBX")
	le.PutUint16(b[11:], sectorSize)
	b[13] = byte(l.sectorsPerCluster)
	le.PutUint16(b[14:], reservedSectors)
	b[16] = 1 // copies of the FAT
	le.PutUint16(b[17:], rootEntries)
	if l.sectors < 1<<16 {
		le.PutUint16(b[19:], uint16(l.sectors))
	} else {
		le.PutUint32(b[32:], l.sectors)
	}
	b[21] = mediaDescriptor
	le.PutUint16(b[22:], uint16(l.fatSectors))
	le.PutUint16(b[24:], 32) // sectors per track, for very old readers
	le.PutUint16(b[26:], 64) // heads
	le.PutUint32(b[28:], c.Hidden)
	b[36] = 0x80 // drive
	b[38] = 0x29 // the three fields below are there
	le.PutUint32(b[39:], c.Serial)
	copy(b[43:54], fmt.Sprintf("%-11s", c.Label))
	copy(b[54:62], "FAT16   ")
	b[510], b[511] = 0x55, 0xaa

	return b
}

// entriesOf counts the entries that a folder needs.
func entriesOf(n *node) int {
	count := 1 // the label in the root
	if n.parent != nil {
		count = 2 // "." and ".."
	}
	for _, c := range n.children {
		count += 1 + longEntries(c.name)
	}

	return count
}

func longEntries(name string) int {
	return (len(utf16.Encode([]rune(name))) + longNameUnits - 1) / longNameUnits
}

// entries returns a folder's contents.
func entries(n *node, c *Config) ([]byte, error) {
	out := make([]byte, 0, entriesOf(n)*entrySize)
	if n.parent == nil {
		out = appendShort(out, [11]byte([]byte(fmt.Sprintf("%-11s", c.Label))), attrVolume, &node{}, c.Time)
	} else {
		out = appendShort(out, [11]byte([]byte(".          ")), attrDirectory, n, c.Time)
		out = appendShort(out, [11]byte([]byte("..         ")), attrDirectory, n.parent, c.Time)
	}
	taken := map[[11]byte]bool{}
	for _, child := range n.children {
		short, err := shortName(child.name, taken)
		if err != nil {
			return nil, err
		}
		out = appendLong(out, child.name, checksum(short))
		attr := byte(attrDirectory)
		if child.file != nil {
			attr = attrArchive
		}
		out = appendShort(out, short, attr, child, c.Time)
	}

	return out, nil
}

// shortName makes the name of eight and three characters. It keeps the case:
// gokrazy's updater looks for "loader" and "entries" as they are written.
func shortName(name string, taken map[[11]byte]bool) ([11]byte, error) {
	base, ext := name, ""
	if i := strings.LastIndexByte(name, '.'); i > 0 {
		base, ext = name[:i], name[i+1:]
	}
	clean := func(s string) string {
		return strings.Map(func(r rune) rune {
			if r <= ' ' || r > '~' || strings.ContainsRune(`."*+,/:;<=>?[\]|`, r) {
				return -1
			}
			return r
		}, s)
	}
	base, ext = clean(base), clean(ext)
	exact := len(base) <= 8 && len(ext) <= 3
	if len(ext) > 3 {
		ext = ext[:3]
	}
	for n := range 10_000 {
		candidate := base
		if !exact || n > 0 {
			tail := fmt.Sprintf("~%d", n+1)
			candidate = base[:min(len(base), 8-len(tail))] + tail
		}
		short := [11]byte([]byte(fmt.Sprintf("%-8s%-3s", candidate, ext)))
		key := [11]byte([]byte(strings.ToUpper(string(short[:]))))
		if base != "" && !taken[key] {
			taken[key] = true
			return short, nil
		}
	}

	return [11]byte{}, fmt.Errorf("%q has no short name", name)
}

// checksum ties the entries of a long name to their short name.
func checksum(short [11]byte) byte {
	var sum byte
	for _, b := range short {
		sum = sum>>1 | sum<<7
		sum += b
	}

	return sum
}

func appendLong(out []byte, name string, sum byte) []byte {
	units := utf16.Encode([]rune(name))
	count := longEntries(name)
	for len(units) < count*longNameUnits {
		pad := uint16(0xffff)
		if len(units) == len(utf16.Encode([]rune(name))) {
			pad = 0
		}
		units = append(units, pad)
	}
	for i := count - 1; i >= 0; i-- {
		e := make([]byte, entrySize)
		e[0] = byte(i + 1)
		if i == count-1 {
			e[0] |= lastLongEntry
		}
		e[11] = attrLongName
		e[13] = sum
		part := units[i*longNameUnits:]
		for j, place := range []int{1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30} {
			binary.LittleEndian.PutUint16(e[place:], part[j])
		}
		out = append(out, e...)
	}

	return out
}

func appendShort(out []byte, name [11]byte, attr byte, n *node, at time.Time) []byte {
	e := make([]byte, entrySize)
	le := binary.LittleEndian
	copy(e, name[:])
	e[11] = attr
	at = at.UTC()
	date := uint16(at.Year()-1980)<<9 | uint16(at.Month())<<5 | uint16(at.Day())
	clock := uint16(at.Hour())<<11 | uint16(at.Minute())<<5 | uint16(at.Second()/2)
	le.PutUint16(e[14:], clock)
	le.PutUint16(e[16:], date)
	le.PutUint16(e[18:], date)
	le.PutUint16(e[22:], clock)
	le.PutUint16(e[24:], date)
	le.PutUint16(e[26:], uint16(n.first))
	if n.file != nil {
		le.PutUint32(e[28:], uint32(n.file.Size))
	}

	return append(out, e...)
}
