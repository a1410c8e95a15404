package storage

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

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
	return filepath.Join(a.bodyFolder(id), fmt.Sprintf("%x-%x", uint64(id), h[:]))
}

// keep gives the account a link to a staged body file. It is durable when
// the transaction has synced the folder.
func (t *txn) keep(id DataID, b *Staged) error {
	folder, path := t.a.bodyFolder(id), t.a.bodyPath(id, b.hash)
	if !t.folders[folder] {
		if err := makeDir(folder); err != nil {
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

	file   *os.File // nil for a body of the index
	inline []byte
}

// OpenBody opens a message's bytes. The caller closes it. ErrNoMessage if it is gone.
func (a *Account) OpenBody(id DataID) (*Body, error) {
	b := &Body{}
	var hash bodyHash
	var inline bool
	var size int64
	err := a.view(func(tx *bolt.Tx) error {
		key := dataKey(id)
		v := tx.Bucket(dataBucket).Get(key)
		if v == nil {
			return ErrNoMessage
		}
		var r dataRecord
		if err := decodeData(id, v, &r); err != nil {
			return err
		}
		hash, inline, size = r.hash, r.inline, r.BodySize
		if !inline {
			b.Prefix = append([]byte(nil), r.Prefix...)
			return nil
		}
		body := tx.Bucket(bodiesBucket).Get(key)
		if int64(len(body)) != size {
			return fmt.Errorf("body of data %d: %w", id, ErrCorrupt)
		}
		b.inline = make([]byte, 0, len(r.Prefix)+len(body))
		b.inline = append(append(b.inline, r.Prefix...), body...)
		b.Prefix = b.inline[:len(r.Prefix):len(r.Prefix)]
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("open body: %w", err)
	}
	b.Size = int64(len(b.Prefix)) + size
	if inline {
		return b, nil
	}
	if b.file, err = os.Open(a.bodyPath(id, hash)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = a.missing(id)
		}
		return nil, fmt.Errorf("open body: %w", err)
	}
	// Before anyone promises a client this many octets.
	if fi, err := b.file.Stat(); err != nil || fi.Size() != size {
		b.file.Close()
		return nil, fmt.Errorf("open body: size of the file of data %d: %w", id, errors.Join(err, ErrCorrupt))
	}
	return b, nil
}

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
	if b.file == nil {
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
	if b.file == nil {
		return n, io.EOF
	}
	m, err := b.file.ReadAt(p[n:], off-int64(len(b.Prefix)))
	return n + m, err
}

// Close lets the body go.
func (b *Body) Close() error {
	if b.file == nil {
		return nil
	}
	return b.file.Close()
}

// closedError names the closed storage where bbolt says so.
func closedError(err error) error {
	if errors.Is(err, bolt.ErrDatabaseNotOpen) {
		return ErrClosed
	}
	return err
}
