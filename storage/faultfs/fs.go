package faultfs

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sort"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// Op is one operation that the kernel asks for.
type Op struct {
	Kind string // "write", "fsync", "rename" …
	Path string // from the root of the file system, without a slash in front
	Off  int64  // of a read or a write
	Size int    // octets, of a read or a write
}

// Changes tells whether the operation changes anything.
func (o Op) Changes() bool {
	switch o.Kind {
	case "lookup", "getattr", "open", "read", "flush", "opendir", "readdir", "statfs":
		return false
	}
	return true
}

func (o Op) String() string { return o.Kind + " " + o.Path }

// Fault is how an operation fails. The zero value is that it does not.
type Fault struct {
	Err  syscall.Errno
	Part int // octets that a write takes before it fails; if any, the write is a short one
}

// Hook decides over each operation before it happens. It may call FS.Crash.
type Hook func(Op) Fault

// FS is the file system.
type FS struct {
	fuse.RawFileSystem
	seed uint64

	serving sync.Mutex // held over an operation, so that they happen one by one

	mu    sync.Mutex
	hook  Hook
	nodes map[uint64]*node
	next  uint64
}

// New makes an empty file system. What a failed fsync leaves on the disk is
// drawn from seed.
func New(seed uint64) *FS {
	f := &FS{RawFileSystem: fuse.NewDefaultRawFileSystem(), seed: seed, nodes: map[uint64]*node{}, next: fuse.FUSE_ROOT_ID}
	f.make(true).links = 2
	return f
}

// SetHook replaces the hook; nil takes it away. An operation under way ends
// under the old one before SetHook returns.
func (f *FS) SetHook(h Hook) {
	f.serving.Lock()
	defer f.serving.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hook = h
}

func (f *FS) make(dir bool) *node {
	n := &node{id: f.next, dir: dir, links: 1}
	f.next++
	if dir {
		n.entries, n.stable = map[string]*node{}, map[string]*node{}
	}
	f.nodes[n.id] = n
	return n
}

func (f *FS) root() *node { return f.nodes[fuse.FUSE_ROOT_ID] }

// Crash writes into the empty folder dir what the disk holds after a power
// cut at this moment, and returns a text that is the same for the same content.
func (f *FS) Crash(dir string, loss Loss, seed uint64) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := &crash{keep: loss(rand.New(rand.NewPCG(seed, 1))), files: map[*node]string{}, moves: map[*move]bool{}, sum: sha256.New()}
	if err := c.folder(f.root(), dir); err != nil {
		return "", fmt.Errorf("write what a power cut leaves: %w", err)
	}
	return hex.EncodeToString(c.sum.Sum(nil)), nil
}

// crash writes a tree; a file with several names is written once and linked.
type crash struct {
	keep  func() bool
	files map[*node]string
	moves map[*move]bool // whether they happened
	sum   hash.Hash      // of names and contents
}

func (c *crash) folder(n *node, dir string) error {
	names := n.names(c.keep, c.moves)
	for _, name := range sorted(names) {
		child, path := names[name], filepath.Join(dir, name)
		fmt.Fprintf(c.sum, "%q", name)
		var err error
		switch first := c.files[child]; {
		case child.dir:
			if err = os.Mkdir(path, 0o700); err == nil {
				err = c.folder(child, path)
			}
		case first != "":
			err = os.Link(first, path)
		default:
			c.files[child] = path
			b := child.survivors(c.keep)
			fmt.Fprintf(c.sum, "%d:", len(b))
			c.sum.Write(b)
			err = writeSparse(path, b)
		}
		if err != nil {
			return err
		}
	}
	fmt.Fprint(c.sum, "/")
	return nil
}

// sorted lists names in order, so that a seed draws the same each time.
func sorted(m map[string]*node) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// writeSparse leaves out blocks without content: a database is mostly that.
func writeSparse(path string, b []byte) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	const block = 4096
	err = file.Truncate(int64(len(b)))
	for off := 0; err == nil && off < len(b); off += block {
		if part := b[off:min(off+block, len(b))]; !zero(part) {
			_, err = file.WriteAt(part, int64(off))
		}
	}
	return errors.Join(err, file.Close())
}

func zero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// Clone returns a file system that holds, durably, what readers see of this one.
func (f *FS) Clone() *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	g := New(f.seed)
	copied := map[*node]*node{f.root(): g.root()}
	var walk func(from, to *node)
	walk = func(from, to *node) {
		for _, name := range sorted(from.entries) {
			child := from.entries[name]
			n := copied[child]
			if n == nil {
				n = g.make(child.dir)
				n.links = child.links
				copied[child] = n
				n.data = append([]byte(nil), child.data...)
				n.disk = append([]byte(nil), child.data...)
				if child.dir {
					walk(child, n)
				}
			}
			to.entries[name], to.stable[name] = n, n
		}
	}
	walk(f.root(), g.root())
	return g
}
