package imap_test

import (
	"slices"
	"testing"

	imaplib "github.com/emersion/go-imap/v2"
	"github.com/google/go-cmp/cmp"
)

// tree makes an account with more than the folders it starts with.
func tree(t *testing.T) (*office, *client) {
	t.Helper()
	o := newOffice(t)
	c := o.login()
	for _, command := range []string{
		"CREATE a/b/c", "CREATE a-x", "CREATE INBOX/in",
		"SUBSCRIBE a/b/c", "SUBSCRIBE gone/deep", "UNSUBSCRIBE Junk",
	} {
		c.quiet(command)
	}
	return o, c
}

func TestList(t *testing.T) {
	o, c := tree(t)
	o.dial().do(`LIST "" *`, "BAD Log in first")
	tests := []struct {
		name    string
		command string
		want    []string
	}{
		{"all", `LIST "" *`, []string{
			`* LIST (\HasChildren) "/" INBOX`,
			`* LIST (\HasNoChildren \Archive) "/" Archive`,
			`* LIST (\HasNoChildren \Drafts) "/" Drafts`,
			`* LIST (\HasNoChildren) "/" INBOX/in`,
			`* LIST (\HasNoChildren \Junk) "/" Junk`,
			`* LIST (\HasNoChildren \Sent) "/" Sent`,
			`* LIST (\HasNoChildren \Trash) "/" Trash`,
			`* LIST (\HasChildren) "/" a`,
			`* LIST (\HasNoChildren) "/" a-x`,
			`* LIST (\HasChildren) "/" a/b`,
			`* LIST (\HasNoChildren) "/" a/b/c`,
		}},
		{"one level", `LIST "" a%`, []string{`* LIST (\HasChildren) "/" a`, `* LIST (\HasNoChildren) "/" a-x`}},
		{"a reference", `LIST a/ %`, []string{`* LIST (\HasChildren) "/" a/b`}},
		{"a name", `LIST "" a/b`, []string{`* LIST (\HasChildren) "/" a/b`}},
		{"a name with a delimiter", `LIST "" "a/b/"`, []string{`* LIST (\HasChildren) "/" a/b`}},
		{"INBOX in any case", `LIST "" inBox`, []string{`* LIST (\HasChildren) "/" INBOX`}},
		{"no such name", `LIST "" none`, nil},
		{"the delimiter", `LIST "" ""`, []string{`* LIST (\Noselect) "/" ""`}},
		{"the delimiter of a reference", `LIST a ""`, []string{`* LIST (\Noselect) "/" ""`}},
		{"several patterns, each mailbox once", `LIST "" (a/b a/% a-x)`, []string{
			`* LIST (\HasNoChildren) "/" a-x`, `* LIST (\HasChildren) "/" a/b`,
		}},
		{"an empty pattern among options is nothing special", `LIST () "" ("")`, nil},
		{"subscribed", `LIST (SUBSCRIBED) "" (a* g* J*)`, []string{
			`* LIST (\HasNoChildren \Subscribed) "/" a/b/c`,
			`* LIST (\NonExistent \HasNoChildren \Subscribed) "/" gone/deep`,
		}},
		{"subscribed, one level", `LIST (SUBSCRIBED) "" (a% g%)`, nil},
		{"subscribed, and what lies above", `LIST (SUBSCRIBED RECURSIVEMATCH) "" (a% g% Dr%)`, []string{
			`* LIST (\HasNoChildren \Subscribed \Drafts) "/" Drafts`,
			`* LIST (\HasChildren) "/" a ("CHILDINFO" ("SUBSCRIBED"))`,
			`* LIST (\NonExistent \HasNoChildren) "/" gone ("CHILDINFO" ("SUBSCRIBED"))`,
		}},
		{"remote mailboxes are none", `LIST (REMOTE) "" a-x`, []string{`* LIST (\HasNoChildren) "/" a-x`}},
		{"special uses", `LIST (SPECIAL-USE) "" (a* D* T*)`, []string{
			`* LIST (\HasNoChildren \Drafts) "/" Drafts`, `* LIST (\HasNoChildren \Trash) "/" Trash`,
		}},
		{"subscribed special uses", `LIST (SUBSCRIBED SPECIAL-USE) "" (a* J* S*)`, []string{
			`* LIST (\HasNoChildren \Subscribed \Sent) "/" Sent`,
		}},
		{"return options", `LIST "" (Sent Junk) RETURN (SUBSCRIBED CHILDREN SPECIAL-USE)`, []string{
			`* LIST (\HasNoChildren \Junk) "/" Junk`,
			`* LIST (\HasNoChildren \Subscribed \Sent) "/" Sent`,
		}},
		{"with status", `LIST "" a% RETURN (STATUS (MESSAGES UIDNEXT))`, []string{
			`* LIST (\HasChildren) "/" a`,
			`* STATUS a (MESSAGES 0 UIDNEXT 1)`,
			`* LIST (\HasNoChildren) "/" a-x`,
			`* STATUS a-x (MESSAGES 0 UIDNEXT 1)`,
		}},
		{"no status of what does not exist", `LIST (SUBSCRIBED) "" gone/% RETURN (STATUS (MESSAGES))`, []string{
			`* LIST (\NonExistent \HasNoChildren \Subscribed) "/" gone/deep`,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c.t = t
			c.do(tt.command, append(slices.Clone(tt.want), "OK LIST completed")...)
		})
	}
}

// TestListAboveSubscribed: RFC 5258, section 5, example 9. What lies above a
// subscribed name is listed for one that the pattern does not match, and has
// no STATUS (RFC 5819, section 3).
func TestListAboveSubscribed(t *testing.T) {
	c := newOffice(t).login()
	for _, name := range []string{"foo2/bar1", "foo2/bar2", "baz2/bar2", "baz2/bar22", "eps2/mamba"} {
		c.quiet("CREATE " + name)
		c.quiet("SUBSCRIBE " + name)
	}
	c.quiet("SUBSCRIBE eps2")
	c.do(`LIST (SUBSCRIBED RECURSIVEMATCH) "" *2 RETURN (STATUS (MESSAGES))`,
		`* LIST (\HasNoChildren \Subscribed) "/" baz2/bar2`,
		"* STATUS baz2/bar2 (MESSAGES 0)",
		`* LIST (\HasNoChildren \Subscribed) "/" baz2/bar22`,
		"* STATUS baz2/bar22 (MESSAGES 0)",
		`* LIST (\HasChildren \Subscribed) "/" eps2 ("CHILDINFO" ("SUBSCRIBED"))`,
		"* STATUS eps2 (MESSAGES 0)",
		`* LIST (\HasChildren) "/" foo2 ("CHILDINFO" ("SUBSCRIBED"))`,
		`* LIST (\HasNoChildren \Subscribed) "/" foo2/bar2`,
		"* STATUS foo2/bar2 (MESSAGES 0)",
		"OK LIST completed")
	c.do(`LIST (SUBSCRIBED RECURSIVEMATCH) "" (b% f*)`,
		`* LIST (\HasChildren) "/" baz2 ("CHILDINFO" ("SUBSCRIBED"))`,
		`* LIST (\HasNoChildren \Subscribed) "/" foo2/bar1`,
		`* LIST (\HasNoChildren \Subscribed) "/" foo2/bar2`,
		"OK LIST completed")
}

func TestListMistakes(t *testing.T) {
	c := newOffice(t).login()
	for name, command := range map[string]string{
		"RECURSIVEMATCH alone":  `LIST (RECURSIVEMATCH) "" *`,
		"RECURSIVEMATCH REMOTE": `LIST (REMOTE RECURSIVEMATCH) "" *`,
		"an unknown option":     `LIST (SHINY) "" *`,
		"no pattern":            `LIST ""`,
		"an open list":          `LIST "" (a b`,
	} {
		t.Run(name, func(t *testing.T) { c.t = t; c.do(command, "BAD …") })
	}
}

func TestListByLibrary(t *testing.T) {
	o := newOffice(t)
	o.deliver("alice", "Sent", "Subject: one\r\n\r\n")
	c := o.library(nil)
	got, err := c.List("", "S%", &imaplib.ListOptions{
		ReturnSubscribed: true,
		ReturnStatus:     &imaplib.StatusOptions{NumMessages: true},
	}).Collect()
	if err != nil {
		t.Fatal(err)
	}
	one := uint32(1)
	want := []*imaplib.ListData{{
		Attrs:   []imaplib.MailboxAttr{imaplib.MailboxAttrHasNoChildren, imaplib.MailboxAttrSubscribed, imaplib.MailboxAttrSent},
		Delim:   '/',
		Mailbox: "Sent",
		Status:  &imaplib.StatusData{Mailbox: "Sent", NumMessages: &one},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
