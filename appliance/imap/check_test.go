package imap_test

import "testing"

func TestCheck(t *testing.T) {
	c := newOffice(t).login()
	c.do("CHECK", "BAD No mailbox is selected")
	c.quiet("SELECT INBOX")
	c.do("CHECK", "OK CHECK completed")
}
