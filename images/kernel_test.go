package images_test

import (
	"context"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pillarbox/buildroot/input"
	"pillarbox/buildroot/rootfs"
	"pillarbox/images/machine"
)

// kernelSuites are the tests whose outcome depends on the kernel, in the short
// form that runs on that of the firmware too; short are those of them that are
// run where all together take too long.
var kernelSuites = []struct{ room, run, short string }{
	{"netcfg/firewall", ".", "Kernel|Packets|Policy|Bans|Banned|Rate|OpenConnections|Explained"},
	{"netcfg/mdns", "TestPacketsAsTheRFC", "TestPacketsAsTheRFC"},
}

// TestNetworkOnTheFirmwaresKernel runs the tests of the firewall and of links
// on the kernel of the image: the host's is another one.
func TestNetworkOnTheFirmwaresKernel(t *testing.T) {
	requireImageTest(t, "qemu-amd64")
	dir := t.TempDir()
	entries := []rootfs.Entry{program(t, "init", "build", "-o", filepath.Join(dir, "init"), "./guest")}
	for _, name := range []string{"proc", "sys", "dev", "tmp", "run", "bin"} {
		entries = append(entries, rootfs.Entry{Path: name, Mode: fs.ModeDir | 0o755})
	}
	var list strings.Builder
	for _, s := range kernelSuites {
		name := strings.ReplaceAll(s.room, "/", "-")
		entries = append(entries, program(t, name, "test", "-c", "-o", filepath.Join(dir, name), "../"+s.room))
		which := s.run
		if testing.Short() {
			which = s.short
		}
		list.WriteString("/" + name + " -test.v -test.short -test.timeout=30m -test.run=" + which + "\n")
	}
	entries = append(entries, rootfs.Entry{Path: "tests", Mode: 0o644, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(list.String())), nil
	}})
	disk := filepath.Join(dir, "root.squashfs")
	if err := rootfs.Write(disk, entries, time.Unix(1_700_000_000, 0)); err != nil {
		t.Fatal(err)
	}
	module, err := input.LookupModule("kernel.amd64")
	if err != nil {
		t.Fatal(err)
	}
	kernel, err := module.Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m, err := machine.Start(t.Context(), &machine.Config{
		Kind: machine.Q35, Steady: true, Dir: dir, Disk: disk, Kernel: filepath.Join(kernel, "vmlinuz"),
		CommandLine: "root=/dev/vda ro rootwait init=/init console=ttyS0,115200 panic=-1 quiet CI=" + os.Getenv("CI"),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Cut()
	ctx, stop := context.WithTimeout(t.Context(), time.Hour)
	defer stop()
	if err := m.WaitEnd(ctx); err != nil {
		t.Errorf("the machine ended: %v", err)
	}
	if !strings.Contains(m.Console(), "guest: all passed") {
		t.Errorf("console:\n%s", m.Console())
	}
	for line := range strings.Lines(m.Console()) {
		if strings.HasPrefix(line, "--- ") {
			t.Log(strings.TrimSpace(line))
		}
	}
}

// program builds a Go program into the root file system; the last argument but
// one of args is where it is put.
func program(t *testing.T, name string, args ...string) rootfs.Entry {
	t.Helper()
	c := exec.CommandContext(t.Context(), "go", args...)
	c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH=amd64")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", name, err, out)
	}
	file := args[len(args)-2]

	return rootfs.Entry{Path: name, Mode: 0o755, Open: func() (io.ReadCloser, error) { return os.Open(file) }}
}
