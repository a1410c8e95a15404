package mailfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/mailfile"
)

// lay writes files below a new folder; a name that ends in "/" is a folder.
func lay(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		folder := filepath.Dir(path)
		if strings.HasSuffix(name, "/") {
			folder = path
		}
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "/") {
			continue
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestTrees(t *testing.T) {
	const from = "From bob@example.org Thu Jan  1 10:00:00 2026\na: b\n\n"
	const header = "\xa1\x02\x8b\x0dCyrus mailbox header\n\"…\"\n\t--…\n"
	for name, tc := range map[string]struct {
		files      map[string]string
		owner      string
		layout     mailfile.Layout
		folders    []string
		subscribed []string
		notes      int
	}{
		"Maildir++": {
			files: map[string]string{
				"cur/1.a:2,S": "a: b\n", "new/": "", "tmp/": "", ".Sent/cur/": "", ".Sent/new/": "", ".Sent/maildirfolder": "",
				".Archive.2024/cur/": "", ".Archive.2024/tmp/": "", ".Entw&APw-rfe/cur/": "", ".Entw&APw-rfe/new/": "",
				".hidden/": "", "..odd/cur/": "", "..odd/new/": "", "dovecot.index.log": "x", "subscriptions": "V\t2\n\nSent\nArchive\t2024\nGone\n",
			},
			layout: mailfile.LayoutMaildirPlus, folders: []string{"INBOX", "Archive/2024", "Entwürfe", "Sent"},
			subscribed: []string{"Sent", "Archive/2024", "Gone"}, notes: 1,
		},
		"Maildir++, an older list of subscriptions": {
			files:  map[string]string{"cur/": "", "new/": "", ".A.B/cur/": "", ".A.B/new/": "", "subscriptions": "A.B\n"},
			layout: mailfile.LayoutMaildirPlus, folders: []string{"INBOX", "A/B"}, subscribed: []string{"A/B"},
		},
		"Courier": {
			files:  map[string]string{"cur/": "", "new/": "", ".A.B/cur/": "", ".A.B/new/": "", "courierimapsubscribed": "INBOX.A.B\nINBOX\n"},
			layout: mailfile.LayoutMaildirPlus, folders: []string{"INBOX", "A/B"}, subscribed: []string{"A/B", "INBOX"},
		},
		"folders in folders": {
			files: map[string]string{
				"INBOX/cur/": "", "INBOX/new/": "", "Work/2024/cur/": "", "Work/2024/tmp/": "", "Work/cur/": "", "Work/new/": "",
				"Only/Below/cur/": "", "Only/Below/new/": "", "subscriptions": "Work/2024\n",
			},
			layout: mailfile.LayoutMaildirFS, folders: []string{"INBOX", "Only/Below", "Work", "Work/2024"}, subscribed: []string{"Work/2024"},
		},
		"Thunderbird": {
			files: map[string]string{
				"Inbox": from, "Inbox.msf": "x", "Sent": "", "Sent.msf": "x", "Archives.sbd/2024": from, "Archives.sbd/2024.sbd/May": from,
				"msgFilterRules.dat": "x", "popstate.dat": "x", "notes.txt": "no mail\n",
			},
			layout: mailfile.LayoutMbox, folders: []string{"INBOX", "Archives/2024", "Archives/2024/May", "Sent"}, notes: 1,
		},
		"Apple Mail and others": {
			files:  map[string]string{"Work.mbox/mbox": from, "Work.mbox/table_of_contents": "", "Home.mbox": from, "A/B": from},
			layout: mailfile.LayoutMbox, folders: []string{"A/B", "Home", "Work"},
		},
		"Cyrus, older": {
			files: map[string]string{
				"domain/o/office.example/a/user/ada/1.": "a: b\r\n", "domain/o/office.example/a/user/ada/cyrus.header": header + "user.ada\tx\n\\x foo\n\n",
				"domain/o/office.example/a/user/ada/Entw&APw-rfe/cyrus.header": header + "x\ty\n\n\n", "domain/o/office.example/a/user/ada/john^doe/7.": "a: b\r\n",
			},
			layout: mailfile.LayoutCyrus, folders: []string{"INBOX", "Entwürfe", "john.doe"},
		},
		"Cyrus, newer, of several people": {
			files: map[string]string{
				"uuid/a/cyrus.header": header + "%(T e N office.example!user.ada I x A %(ada lrs \"N\" lrs) U (foo))\n",
				"uuid/b/cyrus.header": header + "%(T e N office.example!user.ada.A.john^doe I x)\n", "uuid/c/cyrus.header": header + "%(T e N office.example!user.bob I x)\n",
			},
			owner: "ada@office.example", layout: mailfile.LayoutCyrus, folders: []string{"INBOX", "A/john.doe"},
		},
		"a home": {
			files: map[string]string{
				"Maildir/cur/1.a:2,S": "a: 1\n", "Maildir/new/": "", "Maildir/.Sent/cur/": "", "Maildir/.Sent/new/": "", ".profile": "x",
			},
			layout: mailfile.LayoutMaildirPlus, folders: []string{"INBOX", "Sent"},
		},
		"our own export": {
			files: map[string]string{
				"Maildir.json/": "", "cur/": "", "new/": "", ".a\\2eb/cur/": "", ".a\\2eb/new/": "",
				mailfile.ManifestName: `{"version":1,"kind":"maildir","complete":"2026-01-02T03:04:05Z","mailboxes":[{"name":"a.b","path":".a\\2eb"},{"name":"INBOX","path":"."}]}`,
			},
			layout: mailfile.LayoutMaildirPlus, folders: []string{"INBOX", "a.b"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			tree, err := mailfile.OpenTree(lay(t, tc.files), tc.owner)
			if err != nil {
				t.Fatal(err)
			}
			var folders []string
			for _, f := range tree.Folders {
				folders = append(folders, f.Name())
				s, err := tree.Open(f)
				if err != nil {
					t.Errorf("%s: %v", f.Name(), err)
					continue
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
			if diff := cmp.Diff(tc.folders, folders); diff != "" || tree.Layout != tc.layout {
				t.Errorf("layout %s, folders (-want +got):\n%s", tree.Layout, diff)
			}
			if diff := cmp.Diff(tc.subscribed, tree.Subscribed); diff != "" {
				t.Errorf("subscriptions (-want +got):\n%s", diff)
			}
			if len(tree.Notes) != tc.notes {
				t.Errorf("notes: %q", tree.Notes)
			}
		})
	}
	t.Run("of whom is not said", func(t *testing.T) {
		_, err := mailfile.OpenTree(lay(t, map[string]string{
			"a/cyrus.header": header + "%(N user.ada)\n", "b/cyrus.header": header + "%(N user.bob)\n",
		}), "")
		var owners *mailfile.OwnersError
		if !errors.As(err, &owners) || len(owners.Owners) != 2 {
			t.Errorf("got %v", err)
		}
	})
	t.Run("no mail", func(t *testing.T) {
		if _, err := mailfile.OpenTree(lay(t, map[string]string{"a/b.txt": "x"}), ""); !errors.Is(err, mailfile.ErrNoMail) {
			t.Errorf("got %v", err)
		}
	})
}

func TestMaildirHasTheUIDsOfItsList(t *testing.T) {
	const many = "1 30 "
	for name, tc := range map[string]struct {
		file, list string
		validity   uint32
		next       imap.UID
		uids       []imap.UID // of 3.a, 2.b, 1.c and 9.d in the order in which they come
	}{
		"version 3":                {"dovecot-uidlist", "3 V1275660208 N25 G3085f01b\n7 W1394 :3.a,S=5:2,S\n9 G123 W7 O3 :2.b\n21 :1.c\n", 1275660208, 25, []imap.UID{7, 9, 21, 0}},
		"version 1":                {"dovecot-uidlist", "1 1275660208 25\n7 3.a,S=5\n9 2.b\n21 1.c\n", 1275660208, 25, []imap.UID{7, 9, 21, 0}},
		"Courier's":                {"courierimapuiddb", "1 1275660208 25\n7 3.a,S=5\n9 2.b\n21 1.c\n", 1275660208, 25, []imap.UID{7, 9, 21, 0}},
		"appended to":              {"dovecot-uidlist", "3 V5 N2\n1 :3.a,S=5\n2 :2.b\n3 :gone\n", 5, 3, []imap.UID{1, 2, 0, 0}},
		"a name twice":             {"dovecot-uidlist", "3 V5 N2\n1 :3.a,S=5\n8 :3.a,S=5\n", 5, 9, []imap.UID{8, 0, 0, 0}},
		"a UID twice":              {"dovecot-uidlist", "3 V5 N2\n1 :3.a,S=5\n1 :2.b\n", 5, 2, []imap.UID{1, 0, 0, 0}},
		"damaged lines":            {"dovecot-uidlist", "3 V5 N2\n\x00\n" + strings.Repeat("9", 30_000) + " x\n-1 :2.b\n0 :2.b\n4294967296 :2.b\n1 :3.a,S=5\n2", 5, 2, []imap.UID{1, 0, 0, 0}},
		"of a later version":       {"dovecot-uidlist", "4 V5 N2\n1 :3.a,S=5\n", 0, 0, []imap.UID{0, 0, 0, 0}},
		"without UIDVALIDITY":      {"dovecot-uidlist", "3 N2\n1 :3.a,S=5\n", 0, 0, []imap.UID{0, 0, 0, 0}},
		"a header without numbers": {"dovecot-uidlist", many, 30, 0, []imap.UID{0, 0, 0, 0}},
		"none":                     {"other", "", 0, 0, []imap.UID{0, 0, 0, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := lay(t, map[string]string{"cur/3.a,S=5:2,S": "a: 1\n", "cur/2.b:2,": "a: 2\n", "new/1.c": "a: 3\n", "new/9.d": "a: 4\n", tc.file: tc.list})
			s, err := mailfile.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			if s.UIDValidity != tc.validity || s.UIDNext != tc.next {
				t.Errorf("UIDVALIDITY %d, UIDNEXT %d", s.UIDValidity, s.UIDNext)
			}
			var uids []imap.UID
			for m, err := range s.Messages(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				uids = append(uids, m.UID)
			}
			if name == "a UID twice" && len(uids) == 4 && uids[0] == 1 {
				return // either of the two may have it
			}
			if diff := cmp.Diff(tc.uids, uids); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAFileThatWasCopiedWithoutItsTime(t *testing.T) {
	dir := lay(t, map[string]string{"cur/1000000000.a:2,": "a: b\n", "new/": ""})
	for modified, want := range map[int64]int64{1_000_000_060: 1_000_000_060, 900_000_000: 900_000_000, 1_700_000_000: 1_000_000_000} {
		at := time.Unix(modified, 0)
		if err := os.Chtimes(filepath.Join(dir, "cur/1000000000.a:2,"), at, at); err != nil {
			t.Fatal(err)
		}
		got := readAll(t, dir)
		if len(got) != 1 || got[0].Date != time.Unix(want, 0).UTC().Format(time.DateTime) {
			t.Errorf("modified at %d: %+v, want %d", modified, got, want)
		}
	}
}

// TestCyrus reads what a Cyrus 3.6.1 has written: three messages with flags, the
// last of them expunged while its file is still there.
func TestCyrus(t *testing.T) {
	dir := lay(t, map[string]string{"1.": "a: b\r\n\r\nc\r\n", "2.": "a: 2\r\n\r\nc\nd", "3.": "gone", "4.": "not in the index\r\n", "cyrus.cache": "x"})
	for _, name := range []string{"cyrus.header", "cyrus.index"} {
		text, err := os.ReadFile(filepath.Join("testdata", "cyrus", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	at := time.Date(2021, 2, 3, 4, 5, 6, 0, time.UTC)
	if err := os.Chtimes(filepath.Join(dir, "4."), at, at); err != nil {
		t.Fatal(err)
	}
	base := filepath.Base(dir)
	want := []found{
		{Name: base + "/1.", Date: "2020-01-01 08:00:00", Flags: []imap.Flag{"$Forwarded", `\Seen`, "foo"}, Body: "a: b\r\n\r\nc\r\n"},
		{Name: base + "/2.", Date: "2021-01-01 10:00:00", Flags: []imap.Flag{`\Flagged`, "bar"}, Body: "a: 2\r\n\r\nc\nd"},
		{Name: base + "/4.", Date: "2021-02-03 04:05:06", Body: "not in the index\r\n"},
	}
	if diff := cmp.Diff(want, readAll(t, dir)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	s, err := mailfile.Open(dir)
	if err != nil || s.UIDValidity != 1795822538 || s.UIDNext != 4 {
		t.Errorf("%v, UIDVALIDITY %d, UIDNEXT %d", err, s.UIDValidity, s.UIDNext)
	}
}

func FuzzMaildirLists(f *testing.F) {
	f.Add("3 V1 N9\n1 W2 :1.a,S=3\n", "0 $Important\n25 z\n", "1 a b\n", "V\t2\n\nA\tB\n")
	f.Add("1 1 2\n1 1.a,S=3:2,S\n", "26 x\n-1 y\n", "x\n0 y\n", "INBOX.A\n")
	dir := lay(f, map[string]string{"cur/1.a,S=3:2,Sabz": "a: b\n", "new/2.b": "x", ".A/cur/": "", ".A/new/": ""})
	f.Fuzz(func(t *testing.T, list, keywords, many, subscriptions string) {
		for name, text := range map[string]string{"dovecot-uidlist": list, "dovecot-keywords": keywords, "pillarbox-keywords": many, "subscriptions": subscriptions} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		tree, err := mailfile.OpenTree(dir, "")
		if err != nil || len(tree.Folders) != 2 {
			t.Fatalf("%v, %v", tree, err)
		}
		uids := map[imap.UID]bool{}
		for _, m := range readMessages(t, tree, 0) {
			if m.UID != 0 && uids[m.UID] {
				t.Errorf("UID %d twice", m.UID)
			}
			uids[m.UID] = true
			for _, flag := range m.Flags {
				if flag == "" || strings.ContainsAny(string(flag), " \r\n\"(){%*") {
					t.Errorf("the flag %q", flag)
				}
			}
		}
	})
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"version":1,"kind":"maildir","account":"a@b","mailboxes":[{"name":"a.b","path":".A"},{"name":"x//y","path":"."}]}`))
	f.Add([]byte(`{"version":2}`))
	f.Add([]byte(`{"version":1,"mailboxes":null,"subscriptions":["\u0000"]}`))
	dir := lay(f, map[string]string{"cur/1.a:2,": "a: b\n", "new/": "", ".A/cur/": "", ".A/new/": ""})
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(filepath.Join(dir, mailfile.ManifestName), text, 0o600); err != nil {
			t.Fatal(err)
		}
		tree, err := mailfile.OpenTree(dir, "")
		if err != nil {
			return
		}
		for _, folder := range tree.Folders {
			if len(tree.Folders) != 2 || slices.Contains(folder.Levels, "") {
				t.Errorf("%+v", tree.Folders)
			}
		}
	})
}

func FuzzCyrus(f *testing.F) {
	for _, name := range []string{"cyrus.header", "cyrus.index"} {
		text, err := os.ReadFile(filepath.Join("testdata", "cyrus", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, text)
	}
	f.Add([]byte("\xa1\x02\x8b\x0dCyrus mailbox header\nx\ny\nq\tid\nfoo \\bar\nacl\n"), []byte{})
	f.Add([]byte("\xa1\x02\x8b\x0dCyrus mailbox header\nx\ny\n%(N \"a\\\" ( U (x\n"), []byte{})
	dir := lay(f, map[string]string{"1.": "a: b\r\n", "2.": "a: c\r\n"})
	f.Fuzz(func(t *testing.T, header, index []byte) {
		for name, text := range map[string][]byte{"cyrus.header": header, "cyrus.index": index} {
			if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		tree, err := mailfile.OpenTree(dir, "")
		if err != nil || len(tree.Folders) != 1 {
			t.Fatalf("%v, %v", tree, err)
		}
		if n := len(readMessages(t, tree, 0)); n > 2 {
			t.Errorf("%d messages", n)
		}
	})
}

func readMessages(t *testing.T, tree *mailfile.Tree, i int) (all []*mailfile.Message) {
	t.Helper()
	s, err := tree.Open(tree.Folders[i])
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for m, err := range s.Messages(t.Context()) {
		if err != nil {
			t.Fatalf("%s: %v", m.Name, err)
		}
		readMessage(t, m)
		all = append(all, m)
	}
	return all
}
