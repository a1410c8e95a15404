package images_test

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"pillarbox/images/machine"
)

// TestDamagedDataPartitionIsNeverServed damages a folder of the mail on the
// disk. The box says so, does not serve mail from it, and is mended by its menu.
func TestDamagedDataPartitionIsNeverServed(t *testing.T) {
	requireImageTest(t, "qemu-amd64")
	b := newBox(t, "qemu-amd64", machine.Q35)
	b.on()
	b.untilGreeting(b.Started)
	b.off()
	damageFolder(t, b.config.Disk, "/pillarbox/certs")

	b.on()
	b.read(regexp.MustCompile(`need a decision`))
	b.read(regexp.MustCompile(`Attention +The data partition is not in order; mail is not served \(high\)`))
	if c, err := dial(b.IMAPS); err == nil {
		_ = c.Close()
		t.Error("mail is served from a damaged partition")
	}
	b.choose("Mend the data partition")
	b.read(regexp.MustCompile(`Type mend to go on: `))
	b.say("mend")
	b.read(regexp.MustCompile(`The data partition is mended`))
	b.say("q") // what was done may take more pages
	b.off()
	run(t, "e2fsck", "-f", "-n", cutPartition(t, b.config.Disk, 4))
}

// damageFolder overwrites the block of a folder and leaves the mark that the
// kernel leaves when it meets an error.
func damageFolder(t *testing.T, disk, folder string) {
	t.Helper()
	offset, _ := partitionOffset(t, disk, 4)
	device := fmt.Sprintf("%s?offset=%d", disk, offset)
	out := run(t, "debugfs", "-R", "blocks "+folder, device)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	block, err := strconv.ParseInt(strings.TrimSpace(lines[len(lines)-1]), 10, 64)
	if err != nil {
		t.Fatalf("debugfs printed %q", out)
	}
	f, err := os.OpenFile(disk, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte(strings.Repeat("\xa5", 4096)), offset+4096*block); err != nil {
		t.Fatal(err)
	}
	run(t, "debugfs", "-w", "-R", "ssv state 2", device)
}
