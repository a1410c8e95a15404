package rootfs

import (
	"encoding/binary"
	"math"
)

// Types of inodes. Folders' entries have the basic type always.
const (
	typeDir    = 1
	typeFile   = 2
	typeLink   = 3
	typeBigDir = 8
)

const (
	none = math.MaxUint32 // there is no fragment, no extended attribute

	// The folder's two own entries count for its length, although they are not
	// written.
	dotsLength = 3

	// What a header of entries may stand for.
	maxRun = 256
)

// inode returns the fields that all kinds begin with.
func (w *writer) inode(kind uint16, n *node) []byte {
	le := binary.LittleEndian
	b := le.AppendUint16(nil, kind)
	b = le.AppendUint16(b, uint16(n.mode()))
	b = le.AppendUint32(b, 0) // owner and group: the first of the table
	b = le.AppendUint32(b, uint32(w.at.Unix()))

	return le.AppendUint32(b, n.number)
}

func (w *writer) fileInode(n *node, start, size uint32, blocks []uint32) []byte {
	le := binary.LittleEndian
	b := w.inode(typeFile, n)
	b = le.AppendUint32(b, start)
	b = le.AppendUint32(b, none)
	b = le.AppendUint32(b, 0) // in the fragment
	b = le.AppendUint32(b, size)
	for _, length := range blocks {
		b = le.AppendUint32(b, length)
	}

	return b
}

func (w *writer) linkInode(n *node) []byte {
	le := binary.LittleEndian
	b := w.inode(typeLink, n)
	b = le.AppendUint32(b, 1) // names
	b = le.AppendUint32(b, uint32(len(n.entry.Target)))

	return append(b, n.entry.Target...)
}

// dirInode returns the inode of a folder whose entries lie at a place.
func (w *writer) dirInode(n *node, at ref, length int) []byte {
	le := binary.LittleEndian
	// The root's parent is a number that no inode has.
	parent := w.inodes + 1
	if n.parent != nil {
		parent = n.parent.number
	}
	names := uint32(2 + n.subfolders())
	length += dotsLength
	if length <= math.MaxUint16 {
		b := w.inode(typeDir, n)
		b = le.AppendUint32(b, at.block)
		b = le.AppendUint32(b, names)
		b = le.AppendUint16(b, uint16(length))
		b = le.AppendUint16(b, at.offset)

		return le.AppendUint32(b, parent)
	}
	b := w.inode(typeBigDir, n)
	b = le.AppendUint32(b, names)
	b = le.AppendUint32(b, uint32(length))
	b = le.AppendUint32(b, at.block)
	b = le.AppendUint32(b, parent)
	b = le.AppendUint16(b, 0) // no index
	b = le.AppendUint16(b, at.offset)

	return le.AppendUint32(b, none)
}

// listing returns the entries of a folder, whose inodes are written.
func listing(n *node) []byte {
	le := binary.LittleEndian
	var out []byte
	for rest := n.children; len(rest) > 0; {
		first := rest[0]
		run := 1
		// The numbers in an entry are relative and of 16 bits; those of one block
		// lie near each other, because they are written in their order.
		for run < len(rest) && run < maxRun && rest[run].place.block == first.place.block {
			run++
		}
		out = le.AppendUint32(out, uint32(run-1))
		out = le.AppendUint32(out, first.place.block)
		out = le.AppendUint32(out, first.number)
		for _, c := range rest[:run] {
			kind := uint16(typeFile)
			switch {
			case c.isDir():
				kind = typeDir
			case c.isLink():
				kind = typeLink
			}
			out = le.AppendUint16(out, c.place.offset)
			out = le.AppendUint16(out, uint16(int16(c.number-first.number)))
			out = le.AppendUint16(out, kind)
			out = le.AppendUint16(out, uint16(len(c.name)-1))
			out = append(out, c.name...)
		}
		rest = rest[run:]
	}

	return out
}
