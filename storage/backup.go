package storage

import (
	"bufio"
	"compress/flate"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"
)

// backupFile is the name of a copy of an account's index that is not a
// database: records one after the other, compressed, each with a checksum, so
// that whatever part of it can be read is of use. It holds what bodies cannot
// tell: which mailbox a message is in, its UID, flags and dates.
const backupFile = "index.bak"

const backupMagic = "pillarbox index 1\n"

// A backup costs flash some of its life: about a third of the index. So an
// index that changes has one a day, and one whose backup is large has one less
// often, so that it makes no more than backupPerDay octets a day.
const (
	backupEvery  = 24 * time.Hour
	backupPerDay = 16 << 20
)

// maxRecord bounds a record of a backup in octets; the largest are parsed data.
const maxRecord = 64 << 20

// backup writes the account's backup where its index changed and the one there
// is old enough.
func (a *Account) backup(ctx context.Context) error {
	path := filepath.Join(a.dir, backupFile)
	index, err := os.Stat(filepath.Join(a.dir, indexFile))
	if err != nil {
		return err
	}
	if old, err := os.Stat(path); err == nil {
		wait := max(backupEvery, time.Duration(float64(backupEvery)*float64(old.Size())/backupPerDay))
		if !index.ModTime().After(old.ModTime()) || a.store.now().Sub(old.ModTime()) < wait {
			return nil
		}
	}
	tmp := path + ".new"
	err = a.writeBackup(ctx, tmp)
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return errors.Join(err, removeIfThere(tmp))
	}
	return syncDir(a.dir)
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (a *Account) writeBackup(ctx context.Context, path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	out := bufio.NewWriterSize(f, 64<<10)
	if _, err := out.WriteString(backupMagic); err != nil {
		return err
	}
	z, err := flate.NewWriter(out, flate.BestSpeed)
	if err != nil {
		return err
	}
	var buf []byte
	err = a.view(func(tx *bolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bolt.Bucket) error {
			return b.ForEach(func(k, v []byte) error {
				if err := ctx.Err(); err != nil {
					return err
				}
				buf = appendBackup(buf[:0], name, k, v)
				_, err := z.Write(buf)
				return err
			})
		})
	})
	if err := errors.Join(err, z.Close(), out.Flush()); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return f.Close()
}

// appendBackup encodes a record: its length, bucket, key, value, checksum.
func appendBackup(b, bucket, k, v []byte) []byte {
	body := appendString(nil, string(bucket))
	body = appendString(body, string(k))
	body = append(body, v...)
	b = binary.AppendUvarint(b, uint64(len(body)))
	b = append(b, body...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(body, castagnoli))
}

// readBackup calls visit with each record until the end or the first damage,
// which is ErrCorrupt.
func readBackup(ctx context.Context, path, magic string, visit func(bucket string, k, v []byte)) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, 64<<10)
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(in, head); err != nil || string(head) != magic {
		return fmt.Errorf("read backup: %w", errors.Join(err, ErrCorrupt))
	}
	z := bufio.NewReaderSize(flate.NewReader(in), 64<<10)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := binary.ReadUvarint(z)
		if err == io.EOF {
			return nil
		}
		if err != nil || n > maxRecord {
			return fmt.Errorf("read backup: %w", errors.Join(err, ErrCorrupt))
		}
		// Not all at once: the length may be wrong.
		body, err := io.ReadAll(io.LimitReader(z, int64(n)+4))
		if err != nil || uint64(len(body)) != n+4 {
			return fmt.Errorf("read backup: %w", errors.Join(err, ErrCorrupt))
		}
		d := summed(body)
		bucket := d.string()
		key := d.bytes(d.uvarint())
		if d.bad {
			return fmt.Errorf("read backup: %w", ErrCorrupt)
		}
		visit(bucket, key, d.b)
	}
}
