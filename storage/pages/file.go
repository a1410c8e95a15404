package pages

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// ErrDamaged is what every fault found in a file is.
var ErrDamaged = errors.New("the database file is damaged")

// ErrGone says that the state asked for has been replaced meanwhile.
var ErrGone = errors.New("the transaction is no longer in the file")

const (
	magic   = 0xED0CDAED
	version = 2

	headerSize  = 16 // of a page
	elementSize = 16 // of a branch and of a leaf
	metaSize    = 64

	// noFreeList stands for the page of the list of free pages where none is kept.
	noFreeList = 1<<64 - 1

	firstPage = 2 // after the headers
)

// Kinds of pages.
const (
	branchKind = 0x01
	leafKind   = 0x02
	metaKind   = 0x04
	freeKind   = 0x10
)

// bucketFlag marks a leaf element whose value is a bucket.
const bucketFlag = 0x01

// meta is a header: which state of the tree counts.
type meta struct {
	pageSize uint32
	root     uint64
	free     uint64
	pages    uint64 // all page numbers in use are below
	tx       uint64
}

// File is a database file, mapped for reading. What is returned of it shares
// its memory and is valid until Close.
type File struct {
	b        []byte
	pageSize int
	metas    []meta // those that are valid, the newest first
	torn     bool   // one of them is not valid
}

// Open maps a file. Where it has no valid header, it can only be salvaged.
func Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open database file: %w", err)
	}
	defer f.Close()
	return Map(f)
}

// Map is Open for a file that is open already; it may be closed then.
func Map(f *os.File) (*File, error) {
	fi, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("open database file: %w", err)
	}
	if fi.Size() < firstPage*1024 || int64(int(fi.Size())) != fi.Size() {
		return nil, fmt.Errorf("it has %d octets: %w", fi.Size(), ErrDamaged)
	}
	b, err := unix.Mmap(int(f.Fd()), 0, int(fi.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map database file: %w", err)
	}
	// Most of the file is about to be read.
	_ = unix.Madvise(b, unix.MADV_WILLNEED)
	file := &File{b: b}
	if !file.readMetas() {
		file.pageSize, file.metas, file.torn = 4096, nil, true
	}
	return file, nil
}

// Close unmaps the file.
func (f *File) Close() error {
	b := f.b
	f.b = nil
	if err := unix.Munmap(b); err != nil {
		return fmt.Errorf("unmap database file: %w", err)
	}
	return nil
}

// Transaction returns the number of the newest state, 0 if no header is valid.
func (f *File) Transaction() uint64 {
	if len(f.metas) == 0 {
		return 0
	}
	return f.metas[0].tx
}

// Torn tells whether one of the two headers is damaged.
func (f *File) Torn() bool { return f.torn }

// readMetas finds the headers. The first tells the size of a page; where it is
// lost, the second lies at one of few places.
// It returns false where the file is cut short meanwhile, as by somebody who
// writes it anew in its place.
func (f *File) readMetas() (ok bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		switch why := recover().(type) {
		case nil:
		case interface{ Addr() uintptr }: // a fault of memory
			ok = false
		default:
			panic(why)
		}
	}()
	if m, ok := f.metaAt(0, 0); ok {
		f.pageSize = int(m.pageSize)
		f.metas = append(f.metas, m)
		if m, ok := f.metaAt(f.pageSize, 1); ok && int(m.pageSize) == f.pageSize {
			f.metas = append(f.metas, m)
		} else {
			f.torn = true
		}
	}
	for size := 1 << 10; size <= 1<<16 && len(f.metas) == 0; size <<= 1 {
		if m, ok := f.metaAt(size, 1); ok && int(m.pageSize) == size {
			f.pageSize = size
			f.metas = append(f.metas, m)
			f.torn = true
		}
	}
	switch {
	case len(f.metas) == 2 && f.metas[1].tx > f.metas[0].tx:
		f.metas[0], f.metas[1] = f.metas[1], f.metas[0]
	case len(f.metas) == 0:
		f.pageSize = f.guessPageSize()
	}
	return true
}

// guessPageSize returns the size at which most pages have the right number.
func (f *File) guessPageSize() int {
	best, most := 4096, 0
	for size := 1 << 10; size <= 1<<16; size <<= 1 {
		right := 0
		for id := firstPage; (id+1)*size <= len(f.b); id++ {
			if head := f.b[id*size:][:headerSize]; readable(head) && u64(head) == uint64(id) {
				right++
			}
		}
		if right > most {
			best, most = size, right
		}
	}
	return best
}

func (f *File) metaAt(at int, id uint64) (meta, bool) {
	if at+headerSize+metaSize > len(f.b) || !readable(f.b[at:at+headerSize+metaSize]) {
		return meta{}, false
	}
	page, b := f.b[at:], f.b[at+headerSize:at+headerSize+metaSize]
	sum := fnv.New64a()
	sum.Write(b[:metaSize-8])
	m := meta{pageSize: u32(b[8:]), root: u64(b[16:]), free: u64(b[32:]), pages: u64(b[40:]), tx: u64(b[48:])}
	size := m.pageSize
	ok := u64(page) == id && u16(page[8:]) == metaKind && u32(b) == magic && u32(b[4:]) == version &&
		u64(b[56:]) == sum.Sum64() && size >= 1<<10 && size <= 1<<16 && size&(size-1) == 0
	return m, ok
}

// readable touches every page of memory that b lies in. A bad sector, or a
// file that another process cut short, shows as a memory fault.
func readable(b []byte) (ok bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() { ok = recover() == nil }()
	var x byte
	for i := 0; i < len(b); i += 1 << 10 {
		x ^= b[i]
	}
	if len(b) > 0 {
		x ^= b[len(b)-1]
	}
	_ = x
	return true
}

func u16(b []byte) uint16 { return binary.NativeEndian.Uint16(b) }
func u32(b []byte) uint32 { return binary.NativeEndian.Uint32(b) }
func u64(b []byte) uint64 { return binary.NativeEndian.Uint64(b) }
