package fat

import (
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"
)

const (
	sectorSize      = 512
	reservedSectors = 1
	rootEntries     = 512
	entrySize       = 32
	rootSectors     = rootEntries * entrySize / sectorSize

	// A file system is FAT16 by its number of clusters alone.
	minClusters = 4085
	maxClusters = 65524

	firstCluster = 2
	endOfChain   = 0xffff
)

// ErrFull says that the files do not fit.
var ErrFull = errors.New("the files do not fit into the boot file system")

// File is a file to be written.
type File struct {
	Path string // slash-separated, without a leading slash
	Size int64
	Open func() (io.ReadCloser, error)
}

// Config tells what to write.
type Config struct {
	Size   int64     // of the partition in bytes; a multiple of 512
	Label  string    // at most 11 characters of ASCII in upper case
	Serial uint32    // tells volumes apart
	Time   time.Time // of every file; must not be before 1980
	Hidden uint32    // sectors before the partition
	Files  []File    // folders are made as needed
}

// layout is the geometry that follows from the size.
type layout struct {
	sectors           uint32
	sectorsPerCluster uint32
	fatSectors        uint32
	clusters          uint32
}

func (l *layout) clusterSize() int64 { return int64(l.sectorsPerCluster) * sectorSize }

func (l *layout) rootOffset() int64 { return int64(reservedSectors+l.fatSectors) * sectorSize }

func (l *layout) clusterOffset(c uint32) int64 {
	return l.rootOffset() + rootSectors*sectorSize + int64(c-firstCluster)*l.clusterSize()
}

// newLayout picks the smallest clusters of which not more than FAT16 allows
// are needed.
func newLayout(size int64) (*layout, error) {
	if size%sectorSize != 0 || size > 1<<31 {
		return nil, fmt.Errorf("a boot partition cannot have %d bytes", size)
	}
	l := &layout{sectors: uint32(size / sectorSize)}
	for l.sectorsPerCluster = 1; l.sectorsPerCluster <= 64; l.sectorsPerCluster *= 2 {
		// The FAT's size and the number of clusters depend on each other;
		// counting the FAT's own sectors as data errs on the safe side.
		most := (l.sectors - reservedSectors - rootSectors) / l.sectorsPerCluster
		l.fatSectors = ((most+firstCluster)*2 + sectorSize - 1) / sectorSize
		l.clusters = (l.sectors - reservedSectors - rootSectors - l.fatSectors) / l.sectorsPerCluster
		if l.clusters <= maxClusters {
			break
		}
	}
	if l.clusters < minClusters || l.clusters > maxClusters {
		return nil, fmt.Errorf("a boot partition of %d bytes cannot be FAT16", size)
	}

	return l, nil
}

// node is a file or folder while it gets its place.
type node struct {
	name     string
	file     *File // nil for a folder
	parent   *node
	children []*node
	first    uint32 // 0 for the root and for an empty file
	count    uint32
}

func (n *node) child(name string) *node {
	for _, c := range n.children {
		if strings.EqualFold(c.name, name) {
			return c
		}
	}

	return nil
}

// plan gives everything its place. next is the first cluster that is free.
func plan(c *Config) (l *layout, root *node, next uint32, err error) {
	if l, err = newLayout(c.Size); err != nil {
		return nil, nil, 0, err
	}
	if root, err = newTree(c.Files); err != nil {
		return nil, nil, 0, err
	}
	next, err = place(root, l, firstCluster)

	return l, root, next, err
}

// Offset returns where the contents of a file of the root folder will begin, in
// bytes from the beginning of the partition, for a loader that knows no files.
func Offset(c *Config, name string) (int64, error) {
	l, root, _, err := plan(c)
	if err != nil {
		return 0, err
	}
	n := root.child(name)
	if n == nil || n.first == 0 {
		return 0, fmt.Errorf("%s has no contents", name)
	}

	return l.clusterOffset(n.first), nil
}

// Write writes the file system to w, whose beginning is the partition's.
func Write(w io.WriterAt, c *Config) error {
	l, root, next, err := plan(c)
	if err != nil {
		return err
	}
	if _, err := w.WriteAt(bootSector(c, l), 0); err != nil {
		return fmt.Errorf("write boot sector: %w", err)
	}
	if _, err := w.WriteAt(table(root, next), reservedSectors*sectorSize); err != nil {
		return fmt.Errorf("write file allocation table: %w", err)
	}

	return writeNode(w, root, c, l)
}

// newTree sorts the files into folders, in the order of their names.
func newTree(files []File) (*node, error) {
	root := &node{}
	for i := range files {
		f := &files[i]
		if f.Path != path.Clean(f.Path) || strings.HasPrefix(f.Path, "/") || f.Size < 0 || f.Size > 1<<31 {
			return nil, fmt.Errorf("%q is no file of a boot partition", f.Path)
		}
		dir, parts := root, strings.Split(f.Path, "/")
		for _, part := range parts[:len(parts)-1] {
			d := dir.child(part)
			if d == nil {
				d = &node{name: part, parent: dir}
				dir.children = append(dir.children, d)
			}
			if d.file != nil {
				return nil, fmt.Errorf("%q lies in a file", f.Path)
			}
			dir = d
		}
		name := parts[len(parts)-1]
		if dir.child(name) != nil {
			return nil, fmt.Errorf("%q is there twice", f.Path)
		}
		dir.children = append(dir.children, &node{name: name, file: f, parent: dir})
	}
	sortTree(root)

	return root, nil
}

func sortTree(n *node) {
	slices.SortFunc(n.children, func(a, b *node) int { return strings.Compare(a.name, b.name) })
	for _, c := range n.children {
		if c.file == nil {
			sortTree(c)
		}
	}
}

// place gives each file and folder its run of clusters from next on and
// returns the first cluster that is free.
func place(n *node, l *layout, next uint32) (uint32, error) {
	size := int64(0)
	switch {
	case n.file != nil:
		size = n.file.Size
	case n.parent != nil:
		size = int64(entriesOf(n)) * entrySize
	case entriesOf(n) > rootEntries:
		return 0, fmt.Errorf("%w: too many files in the root folder", ErrFull)
	}
	if size > 0 {
		n.first = next
		n.count = uint32((size + l.clusterSize() - 1) / l.clusterSize())
		next += n.count
	}
	if next > firstCluster+l.clusters {
		return 0, ErrFull
	}
	for _, c := range n.children {
		var err error
		if next, err = place(c, l, next); err != nil {
			return 0, err
		}
	}

	return next, nil
}

// table returns the file allocation table up to the first free cluster.
func table(root *node, next uint32) []byte {
	t := make([]byte, 2*next)
	put := func(cluster uint32, v uint16) { t[2*cluster], t[2*cluster+1] = byte(v), byte(v>>8) }
	put(0, 0xff00|mediaDescriptor)
	put(1, endOfChain)
	var chain func(*node)
	chain = func(n *node) {
		for i := range n.count {
			follower := uint16(n.first + i + 1)
			if i == n.count-1 {
				follower = endOfChain
			}
			put(n.first+i, follower)
		}
		for _, c := range n.children {
			chain(c)
		}
	}
	chain(root)

	return t
}

func writeNode(w io.WriterAt, n *node, c *Config, l *layout) error {
	if n.file != nil {
		if n.file.Size == 0 {
			return nil
		}
		return copyFile(io.NewOffsetWriter(w, l.clusterOffset(n.first)), n.file)
	}
	offset := l.rootOffset()
	if n.parent != nil {
		offset = l.clusterOffset(n.first)
	}
	folder, err := entries(n, c)
	if err != nil {
		return err
	}
	if _, err := w.WriteAt(folder, offset); err != nil {
		return fmt.Errorf("write folder %q: %w", n.name, err)
	}
	for _, child := range n.children {
		if err := writeNode(w, child, c, l); err != nil {
			return err
		}
	}

	return nil
}

func copyFile(w io.Writer, f *File) error {
	r, err := f.Open()
	if err != nil {
		return fmt.Errorf("read %s: %w", f.Path, err)
	}
	defer r.Close()
	n, err := io.Copy(w, io.LimitReader(r, f.Size+1))
	if err != nil {
		return fmt.Errorf("write %s: %w", f.Path, err)
	}
	if n != f.Size {
		return fmt.Errorf("write %s: it has not the %d bytes that were announced", f.Path, f.Size)
	}

	return nil
}
