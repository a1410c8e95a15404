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

func panicked(p any) error { return fmt.Errorf("%w: panic: %v\n%s", ErrCorrupt, p, debug.Stack()) }

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
