package firmware

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"pillarbox/appliance/firmware/clock"
	"pillarbox/appliance/firmware/datafs"
	"pillarbox/appliance/firmware/disk"
)

// prepareData makes the data partition if it is new and checks it.
func (s *System) prepareData(ctx context.Context) error {
	name, err := s.disk.Partition(disk.Data)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("open the data partition: %w", err)
	}
	defer f.Close()
	fresh, err := datafs.New(f)
	if err != nil {
		return err
	}
	if fresh {
		if err := s.makeData(f); err != nil {
			return err
		}
	}
	state, err := datafs.ReadState(f)
	if err != nil {
		return err
	}
	s.log.Info("data partition", "device", name, "new", fresh,
		"unclean", state.Unclean, "damaged", state.Damaged, "errors", state.Errors)
	verdict := datafs.Check(ctx, s.path(checker), name)
	s.log.Info("data partition checked", "verdict", verdict.Words)
	switch {
	case verdict.ReadOnly:
		s.ReadOnly = true
		s.set(kindDamaged, "%s. It is only read, so that nothing gets worse. Switch off and make a copy of the disk if the mail matters; "+
			"then choose to mend it in the menu of the box's screen", verdict.Words)
	case verdict.Mended && state.Damaged:
		s.set(kindMended, "%s. Make a backup, and see to the disk if it happens again; "+
			"\"pillarbox check\" tells whether mail was lost", verdict.Words)
	}

	return nil
}

func (s *System) makeData(f *os.File) error {
	start := time.Now()
	if err := s.disk.Grow(disk.Data); err != nil {
		return err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("find the data partition's size: %w", err)
	}
	s.log.Info("first start: making the data partition", "size", size)
	if err := datafs.Make(f, size); err != nil {
		return err
	}
	s.log.Info("data partition made", "took", time.Since(start).Round(time.Millisecond))

	return nil
}

// mountReadOnly mounts the data partition, which also keeps gokrazy from mounting
// it for writing.
func (s *System) mountReadOnly() {
	name, err := s.disk.Partition(disk.Data)
	if err == nil {
		// Without replaying the journal, which would write.
		err = unix.Mount(name, s.path(damaged), "ext4", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "noload")
	}
	if err != nil {
		s.note("mount the data partition read-only", err)
		s.hold(name)
	}
}

// hold opens the data partition for this process alone, so that gokrazy cannot
// mount it for writing.
func (s *System) hold(name string) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_EXCL, 0)
	if err != nil {
		s.note("keep the data partition from being mounted", err)
		return
	}
	s.held = f
}

// Mend mends the data partition, which is read-only, as far as that is
// possible, even if something is lost by that, and returns what was done. The
// box is to be started anew afterwards.
func (s *System) Mend(ctx context.Context) (string, error) {
	if !s.ReadOnly || s.disk == nil {
		return "", errors.New("the data partition is in use")
	}
	name, err := s.disk.Partition(disk.Data)
	if err != nil {
		return "", err
	}
	// If it could not be mounted either, there is nothing to unmount.
	if err := unix.Unmount(s.path(damaged), 0); err != nil && !errors.Is(err, unix.EINVAL) {
		return "", fmt.Errorf("unmount the data partition: %w", err)
	}
	if s.held != nil {
		_ = s.held.Close() // it was only held
		s.held = nil
	}

	return datafs.Mend(ctx, s.path(checker), name)
}

// settleData sets the mounted data partition up.
func (s *System) settleData() {
	// gokrazy mounts without options and goes on where it cannot.
	flags := uintptr(unix.MS_REMOUNT | unix.MS_NOATIME | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC)
	if err := unix.Mount("", s.path(Perm), "", flags, ""); err != nil {
		s.set(kindDamaged, "It could not be mounted (%v). Start the box anew; if that does not help, the disk is to be looked at", err)
		s.ReadOnly = true
		return
	}
	last, err := clock.Load(s.path(timeFile))
	if err != nil {
		s.log.Error("last known time", "err", err)
	}
	behind, err := clock.AtLeast(last)
	if err != nil {
		s.note("set the clock", err)
	}
	if behind {
		s.log.Warn("the clock was behind the last known time")
	}
	if err := s.resetRest(); err != nil {
		s.note("carry out the factory reset", err)
	}
	if err := ensureMachineID(s.path(machineIDFile)); err != nil {
		s.note("make the machine's identity", err)
	}
}

// ensureMachineID makes a random identity once. gokrazy reads it there.
func ensureMachineID(name string) error {
	if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	_, err = f.WriteString(hex.EncodeToString(id[:]) + "\n")
	if err = errors.Join(err, f.Chmod(0o444), f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}

	return os.Rename(f.Name(), name)
}
