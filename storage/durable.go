package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

// syncDir makes the entries of a folder durable.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	return nil
}

// makeRoot makes the data folder and what is missing above it, durably.
func makeRoot(path string) error {
	var folders []string // whose entries must be durable
	for above := filepath.Dir(path); ; above = filepath.Dir(above) {
		folders = append(folders, above)
		if _, err := os.Stat(above); err == nil || above == filepath.Dir(above) {
			break
		}
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	for _, folder := range folders {
		// One that may not be read is not ours: somebody else made path.
		if err := syncDir(folder); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
	}
	return nil
}

// makeDir makes a folder and its entry in the one above durable.
func makeDir(path string) error {
	err := os.Mkdir(path, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		// Left there, the next caller would take it for durable.
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// guarded calls f, which reads a database, and turns a panic or a memory fault
// into ErrCorrupt: bbolt trusts the pages of its file, so damage to one
// account's would end the process for all.
func guarded(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
		}
	}()
	return f()
}

func panicked(p any) error {
	if _, fault := p.(interface{ Addr() uintptr }); fault {
		return fmt.Errorf("%w: a page of the database cannot be read, because the disk fails or the file is damaged", ErrCorrupt)
	}
	return fmt.Errorf("%w: panic: %v\n%s", ErrCorrupt, p, debug.Stack())
}

// diskError puts ErrDiskFull into an error that a full disk caused.
func diskError(err error) error {
	if err == nil || errors.Is(err, ErrDiskFull) {
		return err
	}
	for _, full := range []error{unix.ENOSPC, unix.EDQUOT} {
		// bbolt passes some on as text only.
		if errors.Is(err, full) || strings.Contains(err.Error(), full.Error()) {
			return fmt.Errorf("%w: %w", ErrDiskFull, err)
		}
	}
	return err
}
