package importer_test

import (
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"pillarbox/appliance/importer"
	"pillarbox/appliance/integration/rig"
	"pillarbox/storage"
)

// here is an account of ours, and an engine that moves mail into it.
type here struct {
	*storage.Store

	t       testing.TB
	account *storage.Account
	engine  *importer.Engine
	dir     string
}

func newHere(t testing.TB, change ...func(*storage.Config)) *here {
	t.Helper()
	h := &here{t: t, dir: t.TempDir()}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	c := &storage.Config{Dir: h.dir, Logger: log}
	for _, f := range change {
		f(c)
	}
	var err error
	if h.Store, err = storage.Open(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := h.CreateAccount(t.Context(), "ada", []storage.NewMailbox{
		{Name: "INBOX", Subscribed: true},
		{Name: "Sent", SpecialUse: imap.MailboxAttrSent, Subscribed: true},
		{Name: "Trash", SpecialUse: imap.MailboxAttrTrash, Subscribed: true},
		{Name: "Drafts", SpecialUse: imap.MailboxAttrDrafts, Subscribed: true},
		{Name: "Junk", SpecialUse: imap.MailboxAttrJunk, Subscribed: true},
		{Name: "Archive", SpecialUse: imap.MailboxAttrArchive, Subscribed: true},
	}); err != nil {
		t.Fatal(err)
	}
	if h.account, err = h.Account(t.Context(), "ada"); err != nil {
		t.Fatal(err)
	}
	h.engine = importer.New(&importer.Config{
		Stager: h.Store, Logger: log, Quarantine: filepath.Join(h.dir, "quarantine"), Pause: 20 * time.Millisecond,
	})
	return h
}

// task moves from a source.
func (h *here) task(s importer.Source, o importer.Options) *importer.Task {
	return &importer.Task{Source: s, Account: h.account, Address: "ada@office.example", Options: o, Thorough: true, Progress: importer.NewProgress()}
}

// move runs a task and fails the test where it fails.
func (h *here) move(s importer.Source, o importer.Options) *importer.Report {
	h.t.Helper()
	r, err := h.engine.Run(h.t.Context(), h.task(s, o))
	if err != nil {
		h.t.Fatalf("%v\n%+v", err, r)
	}
	return r
}

// verify expects that everything is as at the source.
func (h *here) verify(s importer.Source, o importer.Options) *importer.Report {
	h.t.Helper()
	r, err := h.engine.Verify(h.t.Context(), h.task(s, o))
	if err != nil || !r.Verified.OK {
		h.t.Fatalf("%v %+v", err, r.Verified)
	}
	found := []string{}
	if _, err := h.Check(h.t.Context(), storage.CheckOptions{Bodies: true, Found: func(p storage.Problem) { found = append(found, p.Text) }}); err != nil || len(found) > 0 {
		h.t.Fatal(err, found)
	}
	return r
}

// names lists the mailboxes with how much is in them.
func (h *here) names() string {
	var b strings.Builder
	for _, mb := range h.account.Mailboxes() {
		if mb.NumMessages > 0 || !slices.Contains([]string{"Sent", "Trash", "Drafts", "Junk", "Archive"}, mb.Name) {
			fmt.Fprintf(&b, "%s %d\n", mb.Name, mb.NumMessages)
		}
	}
	return b.String()
}

// contents lists a mailbox: of each message UID, flags, date and text.
func (h *here) contents(name string) []string {
	h.t.Helper()
	mb := h.account.Mailbox(name)
	if mb == nil {
		h.t.Fatalf("there is no mailbox %s among\n%s", name, h.names())
	}
	s, err := h.account.Snapshot(h.t.Context(), mb.ID)
	if err != nil {
		h.t.Fatal(err)
	}
	var out []string
	for _, m := range s.All(0) {
		b, err := h.account.OpenBody(m.Data)
		if err != nil {
			h.t.Fatal(err)
		}
		text, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size))
		b.Close()
		if err != nil {
			h.t.Fatal(err)
		}
		flags := strings.Fields(string(s.AppendFlags(nil, m)))
		slices.Sort(flags)
		out = append(out, fmt.Sprintf("%d (%s) %s\n%s", m.UID, strings.Join(flags, " "), m.Date().UTC().Format(time.RFC3339), text))
	}
	return out
}

// old is a source at an old server.
func old(t testing.TB, s *rig.OldServer, user string, change ...func(*importer.Server)) *importer.IMAP {
	t.Helper()
	conf := importer.Server{Host: s.Host, User: user, Secret: rig.OldPassword, CA: string(s.CA)}
	for _, f := range change {
		f(&conf)
	}
	src, err := importer.NewIMAP(&importer.IMAPConfig{Server: conf, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Close() })
	return src
}

func flagOp(op imap.StoreFlagsOp, f ...imap.Flag) storage.FlagOp {
	return storage.FlagOp{Op: op, Flags: f}
}

func testLog(t testing.TB) *slog.Logger { return slog.New(slog.NewTextHandler(t.Output(), nil)) }
