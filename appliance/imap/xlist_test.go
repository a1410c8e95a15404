package imap_test

import "testing"

func TestXList(t *testing.T) {
	o := newOffice(t)
	o.dial().do(`XLIST "" *`, "BAD Log in first")
	o.login().do(`XLIST "" *`,
		`* XLIST (\HasNoChildren \Inbox) "/" INBOX`,
		`* XLIST (\HasNoChildren \Archive) "/" Archive`,
		`* XLIST (\HasNoChildren \Drafts) "/" Drafts`,
		`* XLIST (\HasNoChildren \Spam) "/" Junk`,
		`* XLIST (\HasNoChildren \Sent) "/" Sent`,
		`* XLIST (\HasNoChildren \Trash) "/" Trash`,
		"OK XLIST completed")
}
