package web_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// TestWithoutJavaScript goes the usual ways in a browser that runs no script:
// signing in, a person, a change that is kept, a ban, the doctor, every page of
// the menu.
func TestWithoutJavaScript(t *testing.T) {
	long(t)
	o := busyBox(t)
	b := o.browse(t)
	b.do("switch scripts off", chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	}))
	focused := chromedp.WaitVisible(chromedp.CSS("#wrong:focus"))
	b.open("/people/new")
	b.do("be refused", fill2("login", "admin", "password", "a wrong guess"), click("Sign in"), focused)
	b.do("sign in", fill2("login", "admin", "password", adminPassword), press("Sign in", "Add a person"))

	b.do("add a person with a wrong limit", fill2("name", "Grace Hopper", "address", "grace@office.example", "quota", "much"), wrong("Add the person", "quota"), focused)
	b.do("add the person", fill2("quota", "5"), press("Add the person", "Password for grace@office.example"))
	password := b.text("#secret")
	o.read(t, "grace@office.example", password)
	b.do("go back", press("I have noted", "Grace Hopper"))
	b.do("suspend", press("Suspend", "Grace Hopper"))
	if said := b.text(".note"); !strings.Contains(said, "Nobody can sign in to grace@office.example") {
		t.Errorf("the page says %q", said)
	}

	b.open("/certificates")
	b.do("try TLS 1.3 alone", chromedp.Focus(chromedp.CSS("[name=policy]")), chromedp.KeyEvent("T"), chromedp.KeyEvent("T"), click("Try it"), chromedp.WaitVisible(chromedp.CSS(".change")))
	b.do("see what changes", chromedp.Click(chromedp.CSS(".change a")), chromedp.WaitVisible(chromedp.Search(`//h2[contains(., "On its way")]`)))
	b.do("keep it", click("Keep it"), chromedp.WaitNotPresent(chromedp.CSS(".change")), chromedp.WaitVisible(chromedp.CSS(said)))

	b.open("/bans")
	b.do("ban", chromedp.SendKeys(chromedp.CSS("#network"), "198.51.100.7"), chromedp.SendKeys(chromedp.CSS("#reason"), "it guesses"), chromedp.Click(chromedp.CSS("form[action='/bans/add'] button")),
		chromedp.WaitVisible(chromedp.Search(`//main//th[contains(., "198.51.100.7")]`)))
	b.do("lift", chromedp.Click(chromedp.Search(`//button[contains(., "the ban of 198.51.100.7")]`)), chromedp.WaitNotPresent(chromedp.Search(`//main//th[contains(., "198.51.100.7")]`)))

	b.open("/doctor")
	b.do("examine the box", click("Examine this box"), chromedp.WaitVisible(chromedp.CSS(".crumb, main .note[role=status]")))

	menu, err := chromedp.Run(b.Context, chromedp.AttributesAll(chromedp.CSSAll("nav li a")))
	if err != nil || len(menu) < 15 {
		t.Fatalf("the menu is %v: %v", menu, err)
	}
	for _, link := range menu {
		if path := link["href"]; strings.HasPrefix(path, "/") {
			b.do("open "+path, b.at(path), chromedp.WaitVisible(chromedp.CSS("main h1")))
		}
	}
	b.do("see the menu on a telephone", chromedp.EmulateViewport(390, 800), chromedp.Click(chromedp.CSS(".to-menu")), chromedp.WaitVisible(chromedp.CSS("nav a[href='/audit']")),
		chromedp.Click(chromedp.CSS("nav a[href='/audit']")), sees("Audit"))
	if said := b.text("table"); !strings.Contains(said, "suspended") {
		t.Errorf("the record does not have what was done:\n%s", said)
	}
}

// fill2 is fill without the help of a script.
func fill2(pairs ...string) act {
	var all []act
	for i := 0; i < len(pairs); i += 2 {
		at := chromedp.CSS(fmt.Sprintf("main [name=%q]", pairs[i]))
		all = append(all, chromedp.WaitVisible(at), chromedp.Focus(at), chromedp.KeyEvent("a", chromedp.KeyModifiers(2)), chromedp.SendKeys(at, pairs[i+1]))
	}

	return chromedp.Steps(all...)
}
