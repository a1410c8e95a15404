package exporter

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// folder is one in which an export writes. Names are relative to it, and nothing
// that lies in it leads out of it: others may write there, too, and who exports
// may do more than they.
type folder struct {
	*os.Root
}

// openFolder makes a folder, if need be, and opens it.
func openFolder(dir string) (*folder, error) {
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open folder: %w", err)
	}

	return &folder{root}, nil
}

func (f *folder) close() error {
	if f == nil {
		return nil
	}

	return f.Close()
}

// path is a name's whole path, for a person, and for who only reads.
func (f *folder) path(name string) string { return filepath.Join(f.Name(), name) }

// syncDir makes the entries of a folder durable.
func (f *folder) syncDir(name string) error {
	d, err := f.Open(name)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}

	return nil
}

// makeDir makes a folder, and those above it, durably.
func (f *folder) makeDir(name string) error {
	if fi, err := f.Stat(name); err == nil && fi.IsDir() {
		return nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("make folder: %w", err)
	}
	if err := f.makeDir(filepath.Dir(name)); err != nil {
		return err
	}
	if err := f.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make folder: %w", err)
	}

	return f.syncDir(filepath.Dir(name))
}

// readDir lists a folder by name.
func (f *folder) readDir(name string) ([]fs.DirEntry, error) {
	d, err := f.Open(name)
	if err != nil {
		return nil, err
	}
	entries, err := d.ReadDir(-1)
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })

	return entries, errors.Join(err, d.Close())
}

// writeFile puts a file in the place of another, durably.
func (f *folder) writeFile(name string, text []byte) error {
	temp := name + ".partial"
	if err := f.writeSynced(temp, text); err != nil {
		return errors.Join(fmt.Errorf("write file: %w", err), f.removeFile(temp))
	}
	if err := f.Rename(temp, name); err != nil {
		return errors.Join(fmt.Errorf("write file: %w", err), f.removeFile(temp))
	}

	return f.syncDir(filepath.Dir(name))
}

// create makes a file that is nobody's yet; what a run that was cut off has left
// there goes.
func (f *folder) create(name string) (*os.File, error) {
	if err := f.removeFile(name); err != nil {
		return nil, err
	}

	return f.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
}

func (f *folder) writeSynced(name string, text []byte) error {
	file, err := f.create(name)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err == nil {
		err = file.Sync()
	}

	return errors.Join(err, file.Close())
}

// syncFile makes what was written to a file durable.
func (f *folder) syncFile(name string) error {
	file, err := f.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}

	return errors.Join(file.Sync(), file.Close())
}

// removeFile removes a file if it is there.
func (f *folder) removeFile(name string) error {
	if err := f.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove file: %w", err)
	}

	return nil
}

// has tells whether there is a file.
func (f *folder) has(name string) bool {
	_, err := f.Stat(name)

	return !errors.Is(err, fs.ErrNotExist)
}
