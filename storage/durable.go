package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
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

// mmapReserve is the address space a database reserves. As long as the file
// is smaller, growing it need not wait for readers to end. It is address
// space only, and 200 accounts still fit the 512 GiB of a Raspberry Pi kernel.
const mmapReserve = 256 << 20

// growBy is the step in octets by which a database file grows, each step an
// fsync: bbolt's own 16 MiB would make every account look that large.
const growBy = 1 << 20

func boltOptions() *bolt.Options {
	return &bolt.Options{
		Timeout:         2 * time.Second,
		FreelistType:    bolt.FreelistMapType,
		InitialMmapSize: mmapReserve,
		NoStatistics:    true,
	}
}

// openDatabase opens a database that is there. ErrCorrupt where the file
// cannot be one.
func openDatabase(path string) (*bolt.DB, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	// bbolt would fill an empty file with a new database.
	if fi.Size() == 0 {
		return nil, fmt.Errorf("open database %s: it is empty: %w", filepath.Base(path), ErrCorrupt)
	}
	var file *os.File
	options := boltOptions()
	options.OpenFile = func(name string, flag int, perm os.FileMode) (*os.File, error) {
		var err error
		file, err = os.OpenFile(name, flag, perm)
		return file, err
	}
	var db *bolt.DB
	err = guarded(func() error {
		var err error
		if db, err = bolt.Open(path, 0o600, options); err != nil {
			return err
		}
		return db.View(func(tx *bolt.Tx) error {
			if tx.Size() > fi.Size() {
				return fmt.Errorf("it has %d octets instead of %d: %w", fi.Size(), tx.Size(), ErrCorrupt)
			}
			return nil
		})
	})
	if err != nil {
		if db != nil {
			err = errors.Join(err, db.Close())
		} else if file != nil {
			// Should bbolt have panicked, its memory map keeps the lock otherwise.
			_ = unix.Flock(int(file.Fd()), unix.LOCK_UN)
			file.Close()
		}
		if errors.Is(err, berrors.ErrInvalid) || errors.Is(err, berrors.ErrVersionMismatch) || errors.Is(err, berrors.ErrChecksum) {
			err = fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		return nil, fmt.Errorf("open database %s: %w", filepath.Base(path), err)
	}
	db.AllocSize = growBy
	return db, nil
}

// createDatabase makes a database under a temporary name first, since bbolt's
// own initialisation does not survive a power cut.
func createDatabase(path string, setup func(*bolt.Tx) error) error {
	tmp := path + ".new"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("create database: %w", err)
	}
	db, err := bolt.Open(tmp, 0o600, boltOptions())
	if err != nil {
		return fmt.Errorf("create database: %w", err)
	}
	err = errors.Join(db.Update(setup), db.Sync(), db.Close())
	if err != nil {
		return fmt.Errorf("create database: %w", err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("create database: %w", err)
	}
	return syncDir(filepath.Dir(path))
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
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrDiskFull, err)
	}
	return err
}
