package web_test

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"software.sslmate.com/src/go-pkcs12"

	"pillarbox/appliance/integration/rig"
)

// table waits for a row of a table that says something.
func table(text string) act { return chromedp.WaitVisible(chromedp.Search(row(text))) }

// row is where such a row is.
func row(text string) string { return `//main//tr[contains(., "` + text + `")]` }

// notes waits for a message at the top of a page.
func notes(text string) act {
	return chromedp.WaitVisible(chromedp.Search(`//div[contains(@class, "note")][contains(., "` + text + `")]`))
}

// choose clicks a radio button or a box by its name and value.
func choose(name, value string) act {
	return chromedp.Click(chromedp.CSS(`main [name="` + name + `"][value="` + value + `"]`))
}

// TestPeopleAndGroups adds people by a list, makes a group of them, and sees who
// gets in, undoes what was done and ends what a lost telephone held.
func TestPeopleAndGroups(t *testing.T) {
	long(t)
	o, b := busyOffice(t)
	b.open("/people/many")
	b.do("a list with mistakes", fill("people", "Name;Mail\nGrace Hopper;grace@office.example\nAda;ada@office.example\nX;x@y"), wrong("Add them", "people"), table("x@y"), table("account with this address already"))
	b.shoot("people-many-wrong")
	b.do("a list without", fill("people", "Name;Mail\nGrace Hopper;grace@office.example\nMary Somerville;mary@office.example", "quota", "2"), press("Add them", "The new people"), chromedp.WaitVisible(chromedp.CSS("main code")))
	grace := b.text("table tbody tr td code")
	o.Command([]byte("Subject: Hello\r\n\r\nGrace\r\n"), "deliver", "--to", "grace@office.example").MustRun(t)
	if got := o.read(t, "grace@office.example", grace); !strings.Contains(got, "Grace") {
		t.Errorf("the new person reads %q", got)
	}
	b.do("go back", press("I have noted", "People"), table("mary@office.example"))

	b.open("/groups/new")
	b.do("a group with somebody outside", fill("address", "sales@office.example", "description", "Offers & orders", "members", "grace@office.example\nx@elsewhere.example"),
		choose("writers", "office"), wrong("Make the group", "members"))
	if said := b.text("#members-problem"); !strings.Contains(said, "does not send mail to other servers yet") {
		t.Errorf("somebody outside is answered by %q", said)
	}
	b.shoot("group-new-wrong")
	b.do("a group of people", fill("members", "grace@office.example\nmary@office.example\ninfo@office.example"), press("Make the group", "sales@office.example"), table("Grace Hopper"))
	b.shoot("group")
	lmtp, err := rig.DialLMTP("tcp", o.LMTP(t))
	if err != nil {
		t.Fatal(err)
	}
	defer lmtp.Close()
	answers, err := lmtp.Deliver("you@example.org", []string{"sales@office.example"}, []byte("Subject: x\r\n\r\nx\r\n"))
	if err != nil || answers[0] == nil || !strings.Contains(answers[0].Error(), "5.7.2") {
		t.Errorf("a stranger who writes to the group is answered %v: %v", answers, err)
	}
	b.do("take one out", chromedp.Click(chromedp.Search(row("mary@office.example")+`//button`)), notes("mary@office.example gets the group's mail no more"))
	b.do("undo", click("Undo"), table("Mary Somerville"))
	b.do("let anybody write", choose("writers", ""), click("Change"), notes("The group was changed"))
	b.do("delete it", click("Delete sales"), notes("mail for it is refused"))
	b.do("undo that", click("Undo"), sees("sales@office.example"), table("info@office.example"))

	b.open("/people/grace@office.example")
	b.do("another name", chromedp.SetValue(chromedp.CSS("#person-name"), "Rear Admiral Hopper"), chromedp.Click(chromedp.Search(`//form[contains(@action, "/name")]//button`)), sees("Rear Admiral"))
	b.do("undo", click("Undo"), sees("Grace Hopper"))
	b.do("a certificate for a device", chromedp.SendKeys(chromedp.CSS("#name"), "Telephone"), click("Or by a certificate"), press("Make a certificate", "Certificate for Telephone"),
		chromedp.WaitVisible(chromedp.CSS(`a[download="Telephone.p12"][href^="data:application/x-pkcs12;base64,"]`)))
	file, err := chromedp.Run(b.Context, chromedp.Evaluate[string](`document.querySelector("a[download$='.p12']").href.split(",")[1]`))
	if err != nil {
		t.Fatal(err)
	}
	packed, err := base64.StdEncoding.DecodeString(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, cert, _, err := pkcs12.DecodeChain(packed, b.text("#secret")); err != nil || !slices.Contains(cert.EmailAddresses, "grace@office.example") {
		t.Errorf("the file that is handed out: %v, %v", cert, err)
	}
	b.shoot("certificate")
	b.do("back", press("I have both", "Grace Hopper"), table("Telephone"))
	b.shoot("person-busy")
	b.do("suspend her", click("Suspend"), notes("Nobody can sign in"))
	b.do("undo", click("Undo"), notes("can sign in again"))
}

// TestOnesOwnPage does what a person does for themselves, and what an
// administrator does for one who has lost a telephone.
func TestOnesOwnPage(t *testing.T) {
	long(t)
	o, b := busyOffice(t)
	const other = "another sentence nobody knows"
	signOut := chromedp.Steps(chromedp.Click(chromedp.Search(`//header//button[contains(., "Sign out")]`)), sees("Sign in"))
	b.do("sign in as ada", signOut, fill("login", "ada@office.example", "password", "correct horse battery"), press("Sign in", "Ada Lovelace"))
	if said := b.text("main"); !strings.Contains(said, "mail.office.example, port") || !strings.Contains(said, "Telephone") {
		t.Errorf("her page says:\n%s", said)
	}
	b.do("a password for a laptop", fill("name", "Laptop"), press("Make a password", "Password for Laptop"))
	laptop := b.text("#secret")
	if got := o.read(t, "ada@office.example", laptop); !strings.Contains(got, "World") {
		t.Errorf("the laptop reads %q", got)
	}
	b.do("another password", press("I have noted", "Ada Lovelace"), fill("old", "correct horse battery", "password", other, "again", other), click("Change the password"), notes("Your password was changed"))
	o.read(t, "ada@office.example", other)
	o.read(t, "ada@office.example", laptop) // what is a device's own goes on
	b.shoot("me-person")
	b.do("how to connect, on a page", chromedp.Navigate(b.office.url+"/me/sheet"), chromedp.WaitReady(chromedp.CSS("svg[role=img]")))
	if said := b.text("body"); !strings.Contains(said, "Made on") || !strings.Contains(said, "ada@office.example") {
		t.Errorf("the sheet says:\n%s", said)
	}
	b.open("/factor")
	secret, err := chromedp.Run(b.Context, chromedp.Evaluate[string](`document.querySelector("[name=secret]").value`))
	if err != nil {
		t.Fatal(err)
	}
	b.do("a second factor", fill("code", code(t, secret)), press("Turn it on", "recovery codes"))
	b.do("sign in by half", chromedp.Navigate(b.office.url+"/me"), sees("Ada"), signOut, fill("login", "ada@office.example", "password", other), press("Sign in", "One more step"))

	if said := string(o.Command(nil, "account", "web", "ada@office.example").MustRun(t).Stdout); !strings.Contains(said, "recovery codes left") {
		t.Errorf("the command says %q", said)
	}
	// At night, by the command line, without a browser.
	o.Command(nil, "account", "reset-factor", "ada@office.example").MustRun(t)
	b.open("/signin")
	b.do("sign in by the password", fill("login", "ada@office.example", "password", other), press("Sign in", "Ada Lovelace"))
	o.Command(nil, "account", "role", "ada@office.example", "auditor").MustRun(t)
	b.do("be signed out by another role", chromedp.Navigate(b.office.url+"/me"), sees("Sign in"))
	b.do("read everything", fill("login", "ada@office.example", "password", other), click("Sign in"), sees("Ada"), chromedp.Navigate(b.office.url+"/groups"), table("info@office.example"))
	if n, err := chromedp.Run(b.Context, chromedp.Evaluate[int](`document.querySelectorAll("main form").length`)); err != nil || n != 0 {
		t.Errorf("an auditor sees %d forms: %v", n, err)
	}
}
