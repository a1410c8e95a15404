package files_test

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
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/exporter"
	"pillarbox/appliance/importer"
	"pillarbox/appliance/importer/files"
	"pillarbox/appliance/integration/rig"
	"pillarbox/storage"
)

// mail is what a test sees of a message.
type mail struct {
	UID   imap.UID
	Flags string
	Date  int64
	Body  string
}

func textOf(flags []imap.Flag) string {
	var words []string
	for _, f := range flags {
		if f != `\Recent` {
			words = append(words, string(f))
		}
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

// box is an account of ours, and what moves mail into it.
type box struct {
	account *storage.Account
	engine  *importer.Engine
}

func newBox(t *testing.T) *box {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	dir := t.TempDir()
	store, err := storage.Open(t.Context(), &storage.Config{Dir: dir, Logger: log})
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
	return &box{account: a, engine: importer.New(&importer.Config{Stager: store, Logger: log, Quarantine: filepath.Join(dir, "quarantine")})}
}

// take moves mail in and compares it.
func (b *box) take(t *testing.T, src importer.Source, o importer.Options) *importer.Report {
	t.Helper()
	task := &importer.Task{Source: src, Account: b.account, Address: "ada@office.example", Options: o}
	r, err := b.engine.Run(t.Context(), task)
	if err != nil {
		t.Fatalf("%v\n%+v", err, r)
	}
	v, err := b.engine.Verify(t.Context(), task)
	if err != nil || !v.Verified.OK {
		t.Errorf("verify: %v %+v", err, v.Verified)
	}
	return r
}

func (b *box) contents(t *testing.T) map[string][]mail {
	t.Helper()
	all := map[string][]mail{}
	m := exporter.Stored(b.account)
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
		var ids []storage.DataID
		for _, msg := range msgs {
			ids = append(ids, msg.Data)
		}
		err = m.Read(t.Context(), ids, func(i int, body io.ReaderAt, size int64, err error) error {
			if err != nil {
				return err
			}
			text, err := io.ReadAll(io.NewSectionReader(body, 0, size))
			all[mb.Name] = append(all[mb.Name], mail{msgs[i].UID, textOf(msgs[i].Flags), msgs[i].Date.Unix(), string(text)})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// served reads a mailbox of another server.
func served(t *testing.T, c *imapclient.Client, mailbox string) []mail {
	t.Helper()
	all := []mail{}
	for uid, m := range rig.Contents(t, c, mailbox) {
		all = append(all, mail{uid, textOf(m.Flags), m.InternalDate.Unix(), string(m.BodySection[0].Bytes)})
	}
	slices.SortFunc(all, func(a, b mail) int { return int(a.UID) - int(b.UID) })
	return all
}

// fill puts a corpus into mailboxes of another server, with holes in the UIDs.
func fill(t *testing.T, c *imapclient.Client, separator string, n int) []string {
	t.Helper()
	corpus := rig.Corpus(t, n)
	for i := range corpus {
		corpus[i].Raw = bytes.ReplaceAll(corpus[i].Raw, []byte("\r\r"), []byte("\r")) // which Dovecot changes
		if i%4 == 1 {
			corpus[i].Flags = append(slices.Clone(corpus[i].Flags), imap.Flag(fmt.Sprintf("keyword%d", i%3)))
		}
	}
	names := []string{"INBOX", "Sent", "Projekte" + separator + "Größe & Gewicht", "Archive" + separator + "2024"}
	for i, name := range names {
		rig.Put(t, c, name, corpus[i*n/4:(i+1)*n/4]...)
		if _, err := c.Select(name, nil).Wait(); err != nil {
			t.Fatal(err)
		}
		if err := c.Store(imap.SeqSetNum(2, 5), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}, Silent: true}, nil).Close(); err != nil {
			t.Fatal(err)
		}
		if err := c.Expunge().Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Subscribe(names[3]).Wait(); err != nil {
		t.Fatal(err)
	}
	return names
}

// TestFromDovecotsMaildir takes what a real Dovecot has written, with its UIDs.
func TestFromDovecotsMaildir(t *testing.T) {
	t.Parallel()
	for name, layout := range map[string]string{"maildir++": "", "fs": ":LAYOUT=fs"} {
		if layout != "" && testing.Short() {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := rig.Dovecot(t, []string{"ada"}, "mail_location = maildir:~/Maildir"+layout)
			c := s.Client(t, "ada")
			names := fill(t, c, "/", 80)
			dir := filepath.Join(s.Dir, "home", "ada", "Maildir")
			src, err := files.Open(dir, "")
			if err != nil {
				t.Fatal(err)
			}
			defer src.Close()
			b := newBox(t)
			r := b.take(t, src, importer.Options{KeepUIDs: true})
			got := b.contents(t)
			for _, name := range names {
				if diff := cmp.Diff(served(t, c, name), got[name]); diff != "" {
					t.Errorf("%s (-Dovecot +box):\n%.2000s", name, diff)
				}
				data, err := c.Status(name, &imap.StatusOptions{UIDValidity: true, UIDNext: true}).Wait()
				if mb := b.account.Mailbox(name); err != nil || data.UIDValidity != mb.UIDValidity || data.UIDNext != mb.UIDNext {
					t.Errorf("%s: %v, %+v, want UIDVALIDITY %d, UIDNEXT %d", name, err, mb, data.UIDValidity, data.UIDNext)
				}
			}
			if subs := b.account.Subscriptions(); !slices.Contains(subs, names[3]) || slices.Contains(subs, names[2]) {
				t.Errorf("subscribed are %q", subs)
			}
			// Dovecot goes on until the cut-over.
			if _, err := c.Select("INBOX", nil).Wait(); err != nil {
				t.Fatal(err)
			}
			if err := c.Store(imap.UIDSetNum(1), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagFlagged, "late"}, Silent: true}, nil).Close(); err != nil {
				t.Fatal(err)
			}
			rig.Put(t, c, "INBOX", rig.Corpus(t, 81)[80:]...)
			again, err := files.Open(dir, "")
			if err != nil {
				t.Fatal(err)
			}
			defer again.Close()
			r2 := b.take(t, again, importer.Options{KeepUIDs: true})
			if r2.Total.Taken != 1 || r2.Total.Flagged != 1 || r2.Total.Known != r.Total.Taken {
				t.Errorf("%+v", r2.Total)
			}
			got = b.contents(t)
			for _, name := range []string{"INBOX", "Archive/2024"} {
				if diff := cmp.Diff(served(t, c, name), got[name]); diff != "" {
					t.Errorf("%s, once more (-Dovecot +box):\n%.2000s", name, diff)
				}
			}
		})
	}
}

// TestFromCyrussSpool takes what a real Cyrus has written.
func TestFromCyrussSpool(t *testing.T) {
	t.Parallel()
	const user, other = "ada@office.example", "bob@office.example"
	s := rig.Cyrus(t, []string{user, other}, "altnamespace: yes", "unixhierarchysep: yes")
	c := s.Client(t, user)
	names := fill(t, c, "/", 60)
	rig.Put(t, s.Client(t, other), "INBOX", rig.Corpus(t, 1)...)
	src, err := files.Open(filepath.Join(s.Dir, "spool"), user)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	b := newBox(t)
	b.take(t, src, importer.Options{KeepUIDs: true})
	got := b.contents(t)
	for _, name := range names {
		if diff := cmp.Diff(served(t, c, name), got[name]); diff != "" {
			t.Errorf("%s (-Cyrus +box):\n%.2000s", name, diff)
		}
	}
	if r := b.take(t, src, importer.Options{KeepUIDs: true}); r.Total.Taken != 0 {
		t.Errorf("taken twice: %+v", r.Total)
	}
}

// TestWhatIsNotReadIsInTheReport has a link to a folder in a Maildir.
func TestWhatIsNotReadIsInTheReport(t *testing.T) {
	t.Parallel()
	dir := lay(t, map[string]string{"cur/1.a:2,": "a: 1\n", "new/.keep": ""})
	if err := os.Symlink(t.TempDir(), filepath.Join(dir, "Archive")); err != nil {
		t.Fatal(err)
	}
	src, err := files.Open(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	r := newBox(t).take(t, src, importer.Options{})
	if len(r.Remarks) != 1 || !strings.Contains(r.Remarks[0], "Archive is a symbolic link") {
		t.Errorf("remarks %q", r.Remarks)
	}
}

func TestDoublesStayDoubles(t *testing.T) {
	t.Parallel()
	dir := lay(t, map[string]string{"cur/1577934000.a:2,": "a: 1\n", "new/.keep": "", "dovecot-uidlist": "3 V7 N2\n1 :1577934000.a\n"})
	b := newBox(t)
	for n := range 3 {
		src, err := files.Open(dir, "")
		if err != nil {
			t.Fatal(err)
		}
		b.take(t, src, importer.Options{KeepUIDs: true})
		if err := src.Close(); err != nil {
			t.Fatal(err)
		}
		if got := b.contents(t)["INBOX"]; len(got) != n+1 {
			t.Errorf("%d messages, want %d", len(got), n+1)
		}
		path := filepath.Join(dir, "new", fmt.Sprintf("157793400%d.b", n+1))
		at := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
		if err := errors.Join(os.WriteFile(path, []byte("a: 1\n"), 0o600), os.Chtimes(path, at, at)); err != nil {
			t.Fatal(err)
		}
	}
}

// rewritten is a source whose mbox somebody shortens by its first messages in the
// moment in which it was listed.
type rewritten struct {
	importer.Source

	path string
	once sync.Once
}

func (s *rewritten) Open(ctx context.Context) (importer.Reader, error) {
	r, err := s.Source.Open(ctx)

	return &rewriting{r, s}, err
}

type rewriting struct {
	importer.Reader

	s *rewritten
}

func (r *rewriting) Read(ctx context.Context, mb *importer.Mailbox, msgs []importer.Message, take func(int, io.Reader, error) error) (err error) {
	r.s.once.Do(func() {
		var text []byte
		if text, err = os.ReadFile(r.s.path); err == nil {
			err = os.WriteFile(r.s.path, text[bytes.Index(text[10:], []byte("From - "))+10+3:], 0o600)
		}
	})
	if err != nil {
		return err
	}

	return r.Reader.Read(ctx, mb, msgs, take)
}

// TestAnMboxThatIsRewrittenMeanwhileGivesNoHalves reads where other messages
// stand by now: what was listed is not to be had, and none is made up.
func TestAnMboxThatIsRewrittenMeanwhileGivesNoHalves(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "Archive")
	var text strings.Builder
	for i := range 50 {
		fmt.Fprintf(&text, "From - Mon Jan  2 10:00:00 2023\nSubject: %d\n\n%s\n\n", i, strings.Repeat(fmt.Sprintf("line of %d. ", i), i+3))
	}
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	src, err := files.Open(path, "")
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	b := newBox(t)
	r, err := b.engine.Run(t.Context(), &importer.Task{Source: &rewritten{Source: src, path: path}, Account: b.account, Address: "ada@office.example"})
	if err != nil {
		t.Fatalf("%v\n%+v", err, r)
	}
	if r.Total.Quarantined < 40 || r.Total.Taken+r.Total.Quarantined > 50 {
		t.Errorf("%+v", r.Total)
	}
	for _, all := range b.contents(t) {
		for _, m := range all {
			if !strings.Contains(text.String(), strings.ReplaceAll(m.Body, "\r\n", "\n")) {
				t.Errorf("nobody wrote %q", m.Body)
			}
		}
	}
}
