package smtp_test

import (
	"testing"

	"pillarbox/appliance/directory"
	"pillarbox/appliance/smtp"
)

func TestWhoMayWriteToAGroup(t *testing.T) {
	o := newOffice(t, smtp.Limits{})
	for _, a := range []directory.Alias{
		{Address: "staff@office.example", Targets: []string{"anna@office.example", "ben@office.example"}, Writers: directory.OfficeOnly},
		{Address: "all@office.example", Targets: []string{"staff@office.example", "anna@office.example"}},
	} {
		if _, err := o.dir.SetAlias(t.Context(), a, true); err != nil {
			t.Fatal(err)
		}
	}
	c := o.talk(t)
	c.say("LHLO client.example", "250 ")
	for _, stranger := range []string{"eve@elsewhere.example", "eve@office.example", ""} {
		c.say("MAIL FROM:<"+stranger+">", "250 2.1.0")
		c.say("RCPT TO:<staff@office.example>", "550 5.7.2 ")
		c.say("RCPT TO:<Staff+x@office.example>", "550 5.7.2 ")
		c.say("RCPT TO:<anna@office.example>", "250 2.1.5")
		c.say("RSET", "250 ")
	}
	// Who is reached by two groups and by name gets one copy.
	c.say("MAIL FROM:<anna@office.example>", "250 2.1.0")
	for _, to := range []string{"all", "staff", "ben"} {
		c.say("RCPT TO:<"+to+"@office.example>", "250 2.1.5")
	}
	c.say("DATA", "354 ")
	c.send("Subject: a\r\n\r\nhello\r\n.\r\n")
	for _, to := range []string{"all", "staff", "ben"} {
		c.expect("250 2.0.0 <" + to + "@office.example>")
	}
	for _, to := range []string{"anna", "ben"} {
		if got := o.mail(t, to+"@office.example"); len(got) != 1 {
			t.Errorf("%s has %d messages, want 1", to, len(got))
		}
	}
	// The rule may change between the recipient and the message.
	c.say("MAIL FROM:<eve@elsewhere.example>", "250 2.1.0")
	c.say("RCPT TO:<all@office.example>", "250 2.1.5")
	closed := directory.Alias{Address: "all@office.example", Targets: []string{"anna@office.example"}, Writers: directory.OfficeOnly}
	if _, err := o.dir.SetAlias(t.Context(), closed, false); err != nil {
		t.Fatal(err)
	}
	c.say("DATA", "354 ")
	c.send("Subject: a\r\n\r\nhello\r\n.\r\n")
	c.expect("550 5.7.2 <all@office.example>")
	if got := o.mail(t, "anna@office.example"); len(got) != 1 {
		t.Errorf("%d messages, want 1", len(got))
	}
}
