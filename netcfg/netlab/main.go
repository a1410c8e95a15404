package netlab

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
)

// inside is set in the copy of the test binary that runs in the namespace.
const inside = "PILLARBOX_NETLAB"

// Main runs the tests in a network namespace; TestMain calls it. Without the
// right to make one the tests are skipped, but not in CI.
func Main(m *testing.M) {
	if Inside() {
		if err := setLoopbackUp(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	cmd := again(os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := cmd.Start()
	if err != nil {
		fmt.Fprintln(os.Stderr, "no network namespace can be made here:", err)
		if os.Getenv("CI") == "true" {
			os.Exit(1)
		}
		os.Exit(0)
	}
	if err := cmd.Wait(); err != nil {
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	os.Exit(0)
}

// again is this binary, once more, in a namespace.
func again(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}

	return cmd
}

// Inside tells whether the tests run in a namespace of their own.
func Inside() bool { return os.Getenv(inside) != "" }

// Again runs the test that calls it once more, in a namespace of its own and with
// more environment, where the others of its binary need none. There TestMain is to
// call Main.
func Again(t *testing.T, env ...string) {
	t.Helper()
	// The process ends with the thread that started it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := again("-test.run", "^"+t.Name()+"$", "-test.v")
	cmd.Env = append(cmd.Env, env...)
	out := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = out, out
	err := cmd.Start()
	if err != nil && os.Getenv("CI") != "true" {
		t.Skipf("no network namespace can be made here: %v", err)
	}
	if err == nil {
		err = cmd.Wait()
	}
	if t.Log(out); err != nil {
		t.Fatal(err)
	}
}

func setLoopbackUp() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find the loopback interface: %w", err)
	}

	return netlink.LinkSetUp(lo)
}
