package images_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/google/go-cmp/cmp"

	"pillarbox/images/machine"
)

const (
	// bootTime bounds a start: twenty seconds are usual, but an emulated machine
	// may have to share a slow one with others.
	bootTime = 10 * time.Minute

	// diskSize is larger than the image, as a real disk is.
	diskSize = 3 << 30

	account = "anna@office.example"
)

// message has lines that a careless path would change.
const message = "From: Bea <bea@office.example>\r\n" +
	"To: anna@office.example\r\n" +
	"Subject: kept\r\n" +
	"\r\n" +
	"caf\xc3\xa9 and a bare\tTab, a .dot\r\n.\r\nand an end without a line end"

// box is a machine with an image in a test.
type box struct {
	t      *testing.T
	config machine.Config
	*machine.Machine
	password string
}

// newBox returns a box with a fresh disk; it is not yet switched on.
func newBox(t *testing.T, image, kind string) *box {
	t.Helper()
	b := &box{t: t}
	dir := t.TempDir()
	b.config = machine.Config{Kind: kind, Steady: true, Dir: dir, Disk: filepath.Join(dir, "disk.img")}
	copySparse(t, buildImage(t, image), b.config.Disk)
	if kind == machine.RaspberryVirt {
		b.config.Kernel, b.config.CommandLine = kernel(t, b.config.Disk)
	}
	if err := os.Truncate(b.config.Disk, diskSize); err != nil {
		t.Fatal(err)
	}

	return b
}

// kernel takes the kernel and its arguments from a boot partition, in place of
// the Raspberry Pi's own loader. That one also puts the name of the serial port.
func kernel(t *testing.T, disk string) (name, commandLine string) {
	t.Helper()
	boot, dir := cutPartition(t, disk, 1), t.TempDir()
	run(t, "mcopy", "-n", "-i", boot, "::/vmlinuz", "::/cmdline.txt", dir)
	text, err := os.ReadFile(filepath.Join(dir, "cmdline.txt"))
	if err != nil {
		t.Fatal(err)
	}
	line := strings.TrimSpace(string(text))
	if !strings.Contains(line, "console=serial0,") {
		t.Fatalf("the kernel's arguments are %q", line)
	}

	return filepath.Join(dir, "vmlinuz"), strings.ReplaceAll(line, "console=serial0,", "console=ttyAMA0,")
}

// on switches the box on. It is killed at the end of the test.
func (b *box) on() {
	b.t.Helper()
	m, err := machine.Start(b.t.Context(), &b.config)
	if err != nil {
		b.t.Fatal(err)
	}
	b.Machine = m
	b.t.Cleanup(func() {
		m.Cut()
		if b.t.Failed() {
			b.t.Logf("console:\n%s", m.Console())
		}
	})
}

// untilGreeting waits for the first IMAP greeting and returns how long that
// took from switching on.
func (b *box) untilGreeting(from time.Time) time.Duration {
	b.t.Helper()
	for time.Since(from) < bootTime {
		c, err := dial(b.IMAPS)
		if err == nil {
			_ = c.Close()
			return time.Since(from)
		}
		time.Sleep(200 * time.Millisecond)
	}
	b.t.Fatalf("no greeting within %s", bootTime)

	return 0
}

// untilSilence waits until no greeting comes any more.
func (b *box) untilSilence() {
	b.t.Helper()
	for from := time.Now(); time.Since(from) < bootTime; time.Sleep(100 * time.Millisecond) {
		c, err := dial(b.IMAPS)
		if err != nil {
			return
		}
		_ = c.Close()
	}
	b.t.Fatalf("it still answers after %s", bootTime)
}

// dial connects and reads the greeting. The certificate is the box's own; that
// it is the one on its screen is checked by a test.
func dial(addr string) (*imapclient.Client, error) {
	d := &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}
	ctx, stop := context.WithTimeout(context.Background(), 5*time.Second)
	defer stop()
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(bootTime)); err != nil {
		return nil, err
	}
	c := imapclient.New(conn, nil)
	if err := c.WaitGreeting(); err != nil {
		_ = c.Close()
		return nil, err
	}

	return c, nil
}

// login returns a client that is logged in.
func (b *box) login(addr string) *imapclient.Client {
	b.t.Helper()
	c, err := dial(addr)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { c.Close() })
	if err := c.Login(account, b.password).Wait(); err != nil {
		b.t.Fatal(err)
	}

	return c
}

// choose picks a line of the console's menu by its title.
func (b *box) choose(title string) {
	b.t.Helper()
	b.say("") // shows the menu anew
	b.say(b.read(regexp.MustCompile(`(\d+)  ` + regexp.QuoteMeta(title)))[1])
}

func (b *box) say(line string) {
	b.t.Helper()
	if err := b.Type(line); err != nil {
		b.t.Fatal(err)
	}
}

func (b *box) read(re *regexp.Regexp) []string {
	b.t.Helper()
	ctx, stop := context.WithTimeout(b.t.Context(), bootTime)
	defer stop()
	groups, err := b.Expect(ctx, re)
	if err != nil {
		b.t.Fatal(err)
	}

	return groups
}

// addAccount makes an account on the console.
func (b *box) addAccount() {
	b.t.Helper()
	b.choose("Add an account")
	b.read(regexp.MustCompile(`Mail address of the new account: `))
	b.say(account)
	b.password = strings.TrimSpace(b.read(regexp.MustCompile(`password ([^\r\n]+)\r?\n`))[1])
}

// append stores the message and returns its UID.
func (b *box) append(addr string) imap.UID {
	b.t.Helper()
	c := b.login(addr)
	w := c.Append("INBOX", int64(len(message)), &imap.AppendOptions{Flags: []imap.Flag{imap.FlagFlagged}})
	if _, err := io.WriteString(w, message); err != nil {
		b.t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		b.t.Fatal(err)
	}
	data, err := w.Wait()
	if err != nil {
		b.t.Fatal(err)
	}

	return data.UID
}

// checkMessage fetches the message and compares all octets.
func (b *box) checkMessage(addr string, uid imap.UID) {
	b.t.Helper()
	c := b.login(addr)
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		b.t.Fatal(err)
	}
	section := &imap.FetchItemBodySection{Peek: true}
	got, err := c.Fetch(imap.UIDSetNum(uid), &imap.FetchOptions{
		Flags: true, BodySection: []*imap.FetchItemBodySection{section},
	}).Collect()
	if err != nil {
		b.t.Fatal(err)
	}
	if len(got) != 1 {
		b.t.Fatalf("UID %d yields %d messages", uid, len(got))
	}
	if diff := cmp.Diff(message, string(got[0].FindBodySection(section))); diff != "" {
		b.t.Errorf("the message changed (-want +got):\n%s", diff)
	}
	if !strings.Contains(fmt.Sprint(got[0].Flags), string(imap.FlagFlagged)) {
		b.t.Errorf("flags %v; want %s among them", got[0].Flags, imap.FlagFlagged)
	}
}

// off switches the box off by its menu.
func (b *box) off() {
	b.t.Helper()
	b.choose("Switch off")
	ctx, stop := context.WithTimeout(b.t.Context(), bootTime)
	defer stop()
	if err := b.WaitEnd(ctx); err != nil {
		b.t.Fatal(err)
	}
}

// logMemory logs how much memory the whole box uses.
func (b *box) logMemory(when string) {
	b.t.Helper()
	b.say("") // shows the status anew
	used := b.read(regexp.MustCompile(`Memory +(\d+) of (\d+) MB used`))
	b.t.Logf("memory, %s: %s of %s MB used", when, used[1], used[2])
}

func TestMailOutlivesARestart(t *testing.T) {
	t.Parallel()
	boots := []struct{ image, kind string }{
		{"qemu-amd64", machine.Q35},
		{"qemu-arm64", machine.Virt},
		{"pc-amd64", machine.PC},
		{"pc-amd64", machine.BIOS},
		{"rpi-arm64", machine.RaspberryVirt},
	}
	for _, boot := range boots {
		t.Run(boot.image+" on "+boot.kind, func(t *testing.T) {
			requireImageTest(t, boot.image)
			b := newBox(t, boot.image, boot.kind)
			b.on()
			t.Logf("first greeting %.1f s after power-on, with the data partition made", b.untilGreeting(b.Started).Seconds())
			b.logMemory("idle")
			b.addAccount()
			uid := b.append(b.IMAPS)
			b.checkMessage(b.IMAPSLegacy, uid)
			b.logMemory("after log-ins")

			b.choose("Start anew")
			asked := time.Now()
			b.untilSilence()
			t.Logf("greeting %.1f s after a restart was asked for", b.untilGreeting(asked).Seconds())
			b.checkMessage(b.IMAPS, uid)

			b.Cut()
			b.on()
			t.Logf("greeting %.1f s after power-on, the power having been cut", b.untilGreeting(b.Started).Seconds())
			b.checkMessage(b.IMAPS, uid)
			b.off()
			checkDisk(t, b.config.Disk)
		})
	}
}
