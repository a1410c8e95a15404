package imap_test

import (
	"fmt"
	"testing"
)

func TestExpunge(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", plainMail, plainMail, plainMail, plainMail, plainMail)
	c := o.login()
	c.quiet("SELECT INBOX")
	c.do("EXPUNGE", "OK EXPUNGE completed")
	c.quiet(`STORE 1,3:4 +FLAGS.SILENT (\Deleted)`)
	c.do("EXPUNGE", "* 4 EXPUNGE", "* 3 EXPUNGE", "* 1 EXPUNGE", "OK EXPUNGE completed")
	c.do("FETCH 1:* UID", "* 1 FETCH (UID 2)", "* 2 FETCH (UID 5)", "OK FETCH completed")
}

// TestExpungeUID: RFC 4315, section 2.1.
func TestExpungeUID(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", plainMail, plainMail, plainMail, plainMail)
	c := o.login()
	c.quiet("SELECT INBOX")
	c.quiet(`STORE 1:3 +FLAGS.SILENT (\Deleted)`)
	c.do("UID EXPUNGE 4", "OK UID EXPUNGE completed")
	c.do("UID EXPUNGE 99", "OK UID EXPUNGE completed") // and not all of them
	c.do("UID EXPUNGE 2:99", "* 3 EXPUNGE", "* 2 EXPUNGE", "OK UID EXPUNGE completed")
	c.do("SEARCH RETURN (SAVE) UID 4", "OK SEARCH completed")
	c.do("UID EXPUNGE $", "OK UID EXPUNGE completed")
	c.do("SEARCH RETURN (SAVE) DELETED", "OK SEARCH completed")
	c.do("UID EXPUNGE $", "* 1 EXPUNGE", "OK UID EXPUNGE completed")
	c.do("UID SEARCH ALL", "* SEARCH 4", "OK UID SEARCH completed")
	c.do("UID EXPUNGE", "BAD …")
}

// TestExpungeUIDNotToldOf: a client with two sessions knows the UID of what it
// appended in the other.
func TestExpungeUIDNotToldOf(t *testing.T) {
	o := newOffice(t)
	c, other := o.login(), o.login()
	c.quiet("SELECT INBOX")
	other.quiet("APPEND INBOX (\\Deleted) {5+}\r\nhello")
	c.do("UID EXPUNGE 1", "* 1 EXISTS", "* 1 RECENT", "* 1 EXPUNGE", "OK UID EXPUNGE completed")
}

// TestExpungeCondStore: RFC 7162, section 3.2.7.
func TestExpungeCondStore(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", plainMail, plainMail)
	c := o.login()
	c.quiet("SELECT INBOX (CONDSTORE)")
	c.quiet(`STORE 1 +FLAGS.SILENT (\Deleted)`)
	high := o.account("alice").Mailbox("INBOX").HighestModSeq
	c.do("EXPUNGE", "* 1 EXPUNGE", fmt.Sprintf("OK [HIGHESTMODSEQ %d] EXPUNGE completed", high+1))
	c.do("EXPUNGE", "OK EXPUNGE completed")
}

func TestExpungeByLibrary(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", plainMail, plainMail, plainMail)
	raw := o.login()
	raw.quiet("SELECT INBOX")
	raw.quiet(`STORE 1,3 +FLAGS.SILENT (\Deleted)`)
	c := o.library(nil)
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	seqs, err := c.Expunge().Collect()
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(seqs) != "[3 1]" {
		t.Errorf("expunged %v", seqs)
	}
}

func BenchmarkExpungeThousand(b *testing.B) {
	o := newBenchOffice(b, 1000)
	c := o.login()
	c.quiet("SELECT INBOX")
	for b.Loop() {
		c.drain("UID COPY 1:1000 Archive")
		c.quiet("SELECT Archive")
		c.quiet(`STORE 1:* +FLAGS.SILENT (\Deleted)`)
		c.drain("EXPUNGE")
		c.quiet("SELECT INBOX")
	}
}
