package fat_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pillarbox/buildroot/fat"
)

// program returns the path of an independent tool. In continuous integration
// it must be there.
func program(t *testing.T, name string) string {
	t.Helper()
	for _, dir := range []string{"", "/sbin/", "/usr/sbin/"} {
		if p, err := exec.LookPath(dir + name); err == nil {
			return p
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is missing", name)
	}
	t.Skipf("%s is missing", name)

	return ""
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program(t, name), args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", name, err, out, &stderr)
	}

	return string(out)
}

func file(path, text string) fat.File {
	return fat.File{Path: path, Size: int64(len(text)), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(text)), nil
	}}
}

func config(size int64, files ...fat.File) *fat.Config {
	return &fat.Config{
		Size: size, Label: "TEST", Serial: 0x12345678, Hidden: 8192,
		Time:  time.Date(2026, time.March, 4, 5, 6, 8, 0, time.UTC),
		Files: files,
	}
}

func write(t *testing.T, c *fat.Config) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "fat")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(c.Size); err != nil {
		t.Fatal(err)
	}
	if err := fat.Write(f, c); err != nil {
		t.Fatal(err)
	}

	return name
}

func TestOthersReadWhatWasWritten(t *testing.T) {
	want := map[string]string{
		"cmdline.txt":                 "root=PARTUUID=x\n",
		"config.txt":                  "",
		"vmlinuz":                     strings.Repeat("kernel!\n", 200_000),
		"loader/loader.conf":          "timeout 0\n",
		"loader/entries/gokrazy.conf": "title x\n",
		"EFI/BOOT/BOOTX64.EFI":        strings.Repeat("x", 2048),
		"bcm2711-rpi-4-b.dtb":         "one",
		"bcm2711-rpi-400.dtb":         "two",
		"pillarbox.toml":              "three",
	}
	for i := range 200 {
		want[fmt.Sprintf("overlays/some-long-overlay-name-%03d.dtbo", i)] = strings.Repeat("o", i*37)
	}
	for _, size := range []int64{4 << 20, 32 << 20, 96 << 20, 600 << 20, 1 << 30} {
		t.Run(fmt.Sprintf("%d MiB", size>>20), func(t *testing.T) {
			var files []fat.File
			for path, text := range want {
				files = append(files, file(path, text))
			}
			name := write(t, config(size, files...))
			run(t, "fsck.vfat", "-n", name)
			out := t.TempDir()
			run(t, "mcopy", "-s", "-n", "-i", name, "::/", out)
			for path, text := range want {
				got, err := os.ReadFile(filepath.Join(out, filepath.FromSlash(path)))
				if err != nil || string(got) != text {
					t.Errorf("%s holds %d octets, %v; want %d", path, len(got), err, len(text))
				}
			}
			if got := run(t, "mdir", "-i", name, "::"); !strings.Contains(got, "2026-03-04") {
				t.Errorf("mdir shows another date:\n%s", got)
			}
		})
	}
}

func TestSameFilesGiveSameBytesInAnyOrder(t *testing.T) {
	files := []fat.File{file("b", "1"), file("a/x", "2"), file("a/b/c.conf", "3")}
	one := write(t, config(8<<20, files...))
	two := write(t, config(8<<20, files[2], files[0], files[1]))
	a, err := os.ReadFile(one)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(two)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Error("the two differ")
	}
}

func TestOffsetIsWhereTheContentsBegin(t *testing.T) {
	text := strings.Repeat("kernel!\n", 20_000)
	c := config(32<<20, file("a/b/c", "1"), file("vmlinuz", text), file("cmdline.txt", "root"), file("empty", ""))
	disk, err := os.ReadFile(write(t, c))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"vmlinuz": text, "cmdline.txt": "root\x00"} {
		at, err := fat.Offset(c, name)
		if err != nil || at%512 != 0 || !strings.HasPrefix(string(disk[at:]), want) {
			t.Errorf("Offset(%s) = %d, %v: something else is there", name, at, err)
		}
	}
	for _, name := range []string{"empty", "missing"} {
		if at, err := fat.Offset(c, name); err == nil {
			t.Errorf("Offset(%s) = %d", name, at)
		}
	}
}

// TestGokrazyFindsItsFiles looks for what its updater reads: one FAT, and short
// names in the case in which it asks.
func TestGokrazyFindsItsFiles(t *testing.T) {
	name := write(t, config(8<<20, file("loader/entries/gokrazy.conf", "x"), file("cmdline.txt", "y")))
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if b[16] != 1 {
		t.Errorf("there are %d FATs", b[16])
	}
	for _, short := range []string{"cmdline txt", "loader     ", "entries    ", "gokraz~1con"} {
		if !bytes.Contains(b, []byte(short)) {
			t.Errorf("there is no short name %q", short)
		}
	}
}

func TestWhatCannotBeWrittenIsRefused(t *testing.T) {
	short := file("x", "abc")
	short.Size = 4
	long := file("x", "abc")
	long.Size = 2
	cases := map[string]*fat.Config{
		"too many octets":     config(4<<20, file("x", strings.Repeat("x", 5<<20))),
		"too small for FAT16": config(1 << 20),
		"odd size":            config(8<<20 + 1),
		"twice the same":      config(8<<20, file("x", ""), file("X", "")),
		"below a file":        config(8<<20, file("a", ""), file("a/b", "")),
		"path that climbs":    config(8<<20, file("../a", "")),
		"shorter than told":   config(8<<20, short),
		"longer than told":    config(8<<20, long),
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f, err := os.Create(filepath.Join(t.TempDir(), "fat"))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if err := fat.Write(f, c); err == nil {
				t.Error("it was written")
			}
		})
	}
	err := fat.Write(nil, cases["too many octets"])
	if !errors.Is(err, fat.ErrFull) {
		t.Errorf("Write = %v, want %v", err, fat.ErrFull)
	}
}
