package importer

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"pillarbox/storage"
)

// maxKept bounds the file of a message that is too big, in octets.
const maxKept = 1 << 30

// quarantined lists a message.
func (r *run) quarantined(t *target, m *Message, s *slot) {
	r.log.Warn("a message cannot be taken", "mailbox", t.from.ID, "message", m.where(), "size", s.size, "err", s.bad)
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.report.Bad) < MaxListed {
		r.report.Bad = append(r.report.Bad, Bad{Mailbox: t.from.ID, Message: m.where(), Size: s.size, Reason: s.bad.Error(), File: s.file})
	}
}

// listBad lists a message that was quarantined in an earlier run.
func (r *run) listBad(o Origin, p *place, where string, key string, rec *Record) {
	b := Bad{Mailbox: p.from.ID, Message: where, Size: rec.Size, Reason: rec.Reason}
	if name := r.file(o, key); name != "" {
		if _, err := os.Stat(name); err == nil {
			b.File = name
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.report.Bad) < MaxListed {
		r.report.Bad = append(r.report.Bad, b)
	}
}

// listAllBad lists those of a mailbox that was not listed, since nothing
// happened to it.
func (r *run) listAllBad(t *target) error {
	prefix := t.origin.prefix()
	bad := map[string]Record{}
	err := r.Account.Notes(prefix, func(k, v []byte) error {
		if rec, err := DecodeRecord(v); err == nil && rec.Fate == Quarantined && len(bad) < MaxListed {
			bad[string(k[len(prefix):])] = rec
		}
		return nil
	})
	for _, key := range slices.Sorted(maps.Keys(bad)) {
		rec := bad[key]
		r.listBad(t.origin, t.place, whereOf(key), key, &rec)
	}
	return err
}

// file names the file of a message; "" where there is no place for it.
func (r *run) file(o Origin, key string) string {
	if r.quarantine == "" {
		return ""
	}
	sum := sha256.Sum256(o.key(key))
	return filepath.Join(r.quarantine, string(r.Account.ID()), hex.EncodeToString(sum[:12])+".eml")
}

// Forget removes the files of an account's quarantined messages.
func (e *Engine) Forget(id storage.AccountID) error {
	if e.quarantine == "" || storage.CheckAccountID(id) != nil {
		return nil
	}
	return os.RemoveAll(filepath.Join(e.quarantine, string(id)))
}

// Sweep removes the files of accounts that there are no more.
func (e *Engine) Sweep(exists func(id storage.AccountID) bool) error {
	entries, err := os.ReadDir(e.quarantine)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var errs []error
	for _, entry := range entries {
		if id := storage.AccountID(entry.Name()); entry.IsDir() && !exists(id) {
			errs = append(errs, e.Forget(id))
		}
	}
	return errors.Join(errs...)
}

// unkeep removes the file of a message that has come at last.
func (r *run) unkeep(o Origin, key string) {
	if name := r.file(o, key); name != "" {
		if err := removeFile(name); err != nil {
			r.log.Warn("the file of a message that is no longer quarantined is still there", "file", name, "err", err)
		}
	}
}

// keep writes the octets of a message that cannot be taken to a file, which it
// names with its size. Without a place for it nothing is kept.
func (r *run) keep(t *target, m *Message, in io.Reader) (name string, size int64, err error) {
	if r.quarantine == "" {
		return "", m.Size, nil
	}
	if m.Size > maxKept {
		return "", m.Size, fmt.Errorf("more than %d MB are not kept as a file", maxKept>>20)
	}
	if r.room != nil {
		if err := r.room(max(m.Size, 0)); err != nil {
			return "", m.Size, err
		}
	}
	name = r.file(t.origin, m.Key)
	dir := filepath.Dir(name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", m.Size, err
	}
	f, err := os.CreateTemp(dir, tempPrefix)
	if err != nil {
		return "", m.Size, err
	}
	defer os.Remove(f.Name()) // nothing is left of it where it was renamed
	defer f.Close()
	size, err = io.Copy(f, io.LimitReader(in, maxKept))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", m.Size, err
	}
	return name, size, os.Rename(f.Name(), name)
}
