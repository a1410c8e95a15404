package imap_test

import (
	"testing"

	imaplib "github.com/emersion/go-imap/v2"
)

const plainMail = "From: a@example.com\r\nSubject: hello\r\n\r\nbody\r\n"

func TestSelect(t *testing.T) {
	o := newOffice(t)
	c := o.login()
	c.do("SELECT INBOX",
		`* FLAGS (\Answered \Flagged \Deleted \Seen \Draft)`,
		"* 0 EXISTS",
		"* 0 RECENT",
		`* OK [PERMANENTFLAGS (\Answered \Flagged \Deleted \Seen \Draft \*)] …`,
		"* OK [UIDVALIDITY …] …",
		"* OK [UIDNEXT 1] …",
		"* OK [HIGHESTMODSEQ …] …",
		"* OK [MAILBOXID (F…)] …",
		"OK [READ-WRITE] SELECT completed")

	o.deliver("alice", "INBOX", plainMail, plainMail, plainMail)
	c.quiet("NOOP")
	c.quiet(`STORE 1 +FLAGS (\Seen $Work)`)
	other := o.login()
	other.do("select inbox",
		`* FLAGS (\Answered \Flagged \Deleted \Seen \Draft $Work)`,
		"* 3 EXISTS",
		"* 0 RECENT", // the first session was told
		"* OK [UNSEEN 2] …",
		`* OK [PERMANENTFLAGS (\Answered \Flagged \Deleted \Seen \Draft $Work \*)] …`,
		"* OK [UIDVALIDITY …] …",
		"* OK [UIDNEXT 4] …",
		"* OK [HIGHESTMODSEQ …] …",
		"* OK [MAILBOXID (F…)] …",
		"OK [READ-WRITE] SELECT completed")
}

func TestSelectUnseen(t *testing.T) {
	for _, tc := range []struct {
		name string
		n    int
		seen string
		want string
	}{
		{"all are seen", 3, "1:*", ""},
		{"the first", 3, "2:*", "* OK [UNSEEN 1] The first unseen message"},
		{"the last", 3, "1:2", "* OK [UNSEEN 3] The first unseen message"},
		{"the first and the last of many", 1100, "2:1099", "* OK [UNSEEN 1] The first unseen message"},
		{"the last of many", 1100, "1:1099", "* OK [UNSEEN 1100] The first unseen message"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := newOffice(t)
			mails := make([]string, tc.n)
			for i := range mails {
				mails[i] = plainMail
			}
			o.deliver("alice", "INBOX", mails...)
			c := o.login()
			c.quiet("SELECT INBOX")
			c.quiet("STORE " + tc.seen + ` +FLAGS.SILENT (\Seen)`)
			untagged, _ := c.run("SELECT INBOX")
			got := ""
			for _, line := range untagged {
				if fits("* OK [UNSEEN …", line) {
					got = line
				}
			}
			if got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestSelectRev2(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "Sent", plainMail)
	c := o.login()
	c.quiet("ENABLE IMAP4rev2")
	c.do("SELECT Sent",
		`* LIST (\HasNoChildren \Sent) "/" Sent`,
		`* FLAGS (\Answered \Flagged \Deleted \Seen \Draft)`,
		"* 1 EXISTS",
		`* OK [PERMANENTFLAGS (…)] …`,
		"* OK [UIDVALIDITY …] …",
		"* OK [UIDNEXT 2] …",
		"* OK [HIGHESTMODSEQ …] …",
		"* OK [MAILBOXID (F…)] …",
		"OK [READ-WRITE] SELECT completed")
	c.do(`SELECT "Gesendete Elemente"`,
		"* OK [CLOSED] …",
		`* LIST (\HasNoChildren \Sent) "/" Sent`,
		"* FLAGS (…)", "* 1 EXISTS", "* OK …", "* OK …", "* OK …", "* OK …", "* OK …",
		"OK [READ-WRITE] SELECT completed")
}

func TestSelectThatFails(t *testing.T) {
	c := newOffice(t).login()
	c.do("SELECT Nowhere", "NO [NONEXISTENT] …")
	c.quiet("SELECT INBOX")
	// RFC 9051, section 6.3.2: then no mailbox is selected.
	c.do("SELECT Nowhere", "* OK [CLOSED] …", "NO [NONEXISTENT] …")
	c.do("FETCH 1 FLAGS", "BAD No mailbox is selected")
	c.do("SELECT", "BAD …")
	c.do("SELECT INBOX (NONSENSE)", "BAD …")
}

func TestSelectCondStore(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", plainMail)
	c := o.login()
	c.quiet("SELECT INBOX (CONDSTORE)")
	// RFC 7162, section 3.1: from now on changes come with the mod-sequence.
	c.do(`STORE 1 +FLAGS (\Flagged)`, `* 1 FETCH (UID 1 FLAGS (\Flagged \Recent) MODSEQ (…))`, "OK STORE completed")
}

func TestExamine(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", plainMail, plainMail)
	w := o.login()
	w.quiet("SELECT INBOX")
	w.quiet(`STORE 1 +FLAGS (\Deleted)`)

	c := o.login()
	c.do("EXAMINE INBOX",
		"* FLAGS (…)", "* 2 EXISTS", "* 0 RECENT", "* OK [UNSEEN 1] …",
		"* OK [PERMANENTFLAGS ()] …",
		"* OK [UIDVALIDITY …] …", "* OK [UIDNEXT 3] …", "* OK [HIGHESTMODSEQ …] …",
		"* OK [MAILBOXID (F…)] …",
		"OK [READ-ONLY] EXAMINE completed")
	c.do("FETCH 2 BODY[TEXT]", "* 2 FETCH (BODY[TEXT] {6}\r\nbody\r\n)", "OK FETCH completed")
	c.do("FETCH 2 FLAGS", "* 2 FETCH (FLAGS ())", "OK FETCH completed")
	c.do(`STORE 2 +FLAGS (\Seen)`, "NO [READ-ONLY] …")
	c.do("EXPUNGE", "NO [READ-ONLY] …")
	c.do("UID EXPUNGE 1", "NO [READ-ONLY] …")
	c.do("MOVE 2 Trash", "NO [READ-ONLY] …")
	c.do("COPY 2 Trash", "OK [COPYUID …] COPY completed")
	c.do("CLOSE", "OK CLOSE completed")
	w.do("NOOP", "OK NOOP completed")
	w.do("SEARCH ALL", "* SEARCH 1 2", "OK SEARCH completed")
}

// TestExamineKeepsRecent: RFC 3501, section 6.3.2.
func TestExamineKeepsRecent(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", plainMail)
	c := o.login()
	for range 2 {
		c.do("EXAMINE INBOX", "…", "* 1 EXISTS", "* 1 RECENT", "…", "…", "…", "…", "…", "…", "OK …")
		c.quiet("UNSELECT")
	}
	c.do("SELECT INBOX", "…", "* 1 EXISTS", "* 1 RECENT", "…", "…", "…", "…", "…", "…", "OK …")
	c.quiet("UNSELECT")
	c.do("SELECT INBOX", "…", "* 1 EXISTS", "* 0 RECENT", "…", "…", "…", "…", "…", "…", "OK …")
}

func TestClose(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", plainMail, plainMail, plainMail)
	c := o.login()
	c.do("CLOSE", "BAD No mailbox is selected")
	c.quiet("SELECT INBOX")
	c.quiet(`STORE 1,3 +FLAGS.SILENT (\Deleted)`)
	c.do("CLOSE", "OK CLOSE completed") // and no EXPUNGE (RFC 9051, section 6.4.1)
	c.do("FETCH 1 FLAGS", "BAD No mailbox is selected")
	c.quiet("SELECT INBOX")
	c.do("UID SEARCH ALL", "* SEARCH 2", "OK UID SEARCH completed")
}

func TestUnselect(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", plainMail)
	c := o.login()
	c.do("UNSELECT", "BAD No mailbox is selected")
	c.quiet("SELECT INBOX")
	c.quiet(`STORE 1 +FLAGS.SILENT (\Deleted)`)
	c.do("UNSELECT", "OK UNSELECT completed")
	c.quiet("SELECT INBOX")
	c.do("SEARCH DELETED", "* SEARCH 1", "OK SEARCH completed")
}

func TestSelectByLibrary(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", plainMail, plainMail)
	c := o.library(nil)
	data, err := c.Select("INBOX", &imaplib.SelectOptions{CondStore: true}).Wait()
	if err != nil {
		t.Fatal(err)
	}
	if data.NumMessages != 2 || data.UIDNext != 3 || data.UIDValidity == 0 || data.HighestModSeq == 0 {
		t.Errorf("got %+v", data)
	}
	if err := c.UnselectAndExpunge().Wait(); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkSelect opens a mailbox of 100,000 messages of which one is unseen.
func BenchmarkSelect(b *testing.B) {
	o := newBenchOffice(b, 100_000)
	c := o.login()
	c.quiet("SELECT INBOX")
	c.quiet(`STORE 1:99999 +FLAGS.SILENT (\Seen)`)
	for b.Loop() {
		c.quiet("SELECT INBOX")
	}
}
