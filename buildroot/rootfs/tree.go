package rootfs

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

const (
	// The kernel's limits.
	maxName   = 255
	maxTarget = 4095
)

// node is a file, folder or link while it gets its place.
type node struct {
	name     string
	path     string
	entry    *Entry // nil for a folder that nobody named
	parent   *node
	children []*node // sorted by name

	number uint32 // of the inode
	place  ref    // of the inode
}

func (n *node) isDir() bool  { return n.entry == nil || n.entry.Mode.IsDir() }
func (n *node) isLink() bool { return n.entry != nil && n.entry.Mode&fs.ModeSymlink != 0 }

// mode returns the permissions.
func (n *node) mode() fs.FileMode {
	switch {
	case n.entry == nil:
		return 0o755
	case n.isLink():
		return 0o777
	default:
		return n.entry.Mode.Perm()
	}
}

func (n *node) subfolders() int {
	count := 0
	for _, c := range n.children {
		if c.isDir() {
			count++
		}
	}

	return count
}

// newTree puts the entries into their folders. The root is first in no list:
// its path is empty.
func newTree(entries []Entry) (*node, error) {
	root := &node{}
	byPath := map[string]*node{"": root}
	var find func(p string) *node
	find = func(p string) *node {
		if n, ok := byPath[p]; ok {
			return n
		}
		dir := path.Dir(p)
		if dir == "." {
			dir = ""
		}
		parent := find(dir)
		n := &node{name: path.Base(p), path: p, parent: parent}
		parent.children = append(parent.children, n)
		byPath[p] = n

		return n
	}
	for i := range entries {
		e := &entries[i]
		if err := e.validate(); err != nil {
			return nil, fmt.Errorf("%q: %w", e.Path, err)
		}
		n := find(e.Path)
		if n.entry != nil {
			return nil, fmt.Errorf("%q is there twice", e.Path)
		}
		n.entry = e
	}
	for p, n := range byPath {
		if len(n.children) > 0 && !n.isDir() {
			return nil, fmt.Errorf("%q is no folder, but there are entries below it", p)
		}
		slices.SortFunc(n.children, func(a, b *node) int { return strings.Compare(a.name, b.name) })
	}

	return root, nil
}

func (e *Entry) validate() error {
	if e.Path != path.Clean(e.Path) || e.Path == "." || !filepath.IsLocal(e.Path) {
		return errors.New("it is no path in the root file system")
	}
	for part := range strings.SplitSeq(e.Path, "/") {
		if len(part) > maxName {
			return fmt.Errorf("a name has %d octets", len(part))
		}
	}
	switch e.Mode.Type() {
	case 0:
		if e.Open == nil {
			return errors.New("it has no contents")
		}
	case fs.ModeDir:
	case fs.ModeSymlink:
		if strings.HasPrefix(e.Target, "/") {
			return errors.New("the link is not relative")
		}
		if e.Target == "" || len(e.Target) > maxTarget {
			return fmt.Errorf("its target has %d octets", len(e.Target))
		}
	default:
		return fmt.Errorf("%v is neither a file nor a folder nor a link", e.Mode)
	}

	return nil
}

// walk visits all nodes, children before their folder.
func (n *node) walk(visit func(*node) error) error {
	for _, c := range n.children {
		if err := c.walk(visit); err != nil {
			return err
		}
	}

	return visit(n)
}
