package imap_test

import (
	"strings"
	"testing"
)

// The conversations of this file are what the clients named send after
// log-in, as far as it is particular to them.

func TestThunderbird(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", letter)
	c := o.dial()
	c.quiet("capability")
	c.do("authenticate PLAIN "+b64("\x00alice\x00secret"), "OK [CAPABILITY …] Logged in")
	c.do(`ID ("name" "Thunderbird" "version" "153.0")`, "* ID …", "OK ID completed")
	c.do("enable UTF8=ACCEPT", "* ENABLED UTF8=ACCEPT", "OK ENABLE completed")
	c.do("namespace", `* NAMESPACE (("" "/")) NIL NIL`, "OK NAMESPACE completed")
	// After UTF8=ACCEPT it sends "&" as it is.
	c.do(`create "R&D/"`, "OK [MAILBOXID (F…)] CREATE completed")
	c.do(`subscribe "R&D"`, "OK SUBSCRIBE completed")
	c.do(`create "R&D/Köln"`, "OK [MAILBOXID (F…)] CREATE completed")
	c.do(`list (subscribed) "" "R*" return (special-use)`, `* LIST (\HasChildren \Subscribed) "/" R&D`, "OK LIST completed")
	c.do(`lsub "" "R*"`, `* LSUB (\HasChildren) "/" R&D`, "OK LSUB completed")
	c.do(`list "" "R&D/%"`, `* LIST (\HasNoChildren) "/" "R&D/Köln"`, "OK LIST completed")
	c.do(`list "" "R&D/"`, `* LIST (\HasChildren) "/" R&D`, "OK LIST completed")
	if _, tagged := c.run(`select "INBOX" (CONDSTORE)`); tagged != "OK [READ-WRITE] SELECT completed" {
		t.Fatal(tagged)
	}
	c.do("getquotaroot \"INBOX\"", "* QUOTAROOT INBOX", "OK GETQUOTAROOT completed")
	c.do("UID fetch 1:* (FLAGS)", `* 1 FETCH (UID 1 FLAGS (\Recent))`, "OK UID FETCH completed")
	c.write("7 IDLE\r\n")
	c.expect("+ idling")
	c.write("DONE\r\n")
	c.expect("7 OK IDLE completed")
}

func TestOutlook(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", letter)
	c := o.dial()
	c.do(`ID ("name" "Microsoft Outlook" "version" "16.0" "vendor" "Microsoft" "os" "Windows")`, "* ID …", "OK ID completed")
	c.quiet(`LOGIN "alice@example.com" "secret"`)
	got, _ := c.run(`XLIST "" "*"`)
	for _, want := range []string{`\Inbox) "/" INBOX`, `\Sent) "/" Sent`, `\Trash) "/" Trash`, `\Drafts) "/" Drafts`, `\Spam) "/" Junk`} {
		if !strings.Contains(strings.Join(got, "\n"), want) {
			t.Errorf("XLIST does not tell %q: %q", want, got)
		}
	}
	c.quiet(`LSUB "" "*"`)
	c.quiet(`SELECT "INBOX"`)
	c.do("UID FETCH 1:* (UID FLAGS RFC822.SIZE RFC822.PEEK)",
		`* 1 FETCH (UID 1 …RFC822 `+literal(letter)+")", "OK UID FETCH completed")
	c.do("FETCH 1 (FLAGS)", `* 1 FETCH (FLAGS (\Recent))`, "OK FETCH completed")
}

func TestAppleMail(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", letter, letter)
	c := o.dial()
	c.quiet("CAPABILITY")
	c.do(`ID ("name" "iPhone Mail" "version" "23A" "os" "iOS")`, "* ID …", "OK ID completed")
	c.do("AUTHENTICATE PLAIN "+b64("\x00alice@example.com\x00secret"), "OK [CAPABILITY …] Logged in")
	c.quiet("ENABLE CONDSTORE")
	c.do(`LIST "" "" RETURN (SPECIAL-USE)`, "OK LIST completed")
	c.quiet(`LIST "" "*" RETURN (SPECIAL-USE STATUS (MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ))`)
	c.quiet("SELECT INBOX (CONDSTORE)")
	// The grammar wants 1 at least.
	c.do("FETCH 1:* (FLAGS UID) (CHANGEDSINCE 0)",
		`* 1 FETCH (UID 1 FLAGS (\Recent) MODSEQ (…))`,
		`* 2 FETCH (UID 2 FLAGS (\Recent) MODSEQ (…))`,
		"OK FETCH completed")
	// Asked without COUNT, it breaks on an answer with COUNT.
	c.do("UID SEARCH RETURN (MIN MAX) UNSEEN", `* ESEARCH (TAG "…") UID MIN 1 MAX 2`, "OK UID SEARCH completed")
}

func TestEMClient(t *testing.T) {
	c := newOffice(t).dial()
	c.write("a AUTHENTICATE LOGIN\r\n")
	c.expect("+ " + b64("Username:"))
	c.write("b LOGOUT\r\n")
	c.expect("a BAD …", "* BYE Good-bye", "b OK LOGOUT completed")
	c.closed()
}
