package storage

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"pillarbox/storage/message"
)

// Staged is a received body that no mailbox may have yet.
type Staged struct {
	store  *Store
	size   int64
	hash   bodyHash
	path   string // of the staged file; "" for an inline body
	inline []byte
	msg    *message.Message
	record []byte // msg as stored
}

// Size returns the body's octets, without any prefix.
func (b *Staged) Size() int64 { return b.size }

// Hash returns the SHA-256 of the body, without any prefix.
func (b *Staged) Hash() [32]byte { return b.hash }

// Message returns what the parse of the body found.
func (b *Staged) Message() *message.Message { return b.msg }

// Close removes the staged copy; mailboxes that took it keep theirs.
func (b *Staged) Close() error {
	if b.path == "" {
		return nil
	}
	return b.store.removeBody(b.path, b.hash)
}

// Stage reads one message to its end, parses it and makes it ready to be put
// into any number of mailboxes of any number of accounts. A body that becomes
// a file is on the disk (fsync) when Stage returns; a smaller one gets there
// with the commit of the index. ErrTooBig if it is longer than
// Config.MaxMessage; r has then been read only up to the limit. The caller
// must Close the Staged.
func (s *Store) Stage(ctx context.Context, r io.Reader) (*Staged, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("receive message: %w", err)
	}
	if err := s.reserve.room(); err != nil {
		return nil, fmt.Errorf("receive message: %w", err)
	}
	sp := &spool{store: s, hash: sha256.New()}
	b, err := sp.receive(&boundedReader{ctx: ctx, r: r, left: s.maxMessage})
	if err != nil {
		sp.discard()
		return nil, fmt.Errorf("receive message: %w", diskError(err))
	}
	return b, nil
}

// boundedReader fails with ErrTooBig where a message exceeds the limit.
type boundedReader struct {
	ctx  context.Context
	r    io.Reader
	left int64
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	// One octet more than is left tells a message that just fits from one too large.
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.r.Read(p)
	if int64(n) > b.left {
		return 0, ErrTooBig
	}
	b.left -= int64(n)
	return n, err
}

// writers lends the buffers through which bodies reach their files.
var writers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, 64<<10) }}

// spool takes a body in: into memory as long as it is small, then into a file.
type spool struct {
	store *Store
	hash  hash.Hash
	size  int64
	buf   []byte
	f     *os.File
	w     *bufio.Writer
}

// Write implements io.Writer.
func (sp *spool) Write(p []byte) (int, error) {
	sp.hash.Write(p)
	sp.size += int64(len(p))
	if sp.f == nil {
		if sp.size <= int64(sp.store.inlineLimit) {
			sp.buf = append(sp.buf, p...)
			return len(p), nil
		}
		f, err := os.CreateTemp(sp.store.stagingDir(), "body-")
		if err != nil {
			return 0, err
		}
		sp.f, sp.w = f, writers.Get().(*bufio.Writer)
		sp.w.Reset(f)
		if _, err := sp.w.Write(sp.buf); err != nil {
			return 0, err
		}
		sp.buf = nil
	}
	return sp.w.Write(p)
}

func (sp *spool) receive(r io.Reader) (*Staged, error) {
	tee := io.TeeReader(r, sp)
	msg, err := message.Parse(tee, sp.store.limits)
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(io.Discard, tee); err != nil {
		return nil, err
	}
	b := &Staged{store: sp.store, size: sp.size, inline: sp.buf, msg: msg, record: msg.Append(nil)}
	sp.hash.Sum(b.hash[:0])
	if sp.f == nil {
		return b, nil
	}
	if err := sp.w.Flush(); err != nil {
		return nil, err
	}
	b.path = sp.f.Name()
	if sp.adopt(b) {
		return b, nil
	}
	if err := sp.f.Sync(); err != nil {
		return nil, err
	}
	if err := sp.f.Close(); err != nil {
		return nil, err
	}
	sp.release()
	// The pool only saves space: a body without its link there is as safe.
	pooled := sp.store.poolPath(b.hash)
	if err := os.Link(b.path, pooled); errors.Is(err, unix.ENOENT) {
		if os.Mkdir(filepath.Dir(pooled), 0o700) == nil {
			_ = os.Link(b.path, pooled)
		}
	}
	return b, nil
}

// adopt replaces the body just written by the same one in the pool, which is
// on the disk already, and tells whether there was one. Its octets are
// compared: the hash is of what was once written there, and a disk may forget.
func (sp *spool) adopt(b *Staged) bool {
	pooled := sp.store.poolPath(b.hash)
	same := b.path + "-same"
	if os.Link(pooled, same) != nil {
		return false
	}
	if !sameContent(sp.f, same) {
		// Who has it keeps a link; the pool gets the sound one.
		os.Remove(same)
		os.Remove(pooled)
		return false
	}
	sp.discard()
	b.path = same
	return true
}

// sameContent compares an open file with another to the end of both.
func sameContent(f *os.File, path string) bool {
	other, err := os.Open(path)
	if err != nil {
		return false
	}
	defer other.Close()
	a, b := make([]byte, 64<<10), make([]byte, 64<<10)
	for at := int64(0); ; at += int64(len(a)) {
		n, aerr := f.ReadAt(a, at)
		m, berr := other.ReadAt(b, at)
		if n != m || !bytes.Equal(a[:n], b[:m]) {
			return false
		}
		if aerr != nil || berr != nil {
			return aerr == io.EOF && berr == io.EOF
		}
	}
}

// release gives the write buffer back.
func (sp *spool) release() {
	if sp.w != nil {
		sp.w.Reset(nil)
		writers.Put(sp.w)
		sp.f, sp.w = nil, nil
	}
}

// discard removes what was written.
func (sp *spool) discard() {
	if sp.f != nil {
		sp.f.Close()
		os.Remove(sp.f.Name())
		sp.release()
	}
}

func (s *Store) stagingDir() string { return filepath.Join(s.dir, "staging") }

func (s *Store) poolPath(h bodyHash) string {
	name := hex.EncodeToString(h[:])
	return filepath.Join(s.dir, "pool", name[:2], name)
}

// removeBody unlinks one link of a body, and the pool's where that is the last
// one left. Someone who links from the pool meanwhile has a link of their own,
// so nothing is lost in the race.
func (s *Store) removeBody(path string, h bodyHash) error {
	err := os.Remove(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove body: %w", err)
	}
	releasePooled(s.poolPath(h))
	return err
}

// releasePooled unlinks a body of the pool that nobody else has.
func releasePooled(path string) {
	var st unix.Stat_t
	if unix.Lstat(path, &st) == nil && st.Nlink == 1 {
		os.Remove(path)
	}
}
