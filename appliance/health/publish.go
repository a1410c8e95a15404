package health

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

const (
	followEvery  = 10 * time.Second
	maxPublished = 64 << 10 // octets of a file
)

// Publish replaces a file by conditions that another process is to show. The
// file belongs on a file system in memory: it is about this boot.
func Publish(path string, all []Condition) error {
	b, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return fmt.Errorf("publish conditions: %w", err)
	}
	temporary := path + ".new"
	if err = os.WriteFile(temporary, append(b, '\n'), 0o644); err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		return fmt.Errorf("publish conditions: %w", err)
	}

	return nil
}

// Follow shows, beside the Tracker's own, the conditions in a file that another
// process publishes, until ctx ends. A file that is missing holds none; of one
// that cannot be read the last state is kept, and the log tells so.
func (t *Tracker) Follow(ctx context.Context, path string) {
	ticks := time.NewTicker(followEvery)
	defer ticks.Stop()
	var last string
	for {
		all, err := readPublished(path)
		now := fmt.Sprint(err)
		switch {
		case err == nil:
			t.mu.Lock()
			t.published = all
			t.mu.Unlock()
		case now != last:
			t.log.WarnContext(ctx, "conditions not read", "path", path, "err", err)
		}
		last = now
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return
		}
	}
}

func readPublished(path string) ([]Condition, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []Condition
	if err := json.NewDecoder(io.LimitReader(f, maxPublished)).Decode(&all); err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].Severity.rank() < 0 {
			all[i].Severity = Medium
		}
	}

	return all, nil
}
