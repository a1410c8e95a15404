package restart

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	folder     = "run"
	recordFile = "run.json"

	// StableTime is how long a run lasts before the ones that ended badly
	// before it are forgotten.
	StableTime = 10 * time.Minute

	longestWait = 5 * time.Minute

	// uncountedPause stands in for Wait where the disk keeps no count.
	uncountedPause = 10 * time.Second
	maxReason      = 500 // octets
)

// ErrRunning says that another server runs on the data folder.
var ErrRunning = errors.New("another server runs on the data folder")

// Config says what a run is.
type Config struct {
	Dir     string       // the data folder; made if missing
	Version string       // of the program
	Logger  *slog.Logger // must not be nil
	BootID  string       // of this boot; "" means the kernel's
}

// Crash is how a run ended badly.
type Crash struct {
	Time    time.Time `json:"time"`
	Version string    `json:"version"`
	Reason  string    `json:"reason"`
	File    string    `json:"file,omitempty"` // the last words, where there are some
}

// History is how the runs before this one ended.
type History struct {
	// Bad is how many runs in a row ended badly just before this one.
	Bad int `json:"bad"`
	// NotReady is how many runs in a row ended before they were ready, which
	// is a mistake in the configuration more often than a fault.
	NotReady int `json:"not_ready,omitempty"`
	// LastCrash is the newest run that ended badly, nil if none is known.
	LastCrash *Crash `json:"last_crash,omitempty"`
	// Starts are the newest ones, at most 10, the oldest first; this run's is the
	// last.
	Starts []Start `json:"starts,omitempty"`
}

// record is what run.json holds.
type record struct {
	History

	Boot    string    `json:"boot"`
	Version string    `json:"version"`
	Started time.Time `json:"started"`
	Ready   bool      `json:"ready"`  // it served
	Ended   bool      `json:"ended"`  // it came to its end
	Reason  string    `json:"reason"` // why, if not because it was told to
	Stopped time.Time `json:"stopped,omitzero"`

	Order   string `json:"order,omitempty"` // that was given the machine
	OrderBy string `json:"order_by,omitempty"`
}

// Run is one run of the program.
type Run struct {
	conf  Config
	dir   string
	lock  *os.File
	crash *os.File

	mu  sync.Mutex
	rec record
}

// Begin notes that a run begins, and reads how the ones before it ended.
// ErrRunning if one is not over.
func Begin(c *Config) (r *Run, err error) {
	r = &Run{conf: *c, dir: filepath.Join(c.Dir, folder)}
	if r.conf.BootID == "" {
		r.conf.BootID = bootID()
	}
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return nil, fmt.Errorf("note the start: %w", err)
	}
	if r.lock, err = os.Open(r.dir); err != nil {
		return nil, fmt.Errorf("note the start: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
			r = nil
		}
	}()
	if err := syscall.Flock(int(r.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return r, ErrRunning
		}
		return r, fmt.Errorf("note the start: %w", err)
	}
	r.rec = record{
		History: r.before(time.Now().UTC()), Boot: r.conf.BootID, Version: c.Version, Started: time.Now().UTC(),
	}
	if err := r.write(); err != nil {
		return r, fmt.Errorf("note the start: %w", err)
	}
	if err := r.openCrash(); err != nil {
		return r, fmt.Errorf("keep last words: %w", err)
	}

	return r, nil
}

// LastCrash returns the newest run that is known to have ended badly, nil if
// there is none: for who finds no server. That a run was killed is known only
// once the next begins.
func LastCrash(dir string) (*Crash, error) {
	old, err := readRecord(filepath.Join(dir, folder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read how the last run ended: %w", err)
	}
	switch {
	case old.Ended && old.Reason != "":
		return &Crash{Time: old.Stopped, Version: old.Version, Reason: old.Reason}, nil
	case !old.Ended:
		if words, at, err := readCrash(filepath.Join(dir, folder)); err == nil && words != nil {
			return &Crash{Time: at, Version: old.Version, Reason: firstLine(words), File: filepath.Join(dir, folder, crashFile)}, nil
		}
	}

	return old.LastCrash, nil
}

func readRecord(dir string) (record, error) {
	var rec record
	b, err := os.ReadFile(filepath.Join(dir, recordFile))
	if err == nil {
		err = json.Unmarshal(b, &rec)
	}

	return rec, err
}

// before tells how the runs before this one ended, which begins now.
func (r *Run) before(now time.Time) History {
	old, err := readRecord(r.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return History{Starts: []Start{{Time: now, Version: r.conf.Version, Why: First}}}
	}
	if err != nil {
		// The count is not worth a start that fails.
		r.conf.Logger.Warn("it is not known how the last run ended", "err", err)
		old = record{Ended: true}
	}
	words, ended := r.keepCrash(old.Version)
	h := old.History
	start := old.next(words, r.conf.BootID)
	if err != nil {
		start = Start{Why: Unknown}
	}
	start.Time, start.Version = now, r.conf.Version
	h.Starts = append(h.Starts[max(0, len(h.Starts)-maxStarts+1):], start)
	switch {
	case words != nil:
		h.LastCrash = words
	case old.Ended && old.Reason == "":
		h.Bad, h.NotReady = 0, 0
		return h
	case old.Ended && !old.Ready:
		h.NotReady++
		return h
	case old.Ended:
		h.LastCrash = &Crash{Time: ended, Version: old.Version, Reason: old.Reason}
	case old.Boot != r.conf.BootID:
		h.Bad, h.NotReady = 0, 0 // a power cut, or the kernel's fault
		return h
	default:
		h.LastCrash = &Crash{Time: ended, Version: old.Version, Reason: "killed without a word: by somebody, or for want of memory"}
	}
	h.Bad++

	return h
}

// History tells how the runs before this one ended.
func (r *Run) History() History {
	r.mu.Lock()
	defer r.mu.Unlock()

	return r.rec.History
}

// Delay is how long to wait before serving: not after the first run that ended
// badly or was not ready, then longer each time.
func (r *Run) Delay() time.Duration {
	h := r.History()
	n := h.Bad + h.NotReady - 2
	if n < 0 {
		return 0
	}

	return min(time.Second<<min(n, 20), longestWait)
}

// Wait waits for Delay.
func (r *Run) Wait(ctx context.Context) error {
	d := r.Delay()
	if d == 0 {
		return nil
	}
	r.conf.Logger.WarnContext(ctx, "waiting before serving, because the program ended badly", "times", r.History().Bad+r.History().NotReady, "wait", d)
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Pause is for a program that ends by an error and whose runs could not be
// counted, as on a disk that is full: it keeps whoever starts it again at once
// from doing so all the time.
func Pause(ctx context.Context) {
	select {
	case <-time.After(uncountedPause):
	case <-ctx.Done():
	}
}

// Ready notes that the program serves: an error it ends with from now on is a
// bad end.
func (r *Run) Ready() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rec.Ready = true
	if r.rec.NotReady == 0 {
		return // what else changed is written at the end
	}
	r.rec.NotReady = 0
	if err := r.write(); err != nil {
		r.conf.Logger.Warn("runs that were not ready are not forgotten", "err", err)
	}
}

// Stable forgets, after StableTime, the runs that ended badly. It returns when
// that is done or ctx has ended.
func (r *Run) Stable(ctx context.Context) error {
	if r.History().Bad == 0 {
		return nil
	}
	select {
	case <-time.After(StableTime):
	case <-ctx.Done():
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rec.Bad = 0

	return r.write()
}

// End notes how the run ended: well if reason is nil. It must be the last call.
func (r *Run) End(reason error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rec.Ended, r.rec.Stopped = true, time.Now().UTC()
	if reason != nil {
		text := strings.ReplaceAll(reason.Error(), "\n", "; ")
		r.rec.Reason = text[:min(len(text), maxReason)]
	}

	return errors.Join(r.write(), r.close())
}

func (r *Run) write() error {
	b, err := json.MarshalIndent(&r.rec, "", "  ")
	if err != nil {
		return fmt.Errorf("encode record: %w", err)
	}

	return replaceFile(filepath.Join(r.dir, recordFile), append(b, '\n'))
}

func (r *Run) close() error {
	var errs []error
	if r.crash != nil {
		errs = append(errs, r.closeCrash())
	}

	return errors.Join(append(errs, r.lock.Close())...)
}

// bootID tells one boot of the machine from another.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "unknown"
	}

	return strings.TrimSpace(string(b))
}

// replaceFile leaves the old file or the new one after a crash.
func replaceFile(path string, data []byte) (err error) {
	temporary := path + ".new"
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}

	return os.Rename(temporary, path)
}
