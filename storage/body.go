package storage

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// bodiesPerFolder is the binary logarithm of the number of body files in a
// folder. Numbers are given out in order, so a batch of deliveries usually
// makes one folder durable.
const bodiesPerFolder = 12

func (a *Account) bodyFolder(id DataID) string {
	return filepath.Join(a.dir, "bodies", fmt.Sprintf("%x", uint64(id)>>bodiesPerFolder))
}

func (a *Account) bodyPath(id DataID, h bodyHash) string {
	return filepath.Join(a.bodyFolder(id), string(appendBodyName(nil, id, h)))
}

// appendBodyName appends the name of a body's file.
func appendBodyName(b []byte, id DataID, h bodyHash) []byte {
	b = strconv.AppendUint(b, uint64(id), 16)
	return hex.AppendEncode(append(b, '-'), h[:])
}

// keep gives the account a link to a staged body file. It is durable when
// the transaction has synced the folder.
func (t *txn) keep(id DataID, b *Staged) error {
	folder, path := t.a.bodyFolder(id), t.a.bodyPath(id, b.hash)
	if !t.folders[folder] {
		if err := makeDir(folder); err != nil {
			// It may be there and not be durable, which the next transaction
			// could not know.
			t.a.doubtful = true
			return err
		}
		t.folders[folder] = true
	}
	t.writes++
	err := os.Link(b.path, path)
	if errors.Is(err, unix.EMLINK) || errors.Is(err, unix.EXDEV) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOTSUP) {
		err = copyFile(b.path, path)
	}
	if err != nil {
		return fmt.Errorf("keep body: %w", diskError(err))
	}
	t.linked = append(t.linked, path)
	return nil
}

// copyFile is for file systems without (enough) hard links.
func copyFile(from, to string) (err error) {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, dst.Close()); err != nil {
			err = errors.Join(err, os.Remove(to)) // the number will be given out again
		}
	}()
	if _, err := io.Copy(dst, src); err != nil {
		return err
	}
	return dst.Sync()
}

// Body reads a message: the prefix the server added, then the body as it was
// received. Offsets of message.Part count from the start of the body, so add
// len(Prefix) to them.
type Body struct {
	Size   int64  // octets of prefix and body
	Prefix []byte // header fields the server added

	fd     int // of the body's file; noFile for a body of the index
	inline []byte
}

const noFile = -1

// missing tells a body that was expunged meanwhile from one that is lost.
func (a *Account) missing(id DataID) error {
	return a.view(func(tx *bolt.Tx) error {
		if tx.Bucket(dataBucket).Get(dataKey(id)) == nil {
			return ErrNoMessage
		}
		return fmt.Errorf("the file of data %d is missing: %w", id, ErrCorrupt)
	})
}

// ReadAt implements io.ReaderAt over prefix and body.
func (b *Body) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read body: offset %d", off)
	}
	head := b.Prefix
	if b.fd == noFile {
		head = b.inline
	}
	n := 0
	if off < int64(len(head)) {
		n = copy(p, head[off:])
		off += int64(n)
	}
	if n == len(p) {
		return n, nil
	}
	if b.fd == noFile {
		return n, io.EOF
	}
	for off -= int64(len(b.Prefix)); n < len(p); {
		m, err := unix.Pread(b.fd, p[n:], off)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return n, &fs.PathError{Op: "read", Path: "body", Err: err}
		case m == 0:
			return n, io.EOF
		default:
			n, off = n+m, off+int64(m)
		}
	}
	return n, nil
}

// Close lets the body go.
func (b *Body) Close() error {
	if b.fd == noFile {
		return nil
	}
	fd := b.fd
	b.fd, b.inline = noFile, nil
	return unix.Close(fd)
}
