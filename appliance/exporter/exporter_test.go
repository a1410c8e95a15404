package exporter_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/exporter"
	"pillarbox/appliance/mailfile"
	"pillarbox/storage"
)

// mail is what a test sees of a message, on the box or elsewhere.
type mail struct {
	UID   imap.UID
	Flags string
	Date  int64
	Body  string
}

// open opens an account with nothing in it.
func open(t testing.TB) *storage.Account {
	t.Helper()
	store, err := storage.Open(t.Context(), &storage.Config{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := store.CreateAccount(t.Context(), "ada", []storage.NewMailbox{{Name: "Sent", SpecialUse: imap.MailboxAttrSent, Subscribed: true}}); err != nil {
		t.Fatal(err)
	}
	a, err := store.Account(t.Context(), "ada")
	if err != nil {
		t.Fatal(err)
	}
	stores.Store(a, store)
	return a
}

// stores knows where an account lies; tests run side by side.
var stores sync.Map

func stage(t testing.TB, a *storage.Account, body string) *storage.Staged {
	t.Helper()
	store, _ := stores.Load(a)
	s, err := store.(*storage.Store).Stage(t.Context(), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(t testing.TB, a *storage.Account, mailbox, body, flags string, date time.Time) imap.UID {
	t.Helper()
	mb := a.Mailbox(mailbox)
	if mb == nil {
		var err error
		if mb, err = a.CreateMailbox(t.Context(), storage.NewMailbox{Name: mailbox}); err != nil {
			t.Fatal(err)
		}
	}
	s := stage(t, a, body)
	defer s.Close()
	r, err := a.Append(t.Context(), mb.ID, []storage.AppendMessage{{Body: s, Flags: flagsOf(flags), InternalDate: date}})
	if err != nil {
		t.Fatal(err)
	}
	return r.UIDs[0]
}

// putMany puts messages into INBOX with one commit.
func putMany(t testing.TB, a *storage.Account, n int, message func(i int) (body, flags string)) {
	t.Helper()
	msgs := make([]storage.AppendMessage, n)
	for i := range msgs {
		body, flags := message(i)
		s := stage(t, a, body)
		defer s.Close()
		msgs[i] = storage.AppendMessage{Body: s, Flags: flagsOf(flags), InternalDate: noon}
	}
	if _, err := a.Append(t.Context(), a.Mailbox("INBOX").ID, msgs); err != nil {
		t.Fatal(err)
	}
}

func flagsOf(text string) (flags []imap.Flag) {
	for _, f := range strings.Fields(text) {
		flags = append(flags, imap.Flag(f))
	}
	return flags
}

func textOf(flags []imap.Flag) string {
	var words []string
	for _, f := range flags {
		words = append(words, string(f))
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

var noon = time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)

// odd are messages that break what reads mail.
var odd = map[string]string{
	"good":                   "From: a@b\r\nSubject: x\r\n\r\nHello\r\n",
	"no line end at the end": "Subject: x\r\n\r\nHello",
	"bare LF":                "Subject: x\n\nHello\n",
	"bare CR":                "Subject: x\r\n\r\nHe\rllo\r\n",
	"CR CR LF":               "Subject: x\r\n\r\nHello\r\r\n",
	"CR at the end":          "Subject: x\r\n\r\nHello\r",
	"mixed line ends":        "Subject: x\r\n\r\na\nb\r\nc\n",
	"LF first":               "Subject: x\nTo: y\r\n\r\na\r\n",
	"NUL and 8 bits":         "Subject: \x00\xff\r\n\r\n\x00\r\n",
	"From at line starts":    "Subject: x\r\n\r\nFrom a\r\n>From b\r\n>>From c\r\nFrom bob@example.org Thu Jan  1 10:00:00 2026\r\n",
	"a whole mbox":           "Subject: x\r\n\r\n\r\nFrom bob@example.org Thu Jan  1 10:00:00 2026\r\nSubject: y\r\n\r\nz\r\n\r\n",
	"From first":             "From bob@example.org Thu Jan  1 10:00:00 2026\r\nSubject: y\r\n\r\nz\r\n",
	"our own field":          "X-Pillarbox-Export: 1; lines=3; uid=7\r\nStatus: RO\r\n\r\nz\r\n",
	"status fields":          "Status: RO\r\nX-Status: DF\r\nX-Keywords: spoof\r\nX-UID: 999\r\nContent-Length: 3\r\n\r\nz\r\n",
	"only line ends":         "\r\n\r\n\r\n",
	"one LF":                 "\n",
	"begins with a space":    " folded\r\n\r\nx\r\n",
	"a huge header":          "X: " + strings.Repeat("y", 300_000) + "\r\n" + strings.Repeat("A: b\r\n", 5000) + "\r\nx\r\n",
	"CR at a piece's end":    strings.Repeat("x", 64<<10-1) + "\r\n" + strings.Repeat("y", 64<<10-2) + "\r\nz\r\n",
	"no line end at all":     "x",
	"nothing":                "",
}

// fill puts all of odd into several mailboxes, with flags.
func fill(t *testing.T, a *storage.Account) {
	t.Helper()
	names := make([]string, 0, len(odd))
	for name := range odd {
		names = append(names, name)
	}
	slices.Sort(names)
	flags := []string{`\Seen`, `\Answered \Flagged`, `\Deleted \Draft \Seen`, "$Forwarded Work", "", `\Seen NonJunk $label1`}
	for i, name := range names {
		put(t, a, "INBOX", odd[name], flags[i%len(flags)], noon.Add(time.Duration(i)*time.Hour))
	}
	for _, mailbox := range []string{"Archive/2024", "a.b/c\\d", "Entwürfe & mehr", "100% : ?", "cur/new", "dovecot", ".hidden/x", "INBOX/child", "Sent", strings.Repeat("lang", 60)} {
		put(t, a, mailbox, odd["good"], `\Seen`, noon)
	}
	if _, err := a.CreateMailbox(t.Context(), storage.NewMailbox{Name: "empty", Subscribed: true}); err != nil {
		t.Fatal(err)
	}
	// A hole in the UIDs.
	mb := a.Mailbox("INBOX")
	uids := imap.UIDSetNum(3)
	if _, err := a.Store(t.Context(), mb.ID, uids, storage.FlagOp{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.Expunge(t.Context(), mb.ID, uids); err != nil {
		t.Fatal(err)
	}
}

// onBox reads everything on the box.
func onBox(t testing.TB, a *storage.Account) map[string][]mail {
	t.Helper()
	all := map[string][]mail{}
	m := exporter.Stored(a)
	boxes, err := m.Mailboxes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, mb := range boxes {
		all[mb.Name] = []mail{}
		msgs, err := m.Messages(t.Context(), mb.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, msg := range msgs {
			err := m.Read(t.Context(), []storage.DataID{msg.Data}, func(_ int, body io.ReaderAt, size int64, err error) error {
				if err != nil {
					return err
				}
				text, err := io.ReadAll(io.NewSectionReader(body, 0, size))
				all[mb.Name] = append(all[mb.Name], mail{msg.UID, textOf(msg.Flags), msg.Date.Unix(), string(text)})
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return all
}

// atTarget reads an export as the importer does.
func atTarget(t testing.TB, dir string) map[string][]mail {
	t.Helper()
	all := map[string][]mail{}
	tree, err := mailfile.OpenTree(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.Notes) > 0 {
		t.Errorf("notes: %q", tree.Notes)
	}
	for _, f := range tree.Folders {
		all[f.Name()] = []mail{}
		s, err := tree.Open(f)
		if err != nil {
			t.Fatal(err)
		}
		for m, err := range s.Messages(context.Background()) {
			if err != nil {
				t.Fatalf("%s: %v", m.Name, err)
			}
			body, err := m.Open()
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(body)
			if err := errors.Join(err, body.Close()); err != nil {
				t.Fatal(err)
			}
			all[f.Name()] = append(all[f.Name()], mail{m.UID, textOf(m.Flags), m.Date.Unix(), string(text)})
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// targets are the kinds of folder.
var targets = map[string]func(dir string) exporter.Target{
	"maildir++": func(dir string) exporter.Target { return exporter.NewMaildir(dir, "") },
	"maildir":   func(dir string) exporter.Target { return exporter.NewMaildir(dir, mailfile.LayoutMaildirFS) },
	"mbox":      func(dir string) exporter.Target { return exporter.NewMbox(dir) },
}

func run(t testing.TB, a *storage.Account, to exporter.Target, change ...func(*exporter.Options)) *exporter.Report {
	t.Helper()
	o := &exporter.Options{Account: "ada@office.example"}
	for _, f := range change {
		f(o)
	}
	r, err := exporter.Run(t.Context(), exporter.Stored(a), to, o)
	if err != nil {
		t.Fatal(err)
	}
	if !r.OK() {
		t.Errorf("bad: %v, differences: %q", r.Bad, r.Differences)
	}
	return r
}

func TestWhatGoesOutComesBack(t *testing.T) {
	t.Parallel()
	for name, target := range targets {
		t.Run(name, func(t *testing.T) {
			a := open(t)
			fill(t, a)
			dir := filepath.Join(t.TempDir(), "new", "out")
			r := run(t, a, target(dir))
			want := onBox(t, a)
			var listed int64
			for _, list := range want {
				listed += int64(len(list))
			}
			if r.Total.Listed != listed || r.Total.Put != listed || r.Total.Verified != listed {
				t.Errorf("of %d messages: %+v", listed, r.Total)
			}
			if diff := cmp.Diff(want, atTarget(t, dir)); diff != "" {
				t.Errorf("(-box +target):\n%.3000s", diff)
			}
			tree, err := mailfile.OpenTree(dir, "")
			if err != nil {
				t.Fatal(err)
			}
			subscribed := slices.Sorted(slices.Values(tree.Subscribed))
			if diff := cmp.Diff([]string{"Sent", "empty"}, subscribed); diff != "" {
				t.Errorf("subscriptions (-want +got):\n%s", diff)
			}
			for _, f := range tree.Folders {
				s, err := tree.Open(f)
				if err != nil {
					t.Fatal(err)
				}
				mb := a.Mailbox(f.Name())
				if s.UIDValidity != mb.UIDValidity || s.UIDNext != mb.UIDNext {
					if name == "mbox" && mb.NumMessages == 0 { // an empty mbox tells nothing
						continue
					}
					t.Errorf("%s: UIDVALIDITY %d, UIDNEXT %d, want %d, %d", f.Name(), s.UIDValidity, s.UIDNext, mb.UIDValidity, mb.UIDNext)
				}
			}
			again := run(t, a, target(dir), func(o *exporter.Options) { o.VerifyAll = true })
			if again.Total.Put != 0 || again.Total.Known != listed || again.Total.Verified != listed {
				t.Errorf("the second run: %+v", again.Total)
			}
		})
	}
}

func TestOnlyDifferencesMove(t *testing.T) {
	t.Parallel()
	for name, target := range targets {
		t.Run(name, func(t *testing.T) {
			a := open(t)
			for i := range 10 {
				put(t, a, "INBOX", fmt.Sprintf("Subject: %d\r\n\r\nx\r\n", i), `\Seen`, noon)
			}
			dir := t.TempDir()
			run(t, a, target(dir))
			mb := a.Mailbox("INBOX").ID
			store := func(op imap.StoreFlagsOp, flags string, uids ...imap.UID) {
				if _, err := a.Store(t.Context(), mb, imap.UIDSetNum(uids...), storage.FlagOp{Op: op, Flags: flagsOf(flags)}); err != nil {
					t.Fatal(err)
				}
			}
			store(imap.StoreFlagsDel, `\Seen`, 2)
			store(imap.StoreFlagsAdd, `Later \Flagged`, 5)
			store(imap.StoreFlagsAdd, `\Deleted`, 3, 10)
			if _, _, err := a.Expunge(t.Context(), mb, nil); err != nil {
				t.Fatal(err)
			}
			put(t, a, "INBOX", "Subject: new\r\n\r\nx\r\n", "", noon)
			r := run(t, a, target(dir))
			if got := r.Mailboxes[0].Counts; got.Put != 1 || got.Known != 8 || got.Flagged != 2 || got.Left != 2 || got.Removed != 0 {
				t.Errorf("%+v", got)
			}
			if n := len(atTarget(t, dir)["INBOX"]); n != 11 {
				t.Errorf("%d messages, want 11: two that are gone on the box", n)
			}
			r = run(t, a, target(dir), func(o *exporter.Options) { o.Expunge = true })
			if got := r.Mailboxes[0].Counts; got.Put != 0 || got.Known != 9 || got.Flagged != 0 || got.Removed != 2 {
				t.Errorf("%+v", got)
			}
			if diff := cmp.Diff(onBox(t, a)["INBOX"], atTarget(t, dir)["INBOX"]); diff != "" {
				t.Errorf("(-box +target):\n%s", diff)
			}
		})
	}
}

// failing fails a read of the box after so many messages.
type failing struct {
	exporter.Mail

	after int
}

var errCut = errors.New("cut off")

func (f *failing) Read(ctx context.Context, data []storage.DataID, take func(i int, body io.ReaderAt, size int64, err error) error) error {
	return f.Mail.Read(ctx, data, func(i int, body io.ReaderAt, size int64, err error) error {
		if f.after--; f.after < 0 {
			return errCut
		}
		return take(i, body, size, err)
	})
}

func TestARunThatWasCutOffGoesOn(t *testing.T) {
	t.Parallel()
	for name, target := range targets {
		t.Run(name, func(t *testing.T) {
			a := open(t)
			putMany(t, a, 300, func(i int) (string, string) { return fmt.Sprintf("Subject: %d\r\n\r\nx\r\n", i), `\Seen` })
			dir := t.TempDir()
			r, err := exporter.Run(t.Context(), &failing{exporter.Stored(a), 200}, target(dir), &exporter.Options{Account: "ada@office.example"})
			if !errors.Is(err, errCut) || r.Total.Put > 200 {
				t.Fatalf("%v, %+v", err, r.Total)
			}
			if name == "mbox" { // torn as by a power cut
				file := filepath.Join(dir, "INBOX.partial")
				if err := os.Truncate(file, 20_001); err != nil {
					t.Fatal(err)
				}
			}
			again := run(t, a, target(dir))
			if again.Total.Put+again.Total.Known != 300 || again.Total.Known == 0 {
				t.Errorf("%+v", again.Total)
			}
			if diff := cmp.Diff(onBox(t, a)["INBOX"], atTarget(t, dir)["INBOX"]); diff != "" {
				t.Errorf("(-box +target):\n%.2000s", diff)
			}
			left, err := filepath.Glob(filepath.Join(dir, "tmp", "*"))
			if err != nil || len(left) > 0 {
				t.Errorf("left in tmp: %v, %v", left, err)
			}
		})
	}
}

// TestAnMboxThatIsTorn cuts the file, while messages are added in place, at
// every octet.
func TestAnMboxThatIsTorn(t *testing.T) {
	t.Parallel()
	a := open(t)
	for i := range 2 {
		put(t, a, "INBOX", fmt.Sprintf("Subject: %d\r\n\r\nx\r\n", i), `\Seen`, noon)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "INBOX")
	run(t, a, exporter.NewMbox(dir))
	before := read(t, path)
	put(t, a, "INBOX", "Subject: new\r\n\r\nx\r\n", `\Seen`, noon)
	run(t, a, exporter.NewMbox(dir))
	after := read(t, path)
	if !bytes.HasPrefix(after, before) {
		t.Fatal("it was not added in place")
	}
	step := 1
	if testing.Short() {
		step = 7
	}
	for n := len(before); n < len(after); n += step {
		if err := errors.Join(os.WriteFile(path, after[:n], 0o600), os.WriteFile(path+".adding.partial", nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		run(t, a, exporter.NewMbox(dir))
		if got := read(t, path); !bytes.Equal(got, after) {
			t.Fatalf("cut at %d: %d octets, want %d", n, len(got), len(after))
		}
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestNothingOfOthersIsTouched(t *testing.T) {
	t.Parallel()
	a := open(t)
	put(t, a, "INBOX", odd["good"], "", noon)
	const foreign = "From bob@example.org Thu Jan  1 10:00:00 2026\na: b\n\nx\n\n"
	refused := func(t *testing.T, to exporter.Target) {
		t.Helper()
		_, err := exporter.Run(t.Context(), exporter.Stored(a), to, &exporter.Options{Account: "ada@office.example"})
		var usage *exporter.UsageError
		if !errors.As(err, &usage) {
			t.Errorf("got %v", err)
		}
	}
	t.Run("an mbox of somebody's", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "INBOX"), []byte(foreign), 0o600); err != nil {
			t.Fatal(err)
		}
		refused(t, exporter.NewMbox(dir))
		if got := read(t, filepath.Join(dir, "INBOX")); string(got) != foreign {
			t.Errorf("it is now %q", got)
		}
	})
	t.Run("a file that is no mbox", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "INBOX"), []byte("a letter\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		refused(t, exporter.NewMbox(dir))
	})
	t.Run("a message that another program added", func(t *testing.T) {
		dir := t.TempDir()
		run(t, a, exporter.NewMbox(dir))
		path := filepath.Join(dir, "INBOX")
		text := append(read(t, path), foreign...)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		refused(t, exporter.NewMbox(dir))
		if got := read(t, path); !bytes.Equal(got, text) {
			t.Errorf("it is now %q", got)
		}
	})
	t.Run("another person's export", func(t *testing.T) {
		dir := t.TempDir()
		if _, err := exporter.Run(t.Context(), exporter.Stored(a), exporter.NewMbox(dir), &exporter.Options{Account: "bob@office.example"}); err != nil {
			t.Fatal(err)
		}
		refused(t, exporter.NewMbox(dir))
	})
	t.Run("a Maildir in use", func(t *testing.T) {
		dir := t.TempDir()
		for _, sub := range []string{"cur", "new", "tmp"} {
			if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		files := map[string]string{
			"cur/1.foreign:2,S": "a: b\n", "new/2.foreign": "a: c\n", "dovecot-keywords": "0 Theirs\n1 Work\n",
			"dovecot-uidlist": "3 V77 N9 Gabc\n5 :1.foreign\n",
		}
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		put(t, a, "INBOX", odd["good"], "Work Ours", noon)
		r := run(t, a, exporter.NewMaildir(dir, ""), func(o *exporter.Options) { o.Expunge = true })
		if r.Mailboxes[0].Left != 2 || r.Mailboxes[0].Removed != 0 {
			t.Errorf("%+v", r.Mailboxes[0])
		}
		got := atTarget(t, dir)["INBOX"]
		if len(got) != 4 || got[1].Flags != "Ours Work" {
			t.Errorf("%+v", got)
		}
		if text := string(read(t, filepath.Join(dir, "dovecot-keywords"))); text != "0 Theirs\n1 Work\n2 Ours\n" {
			t.Errorf("keywords %q", text)
		}
	})
}

func TestMoreKeywordsThanLetters(t *testing.T) {
	t.Parallel()
	a := open(t)
	putMany(t, a, storage.MaxKeywords, func(i int) (string, string) {
		return odd["good"], fmt.Sprintf("kw%03d common", i%(storage.MaxKeywords-1))
	})
	dir := t.TempDir()
	r := run(t, a, exporter.NewMaildir(dir, ""))
	if n := len(r.Remarks); n != 1 {
		t.Errorf("remarks %q", r.Remarks)
	}
	if diff := cmp.Diff(onBox(t, a)["INBOX"], atTarget(t, dir)["INBOX"]); diff != "" {
		t.Errorf("(-box +target):\n%.2000s", diff)
	}
	if text := string(read(t, filepath.Join(dir, "dovecot-keywords"))); !strings.HasPrefix(text, "0 common\n") || strings.Count(text, "\n") != 26 {
		t.Errorf("keywords %q", text)
	}
}

// TestADiskWithoutRegardToCase takes a link for such a disk: two mailboxes that
// would be one file there are refused, and not the one put over the other.
func TestADiskWithoutRegardToCase(t *testing.T) {
	a := open(t)
	put(t, a, "Kunden", "a: 1\r\n\r\n", "", noon)
	dir := t.TempDir()
	if err := os.Symlink(mailfile.ManifestName, filepath.Join(dir, strings.ToUpper(mailfile.ManifestName))); err != nil {
		t.Fatal(err)
	}
	run(t, a, exporter.NewMbox(dir))
	put(t, a, "kunden", "a: 2\r\n\r\n", "", noon)
	var usage *exporter.UsageError
	_, err := exporter.Run(t.Context(), exporter.Stored(a), exporter.NewMbox(dir), &exporter.Options{Account: "ada@office.example"})
	if !errors.As(err, &usage) || !strings.Contains(err.Error(), "differ in case") {
		t.Errorf("it is not refused: %v", err)
	}
	run(t, a, exporter.NewMbox(t.TempDir()))
}
