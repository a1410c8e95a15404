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
	m := newMutt(t, box, "set mark_old = no\nset imap_condstore = yes\nset imap_qresync = yes\n")
	// run returns the subjects of the messages that a pattern of mutt's finds,
	// and what mutt noted of the conversation.
	run := func(pattern, saved string) (subjects []string, log string) {
		t.Helper()
		text := m.save(mailbox, pattern, saved)
		debug, err := os.ReadFile(filepath.Join(m.home, ".muttdebug0"))
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range regexp.MustCompile(`number (\d+)!`).FindAllStringSubmatch(string(text), -1) {
			subjects = append(subjects, found[1])
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
