package keeper

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	// tailSize is how much of the output is kept, in octets: some hundred lines,
	// and the stacks of a crash's first goroutines.
	tailSize = 64 << 10

	// keptReports is how many reports are kept. Together they stay below a MiB.
	keptReports = 10

	prefix, suffix = "end-", ".txt"
)

// tail keeps the last octets written to it.
type tail struct{ last []byte }

// Write never fails.
func (t *tail) Write(p []byte) (int, error) {
	t.last = append(t.last, p...)
	if len(t.last) > 2*tailSize {
		t.last = append(t.last[:0], t.last[len(t.last)-tailSize:]...)
	}

	return len(p), nil
}

func (t *tail) bytes() []byte { return bytes.Clone(t.last[max(0, len(t.last)-tailSize):]) }

// report tells of an end.
type report struct {
	Time     time.Time
	Ran      time.Duration
	Restarts int
	End      string
	Words    []byte
}

// save writes the report and removes the oldest ones.
func (r *report) save(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the folder of reports: %w", err)
	}
	f, err := os.CreateTemp(dir, "new-*")
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	_, err = fmt.Fprintf(f, "%s: %s, after %s, the start %d since the box started\n\n%s",
		r.Time.UTC().Format(time.RFC3339), r.End, r.Ran.Round(time.Millisecond), r.Restarts+1, r.Words)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		name := prefix + r.Time.UTC().Format("20060102T150405.000000000Z") + suffix
		err = os.Rename(f.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write report: %w", err), os.Remove(f.Name()))
	}

	return prune(dir)
}

// prune removes all but the newest reports, and what a power cut left of one.
func prune(dir string) error {
	reports, err := Reports(dir)
	if err != nil {
		return err
	}
	unfinished, err := filepath.Glob(filepath.Join(dir, "new-*"))
	if err != nil {
		return err
	}
	for _, name := range append(unfinished, reports[:max(0, len(reports)-keptReports)]...) {
		if err := os.Remove(name); err != nil {
			return fmt.Errorf("remove an old report: %w", err)
		}
	}

	return nil
}

// Reports returns the files of the reports, the oldest first.
func Reports(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list reports: %w", err)
	}
	var files []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) && strings.HasSuffix(e.Name(), suffix) {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	slices.Sort(files)

	return files, nil
}
