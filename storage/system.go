package storage

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	bolt "go.etcd.io/bbolt"
)

// formatVersion is the version of an account's index.db, systemFormat that of
// system.db. Each of the files holds its own.
const (
	formatVersion = 1
	systemFormat  = 2 // 1 had no checksums
)

var (
	metaBucket = []byte("meta")
	formatKey  = []byte("format")
)

// migrations[v] brings a database from format v to v+1 within the transaction.
type migrations map[uint32]func(*bolt.Tx) error

// upgrade brings a database to format want in one transaction, or refuses one
// that a newer version wrote, without touching it.
func upgrade(db *database, want uint32, steps migrations) error {
	var have uint32
	err := db.view(func(tx *bolt.Tx) error {
		b := tx.Bucket(metaBucket)
		if b == nil || len(b.Get(formatKey)) != 4 {
			return fmt.Errorf("read format version: %w", ErrCorrupt)
		}
		have = binary.BigEndian.Uint32(b.Get(formatKey))
		return nil
	})
	switch {
	case err != nil:
		return err
	case have > want:
		return fmt.Errorf("format %d, this version knows %d: %w", have, want, ErrNewerFormat)
	case have == want:
		return nil
	}
	return db.update(func(tx *bolt.Tx) error {
		for v := have; v < want; v++ {
			step := steps[v]
			if step == nil {
				return fmt.Errorf("upgrade from format %d: %w", v, ErrCorrupt)
			}
			if err := step(tx); err != nil {
				return fmt.Errorf("upgrade from format %d: %w", v, err)
			}
		}
		return putFormat(tx, want)
	})
}

func putFormat(tx *bolt.Tx, v uint32) error {
	b, err := tx.CreateBucketIfNotExists(metaBucket)
	if err != nil {
		return err
	}
	return b.Put(formatKey, binary.BigEndian.AppendUint32(nil, v))
}

// ErrSystemDamaged says that system.db is missing, damaged or older than its
// own copy. It comes with ErrCorrupt; [RepairSystem] mends it.
var ErrSystemDamaged = errors.New("the system database, which knows the accounts, is damaged")

// System is the system database: sections of keys and values for the rooms
// above, which alone know what the values mean.
type System struct {
	db   *database
	copy *systemCopy

	mu sync.Mutex // held by who writes, and while the file is replaced
}

// openSystem opens the system database of a data folder, or makes it where
// there is nothing yet. One that is damaged is not opened: what is missing
// would look as if it had never been there, and mail to it as to nobody.
func openSystem(dir string, log *slog.Logger) (*System, error) {
	path := filepath.Join(dir, systemFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := newFolder(dir); err != nil {
			return nil, err
		}
		if err := createDatabase(path, newHead); err != nil {
			return nil, err
		}
	}
	db, err := openDatabase(path)
	if err != nil {
		return nil, systemError(err)
	}
	s := &System{db: db, copy: newSystemCopy(dir, log)}
	err = db.view(checkFormat)
	if err == nil {
		err = upgrade(db, systemFormat, migrations{1: sealAll})
	}
	if err == nil {
		err = s.verify()
	}
	if err != nil {
		db.close()
		return nil, systemError(err)
	}
	return s, nil
}

// newFolder tells whether a folder without a system database is a new one.
func newFolder(dir string) error {
	entries, err := os.ReadDir(filepath.Join(dir, "accounts"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if CheckAccountID(AccountID(e.Name())) == nil {
			return systemError(fmt.Errorf("%s is missing, and there are accounts: %w", systemFile, ErrCorrupt))
		}
	}
	if _, err := os.Stat(filepath.Join(dir, systemBackup)); err == nil {
		return systemError(fmt.Errorf("%s is missing, and its copy %s is there: %w", systemFile, systemBackup, ErrCorrupt))
	}
	return nil
}

// systemError puts ErrSystemDamaged into an error that damage caused.
func systemError(err error) error {
	if errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrSystemDamaged) {
		return fmt.Errorf("%w: %w", ErrSystemDamaged, err)
	}
	return err
}

// verify reads every record, and looks whether the copy is of this state.
func (s *System) verify() error {
	var state systemState
	err := s.db.view(func(tx *bolt.Tx) error {
		var err error
		state, err = readSystem(tx, nil)
		return err
	})
	if err != nil {
		return err
	}
	return s.copy.compare(state)
}

// View calls f with a consistent, read-only state.
func (s *System) View(f func(tx *SystemTx) error) error {
	return s.db.view(func(tx *bolt.Tx) error {
		t := &SystemTx{tx: tx}
		return t.end(f(t))
	})
}

// Update calls f and makes what it wrote durable, or, if f fails, nothing of
// it. f may be called more than once.
func (s *System) Update(ctx context.Context, f func(tx *SystemTx) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("update system database: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	lasting := false
	err := s.db.update(func(tx *bolt.Tx) error {
		head, err := readHead(tx)
		if err != nil {
			return err
		}
		t := &SystemTx{tx: tx, head: head}
		if err := t.end(f(t)); err != nil {
			return err
		}
		lasting = t.lasting
		if t.head == head {
			return nil
		}
		return t.head.write(tx)
	})
	if err == nil && lasting {
		s.copy.changed()
	}
	return diskError(err)
}

// SystemTx is valid only within the call of f.
type SystemTx struct {
	tx      *bolt.Tx
	head    fileHead
	lasting bool  // something was written whose loss would matter
	bad     error // what Get could not tell
}

// end tells of a damaged record that f may have taken for a missing one.
func (tx *SystemTx) end(err error) error {
	if tx.bad != nil && !errors.Is(err, tx.bad) {
		err = errors.Join(tx.bad, err)
	}
	return err
}

// sectionPrefix keeps the sections' buckets apart from our own.
const sectionPrefix = "section/"

// section returns the name of a section's bucket.
func section(name string) []byte { return []byte(sectionPrefix + name) }

// Get returns a copy of a value, nil if there is none. Where it is damaged the
// transaction fails.
func (tx *SystemTx) Get(sec, key string) []byte {
	b := tx.tx.Bucket(section(sec))
	if b == nil {
		return nil
	}
	v := b.Get([]byte(key))
	if v == nil {
		return nil
	}
	r, ok := unseal(sec, []byte(key), v)
	if !ok {
		tx.bad = damagedRecord(sec, []byte(key))
		return nil
	}
	return append(make([]byte, 0, len(r.value)), r.value...)
}

// Put sets a value.
func (tx *SystemTx) Put(sec, key string, value []byte) error {
	tx.lasting = true
	return tx.put(sec, key, value, 0)
}

// PutPassing is Put for what nobody misses: no copy of the database is made
// for its sake.
func (tx *SystemTx) PutPassing(sec, key string, value []byte) error {
	return tx.put(sec, key, value, passing)
}

func (tx *SystemTx) put(sec, key string, value []byte, mark uint64) error {
	b, err := tx.tx.CreateBucketIfNotExists(section(sec))
	if err == nil {
		err = tx.count(b, sec, []byte(key))
	}
	if err == nil {
		sealed := seal(sec, []byte(key), value, tx.head.base+uint64(tx.tx.ID())|mark)
		r, _ := unseal(sec, []byte(key), sealed)
		tx.head.add(&r)
		err = b.Put([]byte(key), sealed)
	}
	if err != nil {
		return fmt.Errorf("put %s: %w", sec, err)
	}
	return nil
}

// count takes a record that is about to be replaced or removed out of the head.
func (tx *SystemTx) count(b *bolt.Bucket, sec string, key []byte) error {
	v := b.Get(key)
	if v == nil {
		return nil
	}
	r, ok := unseal(sec, key, v)
	if !ok {
		return damagedRecord(sec, key)
	}
	tx.head.drop(&r)
	return nil
}

// Delete removes a key; one that is not there is no error.
func (tx *SystemTx) Delete(sec, key string) error {
	b := tx.tx.Bucket(section(sec))
	if b == nil {
		return nil
	}
	tx.lasting = true
	err := tx.count(b, sec, []byte(key))
	if err == nil {
		err = b.Delete([]byte(key))
	}
	if err != nil {
		return fmt.Errorf("delete from %s: %w", sec, err)
	}
	return nil
}

// All calls f for each key of a section in order; value is valid only within
// the call, and f must not change the section.
func (tx *SystemTx) All(sec string, f func(key string, value []byte) error) error {
	b := tx.tx.Bucket(section(sec))
	if b == nil {
		return nil
	}
	return b.ForEach(func(k, v []byte) error {
		r, ok := unseal(sec, k, v)
		if !ok {
			return damagedRecord(sec, k)
		}
		return f(string(k), r.value)
	})
}
