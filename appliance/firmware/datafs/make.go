package datafs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/diskfs/go-diskfs/backend"
	"github.com/diskfs/go-diskfs/filesystem/ext4"
)

const (
	// held is how much of the partition's beginning is written last.
	held = 1 << 20

	markSize  = 512
	mark      = "PILLARBOX: the data file system is being made\n"
	blockSize = 4096

	blocksPerGroup = 8 * blockSize // one block is the group's bitmap
	// One inode for each 32 KiB: a message is 50 KiB on average, and those
	// below 4 KiB need no file.
	inodesPerGroup = blocksPerGroup * blockSize / (32 << 10)

	// MinSize is the smallest partition that is formatted.
	MinSize = 16 << 20
)

// Device is the partition.
type Device interface {
	io.ReaderAt
	io.WriterAt
	Sync() error // makes all writes durable
}

// New tells whether the partition is to be formatted.
func New(d io.ReaderAt) (bool, error) {
	head := make([]byte, held)
	if _, err := d.ReadAt(head, 0); err != nil {
		return false, fmt.Errorf("read the data partition: %w", err)
	}
	if bytes.HasPrefix(head, []byte(mark)) {
		return true, nil
	}

	return len(bytes.TrimLeft(head, "\x00")) == 0, nil
}

// Make formats a new partition of size bytes.
func Make(d Device, size int64) error {
	if size < MinSize {
		return fmt.Errorf("the data partition of %d bytes is too small", size)
	}
	size -= size % blockSize
	s := &stage{device: d, size: size, head: make([]byte, held)}
	groups := (size/blockSize + blocksPerGroup - 1) / blocksPerGroup
	if _, err := ext4.Create(s, size, 0, 512, &ext4.Params{
		SectorsPerBlock: blockSize / 512,
		InodeCount:      uint32(groups * inodesPerGroup),
		VolumeName:      "perm",
		Features: []ext4.FeatureOpt{
			ext4.WithFeatureMetadataChecksums(true),
			// Room to grow while mounted needs a second group.
			ext4.WithFeatureReservedGDTBlocksForExpansion(groups > 1),
		},
	}); err != nil {
		return fmt.Errorf("make the data file system: %w", err)
	}
	if err := adjust(s.head[superblockOffset : superblockOffset+superblockSize]); err != nil {
		return fmt.Errorf("make the data file system: %w", err)
	}
	if err := d.Sync(); err != nil {
		return fmt.Errorf("make the data file system durable: %w", err)
	}

	return s.finish()
}

// stage is the partition as the library sees it: the first MiB in memory, the
// rest on the device.
type stage struct {
	device Device
	size   int64
	head   []byte
	at     int64
}

// finish writes what was held back; see the package comment.
func (s *stage) finish() error {
	sector := make([]byte, markSize)
	copy(sector, mark)
	if err := s.put("mark", sector, 0); err != nil {
		return err
	}
	if err := s.put("superblock", s.head[markSize:], markSize); err != nil {
		return err
	}
	got := make([]byte, held-markSize)
	if _, err := s.device.ReadAt(got, markSize); err != nil {
		return fmt.Errorf("read back the data file system: %w", err)
	}
	if !bytes.Equal(got, s.head[markSize:]) {
		return errors.New("read back the data file system: the disk does not keep what is written")
	}

	return s.put("first sector", s.head[:markSize], 0)
}

func (s *stage) put(what string, data []byte, at int64) error {
	if _, err := s.device.WriteAt(data, at); err != nil {
		return fmt.Errorf("write %s: %w", what, err)
	}
	if err := s.device.Sync(); err != nil {
		return fmt.Errorf("make %s durable: %w", what, err)
	}

	return nil
}

func (s *stage) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off+int64(len(p)) > s.size {
		return 0, io.EOF
	}
	n := 0
	if off < held {
		n = copy(p, s.head[off:])
	}
	if n == len(p) {
		return n, nil
	}
	more, err := s.device.ReadAt(p[n:], off+int64(n))

	return n + more, err
}

func (s *stage) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 || off+int64(len(p)) > s.size {
		return 0, io.ErrShortWrite
	}
	n := 0
	if off < held {
		n = copy(s.head[off:], p)
	}
	if n == len(p) {
		return n, nil
	}
	more, err := s.device.WriteAt(p[n:], off+int64(n))

	return n + more, err
}

func (s *stage) Read(p []byte) (int, error) {
	n, err := s.ReadAt(p, s.at)
	s.at += int64(n)

	return n, err
}

func (s *stage) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += s.at
	case io.SeekEnd:
		offset += s.size
	}
	s.at = offset

	return offset, nil
}

func (s *stage) Writable() (backend.WritableFile, error) { return s, nil }
func (s *stage) Stat() (fs.FileInfo, error)              { return nil, errors.ErrUnsupported }
func (s *stage) Sys() (*os.File, error)                  { return nil, errors.ErrUnsupported }
func (s *stage) Path() string                            { return "" }
func (s *stage) Close() error                            { return nil }

// adjust sets in a superblock what the library does not: after an error the
// file system becomes read-only instead of going on, and it is not checked in
// full merely because it was mounted often.
func adjust(sb []byte) error {
	if _, err := parse(sb); err != nil {
		return err
	}
	le := binary.LittleEndian
	le.PutUint16(sb[atMaxMounts:], 0xffff)
	le.PutUint16(sb[atErrors:], errorsReadOnly)
	le.PutUint32(sb[atChecksum:], checksum(sb))

	return nil
}
