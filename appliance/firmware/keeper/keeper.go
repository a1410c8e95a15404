package keeper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"syscall"
	"time"
)

// Defaults of a Config.
const (
	DefaultFirst  = time.Second
	DefaultMost   = time.Minute
	DefaultSteady = 10 * time.Minute
	DefaultEnd    = 90 * time.Second
)

// Config tells what to keep running.
type Config struct {
	Program string
	Args    []string
	Dir     string       // for reports; made if missing
	Output  io.Writer    // gets the program's output; must not be nil
	Logger  *slog.Logger // must not be nil

	// Pauses before a restart grow from First to Most, and begin anew when the
	// program has run for Steady. Zero means the default.
	First, Most, Steady time.Duration
	End                 time.Duration // how long the program may take to end when told to
}

// Run keeps the program running until the context ends; then the program is
// told to end by SIGTERM, and killed if it does not.
func Run(ctx context.Context, c *Config) error {
	k := *c
	for value, usual := range map[*time.Duration]time.Duration{
		&k.First: DefaultFirst, &k.Most: DefaultMost, &k.Steady: DefaultSteady, &k.End: DefaultEnd,
	} {
		if *value == 0 {
			*value = usual
		}
	}
	pause := k.First
	for restarts := 0; ; restarts++ {
		started := time.Now()
		words := &tail{}
		err := k.once(ctx, words)
		if ctx.Err() != nil {
			return err
		}
		ran := time.Since(started)
		if ran >= k.Steady {
			pause = k.First
		}
		r := &report{Time: time.Now(), Ran: ran, Restarts: restarts, End: describe(err), Words: words.bytes()}
		k.Logger.Error("the program ended", "program", k.Program, "err", r.End, "ran", ran.Round(time.Millisecond),
			"restarts", restarts, "pause", pause)
		if err := r.save(k.Dir); err != nil {
			k.Logger.Error("keep the last words", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause = min(2*pause, k.Most)
	}
}

// once runs the program once. When the context has ended, it is an error only
// if the program had to be killed.
func (c *Config) once(ctx context.Context, words io.Writer) error {
	cmd := exec.CommandContext(ctx, c.Program, c.Args...)
	out := io.MultiWriter(words, c.Output)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = c.End
	err := cmd.Run()
	if ctx.Err() == nil {
		return err
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
		return fmt.Errorf("%s did not end within %s and was killed", c.Program, c.End)
	}

	return nil
}

// describe says how a program ended.
func describe(err error) string {
	if err == nil {
		return "ended by itself without an error"
	}

	return err.Error()
}
