package web_test

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"pillarbox/appliance/integration/rig"
)

// TestMailMovesOut has an administrator move mail to Dovecot and into a folder,
// and a person take their own with them.
func TestMailMovesOut(t *testing.T) {
	long(t)
	there := rig.Dovecot(t, []string{"ada"})
	o, b := busyOffice(t)
	e := newEyes(t)
	b.open("/moving-out")
	e.look(b, "moving-out-empty")
	b.do("begin", press("Move mail out", "Move mail out"))
	e.look(b, "moving-out-new")
	b.do("to a server whose certificate nobody knows", fill("people", "ada@office.example, ada, wrong", "host", there.Host),
		chromedp.Click(chromedp.CSS("main form button:not(.quiet)")), chromedp.WaitVisible(chromedp.CSS("#fingerprint-problem")))
	e.look(b, "moving-out-wrong")
	_, rest, found := strings.Cut(b.text("#fingerprint-problem"), "(SHA-256) is ")
	if !found || len(rest) < 64 {
		t.Fatalf("the page does not say which certificate it is: %s", b.text("#fingerprint-problem"))
	}
	b.do("with a wrong password", fill("fingerprint", rest[:64]), wrong("Begin the move", "people"))
	b.do("with the right one", fill("people", "ada@office.example, ada, "+rig.OldPassword), press("Begin the move", "To "+there.Host))
	const compared = `//tr[contains(., "ada@office.example")]//span[contains(., "compared")]`
	b.do("it comes to its end by itself", chromedp.WaitVisible(chromedp.Search(compared)))
	b.do("it is there after a reload", chromedp.Reload(), sees("To "+there.Host), chromedp.WaitVisible(chromedp.Search(compared)))
	e.look(b, "moving-out-one")
	b.do("read the report", press("Report", "What moved out for ada@office.example"))
	e.look(b, "moving-out-report")
	if n := len(rig.Contents(t, there.Client(t, "ada"), "INBOX")); n != 3 {
		t.Errorf("%d messages are there", n)
	}

	dir := t.TempDir() + "/out"
	b.open("/moving-out/new")
	b.do("everybody into the box's own data", choose("all", "yes"), choose("kind", "mbox"), fill("dir", o.Dir+"/mail"), wrong("Begin the move", "dir"))
	b.do("everybody into a folder", fill("dir", dir), press("Begin the move", "To "+dir), chromedp.WaitVisible(chromedp.Search(compared)))
	b.open("/moving-out")
	e.look(b, "moving-out")
	b.open("/moving-out/file")
	e.look(b, "moving-out-file")

	// A person takes their own mail, after their password.
	mine := o.browse(t)
	mine.open("/")
	mine.do("sign in", fill("login", "ada@office.example", "password", "correct horse battery"), press("Sign in", "Ada Lovelace"))
	mine.do("ask for the mail", press("Download my mail", "My mail as a file"))
	e.look(mine, "my-mail")
	const fetch = `fetch("/me/mail", {method: "POST", body: new URLSearchParams({form: "mbox"})}).then(async r => r.headers.get("Content-Disposition") + " " + (await r.text()).slice(0, 2))`
	got, err := chromedp.Run(mine.Context, chromedp.Evaluate[string](fetch, chromedp.EvalAwaitPromise))
	if want := `attachment; filename="ada@office.example.zip" PK`; err != nil || got != want {
		t.Errorf("the browser gets %q, %v", got, err)
	}
	if said := o.Command(nil, "audit", "list", "--kind", "mail.exported").MustRun(t).All(); strings.Count(said, "ada@office.example") < 3 || !strings.Contains(said, "a download as mbox") {
		t.Errorf("the record says\n%s", said)
	}
}
