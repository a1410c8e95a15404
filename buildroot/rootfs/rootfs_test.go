package rootfs_test

import (
	"bytes"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pillarbox/buildroot/rootfs"
)

func unsquashfs(t *testing.T, args ...string) string {
	t.Helper()
	program, err := exec.LookPath("unsquashfs")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("unsquashfs is missing")
	}
	out, err := exec.Command(program, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("unsquashfs %q: %v\n%s", args, err, out)
	}

	return string(out)
}

func entry(path, text string, mode fs.FileMode) rootfs.Entry {
	return rootfs.Entry{Path: path, Mode: mode, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(text)), nil
	}}
}

var at = time.Date(2026, time.March, 4, 5, 6, 7, 0, time.UTC)

func entries() []rootfs.Entry {
	return []rootfs.Entry{
		entry("etc/target", "where the link points", 0o644),
		{Path: "etc/link", Mode: fs.ModeSymlink | 0o777, Target: "target"},
		{Path: "perm", Mode: fs.ModeDir | 0o755},
		entry("user/program", strings.Repeat("code", 100_000), 0o755),
		entry("tmp/empty", "", 0o600),
	}
}

func TestOthersReadWhatWasWritten(t *testing.T) {
	name := filepath.Join(t.TempDir(), "root")
	before, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if err := rootfs.Write(name, entries(), at); err != nil {
		t.Fatal(err)
	}
	if after, err := os.Getwd(); err != nil || after != before {
		t.Errorf("the working directory is %s, %v; want %s", after, err, before)
	}
	listing := unsquashfs(t, "-lln", name)
	for _, want := range []string{
		"drwxr-xr-x 0/0", "-rwxr-xr-x 0/0", "-rw------- 0/0", "squashfs-root/etc/link -> target", "squashfs-root/perm",
	} {
		if !strings.Contains(listing, want) {
			t.Errorf("the listing lacks %q:\n%s", want, listing)
		}
	}
	if n, lines := strings.Count(listing, "2026-03-04"), strings.Count(listing, "squashfs-root"); n != lines || n == 0 {
		t.Errorf("%d of %d entries have the time:\n%s", n, lines, listing)
	}
	out := filepath.Join(t.TempDir(), "out")
	unsquashfs(t, "-d", out, name)
	got, err := os.ReadFile(filepath.Join(out, "user", "program"))
	if err != nil || string(got) != strings.Repeat("code", 100_000) {
		t.Errorf("the program has %d octets, %v", len(got), err)
	}
}

func TestSameFilesGiveSameBytes(t *testing.T) {
	var images [][]byte
	for range 2 {
		name := filepath.Join(t.TempDir(), "root")
		if err := rootfs.Write(name, entries(), at); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		images = append(images, b)
		time.Sleep(1100 * time.Millisecond) // into another second
	}
	if !bytes.Equal(images[0], images[1]) {
		t.Error("the two differ")
	}
}

func TestWhatLeadsOutIsRefused(t *testing.T) {
	for name, e := range map[string]rootfs.Entry{
		"a path that climbs": entry("../x", "", 0o644),
		"an absolute path":   entry("/x", "", 0o644),
		"an absolute link":   {Path: "x", Mode: fs.ModeSymlink, Target: "/etc/passwd"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := rootfs.Write(filepath.Join(t.TempDir(), "root"), []rootfs.Entry{e}, at); err == nil {
				t.Error("it was written")
			}
		})
	}
}
