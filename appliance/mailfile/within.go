package mailfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrElsewhere says that a link leads out of the mailbox's folder. Whoever
// reads may see more than who wrote the folder, who could have any file taken
// for a message.
var ErrElsewhere = errors.New("it is a symbolic link to something outside of its folder, which is not followed")

// openRegular opens a regular file; a pipe in its place would block, and a link
// to another folder is not followed.
func openRegular(path string) (*os.File, error) {
	return openWithin(filepath.Dir(path), filepath.Base(path))
}

// openWithin opens a regular file below a folder.
func openWithin(dir, name string) (*os.File, error) {
	fi, err := statWithin(dir, name)
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() {
		return nil, ErrNotFile
	}
	f, err := os.OpenInRoot(dir, name)

	return f, elsewhere(dir, name, err)
}

// statWithin describes a file below a folder.
func statWithin(dir, name string) (fs.FileInfo, error) {
	if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	fi, err := root.Stat(name)
	if err != nil {
		return nil, elsewhere(dir, name, err)
	}

	return fi, nil
}

// readDirWithin lists a folder below another, unsorted.
func readDirWithin(dir, name string) ([]fs.DirEntry, error) {
	if _, err := statWithin(dir, name); err != nil {
		return nil, err
	}
	d, err := os.OpenInRoot(dir, name)
	if err != nil {
		return nil, elsewhere(dir, name, err)
	}
	list, err := d.ReadDir(-1)

	return list, errors.Join(err, d.Close())
}

// elsewhere puts words to what package os says of links that lead out.
func elsewhere(dir, name string, err error) error {
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return err
	}
	if _, there := os.Stat(filepath.Join(dir, name)); there == nil {
		return fmt.Errorf("%s: %w", name, ErrElsewhere)
	}

	return err
}
