package imap_test

import "testing"

func TestLogout(t *testing.T) {
	o := newOffice(t)
	for name, c := range map[string]*client{"before log-in": o.dial(), "after log-in": o.login()} {
		t.Run(name, func(t *testing.T) {
			c.do("LOGOUT", "* BYE Good-bye", "OK LOGOUT completed")
			c.closed()
		})
	}
}

// TestLogoutInPipeline: what a client sends after LOGOUT is not carried out.
func TestLogoutInPipeline(t *testing.T) {
	o := newOffice(t)
	c := o.login()
	c.write("a LOGOUT\r\nb CREATE later\r\n")
	c.expect("* BYE Good-bye", "a OK LOGOUT completed")
	c.closed()
	if o.account("alice").Mailbox("later") != nil {
		t.Error("a command after LOGOUT was carried out")
	}
}
