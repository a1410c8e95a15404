package integration_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/integration/rig"
)

// replica is a Maildir that mbsync keeps in step with Ada's account.
type replica struct {
	dir    string // the Maildir's folders, INBOX among them
	config string
}

func newReplica(t *testing.T, box *rig.Box) *replica {
	t.Helper()
	root := t.TempDir()
	r := &replica{dir: filepath.Join(root, "mail"), config: filepath.Join(root, "mbsyncrc")}
	if err := os.Mkdir(r.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(box.IMAPS(t, "tcp4"), ":")
	config := fmt.Sprintf(`IMAPAccount box
Host localhost
Port %s
User %s
Pass "%s"
SSLType IMAPS
SystemCertificates no
CertificateFile %s

IMAPStore far
Account box

MaildirStore near
Path %s/
Inbox %s/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Remove Both
Expunge Both
CopyArrivalDate yes
Sync All
SyncState *
`, port, ada, adaPassword, box.CAFile(), r.dir, r.dir)
	if err := os.WriteFile(r.config, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return r
}

// sync synchronises all mailboxes.
func (r *replica) sync(t *testing.T) { t.Helper(); r.run(t, "all") }

// syncOnly synchronises one mailbox.
func (r *replica) syncOnly(t *testing.T, mailbox string) { t.Helper(); r.run(t, "all:"+mailbox) }

func (r *replica) run(t *testing.T, what string) {
	t.Helper()
	cmd := rig.Command{
		Path: rig.Tool(t, "mbsync", "isync"),
		Args: []string{"-c", r.config, what},
		Env:  []string{"HOME=" + filepath.Dir(r.config)},
	}
	out := cmd.MustRun(t)
	if text := strings.ToLower(out.All()); strings.Contains(text, "error") || strings.Contains(text, "warning") {
		t.Errorf("mbsync complains:\n%s", out.All())
	}
}

// put adds a message to a folder of the Maildir.
func (r *replica) put(t *testing.T, folder, name, flags string, message []byte) {
	t.Helper()
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(r.dir, folder, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(r.dir, folder, "cur", name+".here:2,"+flags)
	if err := os.WriteFile(file, rig.WithLF(message), 0o600); err != nil {
		t.Fatal(err)
	}
}

// setFlags gives the message with that text in it other Maildir flags.
func (r *replica) setFlags(t *testing.T, folder, text, flags string) {
	t.Helper()
	file := r.find(t, folder, text)
	base, _, _ := strings.Cut(filepath.Base(file), ":2,")
	if err := os.Rename(file, filepath.Join(r.dir, folder, "cur", base+":2,"+flags)); err != nil {
		t.Fatal(err)
	}
}

func (r *replica) remove(t *testing.T, folder, text string) {
	t.Helper()
	if err := os.Remove(r.find(t, folder, text)); err != nil {
		t.Fatal(err)
	}
}

func (r *replica) find(t *testing.T, folder, text string) string {
	t.Helper()
	for _, file := range r.files(t, folder) {
		if b, err := os.ReadFile(file); err != nil {
			t.Fatal(err)
		} else if bytes.Contains(b, []byte(text)) {
			return file
		}
	}
	t.Fatalf("no message in %s says %q", folder, text)
	return ""
}

func (r *replica) files(t *testing.T, folder string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(r.dir, folder, "[cn][ue][rw]", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// content describes the replica: by folder its messages, sorted, each as its
// flags and its bytes.
func (r *replica) content(t *testing.T) map[string][]string {
	t.Helper()
	content := map[string][]string{}
	err := filepath.WalkDir(r.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.IsDir() || d.Name() != "cur" {
			return err
		}
		folder, err := filepath.Rel(r.dir, filepath.Dir(path))
		if err != nil {
			return err
		}
		// mbsync leaves names in modified UTF-7, where "&" is "&-".
		name := strings.ReplaceAll(folder, "&-", "&")
		content[name] = []string{}
		for _, file := range r.files(t, folder) {
			raw, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			_, flags, _ := strings.Cut(filepath.Base(file), ":2,")
			content[name] = append(content[name], describe(flags, raw))
		}
		slices.Sort(content[name])
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// describe leaves out the X-TUID line by which mbsync finds what it copied.
func describe(flags string, raw []byte) string {
	var kept []byte
	inHeader := true
	for line := range bytes.Lines(raw) {
		inHeader = inHeader && len(bytes.TrimSpace(line)) > 0
		if !inHeader || !bytes.HasPrefix(line, []byte("X-TUID: ")) {
			kept = append(kept, line...)
		}
	}
	return flags + "\n" + string(kept)
}

// boxContent describes what the account holds, in the same words.
func boxContent(t *testing.T, c *imapclient.Client) map[string][]string {
	t.Helper()
	letters := map[imap.Flag]string{
		imap.FlagDraft: "D", imap.FlagFlagged: "F", imap.FlagAnswered: "R", imap.FlagSeen: "S", imap.FlagDeleted: "T",
	}
	list, err := c.List("", "*", nil).Collect()
	if err != nil {
		t.Fatal(err)
	}
	content := map[string][]string{}
	for _, mailbox := range list {
		if slices.Contains(mailbox.Attrs, imap.MailboxAttrNoSelect) {
			continue
		}
		selectMailbox(t, c, mailbox.Mailbox)
		raw := bodies(t, c)
		msgs, err := c.Fetch(everyMessage(), &imap.FetchOptions{UID: true, Flags: true}).Collect()
		if err != nil {
			t.Fatal(err)
		}
		content[mailbox.Mailbox] = []string{}
		for _, msg := range msgs {
			var flags []string
			for _, flag := range msg.Flags {
				if letter := letters[flag]; letter != "" {
					flags = append(flags, letter)
				}
			}
			slices.Sort(flags)
			content[mailbox.Mailbox] = append(content[mailbox.Mailbox],
				describe(strings.Join(flags, ""), rig.WithLF(raw[msg.UID])))
		}
		slices.Sort(content[mailbox.Mailbox])
	}
	return content
}

// count tells how many messages of a folder contain a text.
func count(folder []string, text string) int {
	n := 0
	for _, message := range folder {
		if strings.Contains(message, text) {
			n++
		}
	}
	return n
}

func uidOf(t *testing.T, c *imapclient.Client, mailbox, subject string) imap.UIDSet {
	t.Helper()
	selectMailbox(t, c, mailbox)
	found, err := c.UIDSearch(&imap.SearchCriteria{
		Header: []imap.SearchCriteriaHeaderField{{Key: "Subject", Value: subject}},
	}, nil).Wait()
	if err != nil {
		t.Fatal(err)
	}
	uids := found.AllUIDs()
	if len(uids) != 1 {
		t.Fatalf("%d messages in %s have the subject %q", len(uids), mailbox, subject)
	}
	return imap.UIDSetNum(uids[0])
}

func storeFlag(t *testing.T, c *imapclient.Client, uids imap.UIDSet, op imap.StoreFlagsOp, flag imap.Flag) {
	t.Helper()
	if err := c.Store(uids, &imap.StoreFlags{Op: op, Silent: true, Flags: []imap.Flag{flag}}, nil).Close(); err != nil {
		t.Fatal(err)
	}
}

// TestMbsyncKeepsBothSidesInStep synchronises three times, with changes of
// every kind on both sides before each.
func TestMbsyncKeepsBothSidesInStep(t *testing.T) {
	box := openOffice(t)
	near := newReplica(t, box)
	c := asAda(t, box, nil)
	const nested = "Projects/House/Roof & gutter"
	const nestedDir = "Projects/House/Roof &- gutter"

	inStep := func(t *testing.T) map[string][]string {
		t.Helper()
		near.sync(t)
		here, there := near.content(t), boxContent(t, c)
		if diff := cmp.Diff(there, here); diff != "" {
			t.Fatalf("the two sides differ (-box +Maildir):\n%s", diff)
		}
		return there
	}

	for i := range 5 {
		mustAppend(t, c, "INBOX", rig.Message(i))
	}
	mustAppend(t, c, "INBOX", letter("from-box-1"), imap.FlagSeen)
	mustAppend(t, c, "INBOX", letter("from-box-2"))
	createMailbox(t, c, nested)
	mustAppend(t, c, nested, letter("nested-1"), imap.FlagAnswered, imap.FlagFlagged)
	first := inStep(t)
	if got := len(first["INBOX"]) + len(first[nested]); got != 8 {
		t.Fatalf("after the first synchronisation there are %d messages, want 8", got)
	}

	// Here: a new message, a new folder, flags, a deletion. There: the same.
	near.put(t, "INBOX", "1", "S", letter("from-maildir-1"))
	near.put(t, "Projects/Garden", "2", "FS", letter("garden-1"))
	near.setFlags(t, "INBOX", "from-box-2", "RS")
	near.remove(t, "INBOX", "from-box-1")
	mustAppend(t, c, nested, letter("nested-2"), imap.FlagSeen)
	storeFlag(t, c, uidOf(t, c, nested, "nested-1"), imap.StoreFlagsDel, imap.FlagFlagged)
	second := inStep(t)
	for _, want := range []struct {
		folder, text string
		n            int
	}{
		{"INBOX", "Subject: from-maildir-1", 1},
		{"INBOX", "Subject: from-box-1", 0},
		{"Projects/Garden", "FS\n", 1},
		{nested, "Subject: nested-", 2},
	} {
		if got := count(second[want.folder], want.text); got != want.n {
			t.Errorf("second: %s has %d messages with %q, want %d", want.folder, got, want.text, want.n)
		}
	}
	if got := count(second["INBOX"], "RS\nFrom: Carla"); got != 1 {
		t.Errorf("the flags set in the Maildir did not arrive")
	}

	// The other way round, and a move in the box.
	uids := uidOf(t, c, "INBOX", "from-maildir-1")
	storeFlag(t, c, uids, imap.StoreFlagsAdd, imap.FlagDeleted)
	if err := c.UIDExpunge(uids).Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Move(uidOf(t, c, "INBOX", "from-box-2"), "Projects/Garden").Wait(); err != nil {
		t.Fatal(err)
	}
	storeFlag(t, c, uidOf(t, c, "Projects/Garden", "garden-1"), imap.StoreFlagsAdd, imap.FlagAnswered)
	near.remove(t, nestedDir, "nested-1")
	near.setFlags(t, nestedDir, "nested-2", "F")
	near.put(t, nestedDir, "3", "", rig.Message(99))
	third := inStep(t)
	for _, want := range []struct {
		folder, text string
		n            int
	}{
		{"INBOX", "from-", 0},
		{"Projects/Garden", "Subject: from-box-2", 1},
		{"Projects/Garden", "FRS\n", 1},
		{nested, "Subject: nested-1", 0},
		{nested, "F\nFrom:", 1},
	} {
		if got := count(third[want.folder], want.text); got != want.n {
			t.Errorf("third: %s has %d messages with %q, want %d", want.folder, got, want.text, want.n)
		}
	}
	if got := len(third[nested]); got != 2 {
		t.Errorf("third: %s has %d messages, want 2", nested, got)
	}

	// Nothing to do must change nothing.
	if diff := cmp.Diff(third, inStep(t)); diff != "" {
		t.Errorf("a synchronisation without a change changed something:\n%s", diff)
	}
}
