package web_test

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"pillarbox/appliance/integration/rig"
)

// TestFromAFreshBoxToAMail claims a box, goes the first steps and reads a mail
// with the password that they showed.
func TestFromAFreshBoxToAMail(t *testing.T) {
	o := newOffice(t)
	b := o.browse(t)
	b.do("open the box by its name", chromedp.Navigate(o.plain), sees("Welcome"))
	b.shoot("claim-plain")
	b.open("/")
	b.shoot("claim")
	b.do("claim it with a wrong code", fill("code", "AAAAA-AAAAA", "password", adminPassword, "again", adminPassword), wrong("Claim", "code"))
	if said := b.text("#code-problem"); !strings.Contains(said, "not the code") {
		t.Errorf("a wrong code is answered by %q", said)
	}
	b.shoot("claim-wrong")
	b.do("claim it", fill("code", strings.ToLower(o.code(t)), "password", adminPassword, "again", adminPassword), press("Claim", "What time"))
	b.shoot("first-1")
	b.do("time zone", fill("zone", "Europe/Vienna"), press("Continue", "Whose office"))
	b.do("a domain that is none", fill("name", "Lovelace & Sons", "domain", "@office"), wrong("Continue", "domain"))
	b.shoot("first-2-wrong")
	b.do("the office", fill("domain", "office.example"), press("Continue", "This network"))
	b.shoot("first-3")
	b.do("leave and come back", chromedp.Navigate(o.url+"/"), sees("Overview"), chromedp.Navigate(o.url+"/first"), sees("This network"))
	b.do("the network", press("Continue", "How do devices"))
	b.shoot("first-4")
	b.do("the certificate", press("Continue", "Who works"))
	b.shoot("first-5")
	b.do("people with mistakes", fill("people", "Name;Mail\nAda Lovelace;ada@office.example\nNobody at all;\nAda again;ada@office.example"), wrong("Continue", "people"))
	if said := b.text("table tbody"); !strings.Contains(said, "3") || !strings.Contains(said, "no address") || !strings.Contains(said, "twice") {
		t.Errorf("of lines that are wrong it says %q", said)
	}
	b.do("what was typed is kept", chromedp.WaitVisible(chromedp.Search(`//textarea[contains(., "Nobody at all")]`)))
	b.shoot("first-5-wrong")
	b.do("people", fill("people", "Name;Mail\nAda Lovelace;ada@office.example\nCharles Babbage;charles"), press("Continue", "Passwords of the new"))
	b.shoot("newcomers")
	password := b.text("table tbody tr td code")
	b.do("devices", press("I have noted", "Connect mail"))
	b.shoot("first-6")
	b.do("finish", press("Finish", "Overview"))

	o.Command([]byte("Subject: Hello\r\n\r\nWorld\r\n"), "deliver", "--from", "you@example.org", "--to", "ada@office.example").MustRun(t)
	if got := o.read(t, "ada@office.example", password); !strings.Contains(got, "World") {
		t.Errorf("the new person reads %q", got)
	}
	_, port, _ := strings.Cut(o.IMAPS(t, "tcp4"), ":")
	curl := rig.Command{Path: rig.Tool(t, "curl", "curl"), Args: []string{
		"--silent", "--show-error", "--cacert", o.CAFile(), "--ipv4", "--user", "ada@office.example:" + password, "imaps://localhost:" + port + "/INBOX;UID=1",
	}}
	if got := string(curl.MustRun(t).Stdout); !strings.Contains(got, "World") {
		t.Errorf("curl reads %q", got)
	}
	b.do("see it on the overview", chromedp.WaitVisible(chromedp.Search(`//li[contains(., "Messages in 24 hours")]//span[text()="1"]`)))
	b.shoot("first-done")
	b.do("open the figures", chromedp.Click(chromedp.CSS("section summary")), chromedp.WaitVisible(chromedp.CSS("section table")))
	o.Command([]byte("Subject: Again\r\n\r\nWorld\r\n"), "deliver", "--from", "you@example.org", "--to", "ada@office.example").MustRun(t)
	b.do("see another come", chromedp.WaitVisible(chromedp.Search(`//li[contains(., "Messages in 24 hours")]//span[text()="2"]`)))
	b.do("see that the figures are still open, and the keyboard is where it was", chromedp.WaitVisible(chromedp.CSS("section table")), chromedp.WaitReady(chromedp.CSS("section summary:focus")))

	// What the steps asked are settings: they have a history, and a page.
	b.do("see what the steps set", chromedp.Navigate(o.url+"/settings/1"), sees("Version 1"))
	if said := b.text("main table"); !strings.Contains(said, "The office's") && !strings.Contains(said, "What is known of the office") || !strings.Contains(said, "Europe/Vienna") {
		t.Errorf("the settings' history says %q", said)
	}
	b.do("call the office otherwise", chromedp.Navigate(o.url+"/office"), sees("Office and settings"), fill("office-name", "Babbage"), click("Save"),
		chromedp.WaitVisible(chromedp.Search(`//*[contains(@class, "note")][contains(., "Saved.")]`)))
	b.shoot("office")
	if got := string(o.Command(nil, "settings", "show").MustRun(t).Stdout); !strings.Contains(got, `"name": "Babbage"`) || !strings.Contains(got, `"domain": "office.example"`) {
		t.Errorf("the settings are %s", got)
	}
}
