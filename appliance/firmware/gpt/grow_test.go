package gpt_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pillarbox/appliance/firmware/gpt"
)

const mib = 1 << 20

// disk is a disk in memory that may lose power.
type disk struct {
	data    []byte
	left    int // writes and syncs until the power is cut; negative for ever
	durable []byte
	writes  []int64 // where, since the last sync
}

var errCut = errors.New("power cut")

func (d *disk) spend() error {
	if d.left == 0 {
		return errCut
	}
	d.left--

	return nil
}

func (d *disk) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(d.data).ReadAt(p, off)
}

func (d *disk) WriteAt(p []byte, off int64) (int, error) {
	if err := d.spend(); err != nil {
		return 0, err
	}
	for i := 0; i < len(p); i += 512 {
		d.writes = append(d.writes, off+int64(i))
	}

	return copy(d.data[off:], p), nil
}

func (d *disk) Sync() error {
	if err := d.spend(); err != nil {
		return err
	}
	d.durable, d.writes = bytes.Clone(d.data), nil

	return nil
}

// image makes a disk with four partitions by an independent program and gives
// it the room for a second table that our images have.
func image(t *testing.T, size int) []byte {
	t.Helper()
	program, err := exec.LookPath("sgdisk")
	if err != nil {
		program, err = exec.LookPath("/usr/sbin/sgdisk")
	}
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("sgdisk is missing")
	}
	name := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(name, make([]byte, size), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(program, "-a1", "-n1:2048:2175", "-n2:2176:2303", "-n3:2304:2431", "-n4:2432:2559", name).CombinedOutput()
	if err != nil {
		t.Fatalf("sgdisk: %v\n%s", err, out)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	binary.LittleEndian.PutUint64(data[512+40:], 2048)
	clear(data[512+16 : 512+20])
	binary.LittleEndian.PutUint32(data[512+16:], crc32.ChecksumIEEE(data[512:512+92]))

	return data
}

// lastPartition reads partition 4 in the way of the kernel: by the sums.
func lastPartition(t *testing.T, data []byte) (first, last uint64) {
	t.Helper()
	le := binary.LittleEndian
	header := bytes.Clone(data[512:604])
	sum := le.Uint32(header[16:])
	clear(header[16:20])
	if string(header[:8]) != "EFI PART" || crc32.ChecksumIEEE(header) != sum {
		t.Fatal("the header is damaged")
	}
	table := data[le.Uint64(header[72:])*512:][:128*128]
	if crc32.ChecksumIEEE(table) != le.Uint32(header[88:]) {
		t.Fatal("the table is damaged")
	}

	return le.Uint64(table[3*128+32:]), le.Uint64(table[3*128+40:])
}

func TestGrownTableIsSoundToSgdisk(t *testing.T) {
	data := image(t, 2*mib)
	first, _ := lastPartition(t, data)
	// Before the records lies the code that a legacy BIOS starts.
	for i := range 440 {
		data[i] = byte(i)
	}
	mbr := bytes.Clone(data[:512])
	for _, size := range []int{5 * mib, 5*mib + 5*512, 9 * mib} {
		d := &disk{data: make([]byte, size), left: -1}
		copy(d.data, data)
		p, err := gpt.Grow(d, 4, uint64(size/512))
		if err != nil {
			t.Fatal(err)
		}
		gotFirst, last := lastPartition(t, d.data)
		if gotFirst != first || p.First != first || p.First+p.Count != last+1 {
			t.Errorf("Grow = %+v, the table has %d to %d", p, gotFirst, last)
		}
		if !bytes.Equal(d.data[:512], mbr) {
			t.Error("the boot sector has changed")
		}
		if unused := size - int(last+1)*512; unused > 2*mib {
			t.Errorf("%d bytes are left unused", unused)
		}
		name := filepath.Join(t.TempDir(), "grown")
		if err := os.WriteFile(name, d.data, 0o644); err != nil {
			t.Fatal(err)
		}
		program := "sgdisk"
		if _, err := exec.LookPath(program); err != nil {
			program = "/usr/sbin/sgdisk"
		}
		out, err := exec.Command(program, "-v", name).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "No problems found") {
			t.Errorf("sgdisk: %v\n%s", err, out)
		}
		data = d.data // the next disk is a copy of this one
	}
}

func TestSecondTimeWritesNothing(t *testing.T) {
	d := &disk{data: make([]byte, 5*mib), left: -1}
	copy(d.data, image(t, 2*mib))
	want, err := gpt.Grow(d, 4, 5*mib/512)
	if err != nil {
		t.Fatal(err)
	}
	d.left = 0
	got, err := gpt.Grow(d, 4, 5*mib/512)
	if err != nil || got != want {
		t.Errorf("Grow = %+v, %v; want %+v and no write", got, err, want)
	}
}

func TestPowerCutLeavesTheOldTableOrTheNew(t *testing.T) {
	old := image(t, 2*mib)
	first, oldLast := lastPartition(t, old)
	fresh := func(left int) *disk {
		d := &disk{data: make([]byte, 5*mib), left: left}
		copy(d.data, old)
		d.durable = bytes.Clone(d.data)
		return d
	}
	whole := fresh(1 << 20)
	if _, err := gpt.Grow(whole, 4, 5*mib/512); err != nil {
		t.Fatal(err)
	}
	_, newLast := lastPartition(t, whole.data)
	steps := 1<<20 - whole.left
	seen := map[uint64]int{}
	for cut := range steps {
		for lost := range 4 {
			d := fresh(cut)
			if _, err := gpt.Grow(d, 4, 5*mib/512); !errors.Is(err, errCut) {
				t.Fatalf("Grow = %v; want the cut", err)
			}
			// Of what was not durable every sector may be there or not.
			after := bytes.Clone(d.durable)
			for i, at := range d.writes {
				if lost&1 == i&1 || lost&2 != 0 && i%3 == 0 {
					copy(after[at:at+512], d.data[at:at+512])
				}
			}
			gotFirst, last := lastPartition(t, after)
			if gotFirst != first || last != oldLast && last != newLast {
				t.Fatalf("cut %d: partition 4 is %d to %d", cut, gotFirst, last)
			}
			seen[last]++
			d = &disk{data: after, left: -1}
			if _, err := gpt.Grow(d, 4, 5*mib/512); err != nil {
				t.Fatalf("cut %d: grow again: %v", cut, err)
			}
			if _, last := lastPartition(t, d.data); last != newLast {
				t.Errorf("cut %d: grown again it ends at %d, want %d", cut, last, newLast)
			}
		}
	}
	if len(seen) != 2 {
		t.Errorf("cuts left ends %v; want both the old and the new", seen)
	}
}

func TestForeignTableIsLeftAlone(t *testing.T) {
	good := image(t, 2*mib)
	cases := map[string]func([]byte){
		"no table":             func(d []byte) { clear(d[512:1024]) },
		"damaged header":       func(d []byte) { d[512+50]++ },
		"damaged table":        func(d []byte) { d[1024+40]++ },
		"no room for a second": func(d []byte) { binary.LittleEndian.PutUint64(d[512+40:], 34); reseal(d) },
		"not the last": func(d []byte) {
			e := slices.Clone(d[1024 : 1024+128])
			binary.LittleEndian.PutUint64(e[32:], 3000)
			copy(d[1024+4*128:], e)
			reseal(d)
		},
	}
	for name, damage := range cases {
		t.Run(name, func(t *testing.T) {
			d := &disk{data: make([]byte, 5*mib), left: 0}
			copy(d.data, good)
			damage(d.data)
			if p, err := gpt.Grow(d, 4, 5*mib/512); err == nil || errors.Is(err, errCut) {
				t.Errorf("Grow = %+v, %v; want a refusal before any write", p, err)
			}
		})
	}
}

// reseal renews the sums after a change.
func reseal(d []byte) {
	binary.LittleEndian.PutUint32(d[512+88:], crc32.ChecksumIEEE(d[1024:1024+128*128]))
	clear(d[512+16 : 512+20])
	binary.LittleEndian.PutUint32(d[512+16:], crc32.ChecksumIEEE(d[512:512+92]))
}

func FuzzGrow(f *testing.F) {
	f.Add([]byte("EFI PART"), uint64(1<<20))
	f.Add(make([]byte, 600), uint64(0))
	f.Fuzz(func(t *testing.T, head []byte, sectors uint64) {
		d := &disk{data: make([]byte, 1*mib), left: -1}
		copy(d.data[512:], head)
		h := d.data[512:]
		binary.LittleEndian.PutUint32(h[12:], 92)
		reseal(d.data)
		// Whatever it says, the answer is an error or stays within the disk.
		if p, err := gpt.Grow(d, 4, min(sectors, mib/512)); err == nil && p.First+p.Count > mib/512 {
			t.Errorf("Grow = %+v on a disk of %d sectors", p, mib/512)
		}
	})
}
