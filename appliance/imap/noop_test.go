package imap_test

import "testing"

func TestNoop(t *testing.T) {
	o := newOffice(t)
	c := o.dial()
	c.do("NOOP", "OK NOOP completed")
	c.quiet("LOGIN alice secret")
	c.do("NOOP", "OK NOOP completed")
	c.quiet("SELECT INBOX")
	o.deliver("alice", "INBOX", "Subject: new\r\n\r\n")
	c.do("NOOP", "* 1 EXISTS", "* 1 RECENT", "OK NOOP completed")
	c.do("NOOP now", "BAD …")
}
