package integration_test

import (
	"crypto/tls"
	"testing"

	"github.com/emersion/go-imap/v2"

	"pillarbox/appliance/integration/rig"
)

func TestBothPortsServeIPv4AndIPv6(t *testing.T) {
	box := openOffice(t)
	tests := []struct {
		name    string
		addr    func(testing.TB, string) string
		network string
	}{
		{"993 by IPv4", box.IMAPS, "tcp4"},
		{"993 by IPv6", box.IMAPS, "tcp6"},
		{"990 by IPv4", box.Legacy, "tcp4"},
		{"990 by IPv6", box.Legacy, "tcp6"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.network == "tcp6" && !rig.HasIPv6() {
				t.Skip("this machine has no IPv6")
			}
			c := connect(t, box, test.addr(t, test.network), nil)
			if err := c.Login(ada, adaPassword).Wait(); err != nil {
				t.Fatalf("log in: %v", err)
			}
			want := selectMailbox(t, c, "INBOX").NumMessages
			mustAppend(t, c, "INBOX", letter(test.name))
			if got := selectMailbox(t, c, "INBOX").NumMessages; got != want+1 {
				t.Errorf("INBOX has %d messages after an append to %d", got, want)
			}
			if err := c.Logout().Wait(); err != nil {
				t.Errorf("log out: %v", err)
			}
		})
	}
}

func TestLogInByAddressOrLocalPart(t *testing.T) {
	box := openOffice(t)
	tests := []struct {
		name, login, password string
		ok                    bool
	}{
		{"full address", ada, adaPassword, true},
		{"local part", "ada", adaPassword, true},
		{"address in capitals", "ADA@OFFICE.EXAMPLE", adaPassword, true},
		{"password with quotes and backslash", bob, bobPassword, true},
		{"another's password", ada, bobPassword, false},
		{"no password", ada, "", false},
		{"nobody", "nobody@office.example", adaPassword, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := connect(t, box, box.IMAPS(t, "tcp4"), nil)
			err := c.Login(test.login, test.password).Wait()
			if (err == nil) != test.ok {
				t.Errorf("log in: %v, want success: %v", err, test.ok)
			}
			if _, err := c.Select("INBOX", nil).Wait(); (err == nil) != test.ok {
				t.Errorf("select: %v, want success: %v", err, test.ok)
			}
		})
	}
	box.WaitLog(t, "nobody@office.example")
}

func TestTheAccountBeginsWithTheUsualMailboxes(t *testing.T) {
	c := asAda(t, openOffice(t), nil)
	list, err := c.List("", "*", &imap.ListOptions{ReturnSubscribed: true, ReturnSpecialUse: true}).Collect()
	if err != nil {
		t.Fatal(err)
	}
	uses := map[imap.MailboxAttr]string{}
	for _, box := range list {
		subscribed := false
		for _, attr := range box.Attrs {
			switch attr {
			case imap.MailboxAttrSubscribed:
				subscribed = true
			case imap.MailboxAttrDrafts, imap.MailboxAttrSent, imap.MailboxAttrJunk, imap.MailboxAttrTrash, imap.MailboxAttrArchive:
				uses[attr] = box.Mailbox
			}
		}
		if !subscribed {
			t.Errorf("%s is not subscribed", box.Mailbox)
		}
	}
	if len(uses) != 5 || len(list) != 6 {
		t.Errorf("got %d mailboxes, special uses %v; want INBOX and five with a special use", len(list), uses)
	}
}

func TestASessionIsResumed(t *testing.T) {
	box := openOffice(t)
	config := box.TLS(t)
	config.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	for i := range 2 {
		conn, err := tls.Dial("tcp", box.IMAPS(t, "tcp4"), config)
		if err != nil {
			t.Fatal(err)
		}
		// The ticket of TLS 1.3 comes with the first bytes.
		if _, err := conn.Read(make([]byte, 256)); err != nil {
			t.Fatal(err)
		}
		if got := conn.ConnectionState().DidResume; got != (i == 1) {
			t.Errorf("connection %d: resumed is %v", i+1, got)
		}
		conn.Close()
	}
}
