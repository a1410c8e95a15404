package web_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/pquerna/otp/totp"
)

// at goes to a page.
func (b *browser) at(path string) act {
	return chromedp.Steps(chromedp.Navigate(b.office.url+path), chromedp.WaitReady(chromedp.CSS("main h1")))
}

// until opens the page anew until it has something.
func (b *browser) until(what, path string) {
	b.t.Helper()
	there := fmt.Sprintf("document.evaluate(%q, document, null, XPathResult.BOOLEAN_TYPE).booleanValue", path)
	here, err := chromedp.Run(b.Context, chromedp.Evaluate[string]("location.pathname"))
	if err != nil {
		b.t.Fatal(err)
	}
	for end := time.Now().Add(patience); ; time.Sleep(200 * time.Millisecond) {
		// The page may be on its way to another by itself; then there is a next time.
		ctx, cancel := context.WithTimeout(b.Context, patience)
		err := chromedp.Do(ctx, b.at(here))
		cancel()
		if err != nil && time.Now().After(end) {
			b.t.Fatalf("open %s: %v", here, err)
		}
		if ok, err := chromedp.Run(b.Context, chromedp.Evaluate[bool](there)); err == nil && ok {
			return
		}
		if time.Now().After(end) {
			b.t.Fatalf("not even after %v: %s\n%s", patience, what, b.text("main"))
		}
	}
}

const (
	said  = ".note.ok[role=status]"
	fault = "#wrong"
)

// TestPagesInEveryState looks at what pages show when something goes on, has
// gone wrong or is over.
func TestPagesInEveryState(t *testing.T) {
	long(t)
	e := newEyes(t)
	defer e.close()
	_, b := busyOffice(t)
	for _, part := range []struct {
		name string
		see  func(*eyes, *browser)
		ci   bool // there is time for it in CI
	}{
		{"doctor", seeDoctor, false},
		{"plan", seePlan, false},
		{"moving", seeMoving, false},
		{"people", seePeople, false},
		{"forms", seeWrongForms, true},
		{"nothing found", seeNothing, false},
		{"settings", seeSettings, false},
		{"office", seeOffice, false},
		{"power", seePower, false},
	} {
		t.Run(part.name, func(t *testing.T) {
			if !part.ci && !full() {
				t.Skip("there is no time for it in CI")
			}
			mine := *b
			mine.t = t
			part.see(e, &mine)
		})
	}
}

func seeDoctor(e *eyes, b *browser) {
	result := chromedp.CSS(".crumb + .head")
	b.do("examine the box", b.at("/doctor"), pushed("main form:has([value=box]) button", "main h1"))
	b.until("there is a result", `//main//th/a[starts-with(@href, "/doctor/")] | //p[@class="crumb"]`)
	b.do("see it", b.at("/doctor"), chromedp.Click(chromedp.CSS("main th a")), chromedp.WaitVisible(result))
	e.look(b, "doctor-result")
	port, hangUp := mute(b.t)
	b.do("examine who does not answer", b.at("/doctor"), fill("host", "127.0.0.1", "port", port), click("Examine the server"), chromedp.WaitVisible(chromedp.Search(`//strong[contains(., "is being examined")]`)))
	e.look(b, "doctor-at-work")
	hangUp()
	other := `//main//th/a[contains(., "127.0.0.1")]`
	b.until("there is another result", other)
	b.do("see it", chromedp.Click(chromedp.Search(other)), chromedp.WaitVisible(result))
	e.look(b, "doctor-result-other")
	b.do("give it no port", b.at("/doctor"), fill("host", "127.0.0.1", "port", "many"), click("Examine the server"), chromedp.WaitVisible(chromedp.CSS(fault)))
	e.look(b, "doctor-wrong")
}

// mute opens a port that takes connections and says nothing, until it hangs up.
func mute(t *testing.T) (port string, hangUp func()) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	hangUp = sync.OnceFunc(func() { close(over); ln.Close() })
	t.Cleanup(hangUp)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { <-over; c.Close() }()
		}
	}()
	_, port, _ = strings.Cut(ln.Addr().String(), ":")

	return port, hangUp
}

func seePlan(e *eyes, b *browser) {
	decide := func(what string, acts ...act) act {
		return chromedp.Steps(append([]act{
			chromedp.Click(chromedp.CSS(fmt.Sprintf(`main a[href$="act=%s"]`, what))), chromedp.WaitVisible(chromedp.CSS("main form[action$=decide]")),
		}, acts...)...)
	}
	yes := pushed("main form[action$=decide] .buttons button", said)
	b.do("say nobody", b.at("/plans"), chromedp.SetValue(chromedp.CSS("[name=pilot_on]"), "2027-01-31"), click("Make the plan"), chromedp.WaitVisible(chromedp.CSS(fault)))
	e.look(b, "plans-wrong")
	b.do("make a plan", b.at("/plans"), fill("why", "The old port is registered for something else", "pilot", "ada@office.example"), pushed("form[action='/plans'] .buttons button", said))
	e.look(b, "plan-made")
	b.do("start it", decide("start"))
	e.look(b, "plan-start")
	b.do("yes", yes)
	e.look(b, "plan-started")
	b.do("plan a brown-out", decide("brownout"))
	e.look(b, "plan-brownout")
	b.do("now", fill("why", "to see who notices"), yes)
	e.look(b, "plan-browned-out")
	b.do("end it", decide("end-brownout", yes))
	b.do("go on", decide("next"))
	e.look(b, "plan-next")
	b.do("yes", fill("why", "all were told"), chromedp.Click(chromedp.CSS("[name=anyway]")), yes)
	e.look(b, "plan-next-step")
	b.do("pause it", pushed("button[value=pause]", said))
	e.look(b, "plan-paused")
	b.do("see all plans", b.at("/plans"))
	e.look(b, "plans-with-one")
	b.do("go back", b.at("/plans/leave-990"), pushed("button[value=rollback]", said))
	e.look(b, "plan-rolled-back")
	b.do("drop it", decide("drop"))
	e.look(b, "plan-drop")
	b.do("yes", fill("why", "we keep the port"), yes)
	e.look(b, "plan-dropped")
	b.do("see what would break", b.at("/ports/simulate?change=close-993"))
	e.look(b, "simulate-all")
}

func seeMoving(e *eyes, b *browser) {
	_, port, _ := strings.Cut(b.office.IMAPS(b.t, "tcp4"), ":")
	b.do("read the fingerprint", b.at("/certificates"))
	print := strings.ReplaceAll(b.text("main dl code"), " ", "")
	form := func(follow string) act {
		acts := []act{
			b.at("/moving"), fill("host", "127.0.0.1", "port", port, "people", "ada@office.example, charles@office.example, "+adaPassword),
			chromedp.Click(chromedp.Search(`//summary[contains(., "certificate is not trusted")]`)), fill("fingerprint", print),
		}
		if follow != "" {
			acts = append(acts, chromedp.Click(chromedp.CSS("[name=follow]")))
		}
		return chromedp.Steps(acts...)
	}
	b.do("try nobody", b.at("/moving"), fill("host", "127.0.0.1", "port", port), chromedp.Click(chromedp.CSS("button[value=begin]")), chromedp.WaitVisible(chromedp.CSS(fault)))
	e.look(b, "moving-wrong")
	b.do("ask what would move", form(""), chromedp.Click(chromedp.CSS("button[value=try]")), chromedp.WaitVisible(chromedp.Search(`//h2[contains(., "What would move")]`)))
	e.look(b, "moving-tried")
	b.do("begin to follow", form("yes"), chromedp.Click(chromedp.CSS("button[value=begin]")), sees("From 127.0.0.1"))
	e.look(b, "move-running")
	b.do("see all moves", b.at("/moving"))
	e.look(b, "moving-with-one")
	job := `//main//th/a[starts-with(@href, "/moving/")]`
	b.do("pause it", chromedp.Click(chromedp.Search(job)), chromedp.WaitVisible(chromedp.CSS("button[value=pause]")), pushed("button[value=pause]", said))
	e.look(b, "move-paused")
	b.do("go on", fill("people", "ada@office.example, charles@office.example, "+adaPassword), click("Go on"),
		chromedp.WaitVisible(chromedp.CSS("button[value=cut-over]")), pushed("button[value=cut-over]", said))
	b.until("it is over", `//h2[contains(., "It is over")]`)
	e.look(b, "move-over")
	b.do("read the report", chromedp.Click(chromedp.Search(`//td/a[contains(., "Report")]`)), sees("What moved in"))
	e.look(b, "move-report")
}

func seePeople(e *eyes, b *browser) {
	ada := "/people/ada@office.example"
	b.do("add a person wrongly", b.at("/people/new"), fill("address", "grace@@x", "quota", "much"), click("Add the person"), chromedp.WaitVisible(chromedp.CSS(fault)))
	e.look(b, "people-new-wrong")
	b.do("add one", fill("address", "grace@office.example", "quota", "5"), click("Add the person"), chromedp.WaitVisible(chromedp.CSS("#secret")))
	e.look(b, "people-new-secret")
	b.do("set a wrong limit", b.at(ada), fill("quota", "-1"), pushed("form[action$='/quota'] button", fault))
	e.look(b, "person-wrong")
	b.do("suspend", b.at("/people/charles@office.example"), click("Suspend"), chromedp.WaitVisible(chromedp.CSS(said)))
	e.look(b, "person-suspended")
	b.do("see all", b.at("/people"))
	e.look(b, "people-suspended")
	b.do("delete the wrong one", b.at(ada+"/remove"), fill("address", "charles"), click("Delete the account"), chromedp.WaitVisible(chromedp.CSS(fault)))
	e.look(b, "person-remove-wrong")
	b.do("make a token", b.at("/tokens/new"), fill("name", "Monitoring"), click("Make the token"), chromedp.WaitVisible(chromedp.CSS("#secret")))
	e.look(b, "token-secret")
	b.do("see the tokens", b.at("/tokens"))
	e.look(b, "tokens-with-one")
}

func seeWrongForms(e *eyes, b *browser) {
	b.do("change the password wrongly", b.at("/me"), fill("old", "wrong", "password", "short", "again", "other"), click("Change the password"), chromedp.WaitVisible(chromedp.CSS(fault)))
	e.look(b, "me-wrong")
	b.do("ban nothing", b.at("/bans"), chromedp.SendKeys(chromedp.CSS("#network"), "somebody"), pushed("form[action='/bans/add'] button", fault))
	e.look(b, "bans-wrong")
	b.do("upload nothing", b.at("/certificates"), chromedp.Click(chromedp.Search(`//summary[contains(., "One that you have")]`)), pushed("form[action='/certificates/upload'] button", fault))
	e.look(b, "certificates-wrong")
	b.do("sign in from nowhere", b.at("/signing-in"), chromedp.Click(chromedp.CSS("[name=add]")), fill("networks-0", "nowhere"), pushed("button[value=check]", fault))
	e.look(b, "signing-in-wrong")
	b.do("check a rule", fill("networks-0", "192.168.7.0/24"), chromedp.Click(chromedp.CSS("button[value=check]")), chromedp.WaitVisible(chromedp.CSS("button[value=try]")))
	e.look(b, "signing-in-checked")
}

func seeNothing(e *eyes, b *browser) {
	for name, path := range map[string]string{
		"people-none": "/people?search=nobody", "audit-none": "/audit?account=nobody@office.example", "logs-none": "/logs?find=nothing-of-the-kind",
		"ports-none": "/ports?account=nobody@office.example", "prove": "/prove?next=/people",
	} {
		b.do("open "+path, b.at(path))
		e.look(b, name)
	}
	b.do("verify the record", b.at("/audit"), click("Verify the record"), chromedp.WaitVisible(chromedp.CSS(".note[role=status]")))
	e.look(b, "audit-verified")
}

func seeSettings(e *eyes, b *browser) {
	for range 2 { // there and back
		b.do("change how strict encryption is", b.at("/certificates"), chromedp.Evaluate[chromedp.Void](`void ((x) => x.selectedIndex = 1 - x.selectedIndex)(document.querySelector("[name=policy]"))`), click("Try it"), chromedp.WaitVisible(chromedp.CSS(".change")))
		b.do("see it", b.at("/settings"))
		e.look(b, "settings-on-the-way")
		b.do("keep it", click("Keep it"), chromedp.WaitNotPresent(chromedp.CSS(".change")))
	}
	b.do("see the versions", b.at("/settings"))
	e.look(b, "settings-versions")
	b.do("see another", b.at("/settings/2"))
	e.look(b, "settings-version")
	b.do("see the one in force", b.at("/settings/3"))
	e.look(b, "settings-version-in-force")
}

func seeOffice(e *eyes, b *browser) {
	b.do("give a domain that is none", b.at("/office"), fill("office-domain", "@office"), pushed("form[action='/office/office'] button", fault))
	e.look(b, "office-wrong")
	b.do("give one", fill("office-domain", "office.example"), pushed("form[action='/office/office'] button", said))
	e.look(b, "office-saved")
}

func seePower(e *eyes, b *browser) {
	b.do("ask for a new start", b.at("/power/restart"))
	e.look(b, "power-restart")
	b.do("switch it off", b.at("/power/off"))
	e.look(b, "power-off")
	b.do("yes", click("Switch it off"), sees("being switched off"))
	e.look(b, "power-off-wait")
	select {
	case <-b.office.machine.orders:
	case <-time.After(patience):
		b.t.Fatal("the machine was told nothing")
	}
	b.do("start it anew meanwhile", b.at("/power/restart"), pushed("main form button", fault))
	e.look(b, "power-wrong")
}

// TestSigningInInEveryState looks at the second factor, at what is refused, and
// at the pages of those who are no administrators.
func TestSigningInInEveryState(t *testing.T) {
	long(t)
	if !full() {
		t.Skip("there is no time for it in CI")
	}
	e := newEyes(t)
	defer e.close()
	_, b := busyOffice(t)
	b.do("make an auditor", b.at("/people/charles@office.example/role"), chromedp.Click(chromedp.CSS("[value=auditor]")), click("Give this role"), sees("Charles"))
	b.do("set a second factor up", b.at("/factor"), chromedp.Click(chromedp.CSS("summary")))
	secret := b.text(".secret")
	code := func() string {
		c, err := totp.GenerateCode(secret, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	b.do("type a wrong code", fill("code", "000000"), click("Turn it on"), chromedp.WaitVisible(chromedp.CSS(fault)))
	e.look(b, "factor-wrong")
	b.do("type the code", fill("code", code()), click("Turn it on"), sees("Your recovery codes"))
	e.look(b, "factor-recovery")
	recovery := strings.Fields(b.text("#secret"))
	b.do("see it", b.at("/me"))
	e.look(b, "me-with-factor")
	b.do("turn it off?", click("Turn it off"), sees("second factor off?"))
	e.look(b, "factor-off")
	out := chromedp.Steps(chromedp.Click(chromedp.Search(`//header//button[contains(., "Sign out")]`)), sees("Sign in"))
	b.do("sign out and in", out, fill("login", "admin", "password", adminPassword), press("Sign in", "One more step"))
	e.look(b, "code")
	b.do("type a wrong code", fill("code", "000000"), click("Continue"), chromedp.WaitVisible(chromedp.CSS(fault)))
	e.look(b, "code-wrong")
	b.do("use a recovery code", fill("code", recovery[0]), press("Continue", "Overview"))
	b.do("sign out", out)
	for role, login := range map[string]string{"person": "ada@office.example", "auditor": "charles@office.example"} {
		b.do("sign in as "+role, b.at("/signin"), fill("login", login, "password", adaPassword), click("Sign in"), chromedp.WaitVisible(chromedp.Search(`//header//button[contains(., "Sign out")]`)))
		if full() {
			e.walk(b, role+"-", "/me")
		}
		b.do("go where they may not", b.at("/tokens/new"))
		e.look(b, role+"-refused")
		b.do("sign out", out)
	}
	for range 12 {
		b.do("guess", b.at("/signin"), fill("login", "ada@office.example", "password", "a wrong guess"), click("Sign in"), chromedp.WaitVisible(chromedp.CSS(fault)))
	}
	e.look(b, "signin-refused")
}
