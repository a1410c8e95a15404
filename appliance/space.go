package appliance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"pillarbox/storage"
)

// A disk with less room than both of the first two is almost full: an office
// fills a gigabyte in some weeks, and on a small disk in some days. With less
// than both of the last two it is full: the storage takes no more mail and keeps
// what is left for deleting.
const (
	littleRoom  = 1 << 30 // octets
	littleShare = 20      // one part of so many
	noRoom      = 64 << 20
	noShare     = 50

	fewFiles = 64 // that a file system can still hold
)

// refusalHolds is how long after a message was refused the disk counts as full
// though it is not known to have got fuller or emptier, as by a quota.
const refusalHolds = time.Hour

// space knows how much room the disk of the data folder has.
type space struct {
	dir string

	mu      sync.Mutex
	refused time.Time // when the disk had no room for a message; zero if it had
	left    uint64    // octets that were free then
}

// room is what a file system says of itself.
type room struct {
	free, size       uint64 // octets
	freeFiles, files uint64 // files is 0 where they are not counted
}

func (s *space) room() (room, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(s.dir, &fs); err != nil {
		return room{}, fmt.Errorf("it is not known how much room there is: %w", err)
	}
	block := uint64(fs.Bsize)

	return room{free: fs.Bavail * block, size: fs.Blocks * block, freeFiles: fs.Ffree, files: fs.Files}, nil
}

// roomFor fails where the disk would be full with so many octets more.
func (s *space) roomFor(octets int64) error {
	r, err := s.room()
	if err != nil {
		return err
	}

	return r.holds(octets)
}

// note takes notice of a message that was refused for a full disk.
func (s *space) note(err error) {
	if !errors.Is(err, storage.ErrDiskFull) {
		return
	}
	r, err := s.room()
	if err != nil {
		return // the checks tell
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused, s.left = time.Now(), r.free
}

// checkFull fails while mail is turned away, or may be at any moment.
func (s *space) checkFull(context.Context) error {
	r, err := s.room()
	if err != nil {
		return err
	}
	if err := r.full(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused.IsZero() {
		return nil
	}
	if r.free > s.left+r.floor() || time.Since(s.refused) > refusalHolds {
		s.refused = time.Time{}
		return nil
	}

	return fmt.Errorf("a message was turned away at %s because there was no room for it, and there is no more now (%s): "+
		"delete mail or files, or move to a larger disk", s.refused.Format(time.TimeOnly), r)
}

// checkLow fails when the disk will soon be full.
func (s *space) checkLow(context.Context) error {
	r, err := s.room()
	if err != nil {
		return err
	}

	return r.low()
}

// floor is the least that must be free.
func (r room) floor() uint64 { return min(noRoom, r.size/noShare) }

func (r room) full() error {
	switch {
	case r.free < r.floor():
		return fmt.Errorf("only %s are free: delete mail or files, or move to a larger disk; mail that arrives is turned away until there is more room", r)
	case r.files > 0 && r.freeFiles < fewFiles:
		return fmt.Errorf("the disk can hold only %d more files: delete files, or move to a larger disk; mail that arrives is turned away where it does not fit", r.freeFiles)
	}

	return nil
}

// holds fails where so many octets more would fill the disk.
func (r room) holds(octets int64) error {
	if r.size > 0 && r.free < r.floor()+uint64(octets) {
		return fmt.Errorf("the disk would be full: %s are free", r)
	}

	return r.full()
}

func (r room) low() error {
	if r.free >= littleRoom || r.free >= r.size/littleShare {
		return nil
	}

	return fmt.Errorf("%s are free: delete mail, or move to a larger disk before mail has to be turned away", r)
}

// String implements fmt.Stringer.
func (r room) String() string { return fmt.Sprintf("%d MB of %d MB", r.free/1e6, r.size/1e6) }

// stager is storage for mail that comes in, where refusals are noticed.
type stager struct {
	*storage.Store

	space *space
}

// Stage implements imap.Stager and delivery.Store.
func (s *stager) Stage(ctx context.Context, r io.Reader) (*storage.Staged, error) {
	staged, err := s.Store.Stage(ctx, r)
	s.space.note(err)

	return staged, err
}
