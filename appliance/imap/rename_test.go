package imap_test

import "testing"

func TestRename(t *testing.T) {
	o := newOffice(t)
	o.dial().do("RENAME a b", "BAD Log in first")
	c := o.login()
	c.quiet("CREATE a/b/c")
	c.do("RENAME none new", "NO [NONEXISTENT] No such mailbox")
	c.do("RENAME a Sent", "NO [ALREADYEXISTS] The mailbox exists already")
	c.do("RENAME a inbox", "NO [ALREADYEXISTS] INBOX always exists")
	c.do("RENAME a a/b/x", "NO …")
	c.do(`RENAME a ""`, "NO [CANNOT] The mailbox name is not valid")
	c.do("RENAME a/ top/z/", "OK RENAME completed")
	c.do(`LIST "" (top* a*)`,
		`* LIST (\HasChildren) "/" top`,
		`* LIST (\HasChildren) "/" top/z`,
		`* LIST (\HasChildren) "/" top/z/b`,
		`* LIST (\HasNoChildren) "/" top/z/b/c`,
		"OK LIST completed")
	c.do("RENAME top", "BAD …")
}

// TestRenameInbox: RFC 9051, section 6.3.6: its messages move, it stays.
func TestRenameInbox(t *testing.T) {
	o := newOffice(t)
	c := o.login()
	o.deliver("alice", "INBOX", "Subject: one\r\n\r\n", "Subject: two\r\n\r\n")
	c.quiet("CREATE INBOX/below")
	c.do("RENAME INBOX old", "OK RENAME completed")
	c.do("STATUS old (MESSAGES)", "* STATUS old (MESSAGES 2)", "OK STATUS completed")
	c.do("STATUS INBOX (MESSAGES)", "* STATUS INBOX (MESSAGES 0)", "OK STATUS completed")
	c.quiet("STATUS INBOX/below (MESSAGES)")
}

func TestRenameTellsTheNewName(t *testing.T) {
	c := newOffice(t).login()
	c.quiet("CREATE old")
	c.quiet("ENABLE IMAP4rev2")
	c.do("RENAME old new/", `* LIST () "/" new ("OLDNAME" (old))`, "OK RENAME completed")
	c.do("RENAME INBOX kept", `* LIST () "/" kept ("OLDNAME" (INBOX))`, "OK RENAME completed")
}

func TestRenameSelected(t *testing.T) {
	o := newOffice(t)
	c := o.login()
	c.quiet("CREATE old")
	c.quiet("SELECT old")
	c.do("RENAME old new", "OK RENAME completed")
	o.deliver("alice", "new", "Subject: it follows\r\n\r\n")
	c.do("NOOP", "* 1 EXISTS", "* 1 RECENT", "OK NOOP completed")
}

func TestRenameByLibrary(t *testing.T) {
	o := newOffice(t)
	c := o.library(nil)
	if err := c.Rename("Archive", "Ablage", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	if o.account("alice").Mailbox("Ablage") == nil {
		t.Error("Ablage is missing")
	}
}
