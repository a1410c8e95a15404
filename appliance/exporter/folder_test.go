package exporter_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pillarbox/appliance/exporter"
)

// TestNothingIsWrittenThroughALink has links in the target's folder that others
// may have put there.
func TestNothingIsWrittenThroughALink(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		target func(dir string) exporter.Target
		link   string // in the target's folder
		to     string // outside
	}{
		"a Maildir's folder":      {targets["maildir"], "cur", ""},
		"a mailbox of a Maildir":  {targets["maildir++"], ".Sent", ""},
		"a list of a Maildir":     {targets["maildir"], "dovecot-uidlist.partial", "file"},
		"an mbox":                 {targets["mbox"], "INBOX", "file"},
		"a folder of mboxes":      {targets["mbox"], "Archive.sbd", ""},
		"an mbox that is made":    {targets["mbox"], "INBOX.partial", "file"},
		"the manifest":            {targets["mbox"], "pillarbox-export.json", "file"},
		"the manifest, half done": {targets["mbox"], "pillarbox-export.json.partial", "file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := open(t)
			fill(t, a)
			dir, outside := t.TempDir(), t.TempDir()
			if err := os.WriteFile(filepath.Join(outside, "file"), []byte("whose it is\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(filepath.Join(outside, tt.to), filepath.Join(dir, tt.link)); err != nil {
				t.Fatal(err)
			}
			_, err := exporter.Run(t.Context(), exporter.Stored(a), tt.target(dir), &exporter.Options{Account: "ada@office.example"})
			if err != nil && !strings.Contains(err.Error(), "leads out of it") {
				t.Errorf("it is said %q", err)
			}
			text, readErr := os.ReadFile(filepath.Join(outside, "file"))
			entries, listErr := os.ReadDir(outside)
			if readErr != nil || listErr != nil || string(text) != "whose it is\n" || len(entries) != 1 {
				t.Errorf("outside there is now %v, %q", entries, text)
			}
			if fi, lost := os.Lstat(filepath.Join(dir, tt.link)); err == nil && lost == nil && fi.Mode()&os.ModeSymlink != 0 {
				t.Error("the link is still there, and nobody minds")
			}
		})
	}
}

// TestAFileWithAnotherNameIsLeftAlone has a hard link where an mbox is to be.
func TestAFileWithAnotherNameIsLeftAlone(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"INBOX", "INBOX.partial"} {
		a := open(t)
		fill(t, a)
		base := t.TempDir()
		dir, outside := filepath.Join(base, "out"), filepath.Join(base, "outside")
		if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(outside, nil, 0o600), os.Link(outside, filepath.Join(dir, name))); err != nil {
			t.Fatal(err)
		}
		_, err := exporter.Run(t.Context(), exporter.Stored(a), targets["mbox"](dir), &exporter.Options{Account: "ada@office.example"})
		if text, readErr := os.ReadFile(outside); err == nil || readErr != nil || len(text) > 0 {
			t.Errorf("%s: %v, and %d octets are outside: %v", name, err, len(text), readErr)
		}
	}
}
