package images_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"pillarbox/buildroot"
	"pillarbox/images"
)

func TestDeclarationsAreSound(t *testing.T) {
	all, err := buildroot.ReadDeclarations(images.Declarations())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range all {
		names = append(names, d.Name)
		if d.Summary == "" {
			t.Errorf("%s says not what it is for", d.Name)
		}
	}
	if got, want := strings.Join(names, " "), "pc-amd64 qemu-amd64 qemu-arm64 rpi-arm64"; got != want {
		t.Errorf("declarations %s, want %s", got, want)
	}
}

// TestOthersFindTheImageSound has programs that are not ours look at what was
// built: it is all that can be done for the boards that are not here.
func TestOthersFindTheImageSound(t *testing.T) {
	cases := map[string][]string{ // files on the boot partition
		"qemu-amd64": {"EFI/BOOT/BOOTX64.EFI", "loader/loader.conf", "loader/entries/gokrazy.conf"},
		"pc-amd64":   {"EFI/BOOT/BOOTX64.EFI", "loader/loader.conf", "loader/entries/gokrazy.conf"},
		"qemu-arm64": {"EFI/BOOT/BOOTAA64.EFI", "loader/loader.conf", "loader/entries/gokrazy.conf"},
		"rpi-arm64": {
			"bootcode.bin", "start.elf", "fixup.dat", "start4.elf", "fixup4.dat", "config.txt",
			"bcm2710-rpi-3-b.dtb", "bcm2711-rpi-4-b.dtb", "bcm2712-rpi-5-b.dtb", "overlays/overlay_map.dtb",
		},
	}
	for image, files := range cases {
		t.Run(image, func(t *testing.T) {
			requireImageTest(t, image)
			disk := buildImage(t, image)
			if out := run(t, "sgdisk", "-v", disk); !strings.Contains(out, "No problems found") {
				t.Errorf("sgdisk: %s", out)
			}
			// The Raspberry Pi's boot ROM sees only this.
			if out := run(t, "sgdisk", "-O", disk); !strings.Contains(out, "0x0C") {
				t.Errorf("the MBR has no FAT partition:\n%s", out)
			}
			if declaration(t, image).Arch == "amd64" {
				checkBootSector(t, disk)
			}
			boot := cutPartition(t, disk, 1)
			run(t, "fsck.vfat", "-n", boot)
			out := t.TempDir()
			run(t, "mcopy", "-s", "-n", "-i", boot, "::/", out)
			for _, file := range append(files, "vmlinuz", "cmdline.txt", "pillarbox.toml", "licenses/linux.txt") {
				if info, err := os.Stat(filepath.Join(out, filepath.FromSlash(file))); err != nil || info.Size() == 0 {
					t.Errorf("the boot partition lacks %s: %v", file, err)
				}
			}
			checkRoot(t, cutPartition(t, disk, 2), declaration(t, image).Arch)
		})
	}
}

// checkBootSector looks for the kernel and its arguments where the code for a
// legacy BIOS reads them.
func checkBootSector(t *testing.T, disk string) {
	t.Helper()
	f, err := os.Open(disk)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	read := func(at int64, size int) []byte {
		t.Helper()
		b := make([]byte, size)
		if _, err := f.ReadAt(b, at); err != nil {
			t.Fatal(err)
		}

		return b
	}
	numbers := read(432, 8)
	kernel := 512 * int64(binary.LittleEndian.Uint32(numbers))
	arguments := 512 * int64(binary.LittleEndian.Uint32(numbers[4:]))
	// The Linux boot protocol's magic number and version.
	if h := read(kernel+0x202, 6); string(h[:4]) != "HdrS" || binary.LittleEndian.Uint16(h[4:]) < 0x204 {
		t.Errorf("no kernel begins at %d: %q", kernel, h)
	}
	line, _, ended := strings.Cut(string(read(arguments, 512)), "\x00")
	if !ended || !strings.HasPrefix(line, "console=") || !strings.Contains(line, "root=PARTUUID=") {
		t.Errorf("the kernel's arguments at %d are %q", arguments, line)
	}
}

// checkRoot unpacks the root file system and looks at its programs and its
// manifest.
func checkRoot(t *testing.T, root, arch string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "root")
	run(t, "unsquashfs", "-n", "-d", dir, root)
	machine := map[string]byte{"amd64": 62, "arm64": 183}[arch] // e_machine
	for _, name := range []string{"gokrazy/init", "gokrazy/network", "gokrazy/randomd", "user/pillarbox", "sbin/e2fsck"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
			continue
		}
		if !bytes.HasPrefix(b, []byte("\x7fELF")) || b[18] != machine {
			t.Errorf("%s is no program for %s", name, arch)
		}
		// PT_INTERP would name a dynamic linker, which is not there.
		if bytes.Contains(b[:4096], []byte("/ld-linux")) {
			t.Errorf("%s is not static", name)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "etc", "gokr-pw.txt")); err == nil {
		t.Error("gokrazy's interface would listen on the network")
	}
	text, err := os.ReadFile(filepath.Join(dir, "etc", "pillarbox", "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var m buildroot.Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	if m.Arch != arch || m.Kernel.Version == "" || len(m.Packages) == 0 || len(m.Programs) != 3 || len(m.Files) < 10 {
		t.Errorf("the manifest is incomplete: %s", text)
	}
	for _, p := range m.Programs {
		if p.Path == "/user/pillarbox" && len(p.Modules) < 5 {
			t.Errorf("the manifest names only %d modules of the server", len(p.Modules))
		}
	}
}

// TestSameInputsGiveTheSameImage builds twice, the second time as somebody else
// does: from another folder, in another time zone and language, with files that
// nobody else may read, and without what was kept of the first.
func TestSameInputsGiveTheSameImage(t *testing.T) {
	requireImageTest(t, "qemu-amd64")
	ours := buildImage(t, "qemu-amd64")

	source, cache := t.TempDir(), t.TempDir()
	for _, name := range []string{"cmd", "appliance", "storage", "netcfg", "webui", "buildroot", "images", "go.mod", "go.sum"} {
		if _, err := os.Stat(filepath.Join("..", name)); err == nil {
			run(t, "cp", "-r", filepath.Join("..", name), source)
		}
	}
	// The packages are inputs: the same ones.
	run(t, "cp", "-r", filepath.Join("..", ".cache", "image", "debian"), cache)
	theirs := filepath.Join(t.TempDir(), "image")
	cmd := command(t, "sh", "-c", `umask 077; exec go run ./cmd/mkimage build -i qemu-amd64 --version test "$@"`, "sh",
		"-o", theirs, "--cache", cache, "--date", strconv.FormatInt(imageDate.Unix(), 10))
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "TZ=Asia/Kolkata", "LC_ALL=tr_TR.UTF-8", "GOFLAGS=-buildvcs=false")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("mkimage: %v\n%s", err, out)
	}
	if !sameBytes(t, ours, theirs) {
		t.Error("the two images differ")
	}
}

func sameBytes(t *testing.T, a, b string) bool {
	t.Helper()
	var readers []io.Reader
	for _, name := range []string{a, b} {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		readers = append(readers, f)
	}
	x, y := make([]byte, 1<<20), make([]byte, 1<<20)
	for {
		n, err := io.ReadFull(readers[0], x)
		m, _ := io.ReadFull(readers[1], y)
		if n != m || !bytes.Equal(x[:n], y[:m]) {
			return false
		}
		if err != nil {
			return true
		}
	}
}
