package unpack

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Bounds of the list of a zip, all of which is kept in memory.
const (
	maxList  = 32 << 20 // octets
	maxTrail = 20 + 22 + 1<<16
)

const (
	endMark     = "PK\x05\x06" // of the list's end (APPNOTE.TXT, section 4.3.16)
	end64Mark   = "PK\x06\x06" // section 4.3.14
	locatorMark = "PK\x06\x07" // section 4.3.15
)

func (u *unpacker) zip(f *os.File, size int64) error {
	if err := u.listed(f, size); err != nil {
		return err
	}
	list := &listReader{r: f, left: maxList}
	z, err := zip.NewReader(list, size)
	if err != nil {
		return damaged(err)
	}
	list.open = true
	for _, e := range z.File {
		if err := u.zipped(e); err != nil {
			return err
		}
	}

	return nil
}

func (u *unpacker) zipped(e *zip.File) error {
	mode := e.Mode()
	switch {
	case mode.IsDir():
		return u.folder(e.Name)
	case mode&fs.ModeType != 0:
		return u.leaveOut()
	case e.Flags&1 != 0: // section 4.4.4
		return wrong("the zip is protected by a password; pack it without one")
	}
	r, err := e.Open()
	if errors.Is(err, zip.ErrAlgorithm) {
		return wrong("the zip is packed by a method that is not read; choose the usual one (deflate)")
	}
	if err != nil {
		return damaged(err)
	}
	defer r.Close()

	return u.file(e.Name, r, e.Modified)
}

// listed looks how many files a zip says it holds, before anybody makes room for
// that many. What could be taken for the list's end is looked at wherever it stands.
func (u *unpacker) listed(f io.ReaderAt, size int64) error {
	trail := make([]byte, min(size, maxTrail))
	if _, err := f.ReadAt(trail, size-int64(len(trail))); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read archive: %w", err)
	}
	for end := len(trail); ; {
		i := bytes.LastIndex(trail[:end], []byte(endMark))
		if i < 0 {
			return nil
		}
		if i+22 <= len(trail) && int(binary.LittleEndian.Uint16(trail[i+10:])) > u.limits.Files {
			return u.tooMany()
		}
		if i >= 20 && string(trail[i-20:i-16]) == locatorMark {
			record := make([]byte, 56)
			at := binary.LittleEndian.Uint64(trail[i-12:])
			if at < uint64(size) {
				n, _ := f.ReadAt(record, int64(at)) // a short one is no such record
				if n == len(record) && string(record[:4]) == end64Mark && binary.LittleEndian.Uint64(record[32:]) > uint64(u.limits.Files) {
					return u.tooMany()
				}
			}
		}
		end = i + len(endMark) - 1
	}
}

func (u *unpacker) tooMany() error {
	return wrong("the zip says that it holds more than %d files; pack it in parts, or as a tar", u.limits.Files)
}

// listReader bounds what is read of a zip before its list is known.
type listReader struct {
	r    io.ReaderAt
	left int64
	open bool // the list has been read
}

// ReadAt implements io.ReaderAt.
func (l *listReader) ReadAt(p []byte, off int64) (int, error) {
	if !l.open {
		if l.left -= int64(len(p)); l.left < 0 {
			return 0, wrong("the list of the zip's files is too long; pack it in parts, or as a tar")
		}
	}

	return l.r.ReadAt(p, off)
}
