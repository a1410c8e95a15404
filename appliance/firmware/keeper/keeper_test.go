package keeper_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pillarbox/appliance/firmware/keeper"
)

// output is what a program wrote.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()

	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()

	return o.buf.String()
}

// keep runs a shell script until done is satisfied with its output.
func keep(t *testing.T, c *keeper.Config, script string, done func(out string) bool) {
	t.Helper()
	out := &output{}
	c.Program, c.Args = "/bin/sh", []string{"-c", script}
	c.Output, c.Logger = out, slog.New(slog.DiscardHandler)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- keeper.Run(ctx, c) }()
	for deadline := time.Now().Add(20 * time.Second); !done(out.String()); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long; the output is\n%s", out)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Run = %v", err)
	}
	c.Output = out
}

func starts(n int) func(string) bool {
	return func(out string) bool { return strings.Count(out, "started\n") >= n }
}

func TestProgramIsStartedAgainHoweverItEnds(t *testing.T) {
	for name, end := range map[string]string{
		"without an error":       "exit 0",
		"with an error":          "exit 3",
		"telling not to restart": "exit 125",
		"by a signal":            "kill -11 $$",
	} {
		t.Run(name, func(t *testing.T) {
			c := &keeper.Config{Dir: filepath.Join(t.TempDir(), "ends"), First: time.Millisecond, Most: time.Millisecond}
			keep(t, c, "echo started; echo last words; "+end, starts(3))
			reports, err := keeper.Reports(c.Dir)
			if err != nil || len(reports) < 2 {
				t.Fatalf("reports %q, %v; want at least two", reports, err)
			}
			text, err := os.ReadFile(reports[1])
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"last words\n", "the start 2 since"} {
				if !strings.Contains(string(text), want) {
					t.Errorf("the report lacks %q:\n%s", want, text)
				}
			}
		})
	}
}

func TestPausesGrow(t *testing.T) {
	c := &keeper.Config{Dir: t.TempDir(), First: 20 * time.Millisecond, Most: 80 * time.Millisecond}
	from := time.Now()
	keep(t, c, "echo started; exit 1", starts(6))
	// 20, 40, 80, 80 and 80 ms.
	if took := time.Since(from); took < 300*time.Millisecond {
		t.Errorf("five restarts took %s", took)
	}
}

func TestSteadyProgramIsStartedAgainAtOnce(t *testing.T) {
	c := &keeper.Config{Dir: t.TempDir(), First: time.Millisecond, Most: time.Hour, Steady: time.Nanosecond}
	keep(t, c, "echo started; exit 1", starts(25)) // doubling each time would take hours
}

func TestProgramIsToldToEnd(t *testing.T) {
	c := &keeper.Config{Dir: filepath.Join(t.TempDir(), "ends")}
	keep(t, c, "trap 'echo ended in order; exit 0' TERM; echo started; while :; do sleep 0.01; done", starts(1))
	if out := c.Output.(*output).String(); !strings.Contains(out, "ended in order") {
		t.Errorf("the output is\n%s", out)
	}
	if reports, err := keeper.Reports(c.Dir); err != nil || len(reports) > 0 {
		t.Errorf("reports %q, %v; want none", reports, err)
	}
}

func TestProgramThatDoesNotEndIsKilled(t *testing.T) {
	out := &output{}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() {
		ended <- keeper.Run(ctx, &keeper.Config{
			Program: "/bin/sh", Args: []string{"-c", "trap '' TERM; echo started; while :; do sleep 0.01; done"},
			Dir: t.TempDir(), Output: out, Logger: slog.New(slog.DiscardHandler), End: 50 * time.Millisecond,
		})
	}()
	for !starts(1)(out.String()) {
		time.Sleep(time.Millisecond)
	}
	stop()
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "was killed") {
		t.Errorf("Run = %v, want that it was killed", err)
	}
}

func TestReportsAreBounded(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "new-left"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c := &keeper.Config{Dir: dir, First: time.Millisecond, Most: time.Millisecond}
	script := fmt.Sprintf("echo started; head -c %d /dev/zero | tr '\\0' x; echo the end; exit 1", 300<<10)
	keep(t, c, script, starts(14))
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 10 {
		t.Errorf("%d files are kept, want 10", len(files))
	}
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if len(text) > 70<<10 || !strings.HasSuffix(string(text), "the end\n") {
			t.Errorf("%s has %d octets", f.Name(), len(text))
		}
	}
}
