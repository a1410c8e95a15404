package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
)

// maxNamed is how many records of a section a repair names.
const maxNamed = 100

// RepairSystem looks at the system database of a folder that no process has
// open, and with mended builds it anew where it is missing or damaged: from
// the file in its place, other pages of it, and the copy system.bak, see
// systemScan. It tells whether there was a fault. What was there is kept in
// DIR/damaged-TIME/. Records that only the rooms above can make anew are
// theirs to see to.
func RepairSystem(ctx context.Context, dir string, found, mended func(Problem)) (faulty bool, err error) {
	s := &Store{dir: dir, log: slog.New(slog.DiscardHandler), now: time.Now}
	if err := s.takeLock(); err != nil {
		return false, fmt.Errorf("repair system database: %w", err)
	}
	defer func() { err = errors.Join(err, s.unlock()) }()
	system, err := openSystem(dir, s.log)
	if err == nil {
		return false, system.db.close()
	}
	if !errors.Is(err, ErrSystemDamaged) {
		return false, fmt.Errorf("repair system database: %w", err)
	}
	text, _, _ := strings.Cut(err.Error(), "\n") // below may be a stack
	found(Problem{Text: text})
	if mended == nil {
		return true, nil
	}
	r := &systemRepair{dir: dir, now: s.now(), said: mended}
	if err = r.run(ctx, os.Rename); err == nil {
		system, err = openSystem(dir, s.log)
	}
	if err == nil {
		// A new copy at once: nothing else has these records twice.
		err = errors.Join(system.backup(ctx), system.db.close())
	}
	if err != nil {
		return true, fmt.Errorf("repair system database: %w", diskError(err))
	}
	return true, nil
}

// repair mends the database while it is in use.
func (s *System) repair(ctx context.Context, dir string, now time.Time, said func(Problem)) error {
	var words []Problem // said when nobody waits for the lock any more
	err := s.mend(ctx, &systemRepair{dir: dir, now: now, said: func(p Problem) { words = append(words, p) }})
	for _, p := range words {
		said(p)
	}
	return err
}

func (s *System) mend(ctx context.Context, r *systemRepair) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var old *bolt.DB
	if err := r.run(ctx, func(from, _ string) (err error) {
		if old, err = s.db.replace(from); err == nil {
			err = s.db.settle()
		}
		return err
	}); err != nil {
		return err
	}
	if err := old.Close(); err != nil {
		return err
	}
	s.copy.changed()
	return s.copy.make(ctx)
}

type systemRepair struct {
	dir    string
	now    time.Time
	said   func(Problem)
	report strings.Builder
}

func (r *systemRepair) tell(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	r.said(Problem{Text: text})
	r.report.WriteString(text + "\n")
}

// run builds a new database and gives it to install with the name it is to have.
func (r *systemRepair) run(ctx context.Context, install func(from, to string) error) error {
	s, err := scanSystem(ctx, r.dir)
	if err != nil {
		return err
	}
	r.describe(s)
	path, mended := filepath.Join(r.dir, systemFile), filepath.Join(r.dir, systemFile+".mended")
	if err := createDatabase(mended, s.write); err != nil {
		return errors.Join(err, removeIfThere(mended))
	}
	aside, err := keepAside(r.dir, r.now, systemFile, systemBackup)
	if err == nil {
		r.tell("what was there before is kept in %s; delete that folder when nothing is missing", aside)
		err = os.WriteFile(filepath.Join(aside, "report.txt"), []byte(r.report.String()), 0o600)
	}
	if err == nil {
		err = errors.Join(syncDir(aside), syncDir(r.dir))
	}
	if err == nil {
		err = install(mended, path)
	}
	if err != nil {
		return errors.Join(err, removeIfThere(mended))
	}
	return syncDir(r.dir)
}

// describe says what came from where. Keys are names; values stay unsaid.
func (r *systemRepair) describe(s *systemScan) {
	for _, text := range s.odd {
		fmt.Fprintf(&r.report, "found: %s\n", text)
	}
	had := "there is no copy of it"
	switch {
	case s.whole:
		had = "its copy " + systemBackup + " is whole"
	case s.copies:
		had = "its copy " + systemBackup + " is damaged, too"
	}
	switch {
	case s.lost:
		r.tell("nothing of %s could be read in its place; %s", systemFile, had)
	case s.stale:
		r.tell("%s is older than its copy: what only the copy has was taken from there", systemFile)
	case len(s.odd) > 0:
		r.tell("%d places of %s could not be read; %s", len(s.odd), systemFile, had)
	}
	if s.torn {
		r.tell("one of the two headers of %s was damaged; the last change was looked for in other pages", systemFile)
	}
	for _, sec := range s.sections() {
		n := 0
		for k, f := range s.found[sec] {
			if f.from == inPlace {
				continue
			}
			if n++; n <= maxNamed {
				where := "an older page"
				if f.from == fromCopy {
					where = "the copy"
				}
				fmt.Fprintf(&r.report, "section %s: %q is from %s\n", sec, k, where)
			}
		}
		if n > 0 {
			r.tell("section %s: %d of %d records are from the copy or from older pages; a change or a deletion just before the damage may be missing", sec, n, len(s.found[sec]))
		}
	}
}

// write puts what was found into a new database, whose stamps go on.
func (s *systemScan) write(tx *bolt.Tx) error {
	h := fileHead{format: systemFormat, base: max(s.stamp, s.copied.stamp)}
	for _, sec := range s.sections() {
		b, err := tx.CreateBucketIfNotExists(section(sec))
		if err != nil {
			return err
		}
		for k, f := range s.found[sec] {
			sealed := seal(sec, []byte(k), f.value, f.stamp)
			r, _ := unseal(sec, []byte(k), sealed)
			h.add(&r)
			h.base = max(h.base, r.stamp)
			if err := b.Put([]byte(k), sealed); err != nil {
				return err
			}
		}
	}
	return h.write(tx)
}

// keepAside makes a folder of damaged files below dir and links or copies them
// there, as far as they are there.
func keepAside(dir string, now time.Time, names ...string) (aside string, err error) {
	stem := filepath.Join(dir, damagedPrefix+now.UTC().Format("20060102-150405"))
	aside = stem
	for n := 2; ; n++ {
		err := os.Mkdir(aside, 0o700)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrExist) || n > 1000 {
			return "", err
		}
		aside = fmt.Sprintf("%s-%d", stem, n)
	}
	for _, name := range names {
		from, to := filepath.Join(dir, name), filepath.Join(aside, name)
		err := os.Link(from, to)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			err = copyFile(from, to)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("keep the damaged files: %w", err)
		}
	}
	return aside, nil
}
