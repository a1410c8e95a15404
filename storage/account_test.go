package storage_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/google/go-cmp/cmp"

	"pillarbox/storage"
)

func names(a *storage.Account) string {
	var out []string
	for _, m := range a.Mailboxes() {
		out = append(out, m.Name)
	}
	return strings.Join(out, " ")
}

func TestMessagesSurviveARestart(t *testing.T) {
	o := openOffice(t)
	small, large := mail(1, 500), mail(2, 100_000)
	u1 := o.add("INBOX", small, imap.FlagSeen, "$Forwarded")
	u2 := o.add("INBOX", large)
	before := o.flags("INBOX")
	o.restart()
	if got := o.flags("INBOX"); got != before || got != `1(\Seen $Forwarded) 2()` {
		t.Errorf("flags = %s, before the restart %s", got, before)
	}
	if got := o.text("INBOX", u1); got != small {
		t.Errorf("small body: %s", cmp.Diff(small, got))
	}
	if got := o.text("INBOX", u2); got != large {
		t.Error("large body differs")
	}
	mb := o.account.Mailbox("inbox")
	if mb.NumMessages != 2 || mb.NumUnseen != 1 || mb.UIDNext != 3 || mb.Size != int64(len(small)+len(large)) {
		t.Errorf("mailbox = %+v", mb)
	}
	o.check()
}

func TestPrefixIsPartOfTheMessage(t *testing.T) {
	o := openOffice(t)
	for _, size := range []int{500, 50_000} {
		body := mail(1, size)
		b := o.stage(body)
		prefix := "Delivered-To: bob@example.org\r\n"
		res, err := o.account.Append(t.Context(), o.inbox(), []storage.AppendMessage{{Body: b, Prefix: []byte(prefix)}})
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if got := o.text("INBOX", res.UIDs[0]); got != prefix+body {
			t.Errorf("size %d: %s", size, cmp.Diff(prefix+body, got))
		}
	}
	o.check()
}

func TestStoreChangesOnlyWhatDiffers(t *testing.T) {
	o := openOffice(t)
	for i := range 5 {
		o.add("INBOX", mail(i, 300))
	}
	ctx := t.Context()
	first, err := o.account.Store(ctx, o.inbox(), imap.UIDSetNum(1, 2), storage.FlagOp{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagSeen}})
	if err != nil {
		t.Fatal(err)
	}
	second, err := o.account.Store(ctx, o.inbox(), imap.UIDSetNum(2, 3), storage.FlagOp{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{`\SEEN`}})
	if err != nil {
		t.Fatal(err)
	}
	s := o.snapshot("INBOX")
	if got := []storage.ModSeq{s.At(0).ModSeq, s.At(1).ModSeq, s.At(2).ModSeq}; !cmp.Equal(got, []storage.ModSeq{first.ModSeq, first.ModSeq, second.ModSeq}) {
		t.Errorf("mod-sequences = %v after %d and %d", got, first.ModSeq, second.ModSeq)
	}
	// RFC 7162, section 3.1.3: what changed since is left alone and named.
	third, err := o.account.Store(ctx, o.inbox(), imap.UIDSet{{Start: 1, Stop: 0}}, storage.FlagOp{
		Op: imap.StoreFlagsSet, Flags: []imap.Flag{imap.FlagDeleted}, UnchangedSince: &first.ModSeq,
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(third.Modified, []imap.UID{3}) {
		t.Errorf("modified = %v", third.Modified)
	}
	if got, want := o.flags("INBOX"), `1(\Deleted) 2(\Deleted) 3(\Seen) 4(\Deleted) 5(\Deleted)`; got != want {
		t.Errorf("flags = %s", got)
	}
	if mb := o.account.Mailbox("INBOX"); mb.NumUnseen != 4 || mb.NumDeleted != 4 || mb.HighestModSeq != third.ModSeq {
		t.Errorf("mailbox = %+v", mb)
	}
	o.check()
}

func TestKeywordsAreBoundedAndCaseInsensitive(t *testing.T) {
	o := openOffice(t)
	o.add("INBOX", mail(1, 300))
	var many []imap.Flag
	for i := range storage.MaxKeywords {
		many = append(many, imap.Flag("k"+strings.Repeat("x", i)))
	}
	ctx, all := t.Context(), imap.UIDSetNum(1)
	if _, err := o.account.Store(ctx, o.inbox(), all, storage.FlagOp{Op: imap.StoreFlagsSet, Flags: many}); err != nil {
		t.Fatal(err)
	}
	_, err := o.account.Store(ctx, o.inbox(), all, storage.FlagOp{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{"more"}})
	if !errors.Is(err, storage.ErrTooManyKeywords) {
		t.Errorf("err = %v", err)
	}
	if _, err := o.account.Store(ctx, o.inbox(), all, storage.FlagOp{Op: imap.StoreFlagsDel, Flags: []imap.Flag{"KX", "unknown"}}); err != nil {
		t.Error(err)
	}
	if strings.Contains(o.flags("INBOX"), " kx ") {
		t.Errorf("kx is still there")
	}
	// No message has kx any more, so its place is free for one other.
	old := o.snapshot("INBOX")
	if _, err := o.account.Store(ctx, o.inbox(), all, storage.FlagOp{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{"other"}}); err != nil {
		t.Error(err)
	}
	if _, err := o.account.Store(ctx, o.inbox(), all, storage.FlagOp{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{"k"}}); err != nil {
		t.Error(err)
	}
	if !strings.Contains(o.flags("INBOX"), " other ") || !slices.Contains(old.Keywords(), "kx") {
		t.Errorf("flags %s, before that %v", o.flags("INBOX"), old.Keywords())
	}
	_, err = o.account.Store(ctx, o.inbox(), all, storage.FlagOp{Op: imap.StoreFlagsSet, Flags: append(many[1:len(many):len(many)], "one", "two")})
	if !errors.Is(err, storage.ErrTooManyKeywords) {
		t.Errorf("more than fit in one operation: %v", err)
	}
	for _, bad := range []imap.Flag{"", "a b", `\Unheard`, "ä", "a]", "(", imap.Flag(strings.Repeat("x", 200))} {
		if _, err := o.account.Store(ctx, o.inbox(), all, storage.FlagOp{Flags: []imap.Flag{bad}}); !errors.Is(err, storage.ErrKeyword) {
			t.Errorf("flag %q: err = %v", bad, err)
		}
	}
	o.check()
}

func TestCopyAndMoveShareTheBody(t *testing.T) {
	o := openOffice(t)
	large := mail(1, 100_000)
	o.add("INBOX", large, "work", imap.FlagFlagged)
	o.add("INBOX", mail(2, 300))
	ctx, sent := t.Context(), o.account.Mailbox("Sent").ID
	copied, err := o.account.Copy(ctx, o.inbox(), imap.UIDSet{{Start: 1, Stop: 9}}, sent)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(copied.Source, []imap.UID{1, 2}) || !slices.Equal(copied.Dest, []imap.UID{1, 2}) {
		t.Errorf("copied = %+v", copied)
	}
	if got := o.flags("Sent"); got != `1(\Flagged work) 2()` {
		t.Errorf("Sent = %s", got)
	}
	moved, err := o.account.Move(ctx, o.inbox(), imap.UIDSetNum(1), sent)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(moved.Dest, []imap.UID{3}) || o.flags("INBOX") != "2()" {
		t.Errorf("moved = %+v, INBOX %s", moved, o.flags("INBOX"))
	}
	if n := bodyFiles(t, o); n != 1 {
		t.Errorf("%d body files", n)
	}
	o.check()
	// The body stays until the last copy is gone.
	for _, uid := range []imap.UID{1, 3} {
		if o.text("Sent", uid) != large {
			t.Errorf("Sent %d differs", uid)
		}
		if _, err := o.account.Store(ctx, sent, imap.UIDSetNum(uid), storage.FlagOp{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}); err != nil {
			t.Fatal(err)
		}
		gone, _, err := o.account.Expunge(ctx, sent, nil)
		if err != nil || !slices.Equal(gone, []imap.UID{uid}) {
			t.Fatalf("expunged %v, %v", gone, err)
		}
		o.check()
	}
	o.restart()
	if n := bodyFiles(t, o); n != 0 {
		t.Errorf("%d body files left", n)
	}
	o.check()
}

// bodyFiles counts the different files below accounts and pool.
func bodyFiles(t *testing.T, o *office) int {
	t.Helper()
	n := 0
	for _, d := range []string{"accounts/alice/bodies", "pool"} {
		m, err := filepath.Glob(filepath.Join(o.config.Dir, d, "*", "*"))
		if err != nil {
			t.Fatal(err)
		}
		if d == "pool" && len(m) > n {
			t.Errorf("pool has %d files, the account %d", len(m), n)
		}
		n = max(n, len(m))
	}
	return n
}

func TestMoveWithinAMailbox(t *testing.T) {
	o := openOffice(t)
	o.add("INBOX", mail(1, 300))
	o.add("INBOX", mail(2, 300))
	res, err := o.account.Move(t.Context(), o.inbox(), imap.UIDSetNum(1, 2), o.inbox())
	if err != nil || !slices.Equal(res.Dest, []imap.UID{3, 4}) {
		t.Fatalf("%+v, %v", res, err)
	}
	if got := o.flags("INBOX"); got != "3() 4()" {
		t.Errorf("INBOX = %s", got)
	}
	o.check()
}

func TestExpungeLeavesTraces(t *testing.T) {
	o := openOffice(t)
	for i := range 6 {
		o.add("INBOX", mail(i, 300), imap.FlagDeleted)
	}
	ctx := t.Context()
	_, first, err := o.account.Expunge(ctx, o.inbox(), imap.UIDSetNum(2, 3))
	if err != nil {
		t.Fatal(err)
	}
	gone, second, err := o.account.Expunge(ctx, o.inbox(), nil)
	if err != nil || len(gone) != 4 {
		t.Fatalf("gone %v, %v", gone, err)
	}
	o.restart()
	for _, c := range []struct {
		since storage.ModSeq
		want  string
	}{{0, "1:6"}, {first - 1, "1:6"}, {first, "1,4:6"}, {second, ""}} {
		got, exact, err := o.account.Vanished(o.snapshot("INBOX"), c.since)
		if err != nil || !exact || got.String() != c.want {
			t.Errorf("since %d: %s, exact %v, %v", c.since, got, exact, err)
		}
	}
	if uid := o.add("INBOX", mail(9, 300)); uid != 7 {
		t.Errorf("UID %d was given again", uid)
	}
}

func TestOneBodyForSeveralAccounts(t *testing.T) {
	o := openOffice(t)
	ctx := t.Context()
	if err := o.CreateAccount(ctx, "bob", nil); err != nil {
		t.Fatal(err)
	}
	bob, err := o.Account(ctx, "bob")
	if err != nil {
		t.Fatal(err)
	}
	b := o.stage(mail(1, 100_000))
	for _, a := range []*storage.Account{o.account, bob} {
		if _, err := a.Append(ctx, 1, []storage.AppendMessage{{Body: b}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	// The same mail in a delivery of its own is not stored again either.
	o.add("INBOX", mail(1, 100_000))
	files, err := filepath.Glob(filepath.Join(o.config.Dir, "accounts", "*", "bodies", "*", "*"))
	if err != nil || len(files) != 3 {
		t.Fatalf("files %v, %v", files, err)
	}
	for _, f := range files[1:] {
		x, _ := os.Stat(files[0])
		y, _ := os.Stat(f)
		if !os.SameFile(x, y) {
			t.Errorf("%s is a copy", f)
		}
	}
	if err := o.DeleteAccount(ctx, "bob"); err != nil {
		t.Fatal(err)
	}
	if _, err := bob.Append(ctx, 1, nil); !errors.Is(err, storage.ErrClosed) {
		t.Errorf("append to a removed account: %v", err)
	}
	if _, err := o.Account(ctx, "bob"); !errors.Is(err, storage.ErrNoAccount) {
		t.Errorf("open a removed account: %v", err)
	}
	o.check()
}

func TestMailboxes(t *testing.T) {
	o := openOffice(t)
	ctx := t.Context()
	mk := func(name string) error {
		_, err := o.account.CreateMailbox(ctx, storage.NewMailbox{Name: name})
		return err
	}
	for _, name := range []string{"Projects/2026/Roof", "inbox/Bills", "Projects-old"} {
		if err := mk(name); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := names(o.account), "INBOX INBOX/Bills Projects Projects/2026 Projects/2026/Roof Projects-old Sent"; got != want {
		t.Errorf("names = %s", got)
	}
	for name, want := range map[string]error{
		"Projects": storage.ErrMailboxExists, "Gesendete Elemente": storage.ErrMailboxExists, "Inbox": storage.ErrMailboxExists,
		"/a": storage.ErrMailboxName, "a//b": storage.ErrMailboxName, "": storage.ErrMailboxName, "a\x00": storage.ErrMailboxName, "\xff": storage.ErrMailboxName,
		"..": storage.ErrMailboxName, "a/../b": storage.ErrMailboxName, ".": storage.ErrMailboxName,
		strings.Repeat("x", 2000): storage.ErrMailboxName, strings.Repeat("x/", 60) + "x": storage.ErrMailboxName,
	} {
		if err := mk(name); !errors.Is(err, want) {
			t.Errorf("create %.20q: %v", name, err)
		}
	}
	if mb := o.account.Mailbox("Sent Items"); mb == nil || mb.Name != "Sent" {
		t.Errorf("Sent Items = %+v", mb)
	}
	if err := o.account.DeleteMailbox(ctx, "Projects"); !errors.Is(err, storage.ErrHasChildren) {
		t.Errorf("delete a parent: %v", err)
	}
	if err := o.account.DeleteMailbox(ctx, "INBOX"); !errors.Is(err, storage.ErrInboxImmutable) {
		t.Errorf("delete INBOX: %v", err)
	}
	o.add("Projects/2026/Roof", mail(1, 300))
	if err := o.account.RenameMailbox(ctx, "Projects", "Work/Old"); err != nil {
		t.Fatal(err)
	}
	if err := o.account.RenameMailbox(ctx, "Work", "Work/Below"); !errors.Is(err, storage.ErrMailboxName) {
		t.Errorf("rename below itself: %v", err)
	}
	o.restart()
	if got, want := names(o.account), "INBOX INBOX/Bills Projects-old Sent Work Work/Old Work/Old/2026 Work/Old/2026/Roof"; got != want {
		t.Errorf("names = %s", got)
	}
	if got := o.flags("Work/Old/2026/Roof"); got != "1()" {
		t.Errorf("messages = %s", got)
	}
	old := o.account.Mailbox("Work/Old/2026/Roof").UIDValidity
	if err := o.account.DeleteMailbox(ctx, "Work/Old/2026/Roof"); err != nil {
		t.Fatal(err)
	}
	if err := mk("Work/Old/2026/Roof"); err != nil {
		t.Fatal(err)
	}
	if now := o.account.Mailbox("Work/Old/2026/Roof").UIDValidity; now <= old {
		t.Errorf("UIDVALIDITY %d after %d", now, old)
	}
	if q := o.account.Quota(); q.UsedMessages != 0 || q.UsedBytes != 0 {
		t.Errorf("quota = %+v", q)
	}
	o.check()
}

func TestRenameInboxMovesItsMessages(t *testing.T) {
	o := openOffice(t)
	o.add("INBOX", mail(1, 300), imap.FlagSeen)
	if err := o.account.RenameMailbox(t.Context(), "INBOX", "Old"); err != nil {
		t.Fatal(err)
	}
	if o.flags("INBOX") != "" || o.flags("Old") != `1(\Seen)` {
		t.Errorf("INBOX %q, Old %q", o.flags("INBOX"), o.flags("Old"))
	}
	if uid := o.add("INBOX", mail(2, 300)); uid != 2 {
		t.Errorf("UID %d", uid)
	}
	o.check()
}

func TestSubscriptionsOutliveMailboxes(t *testing.T) {
	o := openOffice(t)
	ctx := t.Context()
	if _, err := o.account.CreateMailbox(ctx, storage.NewMailbox{Name: "Lists", Subscribed: true}); err != nil {
		t.Fatal(err)
	}
	if err := o.account.DeleteMailbox(ctx, "Lists"); err != nil {
		t.Fatal(err)
	}
	o.restart()
	if got := o.account.Subscriptions(); !slices.Equal(got, []string{"INBOX", "Lists", "Sent"}) {
		t.Errorf("subscriptions = %v", got)
	}
	if err := o.account.SetSubscribed(ctx, "sent", false); err != nil {
		t.Fatal(err)
	}
	if !o.account.Mailbox("Sent").Subscribed {
		t.Error("another name's subscription was taken back")
	}
	if err := o.account.SetSubscribed(ctx, "Sent", false); err != nil {
		t.Fatal(err)
	}
	if o.account.Mailbox("Sent").Subscribed {
		t.Error("Sent is still subscribed")
	}
}

func TestQuota(t *testing.T) {
	o := openOffice(t)
	ctx := t.Context()
	if err := o.account.SetQuota(ctx, 1000); err != nil {
		t.Fatal(err)
	}
	o.add("INBOX", mail(1, 600))
	b := o.stage(mail(2, 600))
	defer b.Close()
	if _, err := o.account.Append(ctx, o.inbox(), []storage.AppendMessage{{Body: b}}); !errors.Is(err, storage.ErrOverQuota) {
		t.Errorf("append: %v", err)
	}
	if _, err := o.account.Copy(ctx, o.inbox(), imap.UIDSetNum(1), o.account.Mailbox("Sent").ID); !errors.Is(err, storage.ErrOverQuota) {
		t.Errorf("copy: %v", err)
	}
	if _, err := o.account.Move(ctx, o.inbox(), imap.UIDSetNum(1), o.account.Mailbox("Sent").ID); err != nil {
		t.Errorf("move: %v", err)
	}
	o.check()
}

func TestTooBigIsRefused(t *testing.T) {
	o := openOffice(t, func(c *storage.Config) { c.MaxMessage = 10_000 })
	fits := mail(1, 9_000)
	fits += strings.Repeat("x", 10_000-len(fits))
	b := o.stage(fits)
	defer b.Close()
	if _, err := o.Stage(t.Context(), strings.NewReader(fits+"x")); !errors.Is(err, storage.ErrTooBig) {
		t.Errorf("err = %v", err)
	}
	left, err := filepath.Glob(filepath.Join(o.config.Dir, "staging", "*"))
	if err != nil || len(left) != 1 {
		t.Errorf("staging holds %v", left)
	}
}

func TestConcurrentWritersLoseNothing(t *testing.T) {
	o := openOffice(t)
	const writers, each = 8, 20
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				b, err := o.Stage(t.Context(), strings.NewReader(mail(w*100+i, 300+i*900)))
				if err != nil {
					t.Error(err)
					return
				}
				_, err = o.account.Append(t.Context(), o.inbox(), []storage.AppendMessage{{Body: b}})
				if err != nil {
					t.Error(err)
				}
				b.Close()
				// A failing operation must not take others of its batch along.
				if _, err := o.account.Append(t.Context(), 99, nil); !errors.Is(err, storage.ErrNoMailbox) {
					t.Errorf("append to nowhere: %v", err)
				}
				if err := o.account.RenameMailbox(t.Context(), "Sent", "a/"+strings.Repeat("b/", 48)+"c/d"); !errors.Is(err, storage.ErrMailboxName) {
					t.Errorf("rename: %v", err)
				}
			}
		})
	}
	wg.Wait()
	o.restart()
	if n := o.snapshot("INBOX").Len(); n != writers*each {
		t.Errorf("%d messages", n)
	}
	o.check()
}

func TestWatchTellsOfChanges(t *testing.T) {
	o := openOffice(t)
	ch, stop := o.account.Watch(o.inbox())
	defer stop()
	o.add("Sent", mail(1, 300))
	select {
	case <-ch:
		t.Error("told of another mailbox")
	default:
	}
	o.add("INBOX", mail(1, 300))
	select {
	case <-ch:
	case <-time.After(30 * time.Second):
		t.Error("not told")
	}
}

func TestDiff(t *testing.T) {
	o := openOffice(t)
	for i := range 300 {
		o.add("INBOX", mail(i, 200))
	}
	ctx, old := t.Context(), o.snapshot("INBOX")
	if _, err := o.account.Store(ctx, o.inbox(), imap.UIDSetNum(5, 200, 201), storage.FlagOp{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := o.account.Expunge(ctx, o.inbox(), imap.UIDSetNum(5, 200)); err != nil {
		t.Fatal(err)
	}
	o.add("INBOX", mail(999, 200))
	want := storage.Diff{Vanished: []imap.UID{5, 200}, Changed: []imap.UID{201}, Added: 1}
	if d := cmp.Diff(want, o.snapshot("INBOX").Since(old)); d != "" {
		t.Error(d)
	}
	if old.Len() != 300 || old.At(4).Flags != 0 {
		t.Error("an old snapshot changed")
	}
	o.restart()
	if d := cmp.Diff(want, o.snapshot("INBOX").Since(old)); d != "" {
		t.Errorf("without shared chunks: %s", d)
	}
	i, ok := o.snapshot("INBOX").Find(6)
	if i != 4 || !ok {
		t.Errorf("UID 6 at %d, %v", i, ok)
	}
}

func TestSecondProcessIsRefused(t *testing.T) {
	o := openOffice(t)
	if _, err := storage.Open(t.Context(), o.config); !errors.Is(err, storage.ErrLocked) {
		t.Errorf("err = %v", err)
	}
}

func TestRead(t *testing.T) {
	o := openOffice(t)
	for i := range 4 {
		o.add("INBOX", mail(i, 300))
	}
	var got []bool
	err := o.account.Read([]storage.DataID{1, 2, 77, 4, 3}, func(_ int, d *storage.Data) bool {
		got = append(got, d != nil && len(d.Record.Envelope()) > 0)
		return len(got) < 5
	})
	if err != nil || !slices.Equal(got, []bool{true, true, false, true, true}) {
		t.Errorf("%v, %v", got, err)
	}
}
