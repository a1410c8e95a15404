package peer_test

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"pillarbox/appliance/peer"
)

// TestMain makes the test binary be somebody who connects to a socket and tells
// whether it is answered.
func TestMain(m *testing.M) {
	if path := os.Getenv("PILLARBOX_PEER"); path != "" {
		os.Exit(call(path))
	}
	os.Exit(m.Run())
}

const (
	answered = 10
	hungUp   = 11
)

func call(path string) int {
	c, err := net.Dial("unix", path)
	if err != nil {
		return 1
	}
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		return hungUp
	}

	return answered
}

func TestOnlyRootAndTheOwnUserAreHeard(t *testing.T) {
	// A name in the abstract has no mode that would keep anybody out first.
	path := "@" + filepath.Join(t.TempDir(), "socket")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	only := peer.Only(ln, slog.New(slog.NewTextHandler(t.Output(), nil)))
	defer only.Close()
	go func() {
		for {
			c, err := only.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("+"))
			_ = c.Close()
		}
	}()
	as := func(user *syscall.Credential) int {
		t.Helper()
		cmd := exec.Command(executable(t))
		cmd.Env = []string{"PILLARBOX_PEER=" + path}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: user}
		var exit *exec.ExitError
		if err := cmd.Run(); !errors.As(err, &exit) {
			t.Fatalf("call: %v", err)
		}
		return exit.ExitCode()
	}
	if got := as(nil); got != answered {
		t.Errorf("the own user: %d", got)
	}
	if os.Geteuid() != 0 {
		return // only root can be somebody else
	}
	const somebody = 65534
	if got := as(&syscall.Credential{Uid: somebody, Gid: somebody}); got != hungUp {
		t.Errorf("somebody else: %d", got)
	}
}

// executable returns a copy of this program that everybody may run.
func executable(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "peer")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	name := filepath.Join(dir, "peer")
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(name, text, 0o755)); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestWhoCallsIsKnown(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	out, err := net.DialTimeout("unix", path, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	in, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if uid, err := peer.User(in.(*net.UnixConn)); err != nil || uid != os.Geteuid() {
		t.Errorf("User = %d, %v", uid, err)
	}
}
