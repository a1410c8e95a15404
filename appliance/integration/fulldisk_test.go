package integration_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"golang.org/x/sys/unix"

	"pillarbox/appliance/integration/rig"
)

// TestAFullDiskIsToldAndPasses fills the disk of a box. It refuses mail in
// words that say why, by every way mail comes; people still log in, read and
// delete; and when there is room again, so is everything else, and all that was
// acknowledged.
func TestAFullDiskIsToldAndPasses(t *testing.T) {
	box := rig.NewBox(t, binary)
	if err := os.Mkdir(box.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", box.Dir, "tmpfs", 0, "size=48m"); err != nil {
		rig.Need(t, "mount a small file system: %v", err)
	}
	t.Cleanup(func() {
		if box.Running() {
			box.Kill(t)
		}
		if err := unix.Unmount(box.Dir, 0); err != nil {
			t.Error(err)
		}
	})
	box.AddAccount(t, ada, adaPassword)
	box.AddAccount(t, bob, bobPassword)
	box.Start(t)
	c := asAda(t, box, nil)
	lmtp := dialLMTP(t, box)
	small, large := rig.Message(1), []byte("Subject: large\r\n\r\n"+strings.Repeat("text\r\n", 10_000))
	mustAppend(t, c, "INBOX", small)
	mustAppend(t, c, "INBOX", large)
	if err := deliverOne(lmtp, large); err != nil {
		t.Fatal(err)
	}

	ballast := filepath.Join(box.Dir, "ballast")
	fill(t, ballast)
	_, err := appendMessage(c, "INBOX", large, nil)
	refused(t, "APPEND", err, "[UNAVAILABLE]", "disk is full")
	refused(t, "LMTP", deliverOne(lmtp, large), "4.3.1", "disk is full")
	refusedByCommand(t, box)
	awaitTrouble(t, box, "disk is full")

	again := asAda(t, box, nil) // who comes now gets in
	if n := selectMailbox(t, again, "INBOX").NumMessages; n != 3 {
		t.Fatalf("INBOX has %d messages, want 3", n)
	}
	compareMail(t, "on a full disk", small, inOrder(t, again)[0])
	deleteUID(t, again, 2)

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, again, "INBOX", large)
	if err := deliverOne(lmtp, large); err != nil {
		t.Fatalf("with room again: %v", err)
	}
	box.Stop(t)
	box.Start(t)
	c = asAda(t, box, nil)
	if n := selectMailbox(t, c, "INBOX").NumMessages; n != 4 {
		t.Errorf("INBOX has %d messages, want 4", n)
	}
	for i, m := range [][]byte{small, large, large, large} {
		compareMail(t, "at the end", m, inOrder(t, c)[i])
	}
	box.Stop(t)
	box.Command(nil, "check").MustRun(t)
}

func dialLMTP(t *testing.T, box *rig.Box) *rig.LMTP {
	t.Helper()
	l, err := rig.DialLMTP("tcp", box.LMTP(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func deliverOne(l *rig.LMTP, message []byte) error {
	answers, err := l.Deliver("carla@elsewhere.example", []string{ada}, message)
	if err != nil {
		return err
	}
	return answers[0]
}

// fill leaves no octet free.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for size := 1 << 20; size > 0; size /= 2 {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func refused(t *testing.T, what string, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: it was taken on a full disk", what)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%s: %v does not say %q", what, err, w)
		}
	}
}

// refusedByCommand delivers a file as a person at the terminal does.
func refusedByCommand(t *testing.T, box *rig.Box) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "letter.eml")
	if err := os.WriteFile(file, []byte("Subject: x\r\n\r\n"+strings.Repeat("text\r\n", 10_000)), 0o600); err != nil {
		t.Fatal(err)
	}
	out := box.Command(nil, "deliver", "--to", ada, file).Run(t)
	if out.Err == nil || !strings.Contains(out.All(), "disk is full") {
		t.Errorf("deliver: %v\n%s", out.Err, out.All())
	}
}

// awaitTrouble waits until the status says so and is not well.
func awaitTrouble(t *testing.T, box *rig.Box, text string) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		out := box.Command(nil, "status").Run(t)
		if strings.Contains(out.All(), text) && out.Err != nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("status does not say %q: %v\n%s", text, out.Err, out.All())
		}
	}
}

func deleteUID(t *testing.T, c *imapclient.Client, uid imap.UID) {
	t.Helper()
	set := imap.UIDSetNum(uid)
	flags := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}, Silent: true}
	if err := c.Store(set, flags, nil).Close(); err != nil {
		t.Fatalf("mark as deleted on a full disk: %v", err)
	}
	if err := c.UIDExpunge(set).Close(); err != nil {
		t.Fatalf("expunge on a full disk: %v", err)
	}
}
