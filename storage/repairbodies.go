package storage

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
	"strconv"
	"strings"
	"time"

	"pillarbox/storage/message"
)

// bodyFile is a file of the account's bodies.
type bodyFile struct {
	path string
	id   DataID
	hash bodyHash // that its name tells
	used bool     // by a message, or it waits to be unlinked
}

// list finds the body files and sets those aside that cannot be any.
func (r *repair) list() error {
	root := filepath.Join(r.dir, "bodies")
	if err := makeDir(root); err != nil {
		return err
	}
	return filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		f := &bodyFile{path: path}
		if !f.parse(e.Name()) || f.folder() != filepath.Base(filepath.Dir(path)) {
			r.aside = append(r.aside, path)
			return nil
		}
		r.files[f.id] = append(r.files[f.id], f)
		r.next.nextData = max(r.next.nextData, f.id+1)
		return nil
	})
}

func (f *bodyFile) parse(name string) bool {
	number, sum, ok := strings.Cut(name, "-")
	id, err := strconv.ParseUint(number, 16, 64)
	b, herr := hex.DecodeString(sum)
	if !ok || err != nil || herr != nil || len(b) != len(f.hash) || id == 0 || id >= 1<<32 {
		return false
	}
	f.id, f.hash = DataID(id), bodyHash(b)
	return true
}

func (f *bodyFile) folder() string { return fmt.Sprintf("%x", uint64(f.id)>>bodiesPerFolder) }

// matchBodies finds the body of each message, or what is left of it, and the
// messages of bodies that nobody lists.
func (r *repair) matchBodies() error {
	for id, h := range r.garbage {
		for _, f := range r.files[id] {
			d := r.data[id]
			f.used = f.used || f.hash == h && (d == nil || d.refs == 0)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(r.data)) {
		if err := r.ctx.Err(); err != nil {
			return err
		}
		if err := r.matchBody(id, r.data[id]); err != nil {
			return err
		}
	}
	if r.torn || r.anyBroken(metaBucket) {
		if r.torn {
			r.tell("", 0, "a header of the index was damaged: the last change was looked for in other pages, and some of it may be missing")
		}
		if err := r.adoptOrphans(); err != nil {
			return err
		}
	}
	for _, id := range slices.Sorted(maps.Keys(r.files)) {
		for _, f := range r.files[id] {
			if f.used {
				continue
			}
			if err := r.ctx.Err(); err != nil {
				return err
			}
			if err := r.adoptFile(f); err != nil {
				return err
			}
		}
	}
	return nil
}

// matchBody sees to one data record; one that no message has is an orphan.
func (r *repair) matchBody(id DataID, d *foundData) error {
	if d.refs == 0 && r.expunged[id] {
		for _, f := range r.files[id] {
			f.used = f.used || f.hash == d.hash
		}
		if d.record && !d.inline {
			r.garbage[id] = d.hash
		}
		return nil
	}
	switch {
	case d.record && d.inline && d.body:
	case d.record && d.inline:
		r.lose(id, d, "its text, which lay in the index")
		return nil
	case d.record:
		if done, err := r.matchFile(id, d); done || err != nil {
			return err
		}
	default:
		return r.rebuild(id)
	}
	if d.refs == 0 {
		m, err := r.orphan(id, d)
		if err != nil {
			return err
		}
		r.orphans = append(r.orphans, m)
	}
	return nil
}

// lose notes that the body of data is gone, with what is known of it.
func (r *repair) lose(id DataID, d *foundData, what string) {
	about := ""
	var rec dataRecord
	if v := r.out.get(dataBucket, dataKey(id)); v != nil && decodeData(id, v, &rec) == nil {
		envelope := rec.Record.Envelope()
		about = fmt.Sprintf("; %d octets, %.300q", d.size, envelope)
	}
	r.lost[id] = "what is missing is " + what + about
	if d.refs == 0 {
		r.tell("", 0, "a message that no mailbox listed is lost%s", about)
		r.missing++
	}
}

// matchFile checks the file of a body. It tells whether the matter is settled:
// the body is lost, or there is other data in its place.
func (r *repair) matchFile(id DataID, d *foundData) (done bool, err error) {
	var same *bodyFile
	for _, f := range r.files[id] {
		if f.hash == d.hash {
			same = f
		}
	}
	path := r.bodyPath(id, d.hash)
	if same == nil {
		pooled := r.store.poolPath(d.hash)
		if sum, size, err := sumFile(pooled); err == nil && sum == d.hash && size == d.size {
			if err := makeDir(filepath.Dir(path)); err != nil {
				return true, err
			}
			if err := os.Link(pooled, path); err != nil {
				return true, err
			}
			r.tell("", 0, "the file of body %x was missing and is back from the pool", uint64(id))
			return false, syncDir(filepath.Dir(path))
		}
		if other := r.files[id]; len(other) > 0 { // under a damaged name
			other[0].used = true
			return true, r.replace(id, other[0].path)
		}
		r.lose(id, d, "the file of its text")
		return true, nil
	}
	same.used = true
	sum, size, err := sumFile(path)
	switch {
	case err != nil:
		r.aside = append(r.aside, path)
		r.lose(id, d, fmt.Sprintf("its text, whose file cannot be read (%v)", err))
		return true, nil
	case sum != d.hash || size != d.size:
		return true, r.replace(id, path)
	}
	return false, nil
}

// replace makes new data of a file whose content is not what it was.
func (r *repair) replace(id DataID, path string) error {
	var prefix []byte
	var rec dataRecord
	if v := r.out.get(dataBucket, dataKey(id)); v != nil && decodeData(id, v, &rec) == nil {
		prefix = slices.Clone(rec.Prefix)
	}
	now, err := r.rename(path, prefix)
	if err != nil {
		r.lose(id, r.data[id], fmt.Sprintf("its text, whose file cannot be read (%v)", err))
		return nil
	}
	r.replaced[id] = now
	if r.data[id].refs == 0 {
		m, err := r.orphan(now, r.data[now])
		if err != nil {
			return err
		}
		r.orphans = append(r.orphans, m)
	}
	return nil
}

// rename gives a file the number and hash that fit it, and data of its own.
// The old name goes when the new index is in its place.
func (r *repair) rename(path string, prefix []byte) (DataID, error) {
	b, err := r.store.parseFile(path)
	if err != nil {
		return 0, err
	}
	id := r.next.nextData
	r.next.nextData++
	to := r.bodyPath(id, b.hash)
	if err := makeDir(filepath.Dir(to)); err != nil {
		return 0, err
	}
	if err := removeIfThere(to); err != nil { // of a repair that was cut off
		return 0, err
	}
	if err := os.Link(path, to); err != nil {
		if err = copyFile(path, to); err != nil {
			return 0, err
		}
	}
	r.aside = append(r.aside, path)
	return id, errors.Join(r.putData(id, b, prefix), syncDir(filepath.Dir(to)))
}

func (r *repair) putData(id DataID, b *Staged, prefix []byte) error {
	r.data[id] = &foundData{record: true, size: b.size, prefix: int64(len(prefix)), hash: b.hash}
	return r.out.put(dataBucket, dataKey(id), appendDataRecord(nil, b, prefix))
}

// adoptOrphans makes messages of bodies that were set aside, where the index
// may have gone back to an older state.
func (r *repair) adoptOrphans() error {
	listed := map[bodyHash]bool{}
	for id, d := range r.data {
		if _, lost := r.lost[id]; !lost && d.refs > 0 {
			listed[d.hash] = true
		}
	}
	return eachOrphan(r.dir, func(path string, _ time.Time) error {
		if err := r.ctx.Err(); err != nil {
			return err
		}
		if sum, _, err := sumFile(path); err == nil && listed[sum] {
			return nil // a message has the same text
		}
		id, err := r.rename(path, nil)
		if err != nil {
			return nil // it stays where it is
		}
		m, err := r.orphan(id, r.data[id])
		if err == nil {
			r.orphans = append(r.orphans, m)
		}
		return err
	})
}

// rebuild makes the data record of messages from the body's file.
func (r *repair) rebuild(id DataID) error {
	d := r.data[id]
	for _, f := range r.files[id] {
		f.used = true
		b, err := r.store.parseFile(f.path)
		if err != nil {
			r.aside = append(r.aside, f.path)
			continue
		}
		if b.hash != f.hash {
			return r.replace(id, f.path)
		}
		refs := d.refs
		if err := r.putData(id, b, nil); err != nil {
			return err
		}
		r.data[id].refs, r.data[id].rebuilt = refs, true
		return nil
	}
	r.lose(id, d, "its data and its text")
	return nil
}

// adoptFile makes a message of a body that nobody lists.
func (r *repair) adoptFile(f *bodyFile) error {
	f.used = true
	b, err := r.store.parseFile(f.path)
	if err != nil || b.size == 0 {
		r.aside = append(r.aside, f.path)
		return nil
	}
	id := f.id
	if r.data[id] != nil || b.hash != f.hash {
		if id, err = r.rename(f.path, nil); err != nil {
			return err
		}
	} else if err := r.putData(id, b, nil); err != nil {
		return err
	}
	m, err := r.orphan(id, r.data[id])
	if err == nil {
		r.orphans = append(r.orphans, m)
	}
	return err
}

// orphan makes a message of data. It came when its file was written, or else
// when its own header says.
func (r *repair) orphan(id DataID, d *foundData) (Message, error) {
	var rec dataRecord
	if err := decodeData(id, r.out.get(dataBucket, dataKey(id)), &rec); err != nil {
		return Message{}, err
	}
	m := Message{Data: id, Size: d.size + d.prefix, SaveDate: r.now, InternalDate: r.now}
	if date, zone, ok := rec.Record.Date(); ok {
		m.InternalDate, m.Zone = date, int16(zone)
	}
	if fi, err := os.Stat(r.bodyPath(id, d.hash)); err == nil && !d.inline {
		m.InternalDate, m.Zone = fi.ModTime().Unix(), 0
	}
	return m, nil
}

func (r *repair) bodyPath(id DataID, h bodyHash) string {
	return (&Account{dir: r.dir}).bodyPath(id, h)
}

func sumFile(path string) (sum bodyHash, size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return sum, 0, err
	}
	defer f.Close()
	h := sha256.New()
	size, err = io.Copy(h, f)
	h.Sum(sum[:0])
	return sum, size, err
}

// parseFile reads a body that is a file already.
func (s *Store) parseFile(path string) (*Staged, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h := sha256.New()
	tee := io.TeeReader(f, h)
	msg, err := message.Parse(tee, s.limits)
	if err == nil {
		_, err = io.Copy(io.Discard, tee)
	}
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	b := &Staged{store: s, path: path, size: fi.Size(), msg: msg, record: msg.Append(nil)}
	h.Sum(b.hash[:0])
	return b, nil
}
