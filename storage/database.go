package storage

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
	"golang.org/x/sys/unix"

	"pillarbox/storage/pages"
)

// database is a bbolt file of which a failed commit leaves no trace, neither
// in memory nor on the disk. It is read with view and changed with begin and
// commit; view must not be called within view.
//
// After a failed fsync the kernel may hold pages in memory that never reach
// the disk and that no later fsync writes. bbolt, which reads through that
// memory, would take the failed transaction for the present state and reuse
// the pages of the one before, the last that is on the disk. So after every
// failed commit the file is closed, the transaction's header is taken back and
// the file is opened again. While that fails, too, there is no database, and
// whoever comes next tries once more.
type database struct {
	path     string
	pageSize int64
	bolt     atomic.Pointer[bolt.DB] // nil while it cannot be opened again

	mu     sync.Mutex // held while bolt is replaced
	failed int        // the transaction whose commit failed, 0 for none
	closed bool

	unsynced atomic.Bool // the file was replaced, its folder not synced yet
}

func openDatabase(path string) (*database, error) {
	b, err := openBolt(path)
	if err != nil {
		return nil, err
	}
	d := &database{path: path, pageSize: int64(b.Info().PageSize)}
	d.bolt.Store(b)
	return d, nil
}

// current returns the open file.
func (d *database) current() (*bolt.DB, error) {
	if b := d.bolt.Load(); b != nil {
		return b, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.recover(); err != nil {
		return nil, err
	}
	return d.bolt.Load(), nil
}

// view calls f with the present state. Damage at which bbolt panics is
// ErrCorrupt.
func (d *database) view(f func(*bolt.Tx) error) error {
	for {
		b, err := d.current()
		if err != nil {
			return err
		}
		err = guarded(func() error { return b.View(f) })
		if errors.Is(err, berrors.ErrDatabaseNotOpen) {
			if d.bolt.Load() != b {
				continue // replaced in this moment; f has not run
			}
			return ErrClosed
		}
		return err
	}
}

// begin starts a transaction that writes. There is one at a time.
func (d *database) begin() (*bolt.Tx, error) {
	b, err := d.current()
	if err == nil {
		err = d.settle()
	}
	if err != nil {
		return nil, err
	}
	tx, err := b.Begin(true)
	if errors.Is(err, berrors.ErrDatabaseNotOpen) {
		err = ErrClosed
	}
	return tx, err
}

// commit makes a transaction durable, or nothing of it.
func (d *database) commit(tx *bolt.Tx) error {
	id := tx.ID()
	var err error
	// Where pages cannot be read, bbolt panics here as well.
	if perr := guarded(func() error { err = tx.Commit(); return nil }); perr != nil {
		err = errors.Join(perr, tx.Rollback())
	}
	if err == nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failed = id
	return errors.Join(err, d.recover())
}

// update runs f in a transaction and commits it, or leaves nothing of it.
func (d *database) update(f func(*bolt.Tx) error) error {
	tx, err := d.begin()
	if err != nil {
		return err
	}
	if err := guarded(func() error { return f(tx) }); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return d.commit(tx)
}

// recover opens the file again after a failed commit. The caller holds mu.
func (d *database) recover() error {
	if d.closed {
		return ErrClosed
	}
	if d.failed == 0 {
		return nil
	}
	if b := d.bolt.Swap(nil); b != nil {
		// It waits for those who read. Whatever it fails to give back, the
		// file is opened anew below.
		_ = b.Close()
	}
	if err := d.revoke(); err != nil {
		return fmt.Errorf("undo a write that failed: %w", err)
	}
	b, err := openBolt(d.path)
	if err != nil {
		return fmt.Errorf("after a write that failed: %w", err)
	}
	d.failed = 0
	d.bolt.Store(b)
	return nil
}

// replace puts the file path, which has the same content, in the place of the
// database's. It returns the old one, which those who read it still use. There
// must be no transaction that writes.
func (d *database) replace(path string) (old *bolt.DB, err error) {
	b, err := openSound(path) // as it was written in this moment
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || d.failed != 0 {
		return nil, errors.Join(ErrClosed, b.Close())
	}
	if err := os.Rename(path, d.path); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	// Should the folder not reach the disk, a power cut brings the old file
	// back, which would lack all that came later.
	d.unsynced.Store(true)
	return d.bolt.Swap(b), nil
}

// settle makes sure that the file has its name on the disk.
func (d *database) settle() error {
	if !d.unsynced.Load() {
		return nil
	}
	if err := syncDir(filepath.Dir(d.path)); err != nil {
		return err
	}
	d.unsynced.Store(false)
	return nil
}

func (d *database) close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	d.closed = true
	if b := d.bolt.Load(); b != nil {
		return b.Close()
	}
	return nil
}

// A header (meta page) of bbolt's format, version 2; package pages has the whole.
const (
	headerTxid = 64
	headerSum  = 72 // FNV-1a of what lies between it and the page's own head
	headerEnd  = 80
	pageHead   = 16 // its first 8 octets are the page's number
)

// revoke takes back the header of a transaction whose commit failed, should it
// have got as far as that. Transaction n writes header n%2, so the other one
// is of the transaction before; it is what is left, twice.
func (d *database) revoke() error {
	f, err := os.OpenFile(d.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	slot := int64(d.failed % 2)
	failed, before := make([]byte, headerEnd), make([]byte, headerEnd)
	if _, err := f.ReadAt(failed, slot*d.pageSize); err != nil {
		return err
	}
	if _, err := f.ReadAt(before, (1-slot)*d.pageSize); err != nil {
		return err
	}
	order := binary.NativeEndian
	if order.Uint64(failed[headerTxid:]) != uint64(d.failed) {
		return nil
	}
	if order.Uint64(before[headerTxid:]) != uint64(d.failed-1) {
		return fmt.Errorf("the header before that of transaction %d is missing: %w", d.failed, ErrCorrupt)
	}
	order.PutUint64(before, uint64(slot))
	order.PutUint64(before[headerTxid:], uint64(d.failed-2))
	sum := fnv.New64a()
	sum.Write(before[pageHead:headerSum])
	order.PutUint64(before[headerSum:], sum.Sum64())
	if _, err := f.WriteAt(before, slot*d.pageSize); err != nil {
		return err
	}
	return f.Sync()
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

// openBolt opens a database that is there. ErrCorrupt where the file cannot be
// one, or is one that bbolt could not be trusted with.
func openBolt(path string) (*bolt.DB, error) {
	if err := checkPages(path); err != nil {
		return nil, fmt.Errorf("open database %s: %w", filepath.Base(path), err)
	}
	return openSound(path)
}

// openSound opens a database whose pages are known to be as they must.
func openSound(path string) (*bolt.DB, error) {
	db, err := guardedOpen(path, nil)
	if err != nil {
		if errors.Is(err, berrors.ErrInvalid) || errors.Is(err, berrors.ErrVersionMismatch) || errors.Is(err, berrors.ErrChecksum) {
			err = fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		return nil, fmt.Errorf("open database %s: %w", filepath.Base(path), err)
	}
	return db, nil
}

// checkPages walks all pages of a database file: bbolt would follow a page that
// points in a circle for ever. It costs WALKCOST (BenchmarkCompact),
// and where the file is not in memory the reading, which the first listing does
// not have to do again.
func checkPages(path string) error {
	f, err := pages.Open(path)
	if err != nil {
		return pageError(err)
	}
	_, err = f.Check(context.Background())
	return pageError(errors.Join(err, f.Close()))
}

// checkState walks the pages of the state that tx reads. It may be called
// while the database is in use.
func (d *database) checkState(ctx context.Context, tx *bolt.Tx) (pages.Report, error) {
	f, err := pages.Open(d.path)
	if err != nil {
		return pages.Report{}, pageError(err)
	}
	r, err := f.CheckAt(ctx, uint64(tx.ID()))
	return r, pageError(errors.Join(err, f.Close()))
}

func pageError(err error) error {
	if errors.Is(err, pages.ErrDamaged) {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return err
}

// guardedOpen opens a file with bbolt and calls f, if there is one. Where that
// fails the file is closed.
func guardedOpen(path string, f func(*bolt.DB) error) (*bolt.DB, error) {
	var file *os.File
	options := boltOptions()
	options.OpenFile = func(name string, flag int, perm os.FileMode) (*os.File, error) {
		var err error
		file, err = os.OpenFile(name, flag, perm)
		return file, err
	}
	var db *bolt.DB
	panicked := true
	err := guarded(func() error {
		var err error
		if db, err = bolt.Open(path, 0o600, options); err == nil {
			db.AllocSize = growBy
			if f != nil {
				err = f(db)
			}
		}
		panicked = false
		return err
	})
	switch {
	case err == nil:
		return db, nil
	case panicked && file != nil:
		// bbolt may hold its locks for ever, and its memory map the file's.
		_ = unix.Flock(int(file.Fd()), unix.LOCK_UN)
		err = errors.Join(err, file.Close())
	case db != nil:
		err = errors.Join(err, db.Close())
	}
	return nil, err
}

// createDatabase makes a database under a temporary name first, since bbolt's
// own initialisation does not survive a power cut.
func createDatabase(path string, setup func(*bolt.Tx) error) error {
	tmp := path + ".new"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("create database: %w", err)
	}
	db, err := guardedOpen(tmp, func(db *bolt.DB) error { return errors.Join(db.Update(setup), db.Sync()) })
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		return fmt.Errorf("create database: %w", err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("create database: %w", err)
	}
	return syncDir(filepath.Dir(path))
}
