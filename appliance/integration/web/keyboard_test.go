package web_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// focus is where the keyboard is.
type focus struct {
	Text    string `json:"text"` // of the element, or what its field is called
	ID      string `json:"id"`
	Visible bool   `json:"visible"` // it shows that it has the focus
	Seen    bool   `json:"seen"`    // and nothing lies over it
}

// where returns it.
func (b *browser) where() (f focus) {
	b.t.Helper()
	const ask = `(() => {
		const x = document.activeElement, s = getComputedStyle(x), r = x.getBoundingClientRect();
		const at = document.elementFromPoint(Math.min(Math.max(r.x + r.width / 2, 1), innerWidth - 2), Math.min(Math.max(r.y + Math.min(r.height / 2, 20), 1), innerHeight - 2));
		const label = x.labels && x.labels.length ? x.labels[0].textContent : x.textContent;
		return JSON.stringify({
			text: label.trim().replace(/\s+/g, " ").slice(0, 80), id: x.id,
			visible: s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2, seen: x === at || x.contains(at),
		});
	})()`
	text, err := chromedp.Run(b.Context, chromedp.Evaluate[string](ask))
	if err != nil {
		b.t.Fatalf("ask where the keyboard is: %v", err)
	}
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		b.t.Fatal(err)
	}

	return f
}

// tab goes on until something with a text has the focus, and minds what cannot
// be seen on the way.
func (b *browser) tab(to string) {
	b.t.Helper()
	var way []string
	for range 80 {
		b.do("press Tab", chromedp.KeyEvent(kb.Tab))
		f := b.where()
		way = append(way, f.Text)
		if !f.Visible || !f.Seen {
			b.t.Errorf("on the way to %q the focus is not to be seen at %q: %+v", to, f.Text, f)
		}
		if strings.Contains(f.Text, to) {
			return
		}
	}
	b.t.Fatalf("the keyboard does not reach %q, but %q", to, way)
}

// key presses a key that leads to another page.
func key(key, want string) act {
	return chromedp.Steps(chromedp.Evaluate[chromedp.Void]("void (document.documentElement.dataset.before = 1)"), chromedp.KeyEvent(key),
		chromedp.WaitVisible(chromedp.CSS("html:not([data-before]) "+want)))
}

// skip jumps over the head and the menu.
func (b *browser) skip() {
	b.t.Helper()
	b.tab("Skip to the content")
	b.do("skip", chromedp.KeyEvent(kb.Enter))
	if f := b.where(); f.ID != "main" {
		b.t.Fatalf("after it the focus is at %+v", f)
	}
}

// TestByKeyboardAlone signs in, adds a person, keeps a change, bans and lifts the
// ban without a mouse.
func TestByKeyboardAlone(t *testing.T) {
	long(t)
	_, b := busyOffice(t)
	b.do("sign out", chromedp.Click(chromedp.Search(`//header//button[contains(., "Sign out")]`)), sees("Sign in"))
	typed := chromedp.KeyEvent

	b.skip()
	b.tab("Address")
	b.do("type", typed("admin"))
	b.tab("Password")
	b.do("be refused", typed("a wrong guess"), key(kb.Enter, "#wrong[role=alert]"))
	if f := b.where(); f.ID != "wrong" {
		t.Errorf("after a wrong password the focus is at %+v", f)
	}
	b.tab("Password")
	b.do("sign in", typed(adminPassword), key(kb.Enter, "nav"))

	b.tab("People")
	b.do("go to the people", key(kb.Enter, `a[href="/people/new"]`))
	b.skip()
	b.tab("Add a person")
	b.do("add one", key(kb.Enter, "#address"))
	b.skip()
	b.tab("Name")
	b.do("type", typed("Grace Hopper"))
	b.tab("Address")
	b.do("type", typed("grace@office.example"))
	b.tab("Limit")
	b.do("be refused", typed("much"), key(kb.Enter, "#quota-problem"))
	if f := b.where(); f.ID != "wrong" {
		t.Errorf("after a form that was wrong the focus is at %+v", f)
	}
	b.tab(b.text("#quota-problem"))
	b.do("go to the field", chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(chromedp.CSS("#quota:focus")))
	if f := b.where(); f.ID != "quota" {
		t.Errorf("the link in what is wrong leads to %+v", f)
	}
	b.do("type over it and send", typed("5"), key(kb.Enter, "#secret"))

	b.open("/certificates")
	b.skip()
	b.tab("Versions")
	b.do("choose another", chromedp.KeyEvent(kb.ArrowDown))
	b.tab("Try it")
	b.do("try it", key(kb.Enter, ".change[role=region]"))
	b.tab("Keep it")
	b.do("keep it", key(kb.Enter, said))
	if n, err := chromedp.Run(b.Context, chromedp.Evaluate[int](`document.querySelectorAll(".change").length`)); err != nil || n != 0 {
		t.Errorf("the change is still on its way: %v", err)
	}

	b.open("/bans")
	b.skip()
	b.tab("Address or network") // that is never banned
	b.tab("Address or network")
	b.do("type", typed("198.51.100.7"))
	b.tab("Why")
	b.do("ban it", typed("it guesses"), key(kb.Enter, said))
	b.skip()
	b.tab("Lift the ban of 198.51.100.7")
	b.do("lift it", key(kb.Enter, said))
	if said := b.text("main"); strings.Contains(said, "Lift the ban of 198.51.100.7") {
		t.Errorf("it is still banned:\n%s", said)
	}
}

// TestWhoeverMindsMotion sees none.
func TestWhoeverMindsMotion(t *testing.T) {
	long(t)
	b := newOffice(t).browse(t)
	b.open("/claim")
	for motion, want := range map[string]bool{"reduce": false, "no-preference": true} {
		b.do("prefer "+motion, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
			_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-reduced-motion", Value: motion}}})
			return err
		}))
		const moving = `[...document.querySelectorAll("*")].some(x => { const s = getComputedStyle(x); return s.animationName !== "none" || s.transitionDuration.split(",").some(d => parseFloat(d) > 0) || s.scrollBehavior === "smooth" })`
		if got, err := chromedp.Run(b.Context, chromedp.Evaluate[bool](moving)); err != nil || got != want {
			t.Errorf("with %s something moves: %v, %v", motion, got, err)
		}
	}
}
