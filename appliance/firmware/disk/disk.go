package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"pillarbox/appliance/firmware/gpt"
)

// The partitions of an image.
const (
	Boot = 1
	Data = 4
)

const sectorSize = 512

// Disk is the disk that the system was started from.
type Disk struct {
	name string // such as sda
}

// Early mounts the kernel's own file systems. gokrazy finds them mounted and
// goes on.
func Early() error {
	for _, m := range []struct{ source, target string }{
		{"devtmpfs", "/dev"},
		{"proc", "/proc"},
		{"sysfs", "/sys"},
	} {
		err := unix.Mount(m.source, m.target, m.source, 0, "")
		if err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
	}

	return nil
}

// Find finds the disk below the root file system.
func Find() (*Disk, error) {
	var st unix.Stat_t
	if err := unix.Stat("/", &st); err != nil {
		return nil, fmt.Errorf("find the root file system: %w", err)
	}
	dir, err := filepath.EvalSymlinks(fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev)))
	if err != nil {
		return nil, fmt.Errorf("find the root's block device: %w", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "partition")); err != nil {
		return nil, fmt.Errorf("the root is not a partition: %w", err)
	}

	return &Disk{name: filepath.Base(filepath.Dir(dir))}, nil
}

// Device returns the path of the disk.
func (d *Disk) Device() string { return filepath.Join("/dev", d.name) }

// Partition returns the path of partition n.
func (d *Disk) Partition(n int) (string, error) {
	numbers, err := filepath.Glob(filepath.Join("/sys/block", d.name, d.name+"*", "partition"))
	if err != nil {
		return "", err
	}
	for _, file := range numbers {
		if got, err := number(file); err == nil && got == uint64(n) {
			return filepath.Join("/dev", filepath.Base(filepath.Dir(file))), nil
		}
	}

	return "", fmt.Errorf("%s has no partition %d", d.Device(), n)
}

// Sectors returns the size of the disk in sectors of 512 bytes.
func (d *Disk) Sectors() (uint64, error) { return number(filepath.Join("/sys/block", d.name, "size")) }

func number(file string) (uint64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}

	return strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
}

// Grow makes partition n as large as the disk allows, in the table and for the
// kernel.
func (d *Disk) Grow(n int) error {
	f, err := os.OpenFile(d.Device(), os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("open disk: %w", err)
	}
	defer f.Close()
	sectors, err := d.Sectors()
	if err != nil {
		return fmt.Errorf("find the disk's size: %w", err)
	}
	p, err := gpt.Grow(f, n, sectors)
	if err != nil {
		return fmt.Errorf("grow partition %d: %w", n, err)
	}

	return resize(f, n, p)
}

// resize tells the kernel of a partition's new size.
func resize(f *os.File, n int, p gpt.Partition) error {
	// struct blkpg_partition and struct blkpg_ioctl_arg of linux/blkpg.h.
	part := struct {
		start, length int64 // bytes
		number        int32
		names         [128]byte
		_             [4]byte
	}{start: int64(p.First) * sectorSize, length: int64(p.Count) * sectorSize, number: int32(n)}
	arg := struct {
		op, flags, size int32
		_               int32
		data            unsafe.Pointer
	}{op: unix.BLKPG_RESIZE_PARTITION, size: int32(unsafe.Sizeof(part)), data: unsafe.Pointer(&part)}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), unix.BLKPG, uintptr(unsafe.Pointer(&arg))); errno != 0 {
		return fmt.Errorf("tell the kernel of partition %d: %w", n, errno)
	}

	return nil
}

// ReadBootFile reads a file of the boot partition, which is mounted read-only
// for that time.
func (d *Disk) ReadBootFile(name string, limit int64) (data []byte, err error) {
	const target = "/boot"
	device, err := d.Partition(Boot)
	if err != nil {
		return nil, err
	}
	if err := unix.Mount(device, target, "vfat", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return nil, fmt.Errorf("mount the boot partition: %w", err)
	}
	defer func() {
		if e := unix.Unmount(target, 0); e != nil {
			err = errors.Join(err, fmt.Errorf("unmount the boot partition: %w", e))
		}
	}()
	file := filepath.Join(target, filepath.Base(name))
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if info.Size() > limit {
		return nil, fmt.Errorf("%s has %d bytes; %d are too many", name, info.Size(), limit)
	}

	return os.ReadFile(file)
}
