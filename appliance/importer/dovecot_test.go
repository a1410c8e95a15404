package importer_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/importer"
	"pillarbox/appliance/integration/rig"
)

// theirs lists a mailbox of an old server as here.contents does.
func theirs(t *testing.T, c *imapclient.Client, mailbox string, uids bool) []string {
	t.Helper()
	found := rig.Contents(t, c, mailbox)
	var keys []imap.UID
	for uid := range found {
		keys = append(keys, uid)
	}
	slices.Sort(keys)
	var out []string
	for i, uid := range keys {
		m := found[uid]
		var flags []string
		for _, f := range m.Flags {
			if !strings.EqualFold(string(f), `\Recent`) {
				flags = append(flags, string(f))
			}
		}
		slices.Sort(flags)
		n := imap.UID(i + 1)
		if uids {
			n = uid
		}
		out = append(out, fmt.Sprintf("%d (%s) %s\n%s", n, strings.Join(flags, " "), m.InternalDate.UTC().Format(time.RFC3339), m.BodySection[0].Bytes))
	}
	return out
}

func TestFromDovecot(t *testing.T) {
	t.Parallel()
	s := rig.Dovecot(t, []string{"ada"})
	c := s.Client(t, "ada")
	corpus := rig.Corpus(t, 120)
	n := rig.Put(t, c, "INBOX", corpus[:60]...)
	n += rig.Put(t, c, "Sent", corpus[60:80]...)
	n += rig.Put(t, c, "Projekte/Größe & Gewicht", corpus[80:110]...)
	n += rig.Put(t, c, "Deleted Items", corpus[110:]...)
	if err := c.Subscribe("Projekte/Größe & Gewicht").Wait(); err != nil {
		t.Fatal(err)
	}
	h := newHere(t)
	src := old(t, s, "ada", func(c *importer.Server) { c.Port = 990 })

	dry, err := h.engine.Estimate(t.Context(), h.task(src, importer.Options{}))
	if err != nil || dry.Estimate.Messages != int64(n) || dry.Estimate.BytesPerSec == 0 || h.account.Quota().UsedMessages != 0 {
		t.Fatalf("%v %+v", err, dry)
	}
	r := h.move(src, importer.Options{})
	if r.Total.Taken != int64(n) || r.Total.Quarantined != 0 {
		t.Errorf("%+v", r)
	}
	for from, to := range map[string]string{"INBOX": "INBOX", "Sent": "Sent", "Projekte/Größe & Gewicht": "Projekte/Größe & Gewicht", "Deleted Items": "Trash"} {
		if d := cmp.Diff(theirs(t, c, from, false), h.contents(to)); d != "" {
			t.Errorf("%s: %s", from, d)
		}
	}
	if subs := h.account.Subscriptions(); !slices.Contains(subs, "Projekte/Größe & Gewicht") || slices.Contains(subs, "Projekte") {
		t.Errorf("subscribed are %q", subs)
	}
	h.verify(src, importer.Options{})

	again := h.move(src, importer.Options{})
	if again.Total.Taken != 0 || again.Total.Known != int64(n) || slices.ContainsFunc(again.Mailboxes, func(m importer.MailboxReport) bool { return m.Skipped == "" && !m.Unchanged }) {
		t.Errorf("a second run without changes: %+v", again)
	}
}

func TestOnlyDifferencesMove(t *testing.T) {
	t.Parallel()
	s := rig.Dovecot(t, []string{"ada"})
	c := s.Client(t, "ada")
	corpus := rig.Corpus(t, 30)
	rig.Put(t, c, "INBOX", corpus[:20]...)
	h := newHere(t)
	src := old(t, s, "ada")
	h.move(src, importer.Options{})

	// Here somebody reads, marks and deletes; there somebody does the same.
	inbox := h.account.Mailbox("INBOX").ID
	store := func(uid imap.UID, op imap.StoreFlagsOp, f imap.Flag) {
		t.Helper()
		if _, err := h.account.Store(t.Context(), inbox, imap.UIDSetNum(uid), flagOp(op, f)); err != nil {
			t.Fatal(err)
		}
	}
	store(1, imap.StoreFlagsAdd, "mine")
	store(2, imap.StoreFlagsDel, imap.FlagSeen)
	store(7, imap.StoreFlagsAdd, imap.FlagDeleted)
	if _, _, err := h.account.Expunge(t.Context(), inbox, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	theirs := func(seq uint32, op imap.StoreFlagsOp, f ...imap.Flag) {
		t.Helper()
		if err := c.Store(imap.SeqSetNum(seq), &imap.StoreFlags{Op: op, Flags: f, Silent: true}, nil).Close(); err != nil {
			t.Fatal(err)
		}
	}
	theirs(1, imap.StoreFlagsAdd, imap.FlagAnswered, "theirs")
	theirs(3, imap.StoreFlagsDel, imap.FlagSeen)
	theirs(7, imap.StoreFlagsAdd, imap.FlagFlagged) // is gone here
	theirs(9, imap.StoreFlagsAdd, imap.FlagDeleted)
	if err := c.Expunge().Close(); err != nil {
		t.Fatal(err)
	}
	rig.Put(t, c, "INBOX", corpus[20:]...)

	r := h.move(src, importer.Options{})
	if got := r.Total; got.Taken != 10 || got.Flagged != 3 || got.Known != 19 || got.Expunged != 0 {
		t.Errorf("%+v", got)
	}
	mine := h.contents("INBOX")
	for i, want := range map[int]string{0: `1 (\Answered mine theirs)`, 1: "2 ()", 2: `3 (\Answered)`} {
		if !strings.HasPrefix(mine[i], want) {
			t.Errorf("message %d is %.60q, and %q is wanted", i, mine[i], want)
		}
	}
	if len(mine) != 29 {
		t.Errorf("there are %d messages", len(mine))
	}
	if r := h.move(src, importer.Options{Expunge: true}); r.Total.Expunged != 1 {
		t.Errorf("what was expunged before that was asked for: %+v", r.Total)
	}
	theirs(1, imap.StoreFlagsAdd, imap.FlagDeleted)
	if err := c.Expunge().Close(); err != nil {
		t.Fatal(err)
	}
	if r := h.move(src, importer.Options{Expunge: true}); r.Total.Expunged != 1 {
		t.Errorf("expunged: %+v", r.Total)
	}
	if mine := h.contents("INBOX"); len(mine) != 27 {
		t.Errorf("there are %d messages", len(mine))
	}
	if r := h.verify(src, importer.Options{}); r.Verified.Left != 1 || r.Verified.Messages != 27 {
		t.Errorf("%+v", r.Verified)
	}
}
