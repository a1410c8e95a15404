package firmware_test

import (
	"archive/zip"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/factory"
	"pillarbox/appliance/firmware"
	"pillarbox/appliance/health"
)

// device is a device as far as a test can have one: a folder for the root, and
// a file for the data partition.
type device struct {
	t    *testing.T
	root string
	data string // the file of the data partition; "" if there is none
	toml string // the provisioning file; "" if there is none
	err  error  // of reading it
}

// newDevice returns a device. checkerSays is the script that stands in for
// e2fsck.
func newDevice(t *testing.T, checkerSays string) *device {
	t.Helper()
	d := &device{t: t, root: t.TempDir()}
	for _, dir := range []string{"etc/pillarbox", "sbin", "run", "perm", "damaged"} {
		if err := os.MkdirAll(filepath.Join(d.root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// Not later than now: the clock of this machine is set by it.
	d.write("etc/pillarbox/manifest.json", `{"version": "v9", "date": "2020-01-02T03:04:05Z"}`)
	d.write("sbin/e2fsck", "#!/bin/sh\n"+checkerSays+"\n")
	if err := os.Chmod(filepath.Join(d.root, "sbin/e2fsck"), 0o755); err != nil {
		t.Fatal(err)
	}
	d.data = filepath.Join(t.TempDir(), "data")
	f, err := os.Create(d.data)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(64<<20), f.Close()); err != nil {
		t.Fatal(err)
	}

	return d
}

func (d *device) write(name, text string) {
	d.t.Helper()
	name = filepath.Join(d.root, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o644)); err != nil {
		d.t.Fatal(err)
	}
}

// Partition implements firmware.Disk.
func (d *device) Partition(int) (string, error) {
	if d.data == "" {
		return "", errors.New("the disk has no partition 4")
	}

	return d.data, nil
}

// Grow implements firmware.Disk.
func (d *device) Grow(int) error { return nil }

// ReadBootFile implements firmware.Disk.
func (d *device) ReadBootFile(string, int64) ([]byte, error) {
	if d.toml == "" {
		return nil, errors.Join(d.err, fs.ErrNotExist)
	}

	return []byte(d.toml), d.err
}

func (d *device) prepare() *firmware.System {
	return firmware.Prepare(d.t.Context(), &firmware.Config{
		Logger: slog.New(slog.DiscardHandler), Root: d.root,
		FindDisk: func() (firmware.Disk, error) { return d, nil },
	})
}

// named returns the names of conditions.
func named(all []health.Condition) []string {
	names := []string{}
	for _, c := range all {
		names = append(names, c.Name)
	}
	slices.Sort(names)

	return names
}

// published returns what the mail server is told.
func (d *device) published() []health.Condition {
	d.t.Helper()
	text, err := os.ReadFile(filepath.Join(d.root, firmware.ConditionsFile))
	if err != nil {
		d.t.Fatal(err)
	}
	var all []health.Condition
	if err := json.Unmarshal(text, &all); err != nil {
		d.t.Fatal(err)
	}

	return all
}

func TestDataPartition(t *testing.T) {
	for _, tt := range []struct {
		name     string
		checker  string
		prepare  func(*device)
		readOnly bool
		want     []string
	}{
		{"new", "exit 0", nil, false, nil},
		{"mended after a power cut", "exit 1", nil, false, nil},
		// A test may not mount: that this fails is noted too.
		{"with errors that need a decision", "echo Block bitmap differs; exit 4", nil, true, []string{"data-partition", "device-start"}},
		{"not there", "exit 0", func(d *device) { d.data = "" }, true, []string{"device-start"}},
		{"that holds something else", "exit 0", func(d *device) {
			if err := os.WriteFile(d.data, []byte(strings.Repeat("x", 2<<20)), 0o600); err != nil {
				d.t.Fatal(err)
			}
		}, true, []string{"device-start"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDevice(t, tt.checker)
			if tt.prepare != nil {
				tt.prepare(d)
			}
			s := d.prepare()
			if s.Version != "v9" || s.ReadOnly != tt.readOnly {
				t.Errorf("version %q, read-only %t; want v9 and %t", s.Version, s.ReadOnly, tt.readOnly)
			}
			if diff := cmp.Diff(append([]string{}, tt.want...), named(s.Conditions())); diff != "" {
				t.Errorf("conditions (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSettingsReachWhoNeedsThem(t *testing.T) {
	d := newDevice(t, "exit 0")
	const hash = "$argon2id$v=19$m=4096,t=3,p=1$U09NRVNBTFQ$dGhpcyBpcyBub3QgYSByZWFsIGhhc2ghISEhISEhISE"
	d.toml = "timezone = \"Test/Zone\"\nadmin-password-hash = \"" + hash + "\"\n"
	d.zones("Test/Zone", "the zone's rules")
	s := d.prepare()
	s.Settle()
	if diff := cmp.Diff([]string{"TZ=/run/localtime"}, s.Environment()); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
	if got, err := os.ReadFile(filepath.Join(d.root, "run/localtime")); string(got) != "the zone's rules" {
		t.Errorf("the zone holds %q, %v", got, err)
	}
	file := filepath.Join(d.root, firmware.AdminHashFile)
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(file); strings.TrimSpace(string(got)) != hash || info.Mode().Perm() != 0o600 {
		t.Errorf("the hash: %q, %v, readable by %v; want it whole and for root alone", got, err, info.Mode())
	}
}

// zones writes an archive of time zones.
func (d *device) zones(name, text string) {
	d.t.Helper()
	f, err := os.Create(filepath.Join(d.root, "etc/zoneinfo.zip"))
	if err != nil {
		d.t.Fatal(err)
	}
	archive := zip.NewWriter(f)
	w, err := archive.Create(name)
	if err == nil {
		_, err = w.Write([]byte(text))
	}
	if err = errors.Join(err, archive.Close(), f.Close()); err != nil {
		d.t.Fatal(err)
	}
}

func TestMistakesInTheSettingsArePublished(t *testing.T) {
	for _, tt := range []struct {
		name, toml string
		err        error
		want       []string // words of the condition; nil if there is none
	}{
		{"no file", "", nil, nil},
		{"a good file", "ntp = [\"192.0.2.1\"]\n", nil, nil},
		{"two mistakes", "colour = \"blue\"\nhost = \"a b\"\n", nil, []string{"colour is not a setting", "host: ", "start the box anew"}},
		{"no TOML", "host =\n", nil, []string{"nothing of it could be read"}},
		{"a file that cannot be read", "x", errors.New("input/output error"), []string{"input/output error"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDevice(t, "exit 0")
			d.toml, d.err = tt.toml, tt.err
			s := d.prepare()
			s.Settle()
			at := slices.IndexFunc(d.published(), func(c health.Condition) bool { return c.Name == "provisioning" })
			if (at >= 0) != (tt.want != nil) {
				t.Fatalf("published: %v", d.published())
			}
			for _, words := range tt.want {
				if text := d.published()[at].Text; !strings.Contains(text, words) {
					t.Errorf("the condition lacks %q: %s", words, text)
				}
			}
		})
	}
}

func TestAZoneThatIsNotKnownIsNoted(t *testing.T) {
	d := newDevice(t, "exit 0")
	d.toml = "timezone = \"Nowhere/Land\"\n"
	d.zones("Test/Zone", "x")
	s := d.prepare()
	s.Settle()
	if env := s.Environment(); env != nil {
		t.Errorf("environment %q; want none", env)
	}
	if !slices.Contains(named(d.published()), "device-start") {
		t.Errorf("published: %v", d.published())
	}
}

func TestTheClockCountsAsNotSetAtFirst(t *testing.T) {
	d := newDevice(t, "exit 0")
	s := d.prepare()
	s.Settle()
	if !slices.Contains(named(d.published()), "clock-not-set") {
		t.Errorf("published: %v", d.published())
	}
	for _, c := range s.Conditions() {
		if !firmware.Publishes(c.Name) {
			t.Errorf("%s does not count as the device's", c.Name)
		}
	}
}

// TestDataPartitionInUse settles a device whose data partition is mounted: on a
// file system in memory, in a name space of the test's own.
func TestDataPartitionInUse(t *testing.T) {
	if !inOwnMounts(t) {
		return
	}
	for _, tt := range []struct {
		name  string
		order *factory.Reset
		want  []string
	}{
		{"no reset", nil, []string{"home/ntp/x", "last-known-time", "machine-id", "pillarbox/system.db", "random.seed", "leases.json"}},
		{"mail is kept", &factory.Reset{KeepMail: true}, []string{"last-known-time", "machine-id", "pillarbox/system.db", "random.seed"}},
		{"all is wiped", &factory.Reset{}, []string{"last-known-time", "machine-id", "pillarbox/system.db", "random.seed"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDevice(t, "exit 0")
			mountMemory(t, filepath.Join(d.root, "perm"))
			noted := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
			for name, text := range map[string]string{
				"home/ntp/x": "", "last-known-time": noted, "machine-id": "first", "pillarbox/system.db": "mail",
				"random.seed": "r", "leases.json": "{}",
			} {
				d.write("perm/"+name, text)
			}
			if tt.order != nil {
				if err := factory.Schedule(filepath.Join(d.root, firmware.DataDir), *tt.order); err != nil {
					t.Fatal(err)
				}
			}
			s := d.prepare()
			s.Settle()
			if s.ReadOnly {
				t.Fatalf("the partition is not used: %v", s.Conditions())
			}
			var got []string
			perm := filepath.Join(d.root, "perm")
			err := filepath.WalkDir(perm, func(name string, e fs.DirEntry, err error) error {
				if err == nil && e.Type().IsRegular() && e.Name() != "factory-reset.json" {
					got = append(got, strings.TrimPrefix(name, perm+"/"))
				}
				return err
			})
			slices.Sort(got)
			slices.Sort(tt.want)
			if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
				t.Errorf("%v; files (-want +got):\n%s", err, diff)
			}
			id, err := os.ReadFile(filepath.Join(perm, "machine-id"))
			if wiped := tt.order != nil && !tt.order.KeepMail; err != nil || (string(id) == "first") == wiped {
				t.Errorf("the machine is %q, %v", id, err)
			}
			order, err := factory.Scheduled(filepath.Join(d.root, firmware.DataDir))
			if err != nil || (order != nil) != (tt.order != nil) {
				t.Errorf("the order is %v, %v; taking it away is the server's", order, err)
			}
		})
	}
}
