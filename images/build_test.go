package images_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pillarbox/appliance/firmware/provision"
	"pillarbox/buildroot"
	"pillarbox/images"
)

// requireImageTest skips a test that needs minutes and the emulator, unless
// PILLARBOX_IMAGE_TEST names the image, or all. An emulated machine keeps one
// processor of the host busy, so tests that have one run beside each other.
func requireImageTest(t *testing.T, image string) {
	t.Helper()
	wanted := strings.Fields(os.Getenv("PILLARBOX_IMAGE_TEST"))
	if !slices.Contains(wanted, image) && !slices.Contains(wanted, "all") {
		t.Skip("make image-test runs this")
	}
	t.Parallel()
}

// declaration returns the declaration of an image.
func declaration(t *testing.T, image string) *buildroot.Declaration {
	t.Helper()
	all, err := buildroot.ReadDeclarations(images.Declarations())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(d *buildroot.Declaration) bool { return d.Name == image })
	if i < 0 {
		t.Fatalf("there is no image %q", image)
	}

	return all[i]
}

// imageDate is the date of the images that are tested.
var imageDate = time.Date(2026, time.January, 2, 3, 4, 6, 0, time.UTC)

// building lets one test at a time build: they share the cache.
var building sync.Mutex

// buildImage builds an image, with the cache that mkimage has too.
func buildImage(t *testing.T, image string) string {
	t.Helper()
	settings, err := provision.Settings{}.Text()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), image+".img")
	building.Lock()
	defer building.Unlock()
	start := time.Now()
	result, err := buildroot.Build(t.Context(), &buildroot.Config{
		Declaration: declaration(t, image),
		Source:      "..",
		Cache:       filepath.Join("..", ".cache", "image"),
		Version:     "test",
		Date:        imageDate,
		Provision:   settings,
	}, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %d bytes, boot files %d, root %d, built in %.1f s",
		image, result.Size, result.Boot, result.Root, time.Since(start).Seconds())

	return name
}

func copySparse(t *testing.T, from, to string) {
	t.Helper()
	run(t, "cp", "--sparse=always", from, to)
}

// run runs a program and returns its output.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := command(t, name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}

	return string(out)
}

// command finds a program, also where only root usually looks.
func command(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath(name)
	for _, dir := range []string{"/usr/sbin/", "/sbin/"} {
		if err != nil {
			path, err = exec.LookPath(dir + name)
		}
	}
	if err != nil {
		t.Fatalf("%s is missing: %v", name, err)
	}

	return exec.Command(path, args...)
}

// partitionOffset returns where a partition begins and how long it is, in
// bytes, as an independent program sees it.
func partitionOffset(t *testing.T, disk string, n int) (offset, size int64) {
	t.Helper()
	for line := range strings.Lines(run(t, "sgdisk", "-p", disk)) {
		f := strings.Fields(line)
		if len(f) < 3 || f[0] != strconv.Itoa(n) {
			continue
		}
		first, err1 := strconv.ParseInt(f[1], 10, 64)
		last, err2 := strconv.ParseInt(f[2], 10, 64)
		if err1 != nil || err2 != nil {
			t.Fatalf("sgdisk printed %q", line)
		}
		return first * 512, (last + 1 - first) * 512
	}
	t.Fatalf("%s has no partition %d", disk, n)

	return 0, 0
}

// cutPartition copies a partition out of a disk.
func cutPartition(t *testing.T, disk string, n int) string {
	t.Helper()
	offset, size := partitionOffset(t, disk, n)
	name := filepath.Join(t.TempDir(), "p"+strconv.Itoa(n))
	const block = 1 << 20
	run(t, "dd", "if="+disk, "of="+name, "bs=1M", "conv=sparse", "status=none",
		"skip="+strconv.FormatInt(offset/block, 10), "count="+strconv.FormatInt(size/block, 10))
	if err := os.Truncate(name, size); err != nil {
		t.Fatal(err)
	}

	return name
}

// checkDisk has independent programs look at a disk after a box has used it.
func checkDisk(t *testing.T, disk string) {
	t.Helper()
	if out := run(t, "sgdisk", "-v", disk); !strings.Contains(out, "No problems found") {
		t.Errorf("sgdisk: %s", out)
	}
	info, err := os.Stat(disk)
	if err != nil {
		t.Fatal(err)
	}
	if offset, size := partitionOffset(t, disk, 4); info.Size()-offset-size > 2<<20 {
		t.Errorf("the data partition leaves %d bytes unused", info.Size()-offset-size)
	}
	run(t, "e2fsck", "-f", "-n", cutPartition(t, disk, 4))
	run(t, "fsck.vfat", "-n", cutPartition(t, disk, 1))
}
