package images_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"pillarbox/images/machine"
)

// TestProvisioningFileSetsTheBoxUp writes the file as a person does, with
// another computer, and with a mistake in it.
func TestProvisioningFileSetsTheBoxUp(t *testing.T) {
	requireImageTest(t, "qemu-amd64")
	b := newBox(t, "qemu-amd64", machine.Q35)
	b.provision(`host = "mail"
timezone = "Europe/Berlin"
colour = "blue"
admin-password-hash = "$argon2id$v=19$m=4096,t=3,p=1$U09NRVNBTFQ$dGhpcyBpcyBub3QgYSByZWFsIGhhc2ghISEhISEhISE"
[network]
address = "10.0.2.15/24"
gateway = "10.0.2.2"
dns = ["10.0.2.3"]
`)

	b.on()
	b.untilGreeting(b.Started)
	b.read(regexp.MustCompile(`Pillarbox \S+ on mail,`))
	b.read(regexp.MustCompile(`Network +10\.0\.2\.15 on eth0`))
	b.read(regexp.MustCompile(`Listens +[^\r\n]*990/tcp pillarbox, 993/tcp pillarbox`))
	b.read(regexp.MustCompile(`Attention +The file pillarbox\.toml has mistakes \(medium\)\s+colour is not a setting\.`))
	b.choose("Show the mail server's log")
	// The server's own clock: the zone is the file's.
	b.read(regexp.MustCompile(`\+0[12]:00`))
	b.read(regexp.MustCompile(`the administrator's password is the one that was provided`))
	b.say("q") // the log may have more pages
	b.awaitNames("mail", "10.0.2.15")
	b.off()
	run(t, "fsck.vfat", "-n", cutPartition(t, b.config.Disk, 1))
	if strings.Contains(b.Console(), "$argon2id") {
		t.Error("the console shows the administrator's password hash")
	}
}

// provision writes the provisioning file as another computer does.
func (b *box) provision(text string) {
	b.t.Helper()
	file := filepath.Join(b.t.TempDir(), "pillarbox.toml")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		b.t.Fatal(err)
	}
	offset, _ := partitionOffset(b.t, b.config.Disk, 1)
	run(b.t, "mcopy", "-o", "-i", fmt.Sprintf("%s@@%d", b.config.Disk, offset), file, "::/pillarbox.toml")
}

// awaitNames waits until the certificate is good for all names: an address is
// known to it some time after the box has it.
func (b *box) awaitNames(names ...string) {
	b.t.Helper()
	var missing error
	for from := time.Now(); time.Since(from) < bootTime; time.Sleep(time.Second) {
		c, err := tls.DialWithDialer(&net.Dialer{Timeout: bootTime}, "tcp", b.IMAPS, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			missing = err
			continue
		}
		leaf := c.ConnectionState().PeerCertificates[0]
		_ = c.Close()
		missing = nil
		for _, name := range names {
			missing = errors.Join(missing, leaf.VerifyHostname(name))
		}
		if missing == nil {
			return
		}
	}
	b.t.Errorf("the certificate: %v", missing)
}
