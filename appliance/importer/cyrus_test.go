package importer_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/importer"
	"pillarbox/appliance/integration/rig"
	"pillarbox/storage"
)

// TestFromCyrus moves from a Cyrus whose mailboxes lie below INBOX with dots,
// as its administrator, by STARTTLS, with UIDs.
func TestFromCyrus(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: the race detector sees enough of it elsewhere")
	}
	t.Parallel()
	const user = "ada@old.example"
	s := rig.Cyrus(t, []string{user}, "altnamespace: no", "unixhierarchysep: no")
	c := s.Client(t, user)
	corpus := rig.Corpus(t, 100)
	n := rig.Put(t, c, "INBOX", corpus[:50]...)
	n += rig.Put(t, c, "INBOX.Sent", corpus[50:70]...)
	n += rig.Put(t, c, "INBOX.Archiv.2024", corpus[70:]...)
	// Gaps, as every mailbox has them after some years.
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	if err := c.Store(imap.SeqSetNum(3, 4, 50), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}, Silent: true}, nil).Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Expunge().Close(); err != nil {
		t.Fatal(err)
	}
	state, err := c.Status("INBOX", &imap.StatusOptions{UIDNext: true, UIDValidity: true}).Wait()
	if err != nil {
		t.Fatal(err)
	}
	h := newHere(t)
	src := old(t, s, user, func(c *importer.Server) {
		c.Port, c.Admin, c.Secret = 143, rig.OldAdmin, rig.OldAdminPass
	})
	o := importer.Options{KeepUIDs: true}
	r := h.move(src, o)
	if r.Total.Taken != int64(n-3) || !strings.Contains(r.Facts.Server, "Cyrus") {
		t.Errorf("%+v", r)
	}
	for from, to := range map[string]string{"INBOX": "INBOX", "INBOX.Sent": "Sent", "INBOX.Archiv.2024": "Archiv/2024"} {
		if d := cmp.Diff(theirs(t, c, from, true), h.contents(to)); d != "" {
			t.Errorf("%s: %s", from, d)
		}
	}
	mb := h.account.Mailbox("INBOX")
	if mb.UIDValidity != state.UIDValidity || mb.UIDNext != state.UIDNext {
		t.Errorf("%+v is not %+v", mb, state)
	}
	inbox := r.Mailboxes[slices.IndexFunc(r.Mailboxes, func(m importer.MailboxReport) bool { return m.From == "INBOX" })]
	if !inbox.KeptUIDs || !strings.Contains(inbox.ACL[user], "r") {
		t.Errorf("%+v", inbox)
	}
	h.verify(src, o)

	// New mail there goes on with the numbers, until somebody delivers here.
	rig.Put(t, c, "INBOX", corpus[0])
	h.move(src, o)
	if d := cmp.Diff(theirs(t, c, "INBOX", true), h.contents("INBOX")); d != "" {
		t.Error(d)
	}
	deliver(t, h, "INBOX", "Subject: local\r\n\r\nHere.\r\n")
	rig.Put(t, c, "INBOX", corpus[1])
	r = h.move(src, o)
	if mb := h.account.Mailbox("INBOX"); mb.UIDValidity == state.UIDValidity || !strings.Contains(strings.Join(r.Remarks, " "), "no longer keeps its UIDs") {
		t.Errorf("UIDVALIDITY is still %d; %q", mb.UIDValidity, r.Remarks)
	}
	if got := len(h.contents("INBOX")); got != 50 {
		t.Errorf("there are %d messages", got)
	}
	h.verify(src, o)
}

func deliver(t *testing.T, h *here, mailbox, text string) {
	t.Helper()
	b, err := h.Stage(t.Context(), strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := h.account.Append(t.Context(), h.account.Mailbox(mailbox).ID, []storage.AppendMessage{{Body: b}}); err != nil {
		t.Fatal(err)
	}
}

// TestWhoSignsIn tries the ways to sign in, and what is said of the wrong ones.
func TestWhoSignsIn(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: the race detector sees enough of it elsewhere")
	}
	t.Parallel()
	s := rig.Dovecot(t, []string{"ada", "bob"})
	rig.Put(t, s.Client(t, "bob"), "Bob's", rig.Corpus(t, 1)...)
	for _, tt := range []struct {
		name   string
		change func(c *importer.Server)
		want   error
	}{
		{"a password by STARTTLS", func(c *importer.Server) { c.Port = 143 }, nil},
		{"the administrator by an authorisation identity", func(c *importer.Server) { c.Admin, c.Secret = rig.OldAdmin, rig.OldAdminPass }, nil},
		{"the administrator by a master name", func(c *importer.Server) {
			c.Admin, c.Secret, c.AdminBy = rig.OldAdmin, rig.OldAdminPass, importer.ByMasterUser
		}, nil},
		{"a wrong password", func(c *importer.Server) { c.Secret = "wrong" }, importer.ErrSignIn},
		{"another administrator", func(c *importer.Server) { c.Admin, c.Secret = "ada", rig.OldPassword }, importer.ErrSignIn},
		{"no trust in the CA", func(c *importer.Server) { c.CA = "" }, importer.ErrTrust},
		{"another fingerprint", func(c *importer.Server) { c.Fingerprint = strings.Repeat("00:", 31) + "00" }, importer.ErrTrust},
		{"another name", func(c *importer.Server) { c.Name = "mail.elsewhere.example" }, importer.ErrTrust},
		{"no encryption where the server wants it", func(c *importer.Server) { c.Port, c.Security = 143, importer.Plain }, importer.ErrSignIn},
	} {
		t.Run(tt.name, func(t *testing.T) {
			src := old(t, s, "bob", tt.change)
			boxes, err := src.Mailboxes(t.Context())
			if tt.want != nil {
				if !errors.Is(err, tt.want) && !(tt.want == importer.ErrSignIn && errors.Is(err, importer.ErrRefused)) {
					t.Fatal(err)
				}
				if strings.Contains(err.Error(), rig.OldPassword) || strings.Contains(err.Error(), rig.OldAdminPass) {
					t.Error("the error holds the password:", err)
				}
				return
			}
			if err != nil || !slices.ContainsFunc(boxes, func(b importer.Mailbox) bool { return b.ID == "Bob's" && b.Messages == 1 }) {
				t.Fatal(err, boxes)
			}
		})
	}
	t.Run("a pinned certificate", func(t *testing.T) {
		_, err := old(t, s, "bob", func(c *importer.Server) { c.CA = "" }).Mailboxes(t.Context())
		var trust *importer.TrustError
		if !errors.As(err, &trust) {
			t.Fatal(err)
		}
		if _, err := old(t, s, "bob", func(c *importer.Server) { c.CA, c.Fingerprint = "", trust.Fingerprint }).Mailboxes(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
