package importer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxJobFile bounds what is read of a file of a job, in octets.
const maxJobFile = 64 << 20

// shelf is the folder in which jobs are kept: of each one ID.json, its
// secrets, where they are kept, in ID.secret, a report of each person in
// ID.reports/, and what was uploaded for it in ID.upload/.
type shelf struct{ dir string }

func (s shelf) job(id string) string    { return filepath.Join(s.dir, id+".json") }
func (s shelf) secret(id string) string { return filepath.Join(s.dir, id+".secret") }
func (s shelf) upload(id string) string { return filepath.Join(s.dir, id+".upload") }
func (s shelf) report(id string, person int) string {
	return filepath.Join(s.dir, id+".reports", fmt.Sprintf("%d.json", person))
}

// secrets are those of a job: of each person by User, and the
// administrator's under "".
type secrets map[string]string

func (s shelf) jobs() ([]*Job, []error, error) {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read the imports: %w", err)
	}
	var out []*Job
	var bad []error
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok || !validID(id) {
			continue
		}
		var j Job
		if err := readFile(s.job(id), &j); err != nil || j.ID != id {
			bad = append(bad, fmt.Errorf("the import %s cannot be read: %w", id, errors.Join(err, errJob)))
			continue
		}
		out = append(out, &j)
	}
	slices.SortFunc(out, func(a, b *Job) int { return a.Created.Compare(b.Created) })
	return out, bad, nil
}

// sweep removes what a crash has left, in which there may be passwords: files
// that were not yet named, secrets of jobs that never began or have ended, and what
// was uploaded for such.
func (s shelf) sweep(list []*Job) error {
	entries, err := os.ReadDir(s.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var errs []error
	for _, e := range entries {
		id, secret := strings.CutSuffix(e.Name(), ".secret")
		i := slices.IndexFunc(list, func(j *Job) bool { return j.ID == id })
		_, err := os.Lstat(s.job(id))
		unknown := i < 0 && errors.Is(err, fs.ErrNotExist)
		if id, ok := strings.CutSuffix(e.Name(), ".upload"); ok {
			i := slices.IndexFunc(list, func(j *Job) bool { return j.ID == id })
			_, err := os.Lstat(s.job(id)) // one that cannot be read keeps its own
			if i < 0 && errors.Is(err, fs.ErrNotExist) || i >= 0 && !list[i].needsUpload() {
				errs = append(errs, os.RemoveAll(filepath.Join(s.dir, e.Name())))
			}
			continue
		}
		if strings.HasPrefix(e.Name(), tempPrefix) || secret && (unknown || i >= 0 && !list[i].needsSecrets()) {
			errs = append(errs, removeFile(filepath.Join(s.dir, e.Name())))
		}
	}
	return errors.Join(errs...)
}

// needsSecrets tells whether a job's secrets are kept.
func (j *Job) needsSecrets() bool {
	return j.KeepSecrets && j.State != Ended && j.State != Cancelled
}

const tempPrefix = ".new-"

var errJob = errors.New("it is no job")

// validID keeps an identifier from naming another file.
func validID(id string) bool {
	return id != "" && len(id) <= 32 && strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

func (s shelf) remove(id string) error {
	return errors.Join(removeFile(s.secret(id)), os.RemoveAll(filepath.Join(s.dir, id+".reports")), removeFile(s.job(id)), syncFolder(s.dir))
}

func removeFile(name string) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func readFile(name string, into any) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return json.NewDecoder(io.LimitReader(f, maxJobFile)).Decode(into)
}

// writeFile replaces a file as a whole, durably, readable by its owner only.
func writeFile(name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	dir := filepath.Dir(name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, tempPrefix) // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // nothing is left of it where it was renamed
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	return syncFolder(dir)
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
