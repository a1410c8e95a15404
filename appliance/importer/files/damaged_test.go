package files_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pillarbox/appliance/exporter"
	"pillarbox/appliance/importer"
	"pillarbox/appliance/importer/files"
)

// exported makes an export of five messages in INBOX and one in Sent.
func exported(t *testing.T, kind string) string {
	t.Helper()
	b := newBox(t)
	layout := map[string]string{"new/.keep": "", ".Sent/new/.keep": "", ".Sent/cur/9.z:2,S": "Subject: sent\n\nbody\n"}
	for i := range 5 {
		layout[fmt.Sprintf("cur/%d.a:2,S", i+1)] = fmt.Sprintf("Subject: %d\n\nthe body of %d\n", i, i)
	}
	src, err := files.Open(lay(t, layout), "")
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	b.take(t, src, importer.Options{})
	out := filepath.Join(t.TempDir(), "out")
	target, err := (&exporter.Request{Kind: kind, Dir: out}).Target(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := exporter.Run(t.Context(), exporter.Stored(b.account), target, &exporter.Options{Account: "ada@office.example"}); err != nil {
		t.Fatal(err)
	}

	return out
}

// glob finds the one file of a pattern.
func glob(t *testing.T, pattern string) string {
	t.Helper()
	all, err := filepath.Glob(pattern)
	if err != nil || len(all) != 1 {
		t.Fatalf("%s is %q: %v", pattern, all, err)
	}

	return all[0]
}

func edit(t *testing.T, path, old, new string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(text), old) {
		t.Fatalf("%s has no %q: %v", path, old, err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), old, new, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

// TestADamagedExportIsTold has exports of ours of which something was changed or
// lost on the way: what is there comes, and what is wrong with it is named.
func TestADamagedExportIsTold(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		kind    string
		harm    func(t *testing.T, dir string)
		come    int    // messages in INBOX
		damaged int64  // of them
		told    string // in the remarks
	}{
		"nothing, maildir": {"maildir", func(*testing.T, string) {}, 5, 0, ""},
		"nothing, mbox":    {"mbox", func(*testing.T, string) {}, 5, 0, ""},
		"an octet of a Maildir": {"maildir", func(t *testing.T, dir string) {
			edit(t, glob(t, dir+"/cur/*U3.*"), "body of 2", "bodY of 2")
		}, 5, 1, "U3.pillarbox"},
		"a file of a Maildir": {"maildir", func(t *testing.T, dir string) {
			remove(t, glob(t, dir+"/cur/*U3.*"))
		}, 4, 0, "1 of 5 messages: UID 3"},
		"a folder of a Maildir": {"maildir", func(t *testing.T, dir string) { remove(t, dir+"/.Sent") }, 5, 0, `"Sent" with 1 messages`},
		"an octet of an mbox": {"mbox", func(t *testing.T, dir string) {
			edit(t, dir+"/INBOX", "body of 2", "bodY of 2")
		}, 5, 1, "message 3"},
		"an mbox cut short": {"mbox", func(t *testing.T, dir string) {
			edit(t, dir+"/INBOX", "of 4\n\n", "")
		}, 5, 1, "message 5"},
		"a message that goes on": {"mbox", func(t *testing.T, dir string) {
			edit(t, dir+"/INBOX", "of 2\n\n", "of 2\nand more\n\n")
		}, 5, 1, "message 3"},
		"a message of an mbox": {"mbox", func(t *testing.T, dir string) {
			text, err := os.ReadFile(dir + "/INBOX")
			if err != nil {
				t.Fatal(err)
			}
			parts := strings.SplitAfter(string(text), "\n\nFrom ")
			edit(t, dir+"/INBOX", parts[2], "")
		}, 4, 0, "1 of 5 messages"},
		"an mbox that is gone": {"mbox", func(t *testing.T, dir string) { remove(t, dir+"/Sent") }, 5, 0, `"Sent" with 1 messages`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := exported(t, tt.kind)
			tt.harm(t, dir)
			for way, src := range ways(t, dir) {
				b := newBox(t)
				task := &importer.Task{Source: src, Account: b.account, Address: "ada@office.example"}
				r, err := b.engine.Run(t.Context(), task)
				if err != nil {
					t.Fatalf("%s: %v", way, err)
				}
				if n := len(b.contents(t)["INBOX"]); n != tt.come || r.Total.Damaged != tt.damaged || r.Total.Quarantined != 0 {
					t.Errorf("%s: %d came, %+v", way, n, r.Total)
				}
				said := strings.Join(r.Remarks, "\n")
				if !strings.Contains(said, tt.told) || tt.told == "" && said != "" {
					t.Errorf("%s: the report says\n%s", way, said)
				}
				v, err := b.engine.Verify(t.Context(), task)
				if gone := strings.Contains(tt.told, "Sent"); err != nil || v.Verified.OK != (tt.told == "" || gone) {
					t.Errorf("%s: compared: %v, %+v", way, err, v.Verified)
				}
				for _, m := range b.contents(t)["INBOX"] {
					if strings.Contains(m.Body, "X-Pillarbox") || m.Flags != `\Seen` {
						t.Errorf("%s: %+v", way, m)
					}
				}
			}
		})
	}
}

// TestNobodyElseWritesWhatOurExportWrites has an mbox of another program with
// messages whose senders wrote the fields of our export.
func TestNobodyElseWritesWhatOurExportWrites(t *testing.T) {
	t.Parallel()
	field := func(size int, body string, lines int) string {
		return fmt.Sprintf("X-Pillarbox-Export: 1; lines=%d; validity=1; uid=7; date=\"2001-01-01T00:00:00Z\"; size=%d; sha256=%x; ends=lf; flags=\"\\\\Deleted\"\n",
			lines, size, sha256.Sum256([]byte(body)))
	}
	const body = "Subject: x\r\n\r\nshort\r\n"
	dir := lay(t, map[string]string{"Inbox": "From a Thu Jan  1 10:00:00 2026\n" + field(5, "wrong", 1) + "Subject: cut\n\nwhole\n\n" +
		"From a Thu Jan  1 10:00:00 2026\n" + field(len(body), body, 1) + "Subject: x\n\nshort\nand the rest\n\n" +
		"From a Thu Jan  1 10:00:00 2026\n" + field(len(body), body, 2) + "From: hidden@example.org\nSubject: x\n\nshort\n\n" +
		"From a Thu Jan  1 10:00:00 2026\nSubject: last\n\nlast\n\n"})
	src, err := files.Open(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	b := newBox(t)
	b.take(t, src, importer.Options{})
	var all string
	for _, box := range b.contents(t) {
		for _, m := range box {
			all += m.Body
			if m.Flags != "" {
				t.Errorf("flags of a sender's: %+v", m)
			}
		}
	}
	for _, want := range []string{"whole", "and the rest", "hidden@example.org", "last"} {
		if !strings.Contains(all, want) {
			t.Errorf("%q did not come:\n%s", want, all)
		}
	}
}
