package firmware

import (
	"archive/zip"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"pillarbox/appliance/firmware/clock"
	"pillarbox/appliance/firmware/datafs"
	"pillarbox/appliance/firmware/disk"
	"pillarbox/appliance/firmware/provision"
)

// Places in the root file system. The image builder knows them too.
const (
	Perm         = "/perm" // where the data partition is mounted
	ManifestFile = "/etc/pillarbox/manifest.json"

	// Where the data partition is mounted if it must not be written to: no
	// service works there, so that it can be unmounted and mended.
	damaged = "/damaged"

	zonesFile = "/etc/zoneinfo.zip"
	zoneFile  = "/run/localtime"
	checker   = "/sbin/e2fsck"

	timeFile      = Perm + "/last-known-time"
	machineIDFile = Perm + "/machine-id"
)

// System is the device as it was found and prepared.
type System struct {
	Version  string
	Built    time.Time
	Settings provision.Settings
	Notes    []string // what a person should know, in words
	ReadOnly bool     // the data partition must not be written to

	disk *disk.Disk
	held *os.File // the data partition, kept from being mounted
	log  *slog.Logger
}

// Prepare does what must be done before gokrazy's own start, which mounts the
// data partition. It never fails: what goes wrong is noted, and the box starts
// as far as it can.
func Prepare(ctx context.Context, log *slog.Logger) *System {
	s := &System{log: log}
	if err := disk.Early(); err != nil {
		s.note("prepare the kernel's file systems", err)
	}
	if err := s.readManifest(); err != nil {
		s.note("read the manifest", err)
	}
	// The checker of the file system looks at the clock too.
	if _, err := clock.AtLeast(s.Built); err != nil {
		s.note("set the clock", err)
	}
	var err error
	if s.disk, err = disk.Find(); err != nil {
		s.note("find the disk", err)
		s.ReadOnly = true
		return s
	}
	if err := s.prepareData(ctx); err != nil {
		s.note("prepare the data partition", err)
		s.ReadOnly = true
	}
	if s.ReadOnly {
		s.mountReadOnly()
	}

	return s
}

// note keeps a problem for the console and logs it.
func (s *System) note(what string, err error) {
	s.Notes = append(s.Notes, fmt.Sprintf("could not %s: %v", what, err))
	s.log.Error(what, "err", err)
}

func (s *System) readManifest() error {
	text, err := os.ReadFile(ManifestFile)
	if err != nil {
		return err
	}
	var m struct {
		Version string    `json:"version"`
		Date    time.Time `json:"date"`
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return err
	}
	s.Version, s.Built = m.Version, m.Date

	return nil
}

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
	verdict := datafs.Check(ctx, checker, name)
	s.log.Info("data partition checked", "verdict", verdict.Words)
	s.ReadOnly = verdict.ReadOnly
	if verdict.ReadOnly || verdict.Mended && state.Damaged {
		s.Notes = append(s.Notes, verdict.Words)
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
		err = unix.Mount(name, damaged, "ext4", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "noload")
	}
	if err != nil {
		s.note("mount the data partition read-only", err)
		s.hold(name)
		return
	}
	s.Notes = append(s.Notes, "the data partition is mounted read-only; mail is not served")
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
	s.Notes = append(s.Notes, "the data partition is not mounted; mail is not served")
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
	if err := unix.Unmount(damaged, 0); err != nil && !errors.Is(err, unix.EINVAL) {
		return "", fmt.Errorf("unmount the data partition: %w", err)
	}

	if s.held != nil {
		_ = s.held.Close() // it was only held
		s.held = nil
	}

	return datafs.Mend(ctx, checker, name)
}

// Settle does what needs the mounted data partition.
func (s *System) Settle() {
	if !s.ReadOnly {
		s.settleData()
	}
	s.readSettings()
}

func (s *System) settleData() {
	// gokrazy mounts without options and goes on where it cannot.
	flags := uintptr(unix.MS_REMOUNT | unix.MS_NOATIME | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC)
	if err := unix.Mount("", Perm, "", flags, ""); err != nil {
		s.note("mount the data partition", err)
		s.ReadOnly = true
		return
	}
	last, err := clock.Load(timeFile)
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
	if err := ensureMachineID(machineIDFile); err != nil {
		s.note("make the machine's identity", err)
	}
}

// readSettings reads the provisioning file. That there is none is not worth a
// word.
func (s *System) readSettings() {
	if s.disk == nil {
		return
	}
	text, err := s.disk.ReadBootFile(provision.File, provision.MaxSize)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		s.note("read "+provision.File, err)
		return
	}
	var problems []string
	s.Settings, problems = provision.Parse(text)
	for _, p := range problems {
		s.Notes = append(s.Notes, provision.File+": "+p)
		s.log.Warn(provision.File, "problem", p)
	}
	if s.Settings.Host != "" {
		if err := unix.Sethostname([]byte(s.Settings.Host)); err != nil {
			s.note("set the host name", err)
		}
	}
}

// Environment returns the variables that services get.
func (s *System) Environment() []string {
	if s.Settings.TimeZone == "" {
		return nil
	}
	if err := unpackZone(zonesFile, s.Settings.TimeZone, zoneFile); err != nil {
		s.note("find the time zone "+s.Settings.TimeZone, err)
		return nil
	}

	// Go's programs take the path of a file, too.
	return []string{"TZ=" + zoneFile}
}

// unpackZone takes a time zone out of Go's archive of all.
func unpackZone(archive, zone, name string) error {
	all, err := zip.OpenReader(archive)
	if err != nil {
		return err
	}
	defer all.Close()
	data, err := fs.ReadFile(all, zone)
	if err != nil {
		return err
	}

	return os.WriteFile(name, data, 0o644)
}

// KeepTime notes the time until the context ends.
func (s *System) KeepTime(ctx context.Context) {
	clock.Keep(ctx, timeFile, func(err error) { s.log.Error("note the time", "err", err) })
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
