package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"
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
	return syncDir(filepath.Dir(path))
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

// openDatabase opens a database, and creates it with setup if it is not
// there: under a temporary name first, since bbolt's own initialisation does
// not survive a power cut.
func openDatabase(path string, setup func(*bolt.Tx) error) (*bolt.DB, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := createDatabase(path, setup); err != nil {
			return nil, err
		}
	}
	db, err := bolt.Open(path, 0o600, boltOptions())
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", filepath.Base(path), err)
	}
	db.AllocSize = growBy
	return db, nil
}

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

// diskError puts ErrDiskFull into an error that a full disk caused.
func diskError(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrDiskFull, err)
	}
	return err
}
