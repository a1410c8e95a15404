package firmware

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"pillarbox/appliance/firmware/clock"
	"pillarbox/appliance/firmware/disk"
	"pillarbox/appliance/firmware/provision"
	"pillarbox/appliance/health"
	"pillarbox/appliance/timeset"
)

// Places in the root file system. The image builder knows them too.
const (
	Perm         = "/perm" // where the data partition is mounted
	ManifestFile = "/etc/pillarbox/manifest.json"

	// DataDir is the mail server's folder.
	DataDir = Perm + "/pillarbox"

	// ConditionsFile tells the mail server what is wrong with the box, and
	// AdminHashFile by which password its administrator comes in at first. Both
	// are in memory.
	ConditionsFile = "/run/pillarbox-conditions.json"
	AdminHashFile  = "/run/pillarbox-admin-password-hash"

	// Where the data partition is mounted if it must not be written to: no
	// service works there, so that it can be unmounted and mended.
	damaged = "/damaged"

	zonesFile = "/etc/zoneinfo.zip"
	zoneFile  = "/run/localtime"
	checker   = "/sbin/e2fsck"

	timeFile      = Perm + "/last-known-time"
	machineIDFile = Perm + "/machine-id"
)

// Disk is the disk that the system was started from; disk.Disk is one.
type Disk interface {
	Partition(n int) (device string, err error)
	Grow(n int) error
	ReadBootFile(name string, limit int64) ([]byte, error)
}

// Config says what to work on.
type Config struct {
	Logger *slog.Logger // must not be nil

	// Root is where the root file system is; "" on a device.
	Root string
	// FindDisk finds the disk; nil means the one that holds the root.
	FindDisk func() (Disk, error)
}

// System is the device as it was found and prepared.
type System struct {
	Version  string
	Built    time.Time
	Settings provision.Settings
	ReadOnly bool // the data partition must not be written to

	conf    Config
	log     *slog.Logger
	disk    Disk
	held    *os.File       // the data partition, kept from being mounted
	watch   *timeset.Watch // nil when nobody waits for the clock
	tracker *health.Tracker

	mu        sync.Mutex // held by who changes the conditions
	notes     []string   // what could not be done, in words
	published bool       // there is a place for the conditions
}

// Prepare does what must be done before gokrazy's own start, which mounts the
// data partition. It never fails: what goes wrong is noted, and the box starts
// as far as it can.
func Prepare(ctx context.Context, c *Config) *System {
	s := &System{conf: *c, log: c.Logger, tracker: health.NewTracker(c.Logger.With("service", "health"))}
	if s.conf.FindDisk == nil {
		s.conf.FindDisk = rootDisk
	}
	if err := s.readManifest(); err != nil {
		s.note("read the manifest", err)
	}
	// The checker of the file system looks at the clock too.
	if _, err := clock.AtLeast(s.Built); err != nil {
		s.note("set the clock", err)
	}
	var err error
	if s.disk, err = s.conf.FindDisk(); err != nil {
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

func rootDisk() (Disk, error) {
	if err := disk.Early(); err != nil {
		return nil, err
	}

	return disk.Find()
}

// Settle does what needs the mounted data partition, and must come before the
// services start.
func (s *System) Settle() {
	s.mu.Lock()
	s.published = true // there is a /run now
	s.mu.Unlock()
	if !s.ReadOnly {
		s.settleData()
	}
	s.readSettings()
	s.watchClock()
	s.publish()
}

// path returns where a file of the root file system is.
func (s *System) path(name string) string { return filepath.Join(s.conf.Root, name) }

func (s *System) readManifest() error {
	text, err := os.ReadFile(s.path(ManifestFile))
	if err != nil {
		return err
	}
	var m struct {
		Version string    `json:"version"`
		Date    time.Time `json:"date"`
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return fmt.Errorf("read %s: %w", ManifestFile, err)
	}
	s.Version, s.Built = m.Version, m.Date

	return nil
}
