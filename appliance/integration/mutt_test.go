package integration_test

import (
	"bytes"
	"fmt"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pillarbox/appliance/integration/rig"
)

// mutt is Ada's, with a home that stays from one run to the next.
type mutt struct {
	t             *testing.T
	home          string
	path, screens string // the programs
}

// newMutt writes mutt's settings; more are lines added to them.
func newMutt(t *testing.T, box *rig.Box, more string) *mutt {
	t.Helper()
	m := &mutt{t: t, home: t.TempDir(), path: rig.Tool(t, "mutt", "mutt"), screens: rig.Tool(t, "script", "bsdutils")}
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
set header_cache = "%s/cache"
`, ada, adaPassword, box.CAFile(), port, m.home)
	if err := os.WriteFile(filepath.Join(m.home, "muttrc"), []byte(muttrc+more), 0o600); err != nil {
		t.Fatal(err)
	}
	return m
}

// save copies the messages of a mailbox that mutt's pattern finds to a file in
// its home, by the keys that a person would press, and returns the file. What
// mutt notes of the conversation is in .muttdebug0.
func (m *mutt) save(mailbox, pattern, name string) []byte {
	m.t.Helper()
	saved := filepath.Join(m.home, name)
	keys := "push '<tag-pattern>" + pattern + "<enter><tag-prefix><copy-message><kill-line>" + saved + "<enter><quit>'"
	cmd := rig.Command{
		Path: m.screens, // gives mutt a terminal
		Args: []string{"--quiet", "--return", "--command",
			fmt.Sprintf(`%s -d 4 -n -F %s/muttrc -f '=%s' -e "%s"`, m.path, m.home, mailbox, keys), "/dev/null"},
		Env: []string{"TERM=vt100", "HOME=" + m.home, "LC_ALL=C.UTF-8", "LINES=24", "COLUMNS=100"},
	}
	out := cmd.MustRun(m.t)
	text, err := os.ReadFile(saved)
	if err != nil {
		m.t.Fatalf("mutt saved nothing: %v\n%q", err, out.All())
	}
	return text
}

// TestMuttOpensAMailboxAndSavesItsMessages lets mutt do, at a terminal of its
// own, what its keys would do: open the mailbox, tag all, copy them to a file.
func TestMuttOpensAMailboxAndSavesItsMessages(t *testing.T) {
	box := openOffice(t)
	c := asAda(t, box, nil)
	const mailbox = "Büro/Rechnungen"
	createMailbox(t, c, mailbox)
	for i := range 12 {
		mustAppend(t, c, mailbox, rig.Message(i))
	}

	m := newMutt(t, box, "set imap_idle = yes\n")
	got := bytes.Split(m.save(mailbox, "~A", "saved"), []byte("\nFrom "))
	if len(got) != 12 {
		t.Fatalf("mutt saved %d messages, want 12", len(got))
	}
	for i, part := range got {
		_, message, _ := bytes.Cut(part, []byte("\n")) // the From_ line
		parsed, err := mail.ReadMessage(bytes.NewReader(message))
		if err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
		want := rig.WithLF(rig.Message(i))
		original, err := mail.ReadMessage(bytes.NewReader(want))
		if err != nil {
			t.Fatal(err)
		}
		for key := range original.Header {
			if got, want := parsed.Header.Get(key), original.Header.Get(key); got != want {
				t.Errorf("message %d: %s is %q, want %q", i, key, got, want)
			}
		}
		_, gotBody, _ := bytes.Cut(message, []byte("\n\n"))
		_, wantBody, _ := bytes.Cut(want, []byte("\n\n"))
		if !bytes.Equal(bytes.TrimRight(gotBody, "\n"), bytes.TrimRight(wantBody, "\n")) {
			t.Errorf("message %d: the body differs: %d octets of %d", i, len(gotBody), len(wantBody))
		}
	}
}
