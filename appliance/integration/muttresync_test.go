package integration_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"

	"pillarbox/appliance/integration/rig"
)

// TestMuttResynchronises lets mutt, which keeps headers and flags between two
// runs, catch up by QRESYNC with what happened meanwhile.
func TestMuttResynchronises(t *testing.T) {
	box := openOffice(t)
	c := asAda(t, box, nil)
	const mailbox = "Resync"
	createMailbox(t, c, mailbox)
	subject := func(i int) string {
		return fmt.Sprintf("Subject: number %d!\r\nMessage-ID: <%d@x>\r\n\r\nbody\r\n", i, i)
	}
	for i := range 12 {
		mustAppend(t, c, mailbox, []byte(subject(i)))
	}
	home := t.TempDir()
	_, port, _ := strings.Cut(box.IMAPS(t, "tcp4"), ":")
	muttrc := fmt.Sprintf(`set imap_user = "%s"
set imap_pass = "%s"
set certificate_file = "%s"
set folder = "imaps://localhost:%s/"
set mbox_type = mbox
set confirmappend = no
set confirmcreate = no
set quit = yes
set wait_key = no
set mark_old = no
set imap_condstore = yes
set imap_qresync = yes
set header_cache = "%s/cache"
`, ada, adaPassword, box.CAFile(), port, home)
	if err := os.WriteFile(filepath.Join(home, "muttrc"), []byte(muttrc), 0o600); err != nil {
		t.Fatal(err)
	}
	mutt, script := rig.Tool(t, "mutt", "mutt"), rig.Tool(t, "script", "bsdutils")
	// run copies the messages that a pattern of mutt's finds to a file, and
	// returns their subjects and what mutt noted of the conversation.
	run := func(pattern, saved string) (subjects []string, log string) {
		t.Helper()
		saved = filepath.Join(home, saved)
		keys := "push '<tag-pattern>" + pattern + "<enter><tag-prefix><copy-message><kill-line>" + saved + "<enter><quit>'"
		cmd := rig.Command{
			Path: script, // gives mutt a terminal
			Args: []string{"--quiet", "--return", "--command",
				fmt.Sprintf(`%s -d 4 -n -F %s/muttrc -f '=%s' -e "%s"`, mutt, home, mailbox, keys), "/dev/null"},
			Env: []string{"TERM=vt100", "HOME=" + home, "LC_ALL=C.UTF-8", "LINES=24", "COLUMNS=100"},
		}
		out := cmd.MustRun(t)
		text, err := os.ReadFile(saved)
		if err != nil {
			t.Fatalf("mutt saved nothing: %v\n%q", err, out.All())
		}
		debug, err := os.ReadFile(filepath.Join(home, ".muttdebug0"))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`number (\d+)!`).FindAllStringSubmatch(string(text), -1) {
			subjects = append(subjects, m[1])
		}
		return subjects, string(debug)
	}
	if got, _ := run("~A", "first"); len(got) != 12 {
		t.Fatalf("mutt saved %q", got)
	}

	if _, err := c.Select(mailbox, nil).Wait(); err != nil {
		t.Fatal(err)
	}
	store := func(flag imap.Flag, uids ...imap.UID) {
		t.Helper()
		op := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{flag}}
		if err := c.Store(imap.UIDSetNum(uids...), op, nil).Close(); err != nil {
			t.Fatal(err)
		}
	}
	store(imap.FlagDeleted, 1, 2, 5, 12)
	store(imap.FlagFlagged, 3, 9)
	if err := c.Expunge().Close(); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, c, mailbox, []byte(subject(12)))

	got, log := run("~A", "second")
	if want := []string{"2", "3", "5", "6", "7", "8", "9", "10", "12"}; !slices.Equal(got, want) {
		t.Errorf("mutt now saved %q, want %q", got, want)
	}
	if want := "VANISHED (EARLIER) 1:2,5,12"; !strings.Contains(log, want) {
		t.Errorf("mutt's conversation has no %q", want)
	}
	if strings.Contains(log, "QRESYNC failed") {
		t.Error("mutt gave QRESYNC up")
	}
	if got, _ := run("~F", "flagged"); !slices.Equal(got, []string{"2", "8"}) {
		t.Errorf("mutt knows as flagged %q, want 2 and 8", got)
	}
}
