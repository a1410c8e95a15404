package flash_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pillarbox/buildroot/flash"
)

// fakeHost has three disks: sda with the system, sdb a stick, sdc a built-in
// disk with an encrypted volume.
func fakeHost(t *testing.T, mounts, swaps string) flash.Host {
	t.Helper()
	dir := t.TempDir()
	h := flash.Host{Sys: filepath.Join(dir, "sys"), Proc: filepath.Join(dir, "proc"), Dev: filepath.Join(dir, "dev")}
	put := func(name, text string) {
		t.Helper()
		p := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for i, disk := range []struct{ name, bus string }{{"sda", "pci0/ata1"}, {"sdb", "pci0/usb2/2-1"}, {"sdc", "pci0/ata2"}} {
		real := "sys/devices/" + disk.bus + "/block/" + disk.name
		put(real+"/dev", fmt.Sprintf("8:%d\n", 16*i))
		put(real+"/size", "2000000\n")
		put(real+"/removable", "0\n")
		put(real+"/device/model", "Model "+disk.name+"   \n")
		put(real+"/"+disk.name+"1/dev", fmt.Sprintf("8:%d\n", 16*i+1))
		put(real+"/"+disk.name+"1/partition", "1\n")
		if err := os.MkdirAll(filepath.Join(h.Sys, "block"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join(dir, real), filepath.Join(h.Sys, "block", disk.name)); err != nil {
			t.Fatal(err)
		}
		put("dev/"+disk.name, "")
		put("dev/"+disk.name+"1", "")
	}
	put("sys/devices/pci0/ata2/block/sdc/sdc1/holders/dm-0/none", "")
	put("sys/block/dm-0/dev", "253:0\n")
	put("proc/self/mountinfo", mounts)
	put("proc/swaps", swaps)

	return h
}

func TestWhichDisksAreWrittenTo(t *testing.T) {
	const system = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
	cases := map[string]struct {
		disk, mounts, swaps string
		image               int64
		want, forced        string // a part of the refusal; nothing if allowed
	}{
		"an unused stick":                        {disk: "sdb"},
		"a stick that is mounted":                {disk: "sdb", mounts: "2 1 8:17 / /media/stick rw - vfat /dev/sdb1 rw\n", want: "sdb1 is mounted at /media/stick"},
		"a stick without partitions, mounted":    {disk: "sdb", mounts: "2 1 8:16 / /mnt rw - vfat /dev/sdb rw\n", want: "sdb is mounted at /mnt"},
		"a stick used for swapping":              {disk: "sdb", swaps: "Filename Type\nDEV/sdb1 partition\n", want: "used for swapping"},
		"a built-in disk":                        {disk: "sdc", want: "not a removable disk"},
		"a built-in disk with an opened volume":  {disk: "sdc", mounts: "2 1 253:0 / /home rw - ext4 /dev/mapper/home rw\n", want: "dm-0 is mounted at /home"},
		"the disk of the running system":         {disk: "sda", want: "the running system is on it", forced: "the running system is on it"},
		"a stick that is smaller than the image": {disk: "sdb", image: 2 << 30, want: "the image", forced: "the image"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			h := fakeHost(t, system+c.mounts, "")
			if c.swaps != "" {
				swaps := strings.ReplaceAll(c.swaps, "DEV", h.Dev)
				if err := os.WriteFile(filepath.Join(h.Proc, "swaps"), []byte(swaps), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			target, err := h.Find(filepath.Join(h.Dev, c.disk))
			if err != nil {
				t.Fatal(err)
			}
			if want := "Model " + c.disk; target.Model != want {
				t.Errorf("Model = %q, want %q", target.Model, want)
			}
			for force, want := range map[bool]string{false: c.want, true: c.forced} {
				err := target.Allow(max(c.image, 1<<20), force)
				if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
					t.Errorf("Allow(force %t) = %v, want %q", force, err, want)
				}
				var refusal *flash.Refusal
				if err != nil && (!errors.As(err, &refusal) || refusal.Final != (c.forced != "")) {
					t.Errorf("Allow(force %t) = %#v, want final %t", force, err, c.forced != "")
				}
			}
		})
	}
}

func TestPartitionIsNoTarget(t *testing.T) {
	h := fakeHost(t, "", "")
	if target, err := h.Find(filepath.Join(h.Dev, "sdb1")); err == nil {
		t.Errorf("Find found %+v", target)
	}
}

// pattern is a content of which no two chunks are alike.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8 + i>>16)
	}

	return b
}

func TestDiskHoldsTheImageAfterwards(t *testing.T) {
	for name, size := range map[string]int{"one chunk": 1 << 20, "several, the last in part": 9<<20 + 512} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			image, disk := filepath.Join(dir, "image"), filepath.Join(dir, "disk")
			want := pattern(size)
			if err := os.WriteFile(image, want, 0o644); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(disk, pattern(12 << 20)[1:], 0o644); err != nil {
				t.Fatal(err)
			}
			i, err := flash.OpenImage(image)
			if err != nil {
				t.Fatal(err)
			}
			target := &flash.Target{Path: disk, Size: 12<<20 - 1, Removable: true}
			last := map[string]int64{}
			err = target.Write(t.Context(), i, false, func(phase string, done, _ int64) {
				if done < last[phase] {
					t.Errorf("%s went back from %d to %d", phase, last[phase], done)
				}
				last[phase] = done
			})
			if err != nil {
				t.Fatal(err)
			}
			wantLast := map[string]int64{flash.Writing: int64(size), flash.Verifying: int64(size)}
			if diff := cmp.Diff(wantLast, last); diff != "" {
				t.Errorf("progress (-want +got):\n%s", diff)
			}
			got, err := os.ReadFile(disk)
			if err != nil {
				t.Fatal(err)
			}
			if string(got[:size]) != string(want) {
				t.Error("the disk holds something else")
			}
			if string(got[size:]) != string(pattern(12 << 20)[1+size:]) {
				t.Error("more than the image was written")
			}
		})
	}
}
