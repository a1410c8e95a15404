package mailfile

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// ReachError says in words that no mail moves by way of a folder.
type ReachError struct{ Text string }

// Error implements error.
func (e *ReachError) Error() string { return e.Text }

// Outside refuses a path that lies, or would lie, in the box's own data folder, ""
// if it has none: what is there is not to be written over, and not to be read as
// mail.
func Outside(path, data string) error {
	if data == "" {
		return nil
	}
	own, err := filepath.Abs(data)
	if err == nil {
		own, err = filepath.EvalSymlinks(own)
	}
	if err != nil {
		return fmt.Errorf("look at the data folder: %w", err)
	}
	at, err := resolve(path)
	if err == nil && within(at, own) {
		err = &ReachError{"the folder is in the box's own data folder: choose another, such as one on a USB stick"}
	}

	return err
}

// Reachable refuses also folders in which the system keeps what is its own, for a
// server, which may read and write more than who asks it to.
func Reachable(path, data string) error {
	if err := Outside(path, data); err != nil {
		return err
	}
	at, err := resolve(path)
	if err != nil {
		return err
	}
	system := []string{"/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/root", "/run", "/sbin", "/sys", "/usr"}
	if at == "/" {
		return &ReachError{"the server moves no mail by way of the whole disk: choose a folder, such as one below /srv or /media"}
	}
	if slices.ContainsFunc(system, func(dir string) bool { return within(at, dir) }) && !within(at, "/run/media") {
		return &ReachError{"the server moves no mail by way of the system's own folders, and " + at + " is in one: choose another, such as one below /srv or /media, or let the command do it, without --on-box"}
	}

	return nil
}

func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)

	return err != nil || rel != ".." && !strings.HasPrefix(rel, "../")
}

// resolve follows the links of a path, as far as it is there.
func resolve(path string) (string, error) {
	at, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("look at the folder: %w", err)
	}
	rest := ""
	for {
		real, err := filepath.EvalSymlinks(at)
		if err == nil {
			return filepath.Join(real, rest), nil
		}
		if !errors.Is(err, fs.ErrNotExist) || at == "/" {
			return "", fmt.Errorf("look at the folder: %w", err)
		}
		at, rest = filepath.Dir(at), filepath.Join(filepath.Base(at), rest)
	}
}
