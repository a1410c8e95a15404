package imap_test

import (
	"strings"
	"testing"

	imaplib "github.com/emersion/go-imap/v2"
)

func TestCreate(t *testing.T) {
	o := newOffice(t)
	o.dial().do("CREATE x", "BAD Log in first")
	tests := []struct {
		name    string
		command string
		want    string
		exists  string // a mailbox that is there afterwards
	}{
		{"a name", "CREATE blurdy", "OK [MAILBOXID (F…)] CREATE completed", "blurdy"},
		{"a name that exists", "CREATE Sent", "NO [ALREADYEXISTS] The mailbox exists already", "Sent"},
		{"a folder by its delimiter", "CREATE foo/", "OK [MAILBOXID (F…)] CREATE completed", "foo"},
		{"what is above comes into being", "CREATE a/b/c", "OK [MAILBOXID (F…)] CREATE completed", "a/b"},
		{"INBOX in any case", "CREATE inbox", "NO [ALREADYEXISTS] INBOX always exists", "INBOX"},
		{"below INBOX in any case", "CREATE inbox/x", "OK [MAILBOXID (F…)] CREATE completed", "INBOX/x"},
		{"a localised name of a special folder", `CREATE "Gesendete Elemente"`, "NO [ALREADYEXISTS] The mailbox exists already", "Sent"},
		{"no name", `CREATE ""`, "NO [CANNOT] The mailbox name is not valid", ""},
		{"only a delimiter", "CREATE /", "NO [CANNOT] The mailbox name is not valid", ""},
		{"two delimiters in a row", "CREATE x//y", "NO [CANNOT] The mailbox name is not valid", ""},
		{"a control character", "CREATE {3}\r\na\x01b", "NO [CANNOT] The mailbox name is not valid", ""},
		{"a name that is too long", "CREATE " + strings.Repeat("x", 5000), "NO [CANNOT] The mailbox name is not valid", ""},
		{"a use that is taken", `CREATE Bin (USE (\Trash))`, "NO [USEATTR] Another mailbox has that special use", ""},
		{"a use that is not served", `CREATE Everything (USE (\All))`, "NO [USEATTR] That special use is not available here", ""},
		{"two uses", `CREATE Two (USE (\Junk \Trash))`, "NO [USEATTR] A mailbox can have one special use only", ""},
		{"no argument", "CREATE", "BAD …", ""},
	}
	c := o.login()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c.do(tt.command, tt.want)
			if tt.exists != "" {
				c.quiet("STATUS " + tt.exists + " (MESSAGES)")
			}
		})
	}
}

func TestCreateWithSpecialUse(t *testing.T) {
	c := newOffice(t).login()
	c.quiet("DELETE Junk")
	c.do(`CREATE Spam (USE (\Junk))`, "OK [MAILBOXID (F…)] CREATE completed")
	c.do(`LIST (SPECIAL-USE) "" S*`,
		`* LIST (\HasNoChildren \Sent) "/" Sent`,
		`* LIST (\HasNoChildren \Junk) "/" Spam`,
		"OK LIST completed")
}

// TestCreateTellsTheNameItGot: RFC 9051, section 6.3.4.
func TestCreateTellsTheNameItGot(t *testing.T) {
	c := newOffice(t).login()
	c.quiet("ENABLE IMAP4rev2")
	c.do("CREATE foo/", `* LIST () "/" foo ("OLDNAME" (foo/))`, "OK [MAILBOXID (F…)] CREATE completed")
	c.do("CREATE \"Ko\u0308ln\"", "* LIST () \"/\" \"K\u00f6ln\" (\"OLDNAME\" (\"Ko\u0308ln\"))", "OK [MAILBOXID (F…)] CREATE completed")
	c.do("CREATE plain", "OK [MAILBOXID (F…)] CREATE completed")
}

func TestCreateByLibrary(t *testing.T) {
	o := newOffice(t)
	c := o.library(nil)
	if err := c.Create("Über/Projekte", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	if err := c.Delete("Junk").Wait(); err != nil {
		t.Fatal(err)
	}
	options := &imaplib.CreateOptions{SpecialUse: []imaplib.MailboxAttr{imaplib.MailboxAttrJunk}}
	if err := c.Create("Müll", options).Wait(); err != nil {
		t.Fatal(err)
	}
	a := o.account("alice")
	if a.Mailbox("Über/Projekte") == nil {
		t.Error("Über/Projekte is missing")
	}
	if m := a.Mailbox("Müll"); m == nil || m.SpecialUse != imaplib.MailboxAttrJunk {
		t.Errorf("Müll is %+v", m)
	}
}
