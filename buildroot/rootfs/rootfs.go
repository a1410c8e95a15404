package rootfs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"time"
)

const (
	blockSize = 128 << 10 // squashfs's usual block of contents
	blockLog  = 17

	superblockSize = 96
	magic          = "hsqs"
	compression    = 1 // gzip

	flagNoFragments = 1 << 4
	flagNoXattrs    = 1 << 9

	// In a block's length: it is not compressed.
	blockRaw = 1 << 24

	// A loop device and the kernel's block layer read whole pages.
	pageSize = 4096
)

// Entry is a file, folder or symbolic link of the root file system.
type Entry struct {
	Path string      // slash-separated, without a leading slash
	Mode fs.FileMode // permissions, and fs.ModeDir or fs.ModeSymlink

	// Open returns a file's contents, Target is where a link points, seen from
	// its folder.
	Open   func() (io.ReadCloser, error)
	Target string
}

// Write makes the file system in the file name and reads it back. Folders that
// lead to an entry are made as needed.
func Write(name string, entries []Entry, at time.Time) (err error) {
	root, err := newTree(entries)
	if err != nil {
		return fmt.Errorf("make root file system: %w", err)
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return fmt.Errorf("make root file system: %w", err)
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			_ = os.Remove(name)
		}
	}()
	w, err := newWriter(f, at)
	if err != nil {
		return fmt.Errorf("make root file system: %w", err)
	}
	if err := w.write(root); err != nil {
		return fmt.Errorf("write root file system: %w", err)
	}
	if err := verify(f, root); err != nil {
		return fmt.Errorf("read back root file system: %w", err)
	}

	return nil
}

// writer writes a file system from its beginning to its end.
type writer struct {
	file        io.WriterAt
	at          time.Time
	end         int64 // of what is written
	compress    *compressor
	inodes      uint32
	inodeTable  metadata
	folderTable metadata
}

func newWriter(f io.WriterAt, at time.Time) (*writer, error) {
	if at.Unix() < 0 || at.Unix() > math.MaxUint32 {
		return nil, fmt.Errorf("%s is no time of a squashfs", at)
	}
	c, err := newCompressor()
	if err != nil {
		return nil, err
	}

	return &writer{
		file: f, at: at, end: superblockSize, compress: c,
		inodeTable: metadata{compress: c}, folderTable: metadata{compress: c},
	}, nil
}

func (w *writer) append(p []byte) error {
	n, err := w.file.WriteAt(p, w.end)
	w.end += int64(n)

	return err
}

func (w *writer) write(root *node) error {
	_ = root.walk(func(n *node) error { // it only counts
		w.inodes++
		n.number = w.inodes

		return nil
	})
	if err := root.walk(w.node); err != nil {
		return err
	}
	if err := errors.Join(w.inodeTable.flush(), w.folderTable.flush()); err != nil {
		return err
	}
	s := superblock{root: root.place, inodes: w.inodes, at: w.at}
	s.inodeTable = w.end
	if err := w.append(w.inodeTable.blocks.Bytes()); err != nil {
		return err
	}
	s.folderTable = w.end
	if err := w.append(w.folderTable.blocks.Bytes()); err != nil {
		return err
	}
	// The owners: a metadata block with the one number, and a list of such
	// blocks.
	block := w.end
	s.fragments = w.end // there are none; readers want to see where they would be
	owners := binary.LittleEndian.AppendUint16(nil, 4|metadataRaw)
	owners = binary.LittleEndian.AppendUint32(owners, 0)
	s.owners = block + int64(len(owners))
	if err := w.append(binary.LittleEndian.AppendUint64(owners, uint64(block))); err != nil {
		return err
	}
	s.used = w.end
	if err := w.append(make([]byte, -w.end&(pageSize-1))); err != nil {
		return err
	}
	_, err := w.file.WriteAt(s.bytes(), 0)

	return err
}

// node writes a node, whose children are written.
func (w *writer) node(n *node) error {
	var inode []byte
	switch {
	case n.isDir():
		place, entries := w.folderTable.next(), listing(n)
		if err := w.folderTable.write(entries); err != nil {
			return err
		}
		inode = w.dirInode(n, place, len(entries))
	case n.isLink():
		inode = w.linkInode(n)
	default:
		var err error
		if inode, err = w.contents(n); err != nil {
			return fmt.Errorf("%s: %w", n.path, err)
		}
	}
	n.place = w.inodeTable.next()

	return w.inodeTable.write(inode)
}

// contents writes a file's contents and returns its inode.
func (w *writer) contents(n *node) ([]byte, error) {
	r, err := n.entry.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	start, size := w.end, int64(0)
	var lengths []uint32
	for buf := make([]byte, blockSize); ; {
		count, err := io.ReadFull(r, buf)
		if count > 0 {
			packed, raw, err := w.compress.block(buf[:count])
			if err != nil {
				return nil, err
			}
			length := uint32(len(packed))
			if raw {
				length |= blockRaw
			}
			lengths = append(lengths, length)
			size += int64(count)
			if err := w.append(packed); err != nil {
				return nil, err
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	// Larger ones have another kind of inode, which an image never needs.
	if start > math.MaxUint32 || size > math.MaxUint32 {
		return nil, errors.New("it is too large")
	}

	return w.fileInode(n, uint32(start), uint32(size), lengths), nil
}

// superblock is what a squashfs begins with.
type superblock struct {
	root                                       ref
	inodes                                     uint32
	at                                         time.Time
	inodeTable, folderTable, fragments, owners int64 // where they begin
	used                                       int64 // octets
}

func (s *superblock) bytes() []byte {
	le := binary.LittleEndian
	b := bytes.NewBufferString(magic).Bytes()
	b = le.AppendUint32(b, s.inodes)
	b = le.AppendUint32(b, uint32(s.at.Unix()))
	b = le.AppendUint32(b, blockSize)
	b = le.AppendUint32(b, 0) // fragments
	b = le.AppendUint16(b, compression)
	b = le.AppendUint16(b, blockLog)
	b = le.AppendUint16(b, flagNoFragments|flagNoXattrs)
	b = le.AppendUint16(b, 1) // owners
	b = le.AppendUint16(b, 4) // version 4.0
	b = le.AppendUint16(b, 0)
	b = le.AppendUint64(b, uint64(s.root.block)<<16|uint64(s.root.offset))
	b = le.AppendUint64(b, uint64(s.used))
	b = le.AppendUint64(b, uint64(s.owners))
	b = le.AppendUint64(b, math.MaxUint64) // no extended attributes
	b = le.AppendUint64(b, uint64(s.inodeTable))
	b = le.AppendUint64(b, uint64(s.folderTable))
	b = le.AppendUint64(b, uint64(s.fragments))

	return le.AppendUint64(b, math.MaxUint64) // no export table
}
