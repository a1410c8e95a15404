package web_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"pillarbox/appliance/integration/rig"
)

const (
	adminPassword = "a sentence nobody knows"
	patience      = time.Minute // of one flow, on a machine that others use, too
)

// office is a box whose pages are open.
type office struct {
	*rig.Box
	url, plain string
	machine    *machine
}

// newOffice starts a fresh box.
func newOffice(t testing.TB) *office {
	t.Helper()
	o := &office{Box: rig.NewBox(t, binary)}
	o.open(t)

	return o
}

// open starts it.
func (o *office) open(t testing.TB) {
	t.Helper()
	o.machine = newMachine(t, o.Dir)
	o.Args = append(o.Args, "--http", "127.0.0.1:0", "--https", "127.0.0.1:0", "--name", "mail.office.example", "--power-socket", o.machine.socket)
	o.Start(t)
	o.locate(t)
}

// locate finds the pages of a box that has started.
func (o *office) locate(t testing.TB) {
	t.Helper()
	plain, secure := o.Web(t)
	_, port, _ := strings.Cut(secure, ":")
	_, plainPort, _ := strings.Cut(plain, ":")
	o.url, o.plain = "https://mail.office.example:"+port, "http://mail.office.example:"+plainPort
}

// code returns the code that claims the box, as the console has it.
func (o *office) code(t *testing.T) string {
	t.Helper()
	var s struct {
		Claim string `json:"claim"`
	}
	if err := json.Unmarshal(o.Command(nil, "status", "--json").MustRun(t).Stdout, &s); err != nil {
		t.Fatal(err)
	}
	if s.Claim == "" {
		t.Fatal("the box has no code for claiming it")
	}

	return s.Claim
}

// browser is a window of Chromium.
type browser struct {
	context.Context

	t      *testing.T
	office *office
	most   time.Duration // that acts may take together
	answer *atomic.Value // the network.RequestID of the page that is open
}

// full tells whether there is time for all: CI has none.
func full() bool { return os.Getenv("PILLARBOX_WEB") == "full" }

// long is said by a test that is left out of short runs.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("short: only the way from a fresh box to a mail is gone")
	}
	t.Parallel()
}

// waiting returns the same window for somebody with more patience.
func (b *browser) waiting(most time.Duration) *browser {
	longer := *b
	longer.most = most

	return &longer
}

// browse opens one that trusts the box, unless it cannot be told to, and knows it by name.
func (o *office) browse(t *testing.T) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		rig.Need(t, "chromium is not installed")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1280, 900),
		chromedp.Flag("ignore-certificate-errors", true),
		chromedp.Flag("host-resolver-rules", "MAP mail.office.example 127.0.0.1"),
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("lang", "en-GB"),
	)
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), opts...)
	t.Cleanup(cancel)
	answer := &atomic.Value{}
	ctx, cancel = chromedp.NewContext(ctx,
		chromedp.WithErrorf(func(string, ...any) {}), // of what newer browsers say besides
		chromedp.WithListener(func(ev any) {
			if e, ok := ev.(*network.EventResponseReceived); ok && e.Type == network.ResourceTypeDocument {
				answer.Store(e.RequestID)
			}
		}))
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start Chromium: %v", err)
	}

	return &browser{ctx, t, o, patience, answer}
}

// act is something that is done in a browser.
type act = chromedp.Action[chromedp.Void]

// do carries out some acts.
func (b *browser) do(what string, acts ...act) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.Context, b.most)
	defer cancel()
	if err := chromedp.Do(ctx, acts...); err != nil {
		at, _ := chromedp.Run(b.Context, chromedp.Location())
		text, _ := chromedp.Run(b.Context, chromedp.Text(chromedp.CSS("body")))
		b.t.Fatalf("%s: %v\nat %s the page says:\n%s", what, err, at, text)
	}
}

// open opens a page by its path.
func (b *browser) open(path string) {
	b.t.Helper()
	b.do("open "+path, chromedp.Navigate(b.office.url+path), chromedp.WaitReady(chromedp.CSS("main")))
}

// fill types into fields by their names.
func fill(pairs ...string) act {
	var all []act
	for i := 0; i < len(pairs); i += 2 {
		at := chromedp.CSS(fmt.Sprintf("main [name=%q]", pairs[i]))
		empty := chromedp.Evaluate[chromedp.Void](fmt.Sprintf("void (document.querySelector(%q).value = '')", string(at)))
		all = append(all, chromedp.WaitVisible(at), empty, chromedp.SendKeys(at, pairs[i+1]))
	}

	return chromedp.Steps(all...)
}

// press presses the button with a text, and waits for a heading.
func press(button, heading string) act {
	return chromedp.Steps(click(button), sees(heading))
}

// pushed presses a button, and waits for an element of the page that follows.
func pushed(button, want string) act {
	const mark = "document.documentElement.dataset.before"
	return chromedp.Steps(chromedp.WaitVisible(chromedp.CSS(button)), chromedp.Evaluate[chromedp.Void]("void ("+mark+" = 1)"), chromedp.Click(chromedp.CSS(button)),
		chromedp.WaitVisible(chromedp.CSS("html:not([data-before]) "+want)))
}

// wrong presses a button, and waits for what is said to be wrong with a field.
func wrong(button, field string) act {
	return chromedp.Steps(click(button), chromedp.WaitVisible(chromedp.CSS("#"+field+"-problem")))
}

// click presses a button or follows a link with a text.
func click(text string) act {
	return chromedp.Click(chromedp.Search(fmt.Sprintf(`//main//*[self::a or self::button or self::summary][contains(., %[1]q)] | //div[contains(@class, "change")]//button[contains(., %[1]q)]`, text)))
}

// sees waits for a heading.
func sees(heading string) act {
	return chromedp.WaitVisible(chromedp.Search(fmt.Sprintf(`//h1[contains(., %q)]`, heading)))
}

// text returns what an element says.
func (b *browser) text(at string) string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.Context, patience)
	defer cancel()
	s, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS(at)))
	if err != nil {
		b.t.Fatalf("read %s: %v", at, err)
	}

	return strings.TrimSpace(s)
}

// shoot keeps a picture of the page, if a folder is named.
func (b *browser) shoot(name string) {
	b.t.Helper()
	dir := os.Getenv("PILLARBOX_SCREENSHOTS")
	if dir == "" {
		return
	}
	for _, scheme := range []string{"light", "dark"} {
		for width, kind := range map[int64]string{1280: "wide", 390: "phone"} {
			b.do("show "+name, b.scheme(scheme), chromedp.EmulateViewport(width, 900))
			picture, err := chromedp.Run(b.Context, chromedp.FullScreenshot(100))
			if err != nil {
				b.t.Fatalf("take a picture of %s: %v", name, err)
			}
			file := filepath.Join(dir, fmt.Sprintf("%s-%s-%s.png", name, kind, scheme))
			if err := os.WriteFile(file, picture, 0o644); err != nil {
				b.t.Fatal(err)
			}
		}
	}
	b.do("go back to the usual window", chromedp.EmulateViewport(1280, 900), b.scheme("light"))
}

// scheme has the browser prefer light or dark pages, and change at once.
func (b *browser) scheme(scheme string) act {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}},
		})
		return err
	})
}
