package imap_test

import (
	"fmt"
	"testing"

	imaplib "github.com/emersion/go-imap/v2"
)

func TestCopy(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", plainMail, nestedMail, plainMail)
	c := o.login()
	c.quiet("SELECT INBOX")
	c.quiet(`STORE 2 +FLAGS.SILENT (\Flagged $Work)`)
	validity := o.account("alice").Mailbox("Archive").UIDValidity
	c.do("COPY 1:2 Archive", fmt.Sprintf("OK [COPYUID %d 1:2 1:2] COPY completed", validity))
	c.do("UID COPY 3,1 Archive", fmt.Sprintf("OK [COPYUID %d 1,3 3:4] UID COPY completed", validity))
	c.do("UID COPY 99 Archive", "OK No message matched")
	c.do("COPY 4 Archive", "BAD …")
	c.do("COPY 1 Nowhere", "NO [TRYCREATE] …")
	c.do("UID COPY 99 Nowhere", "NO [TRYCREATE] …")
	c.do("COPY 1 INBOX", "* 4 EXISTS", "* 4 RECENT", "OK [COPYUID … 1 4] COPY completed")
	c.quiet("EXAMINE Archive")
	c.do("FETCH 2 (FLAGS BODY[])", `* 2 FETCH (FLAGS (\Flagged $Work \Recent) BODY[] `+literal(nestedMail)+")", "OK …")
}

func TestCopyOverQuota(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", plainMail)
	a := o.account("alice")
	if err := a.SetQuota(t.Context(), a.Quota().UsedBytes); err != nil {
		t.Fatal(err)
	}
	c := o.login()
	c.quiet("SELECT INBOX")
	c.do("COPY 1 Archive", "NO [OVERQUOTA] …")
	c.do("MOVE 1 Archive", "* OK [COPYUID …] …", "* 1 EXPUNGE", "OK MOVE completed") // it takes no more room
}

// TestCopyOfExpunged: RFC 2180, section 4.4.1: by number, all or nothing.
func TestCopyOfExpunged(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", plainMail, plainMail, plainMail)
	c, other := o.login(), o.login()
	c.quiet("SELECT INBOX")
	other.quiet("SELECT INBOX")
	other.quiet(`STORE 2 +FLAGS.SILENT (\Deleted)`)
	other.quiet("EXPUNGE")
	c.do("COPY 1:3 Archive", "* 2 EXPUNGE", "NO [EXPUNGEISSUED] …")
	c.do("STATUS Archive (MESSAGES)", "* STATUS Archive (MESSAGES 0)", "OK …")
	c.do("UID COPY 1:3 Archive", "OK [COPYUID … 1,3 1:2] UID COPY completed")
}

// TestMove: RFC 6851.
func TestMove(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", plainMail, plainMail, plainMail, plainMail)
	c, other := o.login(), o.login()
	c.quiet("SELECT INBOX")
	other.quiet("SELECT INBOX")
	validity := o.account("alice").Mailbox("Archive").UIDValidity
	c.do("MOVE 2:3 Archive",
		fmt.Sprintf("* OK [COPYUID %d 2:3 1:2] Moved", validity), "* 3 EXPUNGE", "* 2 EXPUNGE", "OK MOVE completed")
	c.do("UID MOVE 4 Archive", "* OK [COPYUID … 4 3] Moved", "* 2 EXPUNGE", "OK UID MOVE completed")
	c.do("UID MOVE 4 Archive", "OK No message matched")
	c.do("MOVE 1 Nowhere", "NO [TRYCREATE] …")
	c.do("MOVE 2 Archive", "BAD …")
	other.do("NOOP", "* 4 EXPUNGE", "* 3 EXPUNGE", "* 2 EXPUNGE", "OK NOOP completed")
	c.quiet("ENABLE CONDSTORE")
	untagged, tagged := c.run("MOVE 1 Archive")
	c.compare("MOVE", append(untagged, tagged), []string{"* OK [COPYUID … 1 4] Moved", "* 1 EXPUNGE",
		fmt.Sprintf("OK [HIGHESTMODSEQ %d] MOVE completed", o.account("alice").Mailbox("INBOX").HighestModSeq)})
}

func TestMoveWithinMailbox(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", plainMail, plainMail)
	c := o.login()
	c.quiet("SELECT INBOX")
	c.do("MOVE 1 INBOX", "* OK [COPYUID … 1 3] Moved", "* 1 EXPUNGE", "* 2 EXISTS", "* 2 RECENT", "OK MOVE completed")
	c.do("FETCH 1:* UID", "* 1 FETCH (UID 2)", "* 2 FETCH (UID 3)", "OK …")
}

func TestMoveByLibrary(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", plainMail, plainMail)
	c := o.library(nil)
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	data, err := c.Move(imaplib.UIDSetNum(1, 2), "Archive").Wait()
	if err != nil {
		t.Fatal(err)
	}
	if data.DestUIDs.String() != "1:2" || data.SourceUIDs.String() != "1:2" {
		t.Errorf("got %+v", data)
	}
}

func BenchmarkCopyAll(b *testing.B) {
	o := newBenchOffice(b, 10_000)
	c := o.login()
	c.quiet("SELECT INBOX")
	for i := 0; b.Loop(); i++ {
		c.quiet(fmt.Sprint("CREATE copies", i))
		c.drain(fmt.Sprint("UID COPY 1:* copies", i))
	}
}

// BenchmarkMoveThousand moves 1,000 messages there and back.
func BenchmarkMoveThousand(b *testing.B) {
	o := newBenchOffice(b, 1000)
	c := o.login()
	for b.Loop() {
		c.quiet("SELECT INBOX")
		c.drain("UID MOVE 1:* Archive")
		c.quiet("SELECT Archive")
		c.drain("UID MOVE 1:* INBOX")
	}
}
