package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"

	"pillarbox/storage/pages"
)

// An index is written anew where more than half of it and more than this many
// octets are free pages: bbolt uses them again, but never gives them back.
const compactFrom = 16 << 20

// compactSuffix is what the name of an index ends with while it is written anew.
const compactSuffix = ".compact"

// compact gives the free pages of the index back to the disk. What never
// changes once it is there, parsed data and small bodies, is copied while mail
// goes on; the rest, a fortieth of it, while the account's writers wait.
// Readers are not held up. Until the rename the old file is the index.
func (a *Account) compact(ctx context.Context) error {
	worth, err := a.worthCompacting(ctx)
	if err != nil || !worth {
		return err
	}
	return a.rewrite(ctx)
}

// worthCompacting looks at an index that has changed since the last look.
func (a *Account) worthCompacting(ctx context.Context) (bool, error) {
	fi, err := os.Stat(filepath.Join(a.dir, indexFile))
	if err != nil || fi.Size() < 2*compactFrom || fi.ModTime().Equal(a.looked) {
		return false, err
	}
	var r pages.Report
	err = a.view(func(tx *bolt.Tx) error {
		var err error
		r, err = a.db.checkState(ctx, tx)
		return err
	})
	if errors.Is(err, pages.ErrGone) { // commits overtook us: there is time
		return false, nil
	}
	if err != nil {
		return false, err
	}
	a.looked = fi.ModTime()
	free, size, err := a.store.reserve.disk()
	if err != nil {
		return false, err
	}
	used, unused := int64(r.Used)*int64(r.PageSize), fi.Size()-int64(r.Used)*int64(r.PageSize)
	return unused > compactFrom && unused > used && free > used+floorOf(size), nil
}

func (a *Account) rewrite(ctx context.Context) (err error) {
	start := time.Now()
	path := filepath.Join(a.dir, indexFile+compactSuffix)
	w, err := newIndexWriter(path)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("compact the index: %w", err), removeIfThere(path))
		}
	}()
	if err := a.view(func(tx *bolt.Tx) error { return w.copy(ctx, tx, dataBucket, bodiesBucket) }); err != nil {
		return errors.Join(err, w.discard())
	}
	if err := w.flush(); err != nil {
		return errors.Join(err, w.discard())
	}

	a.writing.Lock()
	locked := time.Now()
	before, old, err := a.exchange(ctx, w, path)
	after, _ := os.Stat(filepath.Join(a.dir, indexFile))
	a.writing.Unlock()
	if err != nil {
		return err
	}
	a.held = time.Since(locked)
	if err := old.Close(); err != nil { // waits for those who still read it
		a.store.log.Error("closing the index that was compacted", "account", a.id, "err", err)
	}
	a.store.log.Info("index compacted", "account", a.id, "from", before, "to", after.Size(), "took", time.Since(start), "held", a.held)
	return nil
}

// exchange catches up with what was committed meanwhile and puts the new file
// in the old one's place. The caller holds writing.
func (a *Account) exchange(ctx context.Context, w *indexWriter, path string) (before int64, old *bolt.DB, err error) {
	if a.closed || a.doubtful {
		return 0, nil, errors.Join(ErrClosed, w.discard())
	}
	err = a.view(func(tx *bolt.Tx) error {
		before = tx.Size()
		for _, bucket := range ourBuckets() {
			if bytes.Equal(bucket, dataBucket) || bytes.Equal(bucket, bodiesBucket) {
				continue
			}
			if err := w.copy(ctx, tx, bucket); err != nil {
				return err
			}
		}
		return w.catchUp(tx)
	})
	if err != nil {
		return 0, nil, errors.Join(err, w.discard())
	}
	if err := w.finish(); err != nil {
		return 0, nil, err
	}
	if old, err = a.db.replace(path); err != nil {
		return 0, nil, err
	}
	if err := a.db.settle(); err != nil { // and each commit tries again
		a.store.log.Error("compacting the index", "account", a.id, "err", err)
	}
	return before, old, nil
}

// copy puts all records of some buckets into the new index.
func (w *indexWriter) copy(ctx context.Context, tx *bolt.Tx, buckets ...[]byte) error {
	for _, name := range buckets {
		b := tx.Bucket(name)
		if b == nil {
			continue // no note was ever made
		}
		if err := b.ForEach(func(k, v []byte) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return w.put(name, k, v)
		}); err != nil {
			return err
		}
	}
	return nil
}

// catchUp makes the parsed data and small bodies those of the index. They do
// not change under their key, and a body comes and goes with its data.
func (w *indexWriter) catchUp(tx *bolt.Tx) error {
	var gone, fresh [][]byte // collected first: changes move a bbolt cursor
	now, had := tx.Bucket(dataBucket).Cursor(), w.tx.Bucket(dataBucket).Cursor()
	k, _ := now.First()
	h, _ := had.First()
	for k != nil || h != nil {
		switch order := bytes.Compare(k, h); {
		case h == nil || k != nil && order < 0:
			fresh = append(fresh, k)
			k, _ = now.Next()
		case k == nil || order > 0:
			gone = append(gone, bytes.Clone(h))
			h, _ = had.Next()
		default:
			k, _ = now.Next()
			h, _ = had.Next()
		}
	}
	for _, h := range gone {
		if err := errors.Join(w.remove(dataBucket, h), w.remove(bodiesBucket, h)); err != nil {
			return err
		}
	}
	for _, k := range fresh {
		if err := w.put(dataBucket, k, tx.Bucket(dataBucket).Get(k)); err != nil {
			return err
		}
		if body := tx.Bucket(bodiesBucket).Get(k); body != nil {
			if err := w.put(bodiesBucket, k, body); err != nil {
				return err
			}
		}
	}
	return nil
}

// flush brings what there is to the disk, so that finish has little left.
func (w *indexWriter) flush() error {
	if err := w.next(); err != nil {
		return err
	}
	return w.db.Sync()
}
