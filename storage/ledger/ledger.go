package ledger

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// defaultSegment is how large a file becomes: small enough to be read at once,
// and that the oldest is no great part of all.
const defaultSegment = 512 << 10

// maxSegment bounds what is read of one file; ours are smaller, apart from
// what one Append puts over the size.
const maxSegment = 64 << 20

// ErrClosed says that the ledger was closed.
var ErrClosed = errors.New("the ledger is closed")

// Config says where a Ledger is.
type Config struct {
	Dir         string // must not be empty; made if missing, as is the one above
	SegmentSize int64  // octets after which a new file is begun; 0 means 512 KiB
}

// Segment is one file.
type Segment struct {
	Number uint32
	Size   int64 // of what is durable, in octets
}

// Name returns the file's name.
func (s Segment) Name() string { return fmt.Sprintf("%08d.log", s.Number) }

// Tail tells what Open found at the end of the last file.
type Tail struct {
	File    string
	Offset  int64
	Torn    int64 // octets of a torn entry, which were cut off
	Damaged bool  // the end cannot be read, and is left as it is
}

// Ledger is an opened folder. It is safe for concurrent use. One process at a
// time may have it open: the caller sees to that.
type Ledger struct {
	dir  string
	size int64 // of a segment

	mu       sync.Mutex
	segments []Segment // by number
	file     *os.File  // the last segment; nil where a new one is to be begun
	dirty    bool      // a write failed; the file is to be cut back first
	closed   bool
}

// Open opens the folder and looks at its end.
func Open(c *Config) (*Ledger, Tail, error) {
	l := &Ledger{dir: c.Dir, size: cmp.Or(c.SegmentSize, defaultSegment)}
	tail, err := l.open()
	if err != nil {
		return nil, Tail{}, fmt.Errorf("open ledger: %w", err)
	}

	return l, tail, nil
}

func (l *Ledger) open() (Tail, error) {
	if err := makeDir(l.dir); err != nil {
		return Tail{}, err
	}
	// A process that was killed may have left entries of these unsynced.
	if err := errors.Join(syncDir(filepath.Dir(l.dir)), syncDir(l.dir)); err != nil {
		return Tail{}, err
	}
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		return Tail{}, err
	}
	for _, e := range entries {
		number, ok := strings.CutSuffix(e.Name(), ".log")
		n, err := strconv.ParseUint(number, 10, 32)
		if s := (Segment{Number: uint32(n)}); !ok || err != nil || s.Name() != e.Name() {
			continue // not ours
		}
		info, err := e.Info()
		if err != nil {
			return Tail{}, err
		}
		l.segments = append(l.segments, Segment{Number: uint32(n), Size: info.Size()})
	}
	slices.SortFunc(l.segments, func(a, b Segment) int { return cmp.Compare(a.Number, b.Number) })
	if len(l.segments) == 0 {
		return Tail{}, nil
	}

	return l.openLast()
}

// openLast opens the last segment for appending and mends a torn end.
func (l *Ledger) openLast() (Tail, error) {
	last := &l.segments[len(l.segments)-1]
	tail := Tail{File: last.Name(), Offset: last.Size}
	b, err := l.load(*last)
	if err != nil {
		return Tail{}, err
	}
	var end []byte // what cannot be read there
	walk(b, func(int64, []byte) {}, func(g Gap) {
		if g.Offset+g.Size == int64(len(b)) {
			tail.Offset, end = g.Offset, b[g.Offset:]
		}
	})
	if len(end) > 0 && !torn(tail.Offset, end) {
		tail.Damaged = true
		return tail, nil
	}
	tail.Torn = int64(len(end))
	if err := l.reopen(last, tail.Offset); err != nil {
		return Tail{}, err
	}

	return tail, nil
}

// reopen opens the last segment and cuts it at size.
func (l *Ledger) reopen(last *Segment, size int64) error {
	f, err := os.OpenFile(filepath.Join(l.dir, last.Name()), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if size < last.Size {
		err = f.Truncate(size)
	}
	// A cut while the file was made may have kept even its beginning from it.
	if err == nil && size < int64(len(magic)) {
		size = int64(len(magic))
		_, err = f.WriteAt([]byte(magic), 0)
	}
	// A process that was killed may have left entries unsynced that are read
	// from now on.
	if err = errors.Join(err, f.Sync()); err != nil {
		return errors.Join(err, f.Close())
	}
	last.Size, l.file = size, f

	return nil
}

// Gap is a part of a file that cannot be read.
type Gap struct {
	Offset, Size int64
}

// walk calls f for each sound entry of a segment, and gap for what cannot be
// read, which ends where the next sound frame begins or at the end.
func walk(b []byte, f func(offset int64, data []byte), gap func(Gap)) {
	at := 0
	if bytes.HasPrefix(b, []byte(magic)) {
		at = len(magic)
	}
	for at < len(b) {
		if entries, size, ok := nextFrame(b[at:]); ok {
			for _, e := range entries {
				f(int64(at+e.at), e.data)
			}
			at += size
			continue
		}
		from := at
		for at++; at < len(b); at++ {
			if _, _, ok := nextFrame(b[at:]); ok {
				break
			}
		}
		gap(Gap{Offset: int64(from), Size: int64(at - from)})
	}
}

// load reads a segment, as far as it is durable.
func (l *Ledger) load(s Segment) ([]byte, error) {
	if s.Size > maxSegment {
		return nil, fmt.Errorf("%s is too large for a file of a ledger", s.Name())
	}
	f, err := os.Open(filepath.Join(l.dir, s.Name()))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, s.Size)
	n, err := f.ReadAt(b, 0)
	if n < len(b) && err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}

	return b[:n], nil
}

// Append adds entries, and returns when they are on the disk: all of them, or,
// after an error or a power cut, none.
func (l *Ledger) Append(entries ...[]byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	if len(entries) == 0 {
		return nil
	}
	frame := newFrame(entries)
	if len(frame)-frameHead > MaxAppend {
		return fmt.Errorf("append to ledger: %d octets are too many at once", len(frame))
	}
	if err := l.append(frame); err != nil {
		return fmt.Errorf("append to ledger: %w", err)
	}

	return nil
}

func (l *Ledger) append(frame []byte) error {
	if err := l.cutBack(); err != nil {
		return err
	}
	if l.file != nil && l.segments[len(l.segments)-1].Size >= l.size {
		if err := l.file.Close(); err != nil {
			return err
		}
		l.file = nil
	}
	if l.file == nil {
		if err := l.begin(); err != nil {
			return err
		}
	}
	last := &l.segments[len(l.segments)-1]
	l.dirty = true
	if _, err := l.file.WriteAt(frame, last.Size); err != nil {
		return errors.Join(err, l.cutBack())
	}
	if err := l.file.Sync(); err != nil {
		return errors.Join(err, l.cutBack())
	}
	l.dirty = false
	last.Size += int64(len(frame))

	return nil
}

// cutBack takes back what a failed Append left.
func (l *Ledger) cutBack() error {
	if !l.dirty {
		return nil
	}
	if err := errors.Join(l.file.Truncate(l.segments[len(l.segments)-1].Size), l.file.Sync()); err != nil {
		return fmt.Errorf("undo a write that failed: %w", err)
	}
	l.dirty = false

	return nil
}

// begin makes the next segment.
func (l *Ledger) begin() error {
	s := Segment{Number: 1, Size: int64(len(magic))}
	if n := len(l.segments); n > 0 {
		s.Number = l.segments[n-1].Number + 1
	}
	name := filepath.Join(l.dir, s.Name())
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(magic), 0)
	if err = errors.Join(err, f.Sync()); err == nil {
		err = syncDir(l.dir)
	}
	if err != nil {
		return errors.Join(err, f.Close(), os.Remove(name))
	}
	l.segments, l.file = append(l.segments, s), f

	return nil
}

// Segments returns the files, the oldest first.
func (l *Ledger) Segments() []Segment {
	l.mu.Lock()
	defer l.mu.Unlock()

	return slices.Clone(l.segments)
}

// Read calls f for each entry of a file, in order, and gap for each part that
// cannot be read. data is valid also after the call.
func (l *Ledger) Read(s Segment, f func(offset int64, data []byte), gap func(Gap)) error {
	b, err := l.load(s)
	if err != nil {
		return fmt.Errorf("read ledger: %w", err)
	}
	if int64(len(b)) < s.Size { // cut by somebody while we hold it
		defer gap(Gap{Offset: int64(len(b)), Size: s.Size - int64(len(b))})
	}
	walk(b, f, gap)

	return nil
}

// Rotate makes the next Append begin a new file.
func (l *Ledger) Rotate() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	if l.file == nil {
		return nil
	}
	if err := l.cutBack(); err != nil {
		return fmt.Errorf("rotate ledger: %w", err)
	}
	if l.segments[len(l.segments)-1].Size == int64(len(magic)) {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	if err != nil {
		return fmt.Errorf("rotate ledger: %w", err)
	}

	return nil
}

// RemoveBefore removes the files before one with this number. The last file
// stays in any case.
func (l *Ledger) RemoveBefore(number uint32) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	removed := false
	for len(l.segments) > 1 && l.segments[0].Number < number {
		err := os.Remove(filepath.Join(l.dir, l.segments[0].Name()))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove from ledger: %w", err)
		}
		l.segments, removed = l.segments[1:], true
	}
	if !removed {
		return nil
	}
	if err := syncDir(l.dir); err != nil {
		return fmt.Errorf("remove from ledger: %w", err)
	}

	return nil
}

// Close lets the file go. What was appended is on the disk already.
func (l *Ledger) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	if err != nil {
		return fmt.Errorf("close ledger: %w", err)
	}

	return nil
}
