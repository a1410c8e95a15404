// Command guest is the first process of a machine that runs Go tests on the
// kernel of an image: it mounts what they expect, runs each program that is
// named in the file /tests, a line with its arguments, tells on the console how
// it ended, and switches the machine off. Only tests use it.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

func main() {
	if err := run(); err != nil {
		fmt.Println("guest: failed:", err)
	}
	unix.Sync()
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF); err != nil {
		fmt.Println("guest: switch off:", err)
	}
}

func run() error {
	for _, m := range []struct{ kind, at string }{
		{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/tmp"}, {"tmpfs", "/run"},
	} {
		// The kernel may have mounted /dev by itself.
		if err := unix.Mount(m.kind, m.at, m.kind, 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mount %s: %w", m.at, err)
		}
	}
	list, err := os.ReadFile("/tests")
	if err != nil {
		return fmt.Errorf("read what to run: %w", err)
	}
	failed := 0
	for line := range strings.Lines(string(list)) {
		args := strings.Fields(line)
		if len(args) == 0 {
			continue
		}
		c := exec.Command(args[0], args[1:]...)
		c.Dir, c.Stdout, c.Stderr = "/tmp", os.Stdout, os.Stdout
		c.Env = []string{"PATH=/bin", "HOME=/tmp", "TMPDIR=/tmp", "CI=" + os.Getenv("CI")}
		if err := c.Run(); err != nil {
			failed++
			fmt.Printf("guest: %s: %v\n", args[0], err)
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of the programs failed", failed)
	}
	fmt.Println("guest: all passed")

	return nil
}
