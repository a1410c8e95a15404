package exporter_test

import (
	"context"
	"net"
	"os"
	"syscall"
	"testing"

	"pillarbox/appliance/integration/rig"
)

// smallDisk mounts a file system that is too small for the test's mail.
func smallDisk(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		rig.Need(t, "only root can mount a disk")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m,mode=700"); err != nil {
		rig.Need(t, "mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// grow gives a small disk more room.
func grow(t *testing.T, dir string) {
	t.Helper()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=64m,mode=700"); err != nil {
		t.Fatal(err)
	}
}

func dialer(dial func(network, address string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(_ context.Context, network, address string) (net.Conn, error) { return dial(network, address) }
}
