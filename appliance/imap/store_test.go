package imap_test

import (
	"fmt"
	"strings"
	"testing"

	imaplib "github.com/emersion/go-imap/v2"

	"pillarbox/storage"
)

func TestStore(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", plainMail, plainMail, plainMail)
	c := o.login()
	c.quiet("SELECT INBOX")
	c.do(`STORE 1:2 FLAGS (\Seen \Flagged)`,
		`* 1 FETCH (UID 1 FLAGS (\Seen \Flagged \Recent))`, `* 2 FETCH (UID 2 FLAGS (\Seen \Flagged \Recent))`, "OK STORE completed")
	c.do(`STORE 2 -FLAGS (\Seen)`, `* 2 FETCH (UID 2 FLAGS (\Flagged \Recent))`, "OK STORE completed")
	c.do(`UID STORE 3 +FLAGS \Draft`, `* 3 FETCH (UID 3 FLAGS (\Draft \Recent))`, "OK UID STORE completed")
	c.do(`STORE 1 FLAGS ()`, `* 1 FETCH (UID 1 FLAGS (\Recent))`, "OK STORE completed")
	c.do(`STORE 3 +FLAGS.SILENT (\Seen)`, "OK STORE completed")
	c.do(`STORE 1 +FLAGS ()`, `* 1 FETCH (UID 1 FLAGS (\Recent))`, "OK STORE completed")
	c.do("FETCH 1:* FLAGS", `* 1 FETCH (FLAGS (\Recent))`, `* 2 FETCH (FLAGS (\Flagged \Recent))`, `* 3 FETCH (FLAGS (\Seen \Draft \Recent))`, "OK …")
	c.do(`STORE 4 +FLAGS (\Seen)`, "BAD …")
	c.do(`UID STORE 4 +FLAGS (\Seen)`, "OK UID STORE completed")
	c.do(`STORE 1 +FLAGS (\Invented)`, "BAD …")
	c.do(`STORE 1 *FLAGS (\Seen)`, "BAD …")
}

// TestStoreRecent: RFC 3501, section 2.3.2: clients cannot alter \Recent.
func TestStoreRecent(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", plainMail)
	c := o.login()
	c.quiet("SELECT INBOX")
	c.do(`STORE 1 -FLAGS (\Recent)`, `* 1 FETCH (UID 1 FLAGS (\Recent))`, "OK STORE completed")
	c.do(`STORE 1 FLAGS (\Recent \Seen)`, `* 1 FETCH (UID 1 FLAGS (\Seen \Recent))`, "OK STORE completed")
	c.quiet("ENABLE IMAP4rev2")
	c.do("FETCH 1 FLAGS", `* 1 FETCH (FLAGS (\Seen))`, "OK FETCH completed")
}

func TestStoreKeywords(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", plainMail, plainMail)
	c, other := o.login(), o.login()
	c.quiet("SELECT INBOX")
	other.quiet("SELECT INBOX")
	flags := `* FLAGS (\Answered \Flagged \Deleted \Seen \Draft $Work)`
	permanent := `* OK [PERMANENTFLAGS (\Answered \Flagged \Deleted \Seen \Draft $Work \*)] …`
	c.do("STORE 1 +FLAGS ($Work)", flags, permanent, "* 1 FETCH (UID 1 FLAGS ($Work \\Recent))", "OK STORE completed")
	c.do("STORE 2 +FLAGS ($WORK)", "* 2 FETCH (UID 2 FLAGS ($Work \\Recent))", "OK STORE completed")
	other.do("NOOP", flags, permanent, "* 1 FETCH (UID 1 FLAGS ($Work))", "* 2 FETCH (UID 2 FLAGS ($Work))", "OK NOOP completed")

	// A mailbox holds so many and no more.
	var many []string
	for i := range storage.MaxKeywords {
		many = append(many, fmt.Sprintf("k%d", i))
	}
	c.do("STORE 1 +FLAGS ("+strings.Join(many, " ")+")", "NO [LIMIT] …")
	c.quiet("STORE 1 +FLAGS.SILENT (" + strings.Join(many[1:], " ") + ")")
	c.do("STORE 1 +FLAGS (onemore)", "NO [LIMIT] …")
	untagged, _ := c.run("SELECT INBOX")
	for _, line := range untagged {
		if strings.Contains(line, "PERMANENTFLAGS") && strings.Contains(line, `\*`) {
			t.Errorf("a full mailbox promises more keywords: %.80s…", line)
		}
	}
}

// TestStoreUnchangedSince follows the examples of RFC 7162, section 3.1.3.
func TestStoreUnchangedSince(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", plainMail, plainMail, plainMail)
	c, other := o.login(), o.login()
	c.quiet("SELECT INBOX")
	other.quiet("SELECT INBOX")
	mod := func() uint64 { return uint64(o.account("alice").Mailbox("INBOX").HighestModSeq) }
	before := mod()
	other.quiet(`STORE 2 +FLAGS.SILENT (\Flagged)`)
	c.do("NOOP", `* 2 FETCH (UID 2 FLAGS (\Flagged \Recent))`, "OK NOOP completed")

	untagged, tagged := c.run(fmt.Sprintf(`STORE 1:3 (UNCHANGEDSINCE %d) +FLAGS.SILENT (\Deleted)`, before))
	c.compare("conditional STORE", append(untagged, tagged), []string{
		fmt.Sprintf("* 1 FETCH (UID 1 MODSEQ (%d))", mod()), fmt.Sprintf("* 3 FETCH (UID 3 MODSEQ (%d))", mod()), "OK [MODIFIED 2] …",
	})
	c.do("SEARCH DELETED", "* SEARCH 1 3", "OK …")
	c.do(fmt.Sprintf(`UID STORE 2 (UNCHANGEDSINCE %d) +FLAGS (\Deleted)`, before), "OK [MODIFIED 2] …")
	untagged, tagged = c.run(fmt.Sprintf(`STORE 1:3 (UNCHANGEDSINCE %d) +FLAGS (\Seen)`, mod()))
	c.compare("conditional STORE", append(untagged, tagged), []string{
		fmt.Sprintf(`* 1 FETCH (UID 1 FLAGS (\Seen \Deleted \Recent) MODSEQ (%d))`, mod()),
		fmt.Sprintf(`* 2 FETCH (UID 2 FLAGS (\Seen \Flagged \Recent) MODSEQ (%d))`, mod()),
		fmt.Sprintf(`* 3 FETCH (UID 3 FLAGS (\Seen \Deleted \Recent) MODSEQ (%d))`, mod()),
		"OK STORE completed",
	})
	// Nothing is older than 0.
	c.do(`STORE 1 (UNCHANGEDSINCE 0) +FLAGS (\Answered)`, "OK [MODIFIED 1] …")
	// And the session is told of mod-sequences from now on.
	other.quiet(`STORE 1 +FLAGS.SILENT (\Answered)`)
	c.do("NOOP", `* 1 FETCH (UID 1 FLAGS (\Seen \Answered \Deleted \Recent) MODSEQ (…))`, "OK NOOP completed")
}

// TestStoreBesideOthers: a silent STORE is silent of its own effect, not of
// what another session did.
func TestStoreBesideOthers(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", plainMail, plainMail, plainMail)
	c, other := o.login(), o.login()
	c.quiet("SELECT INBOX")
	other.quiet("SELECT INBOX")
	other.quiet(`STORE 1:2 +FLAGS.SILENT (\Flagged)`)
	c.do(`STORE 1 +FLAGS.SILENT (\Seen)`,
		`* 1 FETCH (UID 1 FLAGS (\Flagged \Recent))`, `* 2 FETCH (UID 2 FLAGS (\Flagged \Recent))`, "OK STORE completed")

	// By number, what was expunged meanwhile keeps its number.
	other.quiet(`STORE 2 +FLAGS.SILENT (\Deleted)`)
	other.quiet("EXPUNGE")
	c.do(`STORE 2:3 +FLAGS (\Draft)`, `* 3 FETCH (UID 3 FLAGS (\Draft \Recent))`, "OK [EXPUNGEISSUED] …")
	c.do(`UID STORE 2:3 +FLAGS (\Seen)`, `* 3 FETCH (UID 3 FLAGS (\Seen \Draft \Recent))`, "* 2 EXPUNGE", "OK UID STORE completed")
	c.do(`STORE 2 -FLAGS (\Seen)`, `* 2 FETCH (UID 3 FLAGS (\Draft \Recent))`, "OK STORE completed")
}

func TestStoreByLibrary(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", plainMail, plainMail)
	c := o.library(nil)
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	msgs, err := c.Store(imaplib.UIDSetNum(1, 2), &imaplib.StoreFlags{Op: imaplib.StoreFlagsAdd, Flags: []imaplib.Flag{imaplib.FlagFlagged, "$Later"}}, nil).Collect()
	if err != nil {
		t.Fatal(err)
	}
	if len(msgs) != 2 || msgs[1].UID != 2 || len(msgs[1].Flags) != 3 {
		t.Errorf("got %+v", msgs)
	}
}

func BenchmarkStoreAll(b *testing.B) {
	o := newBenchOffice(b, 10_000)
	c := o.login()
	c.quiet("SELECT INBOX")
	sign := "+-"
	for i := 0; b.Loop(); i++ {
		c.drain("UID STORE 1:* " + sign[i%2:i%2+1] + `FLAGS.SILENT (\Seen)`)
	}
}

func BenchmarkStoreOne(b *testing.B) {
	o := newBenchOffice(b, 10_000)
	c := o.login()
	c.quiet("SELECT INBOX")
	sign := "+-"
	for i := 0; b.Loop(); i++ {
		c.drain(fmt.Sprintf("UID STORE %d %sFLAGS (\\Seen)", i/2%10_000+1, sign[i%2:i%2+1]))
	}
}
