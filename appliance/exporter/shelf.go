package exporter

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

// maxKept bounds what is read of a kept file, in octets.
const maxKept = 64 << 20

// shelf is the folder in which moves are kept: of each one ID.json, its
// passwords, where they are kept, in ID.secret, and a report of each person in
// ID.reports/.
type shelf struct{ dir string }

func (s shelf) move(id string) string    { return filepath.Join(s.dir, id+".json") }
func (s shelf) secret(id string) string  { return filepath.Join(s.dir, id+".secret") }
func (s shelf) reports(id string) string { return filepath.Join(s.dir, id+".reports") }
func (s shelf) report(id string, person int) string {
	return filepath.Join(s.reports(id), fmt.Sprintf("%d.json", person))
}

// secrets are those of a move: of each person by User, and the administrator's
// under "".
type secrets map[string]string

// moves reads all, and those errors for which one is passed over.
func (s shelf) moves() ([]*Move, []error, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("read the exports: %w", err)
	}
	var all []*Move
	var bad []error
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok {
			continue
		}
		var m Move
		if err := read(s.move(id), &m); err != nil || m.ID != id {
			bad = append(bad, fmt.Errorf("read the export %s: %w", id, errors.Join(err)))
			continue
		}
		all = append(all, &m)
	}

	return all, bad, s.sweep(entries, all)
}

// sweep removes what a crash has left, in which there may be passwords: files
// that were being written, and secrets of moves that never began or have ended.
func (s shelf) sweep(entries []fs.DirEntry, all []*Move) error {
	var errs []error
	for _, e := range entries {
		id, secret := strings.CutSuffix(e.Name(), ".secret")
		i := slices.IndexFunc(all, func(m *Move) bool { return m.ID == id })
		needed := i >= 0 && all[i].KeepSecrets && !all[i].over()
		if _, err := os.Lstat(s.move(id)); i < 0 && err == nil {
			needed = true // of one that cannot be read
		}
		if strings.HasSuffix(e.Name(), ".partial") || secret && !needed {
			errs = append(errs, removeIfThere(filepath.Join(s.dir, e.Name())))
		}
	}

	return errors.Join(errs...)
}

func (s shelf) remove(id string) error {
	return errors.Join(removeIfThere(s.secret(id)), os.RemoveAll(s.reports(id)), removeIfThere(s.move(id)), syncDir(s.dir))
}

func read(name string, into any) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()

	return json.NewDecoder(io.LimitReader(f, maxKept)).Decode(into)
}

// keep writes a file durably, readable by its owner only.
func keep(name string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	f, err := openFolder(filepath.Dir(name))
	if err != nil {
		return err
	}

	return errors.Join(f.writeFile(filepath.Base(name), text), f.Close())
}
