package imap_test

import (
	"regexp"
	"strings"
	"testing"

	imaplib "github.com/emersion/go-imap/v2"

	"pillarbox/storage"
)

// ids returns the object identifiers that responses tell, in order.
func ids(lines []string, item string) []string {
	var out []string
	for _, line := range lines {
		for _, m := range regexp.MustCompile(item+` \(([A-Za-z0-9_-]+)\)`).FindAllStringSubmatch(line, -1) {
			out = append(out, m[1])
		}
	}
	return out
}

// one returns the only identifier that a command's responses tell.
func (c *client) one(command, item string) string {
	c.t.Helper()
	lines, tagged := c.run(command)
	if found := ids(append(lines, tagged), item); len(found) == 1 {
		return found[0]
	}
	c.t.Fatalf("%s: no %s in %q, %q", command, item, lines, tagged)
	return ""
}

// TestMailboxID is the example of RFC 8474, section 4, with the invariants of
// that section.
func TestMailboxID(t *testing.T) {
	o := newOffice(t)
	c := o.login()
	foo, bar := c.one("CREATE foo", "MAILBOXID"), c.one("CREATE bar", "MAILBOXID")
	c.do("CREATE foo", "NO [ALREADYEXISTS] …")
	for _, command := range []string{"SELECT foo", "EXAMINE foo", "STATUS foo (MAILBOXID)", "STATUS foo (MESSAGES MAILBOXID UIDNEXT)"} {
		if got := c.one(command, "MAILBOXID"); got != foo {
			t.Errorf("%s: %s, want %s", command, got, foo)
		}
	}
	c.do("STATUS bar (mailboxid)", "* STATUS bar (MAILBOXID ("+bar+"))", "OK STATUS completed")
	c.do(`LIST "" (foo bar) RETURN (STATUS (MAILBOXID))`,
		"* LIST …", "* STATUS bar (MAILBOXID ("+bar+"))", "* LIST …", "* STATUS foo (MAILBOXID ("+foo+"))", "OK LIST completed")
	c.quiet("UNSELECT")
	c.quiet("RENAME foo renamed")
	if got := c.one("STATUS renamed (MAILBOXID)", "MAILBOXID"); got != foo {
		t.Errorf("after RENAME %s, want %s", got, foo)
	}
	c.quiet("DELETE renamed")
	if got := c.one("CREATE renamed", "MAILBOXID"); got == foo || got == bar {
		t.Errorf("%s was given again", got)
	}
	// RENAME of INBOX makes a new mailbox.
	inbox := c.one("STATUS INBOX (MAILBOXID)", "MAILBOXID")
	c.quiet("RENAME INBOX old")
	if got := c.one("STATUS old (MAILBOXID)", "MAILBOXID"); got == inbox {
		t.Errorf("INBOX and what it was renamed to have the same MAILBOXID %s", got)
	}
	if got := c.one("STATUS INBOX (MAILBOXID)", "MAILBOXID"); got != inbox {
		t.Errorf("INBOX changed its MAILBOXID from %s to %s", inbox, got)
	}
	for _, id := range []string{foo, bar, inbox} {
		if !regexp.MustCompile(`^F[0-9a-f-]{1,254}$`).MatchString(id) {
			t.Errorf("%q is no identifier of a mailbox", id)
		}
	}
}

// TestObjectIDsOfAnAccountMadeAnew: a client that cached the old account's
// mail must not take a new message for one of it.
func TestObjectIDsOfAnAccountMadeAnew(t *testing.T) {
	o := newOffice(t)
	seen := map[string]bool{}
	for range 2 {
		o.deliver("bob", "INBOX", plainMail)
		c := o.loginAs("bob")
		c.quiet("SELECT INBOX")
		for _, id := range []string{c.one("STATUS INBOX (MAILBOXID)", "MAILBOXID"), c.one("FETCH 1 EMAILID", "EMAILID")} {
			if seen[id] {
				t.Errorf("%s was given again", id)
			}
			seen[id] = true
		}
		c.quiet("LOGOUT")
		c.closed()
		if err := o.store.DeleteAccount(t.Context(), "bob"); err != nil {
			t.Fatal(err)
		}
		if err := o.store.CreateAccount(t.Context(), "bob", []storage.NewMailbox{{Name: "Sent", SpecialUse: imaplib.MailboxAttrSent}}); err != nil {
			t.Fatal(err)
		}
	}
}

const (
	mailA = "Subject: Message A\r\nMessage-ID: <fake.1521475657.54797@example.com>\r\n\r\na\r\n"
	mailB = "Subject: Re: Message A\r\nMessage-ID: <fake.1521475657.21213@example.org>\r\nReferences: <fake.1521475657.54797@example.com>\r\n\r\nb\r\n"
	mailC = "Subject: Message C\r\nMessage-ID: <fake.1521475657.60280@example.com>\r\n\r\nc\r\n"
)

// TestEmailIDAndThreadID is the example of RFC 8474, sections 5 and 6.
func TestEmailIDAndThreadID(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "INBOX", mailA, mailB, mailC)
	c := o.login()
	c.quiet("CREATE foo")
	c.quiet("SELECT INBOX")
	lines, _ := c.run("FETCH 1:* (emailid threadid)")
	mail, thread := ids(lines, "EMAILID"), ids(lines, "THREADID")
	if len(mail) != 3 || mail[0] == mail[1] || mail[1] == mail[2] || mail[0] == mail[2] {
		t.Fatalf("EMAILID %q", mail)
	}
	if len(thread) != 3 || thread[0] != thread[1] || thread[1] == thread[2] {
		t.Fatalf("THREADID %q", thread)
	}
	c.do("FETCH 1 (EMAILID)", "* 1 FETCH (EMAILID ("+mail[0]+"))", "OK FETCH completed")
	c.do("FETCH 1 (UID THREADID BODY.PEEK[TEXT])", "* 1 FETCH (UID 1 THREADID ("+thread[0]+") BODY[TEXT] {3}\r\na\r\n)", "OK FETCH completed")
	c.do("SEARCH EMAILID "+mail[0], "* SEARCH 1", "OK SEARCH completed")
	c.do("SEARCH THREADID "+thread[0], "* SEARCH 1 2", "OK SEARCH completed")
	c.do("UID SEARCH OR EMAILID "+mail[1]+" NOT THREADID "+thread[0], "* SEARCH 2 3", "OK UID SEARCH completed")
	for _, none := range []string{
		"EMAILID " + thread[0], "THREADID " + mail[0], "EMAILID x", "EMAILID " + strings.ToUpper(mail[0]) + "0", "THREADID NIL",
		"EMAILID M1-1", "EMAILID " + strings.Replace(mail[0], "-", "-0", 1), "EMAILID M-",
	} {
		c.do("SEARCH "+none, "* SEARCH", "OK SEARCH completed")
	}
	c.do("SEARCH EMAILID M.1", "BAD [CLIENTBUG] …")

	// What a message is does not change with where it is.
	c.quiet("COPY 1 foo")
	c.quiet("UID MOVE 2 foo")
	c.quiet("UID MOVE 3 INBOX")
	c.quiet("SELECT foo")
	lines, _ = c.run("FETCH 1:* (EMAILID THREADID)")
	c.compare("copies", append(ids(lines, "EMAILID"), ids(lines, "THREADID")...), []string{mail[0], mail[1], thread[0], thread[0]})
}

func TestThreadID(t *testing.T) {
	mail := func(fields string) string { return fields + "Subject: x\r\n\r\nbody\r\n" }
	o := newOffice(t)
	c := o.login()
	c.quiet("SELECT INBOX")
	for _, tc := range []struct {
		name    string
		a, b    string
		related bool
	}{
		{"the first reference counts", "References: <1@x> <2@x>\r\nMessage-ID: <3@x>\r\n", "References: <1@x>\r\n <7@x>\r\n", true},
		{"a folded reference", "Message-ID: <1@x>\r\n", "References:\r\n\t<1@x>\r\n <2@x>\r\n", true},
		{"References before In-Reply-To, wherever they stand", "Message-ID: <1@x>\r\n", "In-Reply-To: <5@x>\r\nReferences: <1@x> <5@x>\r\n", true},
		{"In-Reply-To alone", "Message-ID: <1@x>\r\n", "In-Reply-To: your message of Monday <1@x>\r\nMessage-ID: <2@x>\r\n", true},
		{"empty References", "Message-ID: <1@x>\r\n", "References: \r\nIn-Reply-To: <1@x>\r\n", true},
		{"other threads", "Message-ID: <1@x>\r\n", "Message-ID: <2@x>\r\n", false},
		{"no Message-ID at all", "", "", false},
		{"a Message-ID without brackets", "Message-ID: 1@x\r\n", "Message-ID: 1@x\r\n", false},
		{"an empty Message-ID", "Message-ID: <>\r\n", "Message-ID: <>\r\n", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := o.login()
			c.quiet("SELECT INBOX")
			c.quiet(`UID STORE 1:* +FLAGS.SILENT (\Deleted)`)
			c.quiet("EXPUNGE")
			o.deliver("alice", "INBOX", mail(tc.a), mail(tc.b))
			c.quiet("NOOP")
			lines, _ := c.run("FETCH 1:* THREADID")
			got := ids(lines, "THREADID")
			if len(got) != 2 || (got[0] == got[1]) != tc.related {
				t.Errorf("THREADID %q, related %v", got, tc.related)
			}
			for _, id := range got {
				if !regexp.MustCompile(`^T[0-9a-f-]{1,254}$`).MatchString(id) {
					t.Errorf("%q is no identifier of a thread", id)
				}
			}
		})
	}
}
