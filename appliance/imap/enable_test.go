package imap_test

import (
	"testing"

	imaplib "github.com/emersion/go-imap/v2"
)

func TestEnable(t *testing.T) {
	o := newOffice(t)
	o.dial().do("ENABLE CONDSTORE", "BAD Log in first")
	c := o.login()
	c.do("ENABLE CONDSTORE X-NEW QRESYNC", "* ENABLED CONDSTORE QRESYNC", "OK ENABLE completed")
	c.do("ENABLE condstore", "* ENABLED", "OK ENABLE completed")
	c.do("ENABLE utf8=accept imap4rev2", "* ENABLED UTF8=ACCEPT IMAP4rev2", "OK ENABLE completed")
	c.do("ENABLE", "BAD …")
}

// TestEnableUTF8 is about names: raw "&" and UTF-8 (Thunderbird sends both),
// and modified UTF-7 without it.
func TestEnableUTF8(t *testing.T) {
	o := newOffice(t)
	c := o.login()
	c.do(`CREATE "R&-D &ANw-ber"`, "OK [MAILBOXID (F…)] CREATE completed")
	c.do(`LIST "" R*`, `* LIST (\HasNoChildren) "/" "R&-D &ANw-ber"`, "OK LIST completed")
	c.quiet("ENABLE UTF8=ACCEPT")
	c.do(`LIST "" R*`, `* LIST (\HasNoChildren) "/" "R&D Über"`, "OK LIST completed")
	c.do(`CREATE "R&D Über/Käse"`, "OK [MAILBOXID (F…)] CREATE completed")
	c.do(`STATUS "R&D Über/Käse" (MESSAGES)`, `* STATUS "R&D Über/Käse" (MESSAGES 0)`, "OK STATUS completed")
	o.login().do(`STATUS "R&-D &ANw-ber/K&AOQ-se" (MESSAGES)`, `* STATUS "R&-D &ANw-ber/K&AOQ-se" (MESSAGES 0)`, "OK STATUS completed")
}

func TestEnableByLibrary(t *testing.T) {
	c := newOffice(t).library(nil)
	data, err := c.Enable(imaplib.CapUTF8Accept, imaplib.CapIMAP4rev2).Wait()
	if err != nil {
		t.Fatal(err)
	}
	if len(data.Caps) != 2 {
		t.Errorf("enabled: %v", data.Caps)
	}
}
