package rootfs_test

import (
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pillarbox/buildroot/rootfs"
)

// described is a file system as its entries and their contents.
type described map[string]string

func describe(entries []rootfs.Entry, contents map[string]string) described {
	d := described{}
	for _, e := range entries {
		for dir := filepath.Dir(e.Path); dir != "."; dir = filepath.Dir(dir) {
			if _, ok := d[dir]; !ok {
				d[dir] = "drwxr-xr-x "
			}
		}
		switch {
		case e.Mode.IsDir():
			d[e.Path] = fmt.Sprint(e.Mode, " ")
		case e.Mode&fs.ModeSymlink != 0:
			d[e.Path] = fmt.Sprint(e.Mode, " ", e.Target)
		default:
			d[e.Path] = fmt.Sprint(e.Mode, " ", contents[e.Path])
		}
	}

	return d
}

// look describes what lies below a folder of this machine.
func look(t *testing.T, dir string) described {
	t.Helper()
	d := described{}
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		what := ""
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			what, err = os.Readlink(p)
		case info.Mode().IsRegular():
			var b []byte
			b, err = os.ReadFile(p)
			what = string(b)
		}
		rel, _ := filepath.Rel(dir, p)
		mode := info.Mode()
		if mode&fs.ModeSymlink != 0 {
			mode = fs.ModeSymlink | 0o777
		}
		d[rel] = fmt.Sprint(mode, " ", what)

		return err
	})
	if err != nil {
		t.Fatal(err)
	}

	return d
}

// trees are file systems that go beyond a limit of the format each.
func trees() map[string]func() ([]rootfs.Entry, map[string]string) {
	list := func(add func(put func(path, text string), link func(path, target string))) func() ([]rootfs.Entry, map[string]string) {
		return func() ([]rootfs.Entry, map[string]string) {
			var all []rootfs.Entry
			contents := map[string]string{}
			add(func(path, text string) {
				contents[path] = text
				all = append(all, entry(path, text, 0o644))
			}, func(path, target string) {
				all = append(all, rootfs.Entry{Path: path, Mode: fs.ModeSymlink | 0o777, Target: target})
			})

			return all, contents
		}
	}

	return map[string]func() ([]rootfs.Entry, map[string]string){
		"nothing": list(func(_ func(_, _ string), _ func(_, _ string)) {}),
		"a thousand files in one folder": list(func(put func(_, _ string), _ func(_, _ string)) {
			for i := range 1000 {
				put(fmt.Sprintf("lib/file-%d", i), strings.Repeat("x", i*131))
			}
		}),
		"a thousand links in one folder": list(func(_ func(_, _ string), link func(_, _ string)) {
			for i := range 1000 { // more than 256 have their inodes in one block
				link(fmt.Sprintf("lib/%d", i), "t")
			}
		}),
		"a thousand folders with a file each": list(func(put func(_, _ string), _ func(_, _ string)) {
			for i := range 1000 {
				put(fmt.Sprintf("d%d/e/f", i), fmt.Sprint(i))
			}
		}),
		"long names": list(func(put func(_, _ string), _ func(_, _ string)) {
			for i := range 600 { // a listing of more than 64 KiB
				put(fmt.Sprintf("dir/%03d%s", i, strings.Repeat("n", 252)), "")
			}
		}),
		"deep folders": list(func(put func(_, _ string), _ func(_, _ string)) {
			put(strings.Repeat("d/", 300)+"f", "deep")
		}),
		"contents that gzip cannot make smaller, and sizes about a block's": list(func(put func(_, _ string), _ func(_, _ string)) {
			r := rand.New(rand.NewPCG(1, 2))
			for _, size := range []int{0, 1, 128<<10 - 1, 128 << 10, 128<<10 + 1, 1 << 20} {
				b := make([]byte, size)
				for i := range b {
					b[i] = byte(r.Uint32())
				}
				put(fmt.Sprintf("random-%d", size), string(b))
				put(fmt.Sprintf("zeros-%d", size), strings.Repeat("\x00", size))
			}
		}),
	}
}

func TestOthersReadLargeTrees(t *testing.T) {
	for name, tree := range trees() {
		t.Run(name, func(t *testing.T) {
			entries, contents := tree()
			want := describe(entries, contents)
			image := filepath.Join(t.TempDir(), "root")
			if err := rootfs.Write(image, entries, at); err != nil {
				t.Fatal(err)
			}
			t.Run("unsquashfs", func(t *testing.T) {
				out := filepath.Join(t.TempDir(), "out")
				unsquashfs(t, "-n", "-d", out, image)
				compare(t, want, look(t, out))
			})
			t.Run("the kernel", func(t *testing.T) {
				compare(t, want, look(t, mount(t, image)))
			})
		})
	}
}

func compare(t *testing.T, want, got described) {
	t.Helper()
	if !maps.Equal(want, got) { // cmp is slow where all is equal
		t.Errorf("(-want +got):\n%.2000s", cmp.Diff(want, got))
	}
}

// mount has the kernel read a file system, where the test may do so.
func mount(t *testing.T, image string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can mount")
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		t.Skip("there are no loop devices")
	}
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "squashfs", "-o", "loop,ro", image, dir).CombinedOutput(); err != nil {
		if strings.Contains(string(out), "unknown filesystem type") || strings.Contains(string(out), "permission denied") ||
			strings.Contains(string(out), "Operation not permitted") || strings.Contains(string(out), "failed to setup loop device") {
			t.Skipf("this machine does not mount: %s", out)
		}
		t.Fatalf("mount: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v\n%s", err, out)
		}
	})

	return dir
}
