package rig

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// toolTime bounds one run of another program; the longest, mbsync's first
// synchronisation, needs a few seconds.
const toolTime = 5 * time.Minute

// InCI tells whether everything that a test needs must be there.
func InCI() bool { return os.Getenv("CI") == "true" }

// Need skips the test because something is missing, or fails it in CI, where
// .ci/run has installed everything.
func Need(t testing.TB, format string, args ...any) {
	t.Helper()
	if InCI() {
		t.Fatalf("with CI=true this may not be missing: "+format, args...)
	}
	t.Skipf("skipped: "+format, args...)
}

// Tool finds one of Debian's programs.
func Tool(t testing.TB, name, debianPackage string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Need(t, "%s is not installed (apt-get install %s)", name, debianPackage)
	}
	return path
}

// Output is what a program said.
type Output struct {
	Stdout []byte
	Stderr []byte
	Err    error // nil if it ended with status 0
}

// All returns both outputs, for messages and for programs that say on stderr
// what others say on stdout.
func (o *Output) All() string { return string(o.Stdout) + string(o.Stderr) }

// Command is another program to be run.
type Command struct {
	Path  string
	Args  []string
	Stdin []byte
	Dir   string
	Env   []string // added to the test's own
}

// Run runs the program to its end, successful or not.
func (c *Command) Run(t testing.TB) *Output {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), toolTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.Path, c.Args...)
	cmd.Dir = c.Dir
	cmd.Env = append(os.Environ(), c.Env...)
	cmd.Stdin = bytes.NewReader(c.Stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if ctx.Err() != nil {
		t.Fatalf("%s did not end within %v\n%s%s", c.Path, toolTime, &stdout, &stderr)
	}
	return &Output{Stdout: stdout.Bytes(), Stderr: stderr.Bytes(), Err: err}
}

// MustRun runs the program and fails the test if the program fails.
func (c *Command) MustRun(t testing.TB) *Output {
	t.Helper()
	out := c.Run(t)
	if out.Err != nil {
		t.Fatalf("%s %s: %v\n%s", c.Path, strings.Join(c.Args, " "), out.Err, out.All())
	}
	return out
}
