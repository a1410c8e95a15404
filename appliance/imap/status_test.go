package imap_test

import (
	"testing"

	imaplib "github.com/emersion/go-imap/v2"
)

const statusItems = "MESSAGES RECENT UIDNEXT UNSEEN DELETED SIZE DELETED-STORAGE APPENDLIMIT"

func TestStatus(t *testing.T) {
	o := newOffice(t)
	o.dial().do("STATUS INBOX (MESSAGES)", "BAD Log in first")
	c := o.login()
	c.do("STATUS INBOX ("+statusItems+")",
		"* STATUS INBOX (MESSAGES 0 RECENT 0 UIDNEXT 1 UNSEEN 0 DELETED 0 SIZE 0 DELETED-STORAGE 0 APPENDLIMIT 52428800)",
		"OK STATUS completed")
	o.deliver("alice", "INBOX", "Subject: one\r\n\r\n", "Subject: two\r\n\r\n", "Subject: three\r\n\r\n")
	c.do("STATUS inbox ("+statusItems+")",
		"* STATUS INBOX (MESSAGES 3 RECENT 3 UIDNEXT 4 UNSEEN 3 DELETED 0 SIZE 50 DELETED-STORAGE 0 APPENDLIMIT 52428800)",
		"OK STATUS completed")
	c.do("STATUS INBOX (UIDVALIDITY HIGHESTMODSEQ)", "* STATUS INBOX (UIDVALIDITY … HIGHESTMODSEQ …)", "OK STATUS completed")
	c.do("STATUS none (MESSAGES)", "NO [NONEXISTENT] No such mailbox")
	c.do("STATUS INBOX ()", "BAD …")
	c.do("STATUS INBOX (PRICE)", "BAD …")
}

func TestStatusOfTheSelectedMailbox(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", "Subject: one\r\n\r\n", "Subject: two\r\n\r\n")
	c := o.login()
	c.quiet("SELECT INBOX")
	c.quiet(`STORE 1 +FLAGS.SILENT (\Seen \Deleted)`)
	c.do("STATUS INBOX (MESSAGES RECENT UNSEEN DELETED DELETED-STORAGE)",
		"* STATUS INBOX (MESSAGES 2 RECENT 0 UNSEEN 1 DELETED 1 DELETED-STORAGE 1)", "OK STATUS completed")
}

func TestStatusByLibrary(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "Sent", "Subject: one\r\n\r\n")
	data, err := o.library(nil).Status("Sent", &imaplib.StatusOptions{
		NumMessages: true, UIDNext: true, UIDValidity: true, NumUnseen: true, NumDeleted: true,
		Size: true, AppendLimit: true, DeletedStorage: true, HighestModSeq: true,
	}).Wait()
	if err != nil {
		t.Fatal(err)
	}
	if *data.NumMessages != 1 || data.UIDNext != 2 || *data.NumUnseen != 1 || *data.Size != 16 ||
		*data.AppendLimit != 50<<20 || data.HighestModSeq == 0 || data.UIDValidity == 0 {
		t.Errorf("got %+v", data)
	}
}
