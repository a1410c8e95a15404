package storage

import (
	"bufio"
	"compress/flate"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
)

const (
	systemFile = "system.db"
	// systemBackup is a copy of the system database in the form of an index's
	// backup. Its last record, in metaBucket, says of which state it is.
	systemBackup = "system.bak"
)

const systemMagic = "pillarbox system 1\n"

// A copy is made soon after each change, since what it holds cannot be had
// from anywhere else. An office of 200 makes one of 60 KB. The next waits so
// long that the copies of a day make no more than backupPerDay octets.
const (
	copyAfter = 2 * time.Second
	copyRetry = time.Minute
)

// systemCopy keeps system.bak the same as the system database.
type systemCopy struct {
	path string
	log  *slog.Logger

	mu    sync.Mutex
	stale bool // a change is not in the copy yet
	due   *time.Timer
	write func(context.Context) error // nil until started
	next  time.Time                   // there is to be none before
	busy  sync.Mutex                  // held while one is made
}

func newSystemCopy(dir string, log *slog.Logger) *systemCopy {
	return &systemCopy{path: filepath.Join(dir, systemBackup), log: log}
}

// compare looks at the copy that is there. One that is newer than the database
// tells that somebody put an older one in its place, or that the disk lost what
// it had promised.
func (c *systemCopy) compare(now systemState) error {
	have, err := readSystemCopy(context.Background(), c.path, nil)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrCorrupt) {
		return err
	}
	if err == nil && have.stamp > now.stamp {
		return fmt.Errorf("%s is older than its copy %s (change %d, and %d): %w", systemFile, systemBackup, now.stamp, have.stamp, ErrCorrupt)
	}
	c.stale = err != nil && now.count > 0 || err == nil && have.print != now.print
	return nil
}

// start has copies made by write from now on, and one at once if that is due.
func (c *systemCopy) start(write func(context.Context) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.write = write
	if c.stale {
		c.plan(copyAfter)
	}
}

// changed plans a copy.
func (c *systemCopy) changed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stale = true
	c.plan(copyAfter)
}

// plan sets the time of the next copy, unless it is set. c.mu is held.
func (c *systemCopy) plan(after time.Duration) {
	if c.write == nil || c.due != nil {
		return
	}
	c.due = time.AfterFunc(max(after, time.Until(c.next)), func() {
		if err := c.make(context.Background()); err != nil {
			c.log.Error("the system database was not copied", "err", err)
		}
	})
}

// make makes a copy where the one there is stale.
func (c *systemCopy) make(ctx context.Context) error {
	c.busy.Lock()
	defer c.busy.Unlock()
	c.mu.Lock()
	write, stale := c.write, c.stale
	if c.due != nil {
		c.due.Stop()
		c.due = nil
	}
	c.stale = false
	c.mu.Unlock()
	if write == nil || !stale {
		return nil
	}
	err := write(ctx)
	wait := copyRetry
	if fi, statErr := os.Stat(c.path); err == nil && statErr == nil {
		wait = time.Duration(float64(24*time.Hour) * float64(fi.Size()) / backupPerDay)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next = time.Now().Add(wait)
	if err != nil {
		c.stale = true
	}
	if c.stale && !errors.Is(err, ErrClosed) {
		c.plan(copyAfter)
	}
	return err
}

// stop makes a last copy if one is due, and no more.
func (c *systemCopy) stop() {
	if err := c.make(context.Background()); err != nil && !errors.Is(err, ErrClosed) {
		c.log.Error("the system database was not copied", "err", err)
	}
	c.mu.Lock()
	c.write = nil
	if c.due != nil {
		c.due.Stop()
		c.due = nil
	}
	c.mu.Unlock()
	c.busy.Lock() // until one that had begun is done
	defer c.busy.Unlock()
}

// backup writes system.bak. A database with a damaged record is not copied:
// the copy there may still have it.
func (s *System) backup(ctx context.Context) error {
	tmp := s.copy.path + ".new"
	err := s.writeBackup(ctx, tmp)
	if err == nil {
		err = os.Rename(tmp, s.copy.path)
	}
	if err != nil {
		return diskError(errors.Join(err, removeIfThere(tmp)))
	}
	return syncDir(filepath.Dir(tmp))
}

func (s *System) writeBackup(ctx context.Context, path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	out := bufio.NewWriterSize(f, 64<<10)
	if _, err := out.WriteString(systemMagic); err != nil {
		return err
	}
	z, err := flate.NewWriter(out, flate.BestSpeed)
	if err != nil {
		return err
	}
	var buf []byte
	var state systemState
	err = s.db.view(func(tx *bolt.Tx) error {
		var err error
		state, err = readSystem(tx, func(sec string, k, sealed []byte) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			buf = appendBackup(buf[:0], section(sec), k, sealed)
			_, err := z.Write(buf)
			return err
		})
		return err
	})
	if err == nil {
		end := binary.BigEndian.AppendUint64(nil, state.stamp)
		end = binary.BigEndian.AppendUint64(end, state.print)
		end = binary.BigEndian.AppendUint64(end, state.count)
		_, err = z.Write(appendBackup(nil, metaBucket, endKey, end))
	}
	if err := errors.Join(err, z.Close(), out.Flush()); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return f.Close()
}

var endKey = []byte("end")

// readSystemCopy calls visit, unless it is nil, with each record of a copy,
// and returns of which state it is. After ErrCorrupt some were not there.
func readSystemCopy(ctx context.Context, path string, visit func(bucket string, k, v []byte)) (systemState, error) {
	var s systemState
	var n uint64
	err := readBackup(ctx, path, systemMagic, func(bucket string, k, v []byte) {
		if bucket == string(metaBucket) && string(k) == string(endKey) && len(v) == 24 {
			s = systemState{binary.BigEndian.Uint64(v), binary.BigEndian.Uint64(v[8:]), binary.BigEndian.Uint64(v[16:])}
			return
		}
		n++
		if visit != nil {
			visit(bucket, k, v)
		}
	})
	if err == nil && (s.stamp == 0 || s.count != n) {
		err = fmt.Errorf("read copy: it is not whole: %w", ErrCorrupt)
	}
	return s, err
}
