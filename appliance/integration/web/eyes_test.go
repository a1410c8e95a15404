package web_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// eyes look at pages as people do who use them in other ways: with a screen
// reader, in the dark, on a telephone, enlarged.
type eyes struct {
	t      *testing.T
	script string            // axe-core
	pages  map[string]string // as they were sent, by name
}

func newEyes(t *testing.T) *eyes {
	t.Helper()
	file := axeCore.path(t, "PILLARBOX_AXE")
	script, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}

	return &eyes{t, string(script), map[string]string{}}
}

// finding is something that axe-core minds.
type finding struct {
	ID    string `json:"id"`
	Help  string `json:"help"`
	Nodes []struct {
		HTML    string `json:"html"`
		Summary string `json:"failureSummary"`
	} `json:"nodes"`
}

// axe has axe-core look at the page as it is.
func (e *eyes) axe(b *browser) []finding {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.Context, patience)
	defer cancel()
	const run = `axe.run({runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}).then(r => JSON.stringify(r.violations))`
	load := "window.axe || (() => {" + e.script + "\n})(); void 0"
	if err := chromedp.Do(ctx, chromedp.Evaluate[chromedp.Void](load)); err != nil {
		b.t.Fatalf("load axe-core: %v", err)
	}
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](run, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("run axe-core: %v", err)
	}
	var all []finding
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		b.t.Fatal(err)
	}

	return all
}

// widths are those of a window enlarged by 400 % (WCAG 2.2, 1.4.10), of a small
// telephone, and of one enlarged by 200 %.
func widths() []int64 {
	if !full() {
		return []int64{320}
	}

	return []int64{320, 360, 640}
}

// look looks at the page that is open, and keeps pictures of it. There is no
// time for both schemes of each page in CI.
func (e *eyes) look(b *browser, name string) {
	b.t.Helper()
	schemes := []string{"light", "dark"}
	if !full() {
		schemes = schemes[len(e.pages)%2:][:1]
	}
	e.pages[name] = b.source()
	for _, scheme := range schemes {
		b.do("prefer "+scheme, b.scheme(scheme))
		for _, f := range e.axe(b) {
			for _, n := range f.Nodes {
				b.t.Errorf("%s, %s: %s (%s)\n%s\n%s", name, scheme, f.Help, f.ID, n.HTML, n.Summary)
			}
		}
	}
	for _, width := range widths() {
		b.do("be narrow", chromedp.EmulateViewport(width, 740))
		// What has a bar of its own to move it by is no reason for the page to have one.
		const wide = `(() => { const d = document.documentElement; return d.scrollWidth > d.clientWidth ? [d.scrollWidth, ...[...document.querySelectorAll("main *")].filter(x => x.getBoundingClientRect().right > d.clientWidth && !x.closest(".table, .log")).map(x => x.outerHTML.slice(0, 120))].slice(0, 4).join("\n") : "" })()`
		if what, err := chromedp.Run(b.Context, chromedp.Evaluate[string](wide)); err != nil || what != "" {
			b.t.Errorf("%s is wider than a window of %d: %v\n%s", name, width, err, what)
		}
	}
	b.do("be a desk again", b.scheme("light"), chromedp.EmulateViewport(1280, 900))
	const state = `JSON.stringify({heads: document.querySelectorAll("h1").length, dead: [...document.querySelectorAll('a[href^="#"]')].map(a => a.hash.slice(1)).filter(id => !document.getElementById(id))})`
	text, err := chromedp.Run(b.Context, chromedp.Evaluate[string](state))
	if err != nil {
		b.t.Fatal(err)
	}
	var found struct {
		Heads int      `json:"heads"`
		Dead  []string `json:"dead"`
	}
	if err := json.Unmarshal([]byte(text), &found); err != nil {
		b.t.Fatal(err)
	}
	if found.Heads != 1 {
		b.t.Errorf("%s has %d headings of the first level", name, found.Heads)
	}
	if len(found.Dead) > 0 {
		b.t.Errorf("%s leads to places that it lacks: %q", name, found.Dead)
	}
	b.shoot(name)
}

// close has the HTML checker read all pages that were seen.
func (e *eyes) close() {
	e.t.Helper()
	if len(e.pages) == 0 {
		return
	}
	for _, bad := range validate(e.t, e.pages) {
		e.t.Error(bad)
	}
}

// source returns the page as it was sent.
func (b *browser) source() string {
	b.t.Helper()
	var text string
	b.do("read the page's source", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		id, _ := b.answer.Load().(network.RequestID)
		body, err := cdp.Call(ctx, t, network.GetResponseBody, network.GetResponseBodyParams{RequestID: id})
		text = string(body.Body)
		return err
	}))
	if !strings.Contains(text, "</html>") {
		b.t.Fatalf("the source is %q", text)
	}

	return text
}

// TestEyesSee shows them a page with faults.
func TestEyesSee(t *testing.T) {
	long(t)
	if !full() {
		t.Skip("there is no time for it in CI")
	}
	e, b := newEyes(t), newOffice(t).browse(t)
	b.open("/claim")
	whole := b.source()
	const faults = `document.querySelector("main").innerHTML = '<p>pale<img src="/x"></p><div><button>x</button></div><div><button>y</button></div>';
		document.querySelector("main p").style.cssText = "background: #fff; color: #ccc";
		for (const b of document.querySelectorAll("main button")) b.style.cssText = "all: unset; display: block; width: 9px; font-size: 6px; line-height: 1";`
	b.do("spoil the page", chromedp.Evaluate[chromedp.Void](faults+" void 0"))
	var got []string
	for _, f := range e.axe(b) {
		got = append(got, f.ID)
	}
	for _, want := range []string{"color-contrast", "image-alt", "target-size", "page-has-heading-one"} {
		if !slices.Contains(got, want) {
			t.Errorf("axe-core does not mind %s, only %v", want, got)
		}
	}
	bad := validate(t, map[string]string{"spoilt": "<!DOCTYPE html><html lang=en><head><title>x</title></head><body><p><div></p></body></html>", "whole": whole})
	if len(bad) == 0 || !strings.HasPrefix(bad[0], "spoilt: error") {
		t.Errorf("the HTML checker says %q", bad)
	}
	for _, what := range bad {
		if strings.HasPrefix(what, "whole") {
			t.Error(fmt.Sprintf("of a page that is well: %s", what))
		}
	}
}
