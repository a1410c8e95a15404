package storage

import (
	"errors"
	"fmt"
	"iter"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

const (
	// locateBatch is how many bodies are looked up in one read transaction.
	locateBatch = 64
	// locateFill is how many octets of prefixes and small bodies are copied
	// out of one before the other bodies are left to the next.
	locateFill = 64 << 10
)

// Bodies opens the bodies of messages in turn, each when it is asked for. A
// body is closed, and its memory used again, when the next is asked for. An
// error, such as ErrNoMessage, is that of the one message. Nothing of the
// account is held while the caller works with a body, and next to nothing is
// allocated per message.
func (a *Account) Bodies(ids []DataID) iter.Seq2[*Body, error] {
	return func(yield func(*Body, error) bool) {
		l := locator{a: a, dir: noFile}
		defer l.close()
		for len(ids) > 0 {
			n := l.locate(ids[:min(len(ids), locateBatch)])
			for i := range l.found[:n] {
				if !l.yield(&l.found[i], yield) {
					return
				}
			}
			ids = ids[n:]
		}
	}
}

// OpenBody opens a message's bytes. The caller closes it. ErrNoMessage if it
// is gone.
func (a *Account) OpenBody(id DataID) (*Body, error) {
	l := locator{a: a, dir: noFile}
	defer l.close()
	l.locate([]DataID{id})
	b := &Body{}
	if err := l.open(&l.found[0], b); err != nil {
		return nil, err
	}
	return b, nil
}

// located is what the index knows of a body.
type located struct {
	id     DataID
	hash   bodyHash
	inline bool
	size   int64
	head   []byte // the prefix, and a body of the index after it
	prefix int
	err    error
}

// locator finds bodies in the index and opens them.
type locator struct {
	a      *Account
	found  []located
	heads  []byte // of those found
	record dataRecord

	body   Body // the one that is open
	name   []byte
	folder uint64 // that dir is
	dir    int    // noFile while none is open
}

// locate looks up one or more of the bodies in one transaction and tells how
// many it did.
func (l *locator) locate(ids []DataID) int {
	err := l.read(ids)
	if err != nil && len(ids) > 1 {
		// The damage may be another message's.
		ids = ids[:1]
		err = l.read(ids)
	}
	if err != nil {
		l.found = append(l.found[:0], located{err: err})
	}
	return len(l.found)
}

func (l *locator) read(ids []DataID) error {
	l.found, l.heads = l.found[:0], l.heads[:0] // the bodies before are closed
	return l.a.view(func(tx *bolt.Tx) error {
		data, bodies := tx.Bucket(dataBucket), tx.Bucket(bodiesBucket)
		for _, id := range ids {
			x := located{id: id}
			x.err = l.look(&x, data, bodies)
			l.found = append(l.found, x)
			if len(l.heads) >= locateFill {
				break
			}
		}
		return nil
	})
}

func (l *locator) look(x *located, data, bodies *bolt.Bucket) error {
	key := dataKey(x.id)
	v := data.Get(key)
	if v == nil {
		return ErrNoMessage
	}
	r := &l.record
	if err := decodeData(x.id, v, r); err != nil {
		return err
	}
	x.hash, x.inline, x.size, x.prefix = r.hash, r.inline, r.BodySize, len(r.Prefix)
	start := len(l.heads)
	l.heads = append(l.heads, r.Prefix...)
	if x.inline {
		body := bodies.Get(key)
		if int64(len(body)) != x.size {
			return fmt.Errorf("body of data %d: %w", x.id, ErrCorrupt)
		}
		l.heads = append(l.heads, body...)
	}
	x.head = l.heads[start:len(l.heads):len(l.heads)]
	return nil
}

// open opens a body that was located.
func (l *locator) open(x *located, b *Body) error {
	if x.err != nil {
		return fmt.Errorf("open body: %w", x.err)
	}
	*b = Body{Prefix: x.head[:x.prefix:x.prefix], Size: int64(x.prefix) + x.size, fd: noFile}
	if x.inline {
		b.inline = x.head
		return nil
	}
	var err error
	if b.fd, err = l.openFile(x); err != nil {
		b.fd = noFile
		if errors.Is(err, unix.ENOENT) {
			err = l.a.missing(x.id)
		}
		return fmt.Errorf("open body: %w", err)
	}
	// Before anyone promises a client this many octets.
	var st unix.Stat_t
	if err := unix.Fstat(b.fd, &st); err != nil || st.Size != x.size {
		_ = b.Close()
		return fmt.Errorf("open body: size of the file of data %d: %w", x.id, errors.Join(err, ErrCorrupt))
	}
	return nil
}

// openFile opens a body's file from within its folder, which is the same for
// thousands. It goes past package os, whose attempt to poll a file costs more
// than reading a letter.
func (l *locator) openFile(x *located) (int, error) {
	if n := uint64(x.id) >> bodiesPerFolder; l.dir == noFile || l.folder != n {
		l.close()
		dir, err := openRetry(unix.AT_FDCWD, l.a.bodyFolder(x.id), unix.O_DIRECTORY|unix.O_PATH)
		if err != nil {
			return 0, err
		}
		l.dir, l.folder = dir, n
	}
	l.name = appendBodyName(l.name[:0], x.id, x.hash)
	return openRetry(l.dir, string(l.name), 0)
}

func openRetry(dir int, name string, flags int) (int, error) {
	for {
		fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC|flags, 0)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// yield opens a body for the caller, and closes it after.
func (l *locator) yield(x *located, yield func(*Body, error) bool) bool {
	if err := l.open(x, &l.body); err != nil {
		return yield(nil, err)
	}
	defer func() { _ = l.body.Close() }() // it was only read
	return yield(&l.body, nil)
}

func (l *locator) close() {
	if l.dir != noFile {
		_ = unix.Close(l.dir)
		l.dir = noFile
	}
}
