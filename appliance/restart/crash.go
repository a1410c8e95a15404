package restart

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"runtime/pprof"
	"time"
)

const (
	crashFile     = "crash.txt"
	lastCrashFile = "last-crash.txt"

	// maxWords bounds the last words that are kept: the reason and the
	// goroutine at fault come first.
	maxWords = 256 << 10
)

// openCrash makes the Go runtime write its last words to a file too.
func (r *Run) openCrash() error {
	f, err := os.OpenFile(filepath.Join(r.dir, crashFile), os.O_RDWR|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if err := debug.SetCrashOutput(f, debug.CrashOptions{}); err != nil {
		return errors.Join(err, f.Close())
	}
	r.crash = f

	return nil
}

func (r *Run) closeCrash() error {
	return errors.Join(debug.SetCrashOutput(nil, debug.CrashOptions{}), r.crash.Close())
}

// LastWords keeps why the program is about to end, and what it was doing: for
// one that hangs, where the Go runtime has nothing to say.
func (r *Run) LastWords(reason string) {
	w := &bounded{w: r.crash, left: maxWords}
	fmt.Fprintf(w, "%s\n\n", reason)
	// All goroutines, as after a panic.
	err := pprof.Lookup("goroutine").WriteTo(w, 2)
	if err = errors.Join(err, r.crash.Sync()); err != nil {
		r.conf.Logger.Error("last words not kept", "err", err)
	}
}

// bounded drops what is too much.
type bounded struct {
	w    io.Writer
	left int
}

func (b *bounded) Write(p []byte) (int, error) {
	n := min(len(p), b.left)
	b.left -= n
	if _, err := b.w.Write(p[:n]); err != nil {
		return 0, err
	}

	return len(p), nil
}

// keepCrash makes what the last run left the last words that are shown, and
// returns nil if it left none; ended is about when that run was over.
func (r *Run) keepCrash(version string) (c *Crash, ended time.Time) {
	words, ended, err := readCrash(r.dir)
	if words == nil && err == nil {
		return nil, time.Now().UTC()
	}
	if err == nil {
		err = replaceFile(filepath.Join(r.dir, lastCrashFile), words)
	}
	if err != nil {
		r.conf.Logger.Error("last words not kept", "err", err)
	}

	return &Crash{
		Time: ended, Version: version, Reason: firstLine(words), File: filepath.Join(r.dir, lastCrashFile),
	}, ended
}

// readCrash returns what a run left and when, nil if it left nothing.
func readCrash(dir string) (words []byte, at time.Time, err error) {
	f, err := os.Open(filepath.Join(dir, crashFile))
	if err != nil {
		return nil, time.Time{}, nil // there was none
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return nil, time.Time{}, nil
	}
	words, err = io.ReadAll(io.LimitReader(f, maxWords))

	return words, info.ModTime().UTC(), err
}

func firstLine(words []byte) string {
	line, _, _ := bytes.Cut(bytes.TrimSpace(words), []byte("\n"))

	return string(line[:min(len(line), maxReason)])
}
