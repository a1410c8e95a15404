package clock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Every is how often the time is noted: flash wears, and ten minutes are soon
// caught up by NTP.
const Every = 10 * time.Minute

// AtLeast sets the clock to floor if it is behind, and tells whether it was.
func AtLeast(floor time.Time) (behind bool, err error) {
	if !time.Now().Before(floor) {
		return false, nil
	}
	tv := unix.NsecToTimeval(floor.UnixNano())
	if err := unix.Settimeofday(&tv); err != nil {
		return true, fmt.Errorf("set the clock: %w", err)
	}

	return true, nil
}

// Load returns the time noted in a file; the zero time if there is none.
func Load(name string) (time.Time, error) {
	text, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("read the last known time: %w", err)
	}
	t, err := time.Parse(time.RFC3339, strings.TrimSpace(string(text)))
	if err != nil {
		return time.Time{}, fmt.Errorf("read the last known time: %w", err)
	}

	return t, nil
}

// Save notes a time in a file, which is whole at every moment. It is durable.
func Save(name string, t time.Time) error {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return fmt.Errorf("note the time: %w", err)
	}
	_, err = f.WriteString(t.UTC().Format(time.RFC3339) + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("note the time: %w", err)
	}
	if err := syncDir(filepath.Dir(name)); err != nil {
		return fmt.Errorf("note the time: %w", err)
	}

	return nil
}

// syncDir makes a new name durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}

	return errors.Join(d.Sync(), d.Close())
}

// Keep notes the time in a file until the context ends.
func Keep(ctx context.Context, name string, failed func(error)) {
	ticks := time.NewTicker(Every)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
			if err := Save(name, time.Now()); err != nil {
				failed(err)
			}
		}
	}
}
