package storage

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

const (
	// orphansFolder is where the bodies of deliveries that a crash cut off
	// wait, in an account's folder: should the index have gone back to an
	// older state, they are all that is left of those messages.
	orphansFolder = "orphans"
	orphansStay   = 7 * 24 * time.Hour
)

// collectBodies sets aside body files of deliveries that a crash cut off.
// Their numbers were given out but never committed, so only the folders from
// that of nextData on can hold any.
func (a *Account) collectBodies() error {
	root := filepath.Join(a.dir, "bodies")
	folders, err := os.ReadDir(root)
	if err != nil {
		return err
	}
	var orphans []string
	for _, f := range folders {
		n, err := strconv.ParseUint(f.Name(), 16, 64)
		if err != nil || n < uint64(a.counters.nextData)>>bodiesPerFolder {
			continue
		}
		files, err := os.ReadDir(filepath.Join(root, f.Name()))
		if err != nil {
			return err
		}
		for _, file := range files {
			number, _, _ := strings.Cut(file.Name(), "-")
			id, err := strconv.ParseUint(number, 16, 64)
			if err != nil || DataID(id) < a.counters.nextData || a.has(DataID(id)) {
				continue
			}
			orphans = append(orphans, filepath.Join(root, f.Name(), file.Name()))
		}
	}
	if len(orphans) == 0 {
		return nil
	}
	aside := filepath.Join(a.dir, orphansFolder)
	kept := makeDir(aside)
	for _, path := range orphans {
		a.store.log.Info("setting aside a body that no message has", "account", a.id, "file", filepath.Base(path))
		if kept == nil {
			_ = os.Rename(path, filepath.Join(aside, filepath.Base(path)))
		}
		// It must not stay, as its number is given out again, and it was not
		// acknowledged as far as the index knows. A rename may have failed, or
		// done nothing: it does not replace another link of the same file.
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// has tells whether the index knows a body, or cannot tell.
func (a *Account) has(id DataID) bool {
	var known bool
	err := a.view(func(tx *bolt.Tx) error {
		known = tx.Bucket(dataBucket).Get(dataKey(id)) != nil
		return nil
	})
	return known || err != nil
}

// clearOrphans removes bodies that were set aside long enough ago.
func (a *Account) clearOrphans(ctx context.Context) error {
	return eachOrphan(a.dir, func(path string, since time.Time) error {
		f := bodyFile{}
		if a.store.now().Sub(since) < orphansStay || !f.parse(filepath.Base(path)) {
			return ctx.Err()
		}
		if err := a.store.removeBody(path, f.hash); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return ctx.Err()
	})
}

// eachOrphan calls f with each body set aside and since when it is.
func eachOrphan(dir string, f func(path string, since time.Time) error) error {
	entries, err := os.ReadDir(filepath.Join(dir, orphansFolder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(dir, orphansFolder, e.Name())
		var st unix.Stat_t
		if unix.Lstat(path, &st) != nil {
			continue
		}
		// A rename changes nothing but this time.
		if err := f(path, time.Unix(st.Ctim.Unix())); err != nil {
			return err
		}
	}
	return nil
}
