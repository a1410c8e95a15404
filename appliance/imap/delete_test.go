package imap_test

import "testing"

func TestDelete(t *testing.T) {
	o := newOffice(t)
	o.dial().do("DELETE x", "BAD Log in first")
	c := o.login()
	c.quiet("CREATE a/b")
	c.quiet("CREATE c")
	c.do("DELETE INBOX", "NO [CANNOT] INBOX cannot be deleted")
	c.do("DELETE inbox", "NO [CANNOT] INBOX cannot be deleted")
	c.do("DELETE none", "NO [NONEXISTENT] No such mailbox")
	c.do("DELETE a", "NO [HASCHILDREN] The mailbox has mailboxes below it; delete them first")
	c.do("DELETE a/b", "OK DELETE completed")
	c.do("DELETE a/", "OK DELETE completed")
	c.do("DELETE a", "NO [NONEXISTENT] No such mailbox")
	c.quiet("SELECT c")
	c.do("DELETE c", "* OK [CLOSED] The previous mailbox is closed", "OK DELETE completed")
	c.do("FETCH 1 UID", "BAD No mailbox is selected")
	c.quiet("CREATE d/e")
	c.quiet("SELECT d")
	c.do("DELETE d", "NO [HASCHILDREN] The mailbox has mailboxes below it; delete them first")
	c.do("CHECK", "OK CHECK completed")
	c.do("DELETE", "BAD …")
}

// TestLocalisedNamesDestroyNothing: "Sent Items" opens Sent, but a client that
// gives up such a name means one that it had elsewhere.
func TestLocalisedNamesDestroyNothing(t *testing.T) {
	o := newOffice(t)
	c := o.login()
	c.quiet(`STATUS "Sent Items" (MESSAGES)`)
	c.do(`DELETE "Sent Items"`, "NO [NONEXISTENT] No such mailbox")
	c.do(`RENAME "Sent Items" old`, "NO [NONEXISTENT] No such mailbox")
	c.do(`UNSUBSCRIBE "Sent Items"`, "OK UNSUBSCRIBE completed")
	c.do(`LIST (SUBSCRIBED) "" S*`, `* LIST (\HasNoChildren \Subscribed \Sent) "/" Sent`, "OK LIST completed")
	c.quiet("UNSUBSCRIBE Sent")
	c.do(`SUBSCRIBE "Sent Items"`, "OK SUBSCRIBE completed")
	c.do(`LSUB "" S*`, `* LSUB (\HasNoChildren \Sent) "/" Sent`, "OK LSUB completed")
	c.do("DELETE Sent", "OK DELETE completed")
}

// TestDeleteKeepsTheSubscription: RFC 9051, section 6.3.8 forbids the server to
// take it back.
func TestDeleteKeepsTheSubscription(t *testing.T) {
	c := newOffice(t).login()
	c.quiet("CREATE once")
	c.quiet("SUBSCRIBE once")
	c.quiet("DELETE once")
	c.do(`LIST (SUBSCRIBED) "" once`, `* LIST (\NonExistent \HasNoChildren \Subscribed) "/" once`, "OK LIST completed")
}

func TestDeleteInAnotherSession(t *testing.T) {
	o := newOffice(t)
	c, other := o.login(), o.login()
	c.quiet("CREATE shared")
	other.quiet("SELECT shared")
	c.do("DELETE shared", "OK DELETE completed")
	other.write("a NOOP\r\n")
	other.expect("* BYE [NONEXISTENT] The selected mailbox was deleted")
	other.closed()
}

func TestDeleteByLibrary(t *testing.T) {
	o := newOffice(t)
	c := o.library(nil)
	if err := c.Delete("Junk").Wait(); err != nil {
		t.Fatal(err)
	}
	if o.account("alice").Mailbox("Junk") != nil {
		t.Error("Junk is still there")
	}
}
