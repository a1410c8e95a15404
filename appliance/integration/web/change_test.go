package web_test

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// TestAChangeIsKeptOrTakenBack tries other settings on a page. The bar on every
// page keeps them by a connection that is newer than they are, or takes them back;
// left alone they take themselves back.
func TestAChangeIsKeptOrTakenBack(t *testing.T) {
	long(t)
	_, b := busyOffice(t)
	modern := chromedp.Evaluate[chromedp.Void](`void (document.querySelector("[name=policy]").value = "modern")`)
	bar, gone := chromedp.WaitVisible(chromedp.CSS(".change")), chromedp.WaitNotPresent(chromedp.CSS(".change"))
	b.open("/certificates")
	b.do("try TLS 1.3 alone", modern, click("Try it"), bar)
	b.shoot("change")
	b.open("/people")
	b.do("take it back", bar, click("Take it back"), gone)
	if said := b.text(".note"); !strings.Contains(said, "taken back") {
		t.Errorf("the page says %q", said)
	}
	b.open("/certificates")
	b.do("try it again", modern, click("Try it"), bar)
	b.open("/settings")
	b.shoot("settings-change")
	b.do("keep it", bar, click("Keep it"), gone)
	if said := b.text("main"); !strings.Contains(said, "The change is kept") || !strings.Contains(said, "Version 2") {
		t.Errorf("the page says %q", said)
	}
	b.open("/settings/1")
	b.shoot("settings-restore")
	b.do("go back to the first version", click("Try this version"), bar, click("Keep it"), gone)
	if said := b.text("main"); !strings.Contains(said, "Version 3") {
		t.Errorf("the page says %q", said)
	}
	if !full() {
		return
	}
	b.open("/certificates")
	b.do("try and leave it alone", modern, click("Try it"), bar)
	begin := time.Now()
	waiting := b.waiting(3 * time.Minute)
	waiting.do("wait until the page says that it is over", gone)
	if took := time.Since(begin); took < 80*time.Second {
		t.Errorf("it took itself back after %v", took)
	}
	b.open("/certificates")
	policy, err := chromedp.Run(b.Context, chromedp.Evaluate[string](`document.querySelector("[name=policy]").value`))
	if err != nil || policy != "intermediate" {
		t.Errorf("the policy is %q: %v", policy, err)
	}
}
