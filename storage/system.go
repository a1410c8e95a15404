package storage

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"

	bolt "go.etcd.io/bbolt"
)

// formatVersion is the version of everything on disk. Each of system.db and
// the accounts' index.db holds it.
const formatVersion = 1

var (
	metaBucket = []byte("meta")
	formatKey  = []byte("format")
)

// migrations[v] brings a database from format v to v+1 within the transaction.
type migrations map[uint32]func(*bolt.Tx) error

// upgrade brings a database to formatVersion in one transaction, or refuses
// one that a newer version wrote, without touching it.
func upgrade(db *database, steps migrations) error {
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
	case have > formatVersion:
		return fmt.Errorf("format %d, this version knows %d: %w", have, formatVersion, ErrNewerFormat)
	case have == formatVersion:
		return nil
	}
	return db.update(func(tx *bolt.Tx) error {
		for v := have; v < formatVersion; v++ {
			step := steps[v]
			if step == nil {
				return fmt.Errorf("upgrade from format %d: %w", v, ErrCorrupt)
			}
			if err := step(tx); err != nil {
				return fmt.Errorf("upgrade from format %d: %w", v, err)
			}
		}
		return putFormat(tx)
	})
}

func putFormat(tx *bolt.Tx) error {
	b, err := tx.CreateBucketIfNotExists(metaBucket)
	if err != nil {
		return err
	}
	return b.Put(formatKey, binary.BigEndian.AppendUint32(nil, formatVersion))
}

// System is the system database: sections of keys and values for the rooms
// above, which alone know what the values mean.
type System struct{ db *database }

func openSystem(path string) (*System, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := createDatabase(path, putFormat); err != nil {
			return nil, err
		}
	}
	db, err := openDatabase(path)
	if err != nil {
		return nil, err
	}
	if err := upgrade(db, nil); err != nil {
		db.close()
		return nil, fmt.Errorf("system database: %w", err)
	}
	return &System{db: db}, nil
}

// View calls f with a consistent, read-only state.
func (s *System) View(f func(tx *SystemTx) error) error {
	return s.db.view(func(tx *bolt.Tx) error { return f(&SystemTx{tx}) })
}

// Update calls f and makes what it wrote durable, or, if f fails, nothing of
// it. f may be called more than once.
func (s *System) Update(ctx context.Context, f func(tx *SystemTx) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("update system database: %w", err)
	}
	return diskError(s.db.update(func(tx *bolt.Tx) error { return f(&SystemTx{tx}) }))
}

// SystemTx is valid only within the call of f.
type SystemTx struct{ tx *bolt.Tx }

// section returns the name of a section's bucket; the prefix keeps sections
// apart from our own.
func section(name string) []byte { return []byte("section/" + name) }

// Get returns a copy of a value, nil if there is none.
func (tx *SystemTx) Get(sec, key string) []byte {
	b := tx.tx.Bucket(section(sec))
	if b == nil {
		return nil
	}
	return bytes.Clone(b.Get([]byte(key)))
}

// Put sets a value.
func (tx *SystemTx) Put(sec, key string, value []byte) error {
	b, err := tx.tx.CreateBucketIfNotExists(section(sec))
	if err == nil {
		err = b.Put([]byte(key), value)
	}
	if err != nil {
		return fmt.Errorf("put %s: %w", sec, err)
	}
	return nil
}

// Delete removes a key; one that is not there is no error.
func (tx *SystemTx) Delete(sec, key string) error {
	b := tx.tx.Bucket(section(sec))
	if b == nil {
		return nil
	}
	if err := b.Delete([]byte(key)); err != nil {
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
	return b.ForEach(func(k, v []byte) error { return f(string(k), v) })
}
