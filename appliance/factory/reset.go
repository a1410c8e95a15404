package factory

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

const (
	markerFile = "factory-reset.json"
	maxMarker  = 4096 // octets
)

// lockFile is storage's; who holds it has the folder to himself.
const lockFile = "LOCK"

// mail is where a data folder has the accounts with their passwords, and their
// mail: storage's, the passwords of a sample office, and the record of who did
// what with them.
var mail = []string{"system.db", "system.bak", "accounts", "pool", "staging", "sample.json", "audit", "imports"}

// ErrInUse says that somebody works on the data folder.
var ErrInUse = errors.New("the data folder is in use")

// Reset is a reset to be done.
type Reset struct {
	KeepMail  bool      `json:"keep_mail"` // and the accounts
	Requested time.Time `json:"requested"`
}

// Schedule makes the next start of the server do a reset. It is durable.
func Schedule(dir string, r Reset) error {
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("schedule factory reset: %w", err)
	}
	name := filepath.Join(dir, markerFile)
	// The server may be another user than the one at the console.
	f, err := os.OpenFile(name+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return fmt.Errorf("schedule factory reset: %w", err)
	}
	_, err = f.Write(append(b, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(name+".new", name)
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		return fmt.Errorf("schedule factory reset: %w", err)
	}

	return nil
}

// Scheduled returns the reset that is to be done, nil if there is none.
func Scheduled(dir string) (*Reset, error) {
	name := filepath.Join(dir, markerFile)
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for a factory reset: %w", err)
	}
	if info.Size() > maxMarker {
		return nil, fmt.Errorf("look for a factory reset: %s is too long", name)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("look for a factory reset: %w", err)
	}
	r := &Reset{}
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}

	return r, nil
}

// Cancel takes back what was scheduled, and tells whether there was something.
// What has begun cannot be cancelled: the server that does it holds the folder.
func Cancel(dir string) (bool, error) {
	err := os.Remove(filepath.Join(dir, markerFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err = errors.Join(err, syncDir(dir)); err != nil {
		return false, fmt.Errorf("cancel factory reset: %w", err)
	}

	return true, nil
}

// CarryOut does the reset that is scheduled, if there is one. After an error
// or a power cut the next call goes on. What cannot be understood is no reset,
// and keeps no server from starting.
func CarryOut(dir string, log *slog.Logger) error {
	r, err := Scheduled(dir)
	if err != nil {
		log.Error("factory reset not done", "err", err)
		return nil
	}
	if r == nil {
		return nil
	}
	lock, err := takeLock(dir)
	if err != nil {
		return fmt.Errorf("factory reset: %w", err)
	}
	defer lock.Close()
	log.Warn("factory reset", "keep_mail", r.KeepMail, "requested", r.Requested)
	kept := []string{markerFile, lockFile}
	if r.KeepMail {
		kept = append(kept, mail...)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("factory reset: %w", err)
	}
	for _, e := range entries {
		if slices.Contains(kept, e.Name()) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("factory reset: %w", err)
		}
	}
	// The order matters: the marker goes when all else is gone for good.
	if err := syncDir(dir); err != nil {
		return fmt.Errorf("factory reset: %w", err)
	}
	if _, err := Cancel(dir); err != nil {
		return fmt.Errorf("factory reset: %w", err)
	}
	log.Info("factory reset done")

	return nil
}

func takeLock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = ErrInUse
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}

	return f, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}

	return errors.Join(d.Sync(), d.Close())
}
