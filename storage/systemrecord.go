package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"

	bolt "go.etcd.io/bbolt"
)

// A record of a section ends with a stamp and a CRC-32C: the stamp tells which
// of two versions of a record is the newer, and the checksum, which is also of
// the section's name and the key, that it is as it was written and where it
// was written. So a record can be told wherever it is found: in its place, in
// an older version of a page, in the copy.
//
//	value, stamp u64, checksum u32 (big-endian)
const sealSize = 8 + 4

// passing marks the stamp of a record for whose sake no copy is made.
const passing = 1 << 63

// systemRecord is a record of a section.
type systemRecord struct {
	value []byte // not a copy
	stamp uint64 // without passing
	brief bool   // it had passing
	sum   uint32
}

func sealSum(sec string, key, value []byte) uint32 {
	sum := crc32.Update(0, castagnoli, []byte(sec))
	sum = crc32.Update(sum, castagnoli, []byte{0})
	sum = crc32.Update(sum, castagnoli, key)
	sum = crc32.Update(sum, castagnoli, []byte{0})
	return crc32.Update(sum, castagnoli, value)
}

func seal(sec string, key, value []byte, stamp uint64) []byte {
	b := append(make([]byte, 0, len(value)+sealSize), value...)
	b = binary.BigEndian.AppendUint64(b, stamp)
	return binary.BigEndian.AppendUint32(b, sealSum(sec, key, b))
}

// unseal returns a record, or that it is not one of this section and key.
func unseal(sec string, key, b []byte) (systemRecord, bool) {
	if len(b) < sealSize {
		return systemRecord{}, false
	}
	n := len(b) - sealSize
	sum := binary.BigEndian.Uint32(b[n+8:])
	if sealSum(sec, key, b[:n+8]) != sum {
		return systemRecord{}, false
	}
	stamp := binary.BigEndian.Uint64(b[n:])
	return systemRecord{value: b[:n:n], stamp: stamp &^ passing, brief: stamp&passing != 0, sum: sum}, true
}

func damagedRecord(sec string, key []byte) error {
	return fmt.Errorf("section %s, record %q: %w", sec, key, ErrCorrupt)
}

// headKey is where metaBucket has the head, sealed like a record. Formats after
// this one will have it as well: it tells a newer format from a damaged number.
// An account's index has one too, which counts nothing; those made by earlier
// builds have none.
var headKey = []byte("head")

// fileHead tells what the whole file must be, so that a page that is missing,
// or an older one in its place, is noticed though each record is sound.
//
//	format u32, base u64, count u64, print u64
type fileHead struct {
	format uint32
	// base is what the stamps of this file count from. Each transaction has the
	// next one, and a file that a repair made goes on where the one before ended.
	base  uint64
	count uint64 // of records
	print uint64 // the sum of their fingerprints
}

func readHead(tx *bolt.Tx) (fileHead, error) {
	b := tx.Bucket(metaBucket)
	if b == nil {
		return fileHead{}, fmt.Errorf("its head is missing: %w", ErrCorrupt)
	}
	h, ok := decodeHead(b.Get(headKey))
	if !ok {
		return fileHead{}, fmt.Errorf("its head is damaged: %w", ErrCorrupt)
	}
	return h, nil
}

func decodeHead(b []byte) (fileHead, bool) {
	r, ok := unseal("", headKey, b)
	if !ok || len(r.value) < 28 {
		return fileHead{}, false
	}
	return fileHead{
		binary.BigEndian.Uint32(r.value), binary.BigEndian.Uint64(r.value[4:]),
		binary.BigEndian.Uint64(r.value[12:]), binary.BigEndian.Uint64(r.value[20:]),
	}, true
}

// write puts the head, and the format where every version looks for it.
func (h *fileHead) write(tx *bolt.Tx) error {
	if err := putFormat(tx, h.format); err != nil {
		return err
	}
	b := binary.BigEndian.AppendUint32(nil, h.format)
	for _, v := range []uint64{h.base, h.count, h.print} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	return tx.Bucket(metaBucket).Put(headKey, seal("", headKey, b, 0))
}

func (h *fileHead) add(r *systemRecord) { h.count++; h.print += r.print() }

func (h *fileHead) drop(r *systemRecord) { h.count--; h.print -= r.print() }

// print is a record's fingerprint; those of different versions differ.
func (r *systemRecord) print() uint64 { return uint64(r.sum)<<32 | r.stamp&0xffffffff }

// newHead begins an empty database.
func newHead(tx *bolt.Tx) error { return (&fileHead{format: systemFormat}).write(tx) }

// checkFormat finds a format number that is damaged rather than newer.
func checkFormat(tx *bolt.Tx) error {
	b := tx.Bucket(metaBucket)
	if b == nil || len(b.Get(formatKey)) != 4 {
		return fmt.Errorf("read format version: %w", ErrCorrupt)
	}
	format := binary.BigEndian.Uint32(b.Get(formatKey))
	if format == 1 && b.Get(headKey) == nil {
		return nil
	}
	if h, err := readHead(tx); err != nil || h.format != format {
		return errors.Join(fmt.Errorf("its format is said to be %d: %w", format, ErrCorrupt), err)
	}
	return nil
}

// sealAll brings the records of format 1, which had no checksum, to format 2.
func sealAll(tx *bolt.Tx) error {
	h := fileHead{format: systemFormat}
	err := tx.ForEach(func(name []byte, b *bolt.Bucket) error {
		sec, ok := strings.CutPrefix(string(name), sectionPrefix)
		if !ok {
			return nil
		}
		sealed := map[string][]byte{}
		if err := b.ForEach(func(k, v []byte) error {
			sealed[string(k)] = seal(sec, k, v, uint64(tx.ID()))
			return nil
		}); err != nil {
			return err
		}
		for k, v := range sealed {
			r, _ := unseal(sec, []byte(k), v)
			h.add(&r)
			if err := b.Put([]byte(k), v); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return h.write(tx)
}

// systemState tells one state of the system database from another.
type systemState struct {
	stamp uint64 // of its last change, whatever it was
	print uint64 // the sum of the fingerprints, but for passing records
	count uint64 // of all records
}

// readSystem reads every record of every section and calls visit, unless it is
// nil, with each as it is stored. The first fault is the error.
func readSystem(tx *bolt.Tx, visit func(sec string, k, sealed []byte) error) (systemState, error) {
	want, err := readHead(tx)
	if err != nil {
		return systemState{}, err
	}
	s := systemState{stamp: want.base + uint64(tx.ID())}
	have := fileHead{format: want.format, base: want.base}
	err = tx.ForEach(func(name []byte, b *bolt.Bucket) error {
		sec, ok := strings.CutPrefix(string(name), sectionPrefix)
		if !ok {
			return nil
		}
		return b.ForEach(func(k, v []byte) error {
			r, ok := unseal(sec, k, v)
			if !ok {
				return damagedRecord(sec, k)
			}
			have.add(&r)
			if !r.brief {
				s.print += r.print()
			}
			if visit == nil {
				return nil
			}
			return visit(sec, k, v)
		})
	})
	s.count = have.count
	if err == nil && have != want {
		err = have.differ(want)
	}
	return s, err
}

func (h fileHead) differ(want fileHead) error {
	return fmt.Errorf("records are missing or older than they were: it counts %d, and %d are there: %w", want.count, h.count, ErrCorrupt)
}
