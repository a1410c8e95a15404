package rootfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"github.com/diskfs/go-diskfs/backend/file"
	"github.com/diskfs/go-diskfs/filesystem"
	"github.com/diskfs/go-diskfs/filesystem/squashfs"
)

// verify reads a file system by another implementation and compares it with
// what was to be written.
func verify(f *os.File, root *node) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	got, err := squashfs.Read(file.New(f, true), info.Size(), 0, blockSize)
	if err != nil {
		return err
	}

	return root.walk(func(n *node) error {
		if !n.isDir() {
			return nil // its folder looks at it
		}
		if err := verifyFolder(got, n); err != nil {
			return fmt.Errorf("folder %q: %w", n.path, err)
		}

		return nil
	})
}

func verifyFolder(got *squashfs.FileSystem, n *node) error {
	entries, err := got.ReadDir(path.Join(".", n.path))
	if err != nil {
		return err
	}
	if len(entries) != len(n.children) {
		return fmt.Errorf("it has %d entries; %d were written", len(entries), len(n.children))
	}
	for i, c := range n.children {
		if err := verifyEntry(entries[i], c); err != nil {
			return fmt.Errorf("entry %q: %w", c.name, err)
		}
	}

	return nil
}

// found is what the other implementation tells of an entry.
type found interface {
	fs.FileInfo
	Readlink() (string, error)
}

func verifyEntry(e fs.DirEntry, n *node) error {
	info, err := e.Info()
	if err != nil {
		return err
	}
	f, ok := info.(found)
	if !ok {
		return fmt.Errorf("%T tells too little", info)
	}
	if f.Name() != n.name {
		return fmt.Errorf("its name is %q", f.Name())
	}
	want := n.mode()
	switch {
	case n.isDir():
		want |= fs.ModeDir
	case n.isLink():
		want |= fs.ModeSymlink
	}
	if f.Mode() != want {
		return fmt.Errorf("its mode is %v and not %v", f.Mode(), want)
	}
	switch {
	case n.isDir():
		return nil
	case n.isLink():
		if target, err := f.Readlink(); err != nil || target != n.entry.Target {
			return errors.Join(fmt.Errorf("it points to %q and not to %q", target, n.entry.Target), err)
		}

		return nil
	}

	return verifyContents(e, n.entry)
}

func verifyContents(e fs.DirEntry, entry *Entry) error {
	opener, ok := e.(interface {
		Open() (filesystem.File, error)
	})
	if !ok {
		return fmt.Errorf("%T cannot be read", e)
	}
	got, err := opener.Open()
	if err != nil {
		return err
	}
	defer got.Close()
	want, err := entry.Open()
	if err != nil {
		return err
	}
	defer want.Close()
	a, b := make([]byte, blockSize), make([]byte, blockSize)
	for {
		n, errGot := io.ReadFull(got, a)
		m, errWant := io.ReadFull(want, b)
		if !bytes.Equal(a[:n], b[:m]) {
			return errors.New("its contents differ")
		}
		if errWant == nil && errGot == nil {
			continue
		}
		for _, err := range []error{errGot, errWant} {
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				return err
			}
		}

		return nil
	}
}
