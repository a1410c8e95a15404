package files_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pillarbox/appliance/exporter"
	"pillarbox/appliance/importer"
	"pillarbox/appliance/importer/files"
)

const aMessage = "From - Mon Jan  2 10:00:00 2023\nSubject: x\n\nbody\n\n"

// TestMailThatIsPassedOverIsNamed has mail where a mail program keeps other
// things, or below a Maildir that was not the one given.
func TestMailThatIsPassedOverIsNamed(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		layout map[string]string
		named  []string
	}{
		"mboxes": {
			map[string]string{"Inbox": aMessage, "Projects.log": aMessage, "Invoices.db": aMessage, ".hidden": aMessage, "prefs.json": "{}", "empty.log": ""},
			[]string{".hidden", "Invoices.db", "Projects.log"},
		},
		"below a home": {
			map[string]string{"ada/Maildir/cur/1.a:2,S": "a: 1\n", "ada/Maildir/new/.keep": "", "ada/Maildir/.Sent/cur/2.b:2,S": "b: 1\n", "ada/Maildir/.Sent/new/.keep": ""},
			[]string{".Sent"},
		},
	} {
		dir := lay(t, tt.layout)
		src, err := files.Open(dir, "")
		if err != nil {
			t.Fatal(err)
		}
		r := newBox(t).take(t, src, importer.Options{})
		_ = src.Close()
		all := strings.Join(r.Remarks, "\n")
		for _, want := range tt.named {
			if !strings.Contains(all, string(filepath.Separator)+want+" ") {
				t.Errorf("%s: %s is not named in %q", name, want, r.Remarks)
			}
		}
		if len(r.Remarks) != len(tt.named) {
			t.Errorf("%s: remarks %q", name, r.Remarks)
		}
	}
}

// TestNoSenderKeepsMailOfAnExportAway has header fields by which Thunderbird and
// others mark what is deleted, and what is theirs.
func TestNoSenderKeepsMailOfAnExportAway(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	dir := lay(t, map[string]string{
		"cur/1.a:2,S": "X-Mozilla-Status: 0008\nSubject: lost\n\nimportant\n",
		"cur/2.b:2,S": "X-IMAP: 1 2\nSubject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\n\nimportant, too\n", "new/.keep": "",
	})
	src, err := files.Open(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	b.take(t, src, importer.Options{})
	out := filepath.Join(t.TempDir(), "out")
	target, err := (&exporter.Request{Kind: exporter.KindMbox, Dir: out}).Target(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := exporter.Run(t.Context(), exporter.Stored(b.account), target, &exporter.Options{Account: "ada@office.example"}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(out); err != nil {
		t.Fatal(err)
	}
	back, err := files.Open(out, "")
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	other := newBox(t)
	other.take(t, back, importer.Options{})
	if got := other.contents(t)["INBOX"]; len(got) != 2 {
		t.Errorf("%d of two messages came back", len(got))
	}
}

// TestTwoFilesOfOneNameAreTwoMessages is what copying by hand leaves in a Maildir.
func TestTwoFilesOfOneNameAreTwoMessages(t *testing.T) {
	t.Parallel()
	dir := lay(t, map[string]string{"cur/1.a:2,S": "Subject: one\n\nb\n", "new/1.a": "Subject: two\n\nb\n", "cur/2.b:2,": "Subject: three\n\nb\n"})
	b := newBox(t)
	for range 2 {
		src, err := files.Open(dir, "")
		if err != nil {
			t.Fatal(err)
		}
		b.take(t, src, importer.Options{})
		_ = src.Close()
		if got := b.contents(t)["INBOX"]; len(got) != 3 {
			t.Errorf("%d of three messages came: %+v", len(got), got)
		}
	}
}
