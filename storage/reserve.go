package storage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// A disk that is full must not keep anybody from deleting: bbolt needs new
// pages for that, too. So some room is kept in a file of no content, given up
// when a change that deletes finds none, and taken again when there is. And
// mail is refused before the disk is full to the last octet, or it would be
// others' small files, or the log's, that find no room.
const (
	reserveOctets = 8 << 20  // some thousand deletions, one by one
	floorOctets   = 64 << 20 // below this much room no mail is taken
	reserveShare  = 20       // at most one part of so many of the disk
	floorShare    = 50
)

// reserve is the room kept.
type reserve struct {
	path string

	mu sync.Mutex
}

func newReserve(dir string) *reserve { return &reserve{path: filepath.Join(dir, "reserve")} }

// disk tells what the file system has, in octets.
func (r *reserve) disk() (free, size int64, err error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(r.path), &fs); err != nil {
		return 0, 0, fmt.Errorf("ask for the room on the disk: %w", err)
	}
	return int64(fs.Bavail) * int64(fs.Bsize), int64(fs.Blocks) * int64(fs.Bsize), nil
}

func floorOf(size int64) int64 { return min(floorOctets, size/floorShare) }

// room is ErrDiskFull where no more mail is to be taken.
func (r *reserve) room() error {
	free, size, err := r.disk()
	if err != nil {
		return err
	}
	if free < floorOf(size) {
		return fmt.Errorf("%w: %d octets are left, which are for deleting", ErrDiskFull, free)
	}
	return nil
}

// refill takes the room again, where there is enough beside it.
func (r *reserve) refill() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	free, size, err := r.disk()
	if err != nil {
		return err
	}
	want := min(reserveOctets, size/reserveShare)
	f, err := os.OpenFile(r.path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("keep a reserve: %w", err)
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return fmt.Errorf("keep a reserve: %w", err)
	}
	have := st.Blocks * 512
	if have >= want || free < want-have+floorOf(size) {
		return nil
	}
	err = unix.Fallocate(int(f.Fd()), 0, 0, want)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		err = fill(f, want)
	}
	if err != nil {
		return fmt.Errorf("keep a reserve: %w", errors.Join(err, f.Truncate(0)))
	}
	return nil
}

// fill is for file systems that allocate nothing beforehand.
func fill(f *os.File, n int64) error {
	zeros := make([]byte, 1<<20)
	for at := int64(0); at < n; at += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros[:min(int64(len(zeros)), n-at)], at); err != nil {
			return err
		}
	}
	return nil
}

// release gives the room up and tells whether there was any.
func (r *reserve) release() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	fi, err := os.Stat(r.path)
	return err == nil && fi.Size() > 0 && os.Truncate(r.path, 0) == nil
}
