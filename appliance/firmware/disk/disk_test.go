package disk_test

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"pillarbox/appliance/firmware/disk"
)

const (
	sector   = 512
	diskSize = 16 << 20
	grownTo  = 24 << 20

	// Where the test's partitions lie, in sectors.
	bootStart, bootSize = 2048, 8192
	dataStart, dataSize = 12288, 2048
)

// attach makes a disk of a file with two partitions, and returns what the
// kernel calls it.
func attach(t *testing.T) (name, file string) {
	t.Helper()
	for _, program := range []string{"sgdisk", "losetup", "addpart"} {
		if _, err := exec.LookPath(program); err != nil {
			skip(t, program+" is not there")
		}
	}
	if os.Geteuid() != 0 {
		skip(t, "only root may attach disks")
	}
	if loops, err := filepath.Glob("/dev/loop[0-9]*"); err != nil || loops == nil {
		t.Skip("this kernel attaches no files as disks")
	}
	file = filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, diskSize); err != nil {
		t.Fatal(err)
	}
	run(t, "sgdisk", "-n", partition(1, bootStart, bootSize), "-n", partition(4, dataStart, dataSize), file)
	leaveRoom(t, file)
	device := strings.TrimSpace(run(t, "losetup", "-f", "--show", file))
	t.Cleanup(func() { run(t, "losetup", "-d", device) })
	// Not every kernel reads the table of such a disk.
	for _, p := range [][3]int{{1, bootStart, bootSize}, {4, dataStart, dataSize}} {
		run(t, "addpart", device, strconv.Itoa(p[0]), strconv.Itoa(p[1]), strconv.Itoa(p[2]))
		t.Cleanup(func() { run(t, "delpart", device, strconv.Itoa(p[0])) })
	}

	return filepath.Base(device), file
}

// leaveRoom gives the disk the room for a second table that our images have.
func leaveRoom(t *testing.T, file string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	header := make([]byte, 92)
	if _, err := f.ReadAt(header, sector); err != nil {
		t.Fatal(err)
	}
	binary.LittleEndian.PutUint64(header[40:], bootStart) // the first usable sector
	clear(header[16:20])
	binary.LittleEndian.PutUint32(header[16:], crc32.ChecksumIEEE(header))
	if _, err := f.WriteAt(header, sector); err != nil {
		t.Fatal(err)
	}
}

// partition returns sgdisk's words for one.
func partition(n, start, size int) string {
	return strconv.Itoa(n) + ":" + strconv.Itoa(start) + ":" + strconv.Itoa(start+size-1)
}

func skip(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}

	return string(out)
}

func TestPartitionsAreFound(t *testing.T) {
	name, _ := attach(t)
	d := disk.Named(name)
	for n, want := range map[int]string{disk.Boot: "/dev/" + name + "p1", disk.Data: "/dev/" + name + "p4"} {
		if got, err := d.Partition(n); got != want || err != nil {
			t.Errorf("partition %d is %q, %v; want %q", n, got, err, want)
		}
	}
	if got, err := d.Partition(3); err == nil {
		t.Errorf("partition 3, which is not there, is %q", got)
	}
	if got, err := d.Sectors(); got != diskSize/sector || err != nil {
		t.Errorf("the disk has %d sectors, %v; want %d", got, err, diskSize/sector)
	}
	if got, err := disk.Named("no-disk").Partition(disk.Boot); err == nil {
		t.Errorf("a disk that is not there has the partition %q", got)
	}
}

// TestGrownPartition grows the last partition of a disk that is larger than the
// image was.
func TestGrownPartition(t *testing.T) {
	name, file := attach(t)
	d := disk.Named(name)
	device, err := d.Partition(disk.Data)
	if err != nil {
		t.Fatal(err)
	}
	if got := size(t, device); got != dataSize*sector {
		t.Fatalf("the partition has %d octets, want %d", got, dataSize*sector)
	}
	if err := os.Truncate(file, grownTo); err != nil {
		t.Fatal(err)
	}
	run(t, "losetup", "-c", d.Device())
	if err := d.Grow(disk.Data); err != nil {
		t.Fatal(err)
	}
	// All but the second copy of the table, which may be rounded to a MiB.
	if got, most := size(t, device), int64(grownTo-dataStart*sector); got > most-33*sector || got < most-2<<20 {
		t.Errorf("for the kernel the partition has %d octets now, want about %d", got, most)
	}
	if said := run(t, "sgdisk", "-v", file); !strings.Contains(said, "No problems found") {
		t.Errorf("sgdisk: %s", said)
	}
}

func size(t *testing.T, device string) int64 {
	t.Helper()
	f, err := os.Open(device)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		t.Fatal(err)
	}

	return n
}
