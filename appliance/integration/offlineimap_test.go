package integration_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/integration/rig"
)

// newOfflineimap returns a Maildir that offlineimap keeps in step with Ada's
// account. Like mbsync it goes by UIDs; unlike it, it finds what it put in by
// searching for a header line, and takes flags from FETCH alone.
func newOfflineimap(t *testing.T, box *rig.Box) *replica {
	t.Helper()
	root := t.TempDir()
	r := &replica{dir: filepath.Join(root, "mail"), config: filepath.Join(root, "offlineimaprc")}
	_, port, _ := strings.Cut(box.IMAPS(t, "tcp4"), ":")
	config := fmt.Sprintf(`[general]
accounts = box
metadata = %s/state
ui = basic
fsync = False

[Account box]
localrepository = near
remoterepository = far

[Repository near]
type = Maildir
localfolders = %s
sep = /
sync_deletes = yes

[Repository far]
type = IMAP
remotehost = localhost
remoteport = %s
remoteuser = %s
remotepass = %s
ssl = yes
sslcacertfile = %s
maxconnections = 2
`, root, r.dir, port, ada, adaPassword, box.CAFile())
	if err := os.WriteFile(r.config, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return r
}

// runOfflineimap synchronises once.
func (r *replica) runOfflineimap(t *testing.T) {
	t.Helper()
	cmd := rig.Command{
		Path: rig.Tool(t, "offlineimap", "offlineimap3"),
		Args: []string{"-o", "-c", r.config},
		Env:  []string{"HOME=" + filepath.Dir(r.config), "LC_ALL=C.UTF-8"},
	}
	out := cmd.MustRun(t)
	if text := out.All(); strings.Contains(text, "ERROR") || strings.Contains(text, "Traceback") {
		t.Errorf("offlineimap complains:\n%s", text)
	}
}

// TestOfflineimapKeepsBothSidesInStep synchronises three times, with changes
// of every kind on both sides between.
func TestOfflineimapKeepsBothSidesInStep(t *testing.T) {
	box := openOffice(t)
	near := newOfflineimap(t, box)
	c := asAda(t, box, nil)
	inStep := func() map[string][]string {
		t.Helper()
		near.runOfflineimap(t)
		here, there := near.content(t), boxContent(t, c)
		if diff := cmp.Diff(there, here); diff != "" {
			t.Fatalf("the two sides differ (-box +Maildir):\n%s", diff)
		}
		return there
	}
	expect := func(content map[string][]string, folder, text string, want int) {
		t.Helper()
		if got := count(content[folder], text); got != want {
			t.Errorf("%s has %d messages with %q, want %d", folder, got, text, want)
		}
	}

	for i := range 5 {
		mustAppend(t, c, "INBOX", rig.Message(i))
	}
	mustAppend(t, c, "INBOX", letter("from-box-1"), imap.FlagSeen)
	mustAppend(t, c, "INBOX", letter("from-box-2"))
	createMailbox(t, c, "Projects/House")
	mustAppend(t, c, "Projects/House", letter("house-1"), imap.FlagAnswered, imap.FlagFlagged)
	first := inStep()
	expect(first, "INBOX", "From:", 7)
	expect(first, "Projects/House", "FR\n", 1)

	near.put(t, "INBOX", "1", "S", letter("from-maildir-1"))
	near.setFlags(t, "INBOX", "Subject: from-box-2", "RS")
	near.remove(t, "INBOX", "Subject: from-box-1")
	near.put(t, "Projects/Garden", "2", "FS", letter("garden-1"))
	mustAppend(t, c, "Projects/House", letter("house-2"), imap.FlagSeen)
	storeFlag(t, c, uidOf(t, c, "Projects/House", "house-1"), imap.StoreFlagsDel, imap.FlagFlagged)
	second := inStep()
	expect(second, "INBOX", "Subject: from-maildir-1", 1)
	expect(second, "INBOX", "Subject: from-box-1", 0)
	expect(second, "INBOX", "RS\n", 1)
	expect(second, "Projects/Garden", "FS\n", 1)
	expect(second, "Projects/House", "Subject: house-", 2)

	if _, err := c.Move(uidOf(t, c, "INBOX", "from-box-2"), "Projects/Garden").Wait(); err != nil {
		t.Fatal(err)
	}
	near.remove(t, "Projects/House", "Subject: house-1")
	third := inStep()
	expect(third, "INBOX", "Subject: from-box-2", 0)
	expect(third, "Projects/Garden", "RS\n", 1)
	expect(third, "Projects/House", "Subject: house-1", 0)
	if diff := cmp.Diff(third, inStep()); diff != "" {
		t.Errorf("a synchronisation without a change changed something:\n%s", diff)
	}
}
