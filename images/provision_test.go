package images_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"pillarbox/images/machine"
)

// TestProvisioningFileSetsTheBoxUp writes the file as a person does, with
// another computer, and with a mistake in it.
func TestProvisioningFileSetsTheBoxUp(t *testing.T) {
	requireImageTest(t, "qemu-amd64")
	b := newBox(t, "qemu-amd64", machine.Q35)
	file := filepath.Join(t.TempDir(), "pillarbox.toml")
	text := `host = "mail"
timezone = "Europe/Berlin"
colour = "blue"
[network]
address = "10.0.2.15/24"
gateway = "10.0.2.2"
dns = ["10.0.2.3"]
`
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	offset, _ := partitionOffset(t, b.config.Disk, 1)
	run(t, "mcopy", "-o", "-i", fmt.Sprintf("%s@@%d", b.config.Disk, offset), file, "::/pillarbox.toml")

	b.on()
	b.untilGreeting(b.Started)
	b.read(regexp.MustCompile(`Pillarbox \S+ on mail,`))
	b.read(regexp.MustCompile(`Network +10\.0\.2\.15 on eth0`))
	b.read(regexp.MustCompile(`Attention +pillarbox\.toml: colour is not a setting`))
	b.choose("Show the mail server's log")
	// The server's own clock: the zone is the file's.
	b.read(regexp.MustCompile(`\+0[12]:00`))
	b.off()
	run(t, "fsck.vfat", "-n", cutPartition(t, b.config.Disk, 1))
}
