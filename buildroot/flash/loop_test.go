package flash_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"pillarbox/buildroot/flash"
)

// loop makes a real disk of the kernel's out of a file, where the test may.
func loop(t *testing.T, file string) string {
	t.Helper()
	backing, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer backing.Close()
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("there are no loop devices: %v", err)
	}
	defer control.Close()
	for range 20 { // another program may be faster
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			t.Skipf("no loop device may be made: %v", err)
		}
		name := fmt.Sprintf("/dev/loop%d", n)
		device, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			t.Skipf("the loop device cannot be opened: %v", err)
		}
		err = unix.IoctlSetInt(int(device.Fd()), unix.LOOP_SET_FD, int(backing.Fd()))
		if errors.Is(err, unix.EBUSY) {
			_ = device.Close()
			continue
		}
		if err != nil {
			t.Skipf("the loop device cannot be used: %v", err)
		}
		t.Cleanup(func() {
			if err := unix.IoctlSetInt(int(device.Fd()), unix.LOOP_CLR_FD, 0); err != nil {
				t.Errorf("free %s: %v", name, err)
			}
			_ = device.Close()
		})

		return name
	}
	t.Skip("all loop devices are taken")

	return ""
}

// sparse makes a file of holes.
func sparse(t *testing.T, dir string, size int64) string {
	t.Helper()
	name := filepath.Join(dir, "backing")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, size); err != nil {
		t.Fatal(err)
	}

	return name
}

// image makes an image of so many octets, compressed if its name ends so.
func image(t *testing.T, name string, size int) (*flash.Image, []byte) {
	t.Helper()
	want := pattern(size)
	file := filepath.Join(t.TempDir(), name)
	data := want
	if filepath.Ext(name) == ".gz" {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if _, err := z.Write(want); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		data = b.Bytes()
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	i, err := flash.OpenImage(file)
	if err != nil {
		t.Fatal(err)
	}

	return i, want
}

func find(t *testing.T, device string) *flash.Target {
	t.Helper()
	target, err := flash.Host{}.Find(device)
	if err != nil {
		t.Fatal(err)
	}

	return target
}

func ignore(string, int64, int64) {}

func TestRealDiskHoldsTheImage(t *testing.T) {
	for _, name := range []string{"image", "image.gz"} {
		t.Run(name, func(t *testing.T) {
			file := sparse(t, t.TempDir(), 32<<20)
			target := find(t, loop(t, file))
			i, want := image(t, name, 21<<20)
			if target.Size != 32<<20 {
				t.Errorf("Size = %d", target.Size)
			}
			// The kernel says that a loop device cannot be removed.
			err := target.Write(t.Context(), i, false, ignore)
			if refusal := (*flash.Refusal)(nil); !errors.As(err, &refusal) || refusal.Final || !strings.Contains(err.Error(), "not a removable disk") {
				t.Errorf("Write = %v; want a refusal that can be overruled", err)
			}
			var phases []string
			if err := target.Write(t.Context(), i, true, func(phase string, _, _ int64) {
				if len(phases) == 0 || phases[len(phases)-1] != phase {
					phases = append(phases, phase)
				}
			}); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(phases, " "); got != "writing verifying" {
				t.Errorf("progress of %q", got)
			}
			got, err := os.ReadFile(file)
			if err != nil || !bytes.Equal(got[:len(want)], want) {
				t.Errorf("the disk holds something else: %v", err)
			}
		})
	}
}

func TestRealDiskThatIsTooSmallIsRefused(t *testing.T) {
	target := find(t, loop(t, sparse(t, t.TempDir(), 4<<20)))
	i, _ := image(t, "image", 4<<20+512)
	err := target.Write(t.Context(), i, true, ignore)
	if refusal := (*flash.Refusal)(nil); !errors.As(err, &refusal) || !refusal.Final {
		t.Errorf("Write = %v; want a final refusal", err)
	}
}

func TestMountedRealDiskIsRefused(t *testing.T) {
	device := loop(t, sparse(t, t.TempDir(), 32<<20))
	if out, err := exec.Command("mkfs.ext4", "-q", device).CombinedOutput(); err != nil {
		t.Skipf("mkfs.ext4: %v: %s", err, out)
	}
	dir := t.TempDir()
	if err := unix.Mount(device, dir, "ext4", 0, ""); err != nil {
		t.Skipf("this machine does not mount: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	target := find(t, device)
	target.Removable = true
	i, _ := image(t, "image", 21<<20)
	err := target.Write(t.Context(), i, false, ignore)
	if err == nil || !strings.Contains(err.Error(), "is mounted at "+dir) {
		t.Errorf("Write = %v; want a refusal that names %s", err, dir)
	}
	// It was mounted after we had looked.
	target.InUse = nil
	err = target.Write(t.Context(), i, false, ignore)
	if err == nil || !strings.Contains(err.Error(), "another program uses it") {
		t.Errorf("Write = %v; want a refusal by the kernel", err)
	}
}

// TestDiskThatLiesIsFoundOut changes the disk below the kernel's memory of it:
// what is compared must come from the disk.
func TestDiskThatLiesIsFoundOut(t *testing.T) {
	file := sparse(t, t.TempDir(), 32<<20)
	target := find(t, loop(t, file))
	i, _ := image(t, "image", 21<<20)
	err := target.Write(t.Context(), i, true, func(phase string, done, size int64) {
		if phase != flash.Writing || done != size {
			return
		}
		f, err := os.OpenFile(file, os.O_WRONLY, 0)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		if _, err := f.WriteAt(make([]byte, 4096), 17<<20); err != nil {
			t.Error(err)
		}
	})
	if !errors.Is(err, flash.ErrUnusable) || !strings.Contains(fmt.Sprint(err), "does not hold what was written") {
		t.Errorf("Write = %v; want that the disk lies", err)
	}
}

// TestDiskThatFailsIsFoundOut has a disk whose last part cannot be written: its
// file lies in a file system that is smaller.
func TestDiskThatFailsIsFoundOut(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can mount")
	}
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=12m"); err != nil {
		t.Skipf("this machine does not mount: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	target := find(t, loop(t, sparse(t, dir, 32<<20)))
	i, _ := image(t, "image", 21<<20)
	if err := target.Write(t.Context(), i, true, ignore); !errors.Is(err, flash.ErrUnusable) {
		t.Errorf("Write = %v; want %v", err, flash.ErrUnusable)
	}
}

func TestInterruptedDiskIsNotTakenForAWholeOne(t *testing.T) {
	device := loop(t, sparse(t, t.TempDir(), 32<<20))
	i, want := image(t, "image", 21<<20)
	for _, phase := range []string{flash.Writing, flash.Verifying} {
		t.Run(phase, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			err := find(t, device).Write(ctx, i, true, func(p string, _, _ int64) {
				if p == phase {
					stop()
				}
			})
			if !errors.Is(err, flash.ErrUnusable) || !strings.Contains(fmt.Sprint(err), "interrupted") {
				t.Errorf("Write = %v; want that it was interrupted", err)
			}
			if phase == flash.Verifying {
				return
			}
			got := make([]byte, 4096)
			f, err := os.Open(device)
			if err == nil {
				defer f.Close()
				_, err = f.ReadAt(got, 0)
			}
			if err != nil || bytes.Equal(got, want[:4096]) {
				t.Errorf("the disk begins as a whole one does: %v", err)
			}
		})
	}
}
