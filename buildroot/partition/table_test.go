package partition_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"pillarbox/buildroot/partition"
)

func sgdisk(t *testing.T, args ...string) string {
	t.Helper()
	for _, name := range []string{"sgdisk", "/usr/sbin/sgdisk"} {
		program, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		out, err := exec.Command(program, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("sgdisk %q: %v\n%s", args, err, out)
		}
		return string(out)
	}
	if os.Getenv("CI") != "" {
		t.Fatal("sgdisk is missing")
	}
	t.Skip("sgdisk is missing")

	return ""
}

func table() *partition.Table {
	return &partition.Table{
		Disk:    partition.ID("pillarbox", 0),
		Sectors: 40960,
		Partitions: []partition.Partition{
			{Type: partition.TypeESP, ID: partition.ID("pillarbox", 1), Name: "boot", First: 8192, Count: 8192},
			{Type: partition.TypeLinux, ID: partition.ID("pillarbox", 2), Name: "root-a", First: 16384, Count: 4096},
		},
	}
}

func TestTableIsSoundToSgdisk(t *testing.T) {
	name := filepath.Join(t.TempDir(), "disk")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tab := table()
	if err := f.Truncate(int64(tab.Sectors) * partition.SectorSize); err != nil {
		t.Fatal(err)
	}
	if err := tab.Write(f); err != nil {
		t.Fatal(err)
	}
	out := sgdisk(t, "-v", "-p", "-i", "2", name)
	// The hash of the name is that of gokrazy's tools.
	for _, want := range []string{
		"No problems found", `1 +8192 +16383 .* EF00 +boot`, `2 +16384 +20479 .* 8300 +root-a`,
		`Partition unique GUID: (?i)60C24CC1-F3F9-427A-8199-7B0E7E5E0002`,
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("sgdisk does not print %q:\n%s", want, out)
		}
	}
	if out := sgdisk(t, "-O", name); !strings.Contains(out, "0x0C") || !strings.Contains(out, "0xEE") {
		t.Errorf("the MBR is not a hybrid one:\n%s", out)
	}
}

func TestBootCodeLiesBeforeTheRecords(t *testing.T) {
	name := filepath.Join(t.TempDir(), "disk")
	tab := table()
	tab.Code = bytes.Repeat([]byte{0xcc}, partition.CodeSize)
	disk := make([]byte, tab.Sectors*partition.SectorSize)
	if err := os.WriteFile(name, disk, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := tab.Write(f); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, partition.SectorSize)
	if _, err := f.ReadAt(got, 0); err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(got, tab.Code) || string(got[440:444]) != "PBOX" || got[510] != 0x55 || got[511] != 0xaa {
		t.Errorf("the first sector is %x", got)
	}
	if out := sgdisk(t, "-v", "-O", name); !strings.Contains(out, "No problems found") || !strings.Contains(out, "0x0C") {
		t.Errorf("sgdisk:\n%s", out)
	}
}

func TestPartitionsThatDoNotFitAreRefused(t *testing.T) {
	cases := map[string]func(*partition.Table){
		"overlap":               func(t *partition.Table) { t.Partitions[1].First = 16383 },
		"behind the disk":       func(t *partition.Table) { t.Partitions[1].Count = 1 << 20 },
		"over the backup":       func(t *partition.Table) { t.Partitions[1].Count = t.Sectors - 16384 - partition.Reserved + 1 },
		"over the table":        func(t *partition.Table) { t.Partitions[0].First = 40 },
		"code over the records": func(t *partition.Table) { t.Code = make([]byte, partition.CodeSize+1) },
		"without a sector":      func(t *partition.Table) { t.Partitions[0].Count = 0 },
		"identifier that isn't": func(t *partition.Table) { t.Partitions[0].ID = "x" },
	}
	for name, damage := range cases {
		t.Run(name, func(t *testing.T) {
			tab := table()
			damage(tab)
			if err := tab.Write(nil); err == nil {
				t.Error("the table was written")
			}
		})
	}
}
