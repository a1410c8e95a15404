package web_test

import (
	"context"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"pillarbox/appliance/integration/rig"
)

// The version of axe-core that looks for what keeps people from using a page,
// and what its package must be.
const (
	axeVersion   = "4.10.3"
	axeIntegrity = "Xm7bpRXnDSX2YE2YFfBk2FnF0ep6tmG7xPh8iHee8MIcrgq762Nkce856dYtJYLkuIoYZvGfTs/PbZhideTcEg=="
)

// axe returns axe.min.js. It is a tool of the tests, and no part of the product.
func axe(t *testing.T) string {
	t.Helper()
	file := os.Getenv("PILLARBOX_AXE")
	if file == "" {
		dir := t.TempDir()
		npm := &rig.Command{Path: rig.Tool(t, "npm", "npm"), Args: []string{"pack", "--silent", "axe-core@" + axeVersion}, Dir: dir}
		npm.MustRun(t)
		archive, err := os.ReadFile(filepath.Join(dir, "axe-core-"+axeVersion+".tgz"))
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha512.Sum512(archive); base64.StdEncoding.EncodeToString(sum[:]) != axeIntegrity {
			t.Fatalf("axe-core %s is not the one that was tried: its SHA-512 is %s", axeVersion, base64.StdEncoding.EncodeToString(sum[:]))
		}
		tar := exec.Command("tar", "xzf", "axe-core-"+axeVersion+".tgz")
		tar.Dir = dir
		if out, err := tar.CombinedOutput(); err != nil {
			t.Fatalf("unpack axe-core: %v\n%s", err, out)
		}
		file = filepath.Join(dir, "package", "axe.min.js")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}

	return string(text)
}

// busyOffice is a box with people, mail, sign-ins, a ban and an administrator,
// who is signed in.
func busyOffice(t *testing.T) (*office, *browser) {
	t.Helper()
	o := newOffice(t)
	for address, name := range map[string]string{"ada@office.example": "Ada Lovelace", "charles@office.example": "Charles Babbage"} {
		o.Command([]byte("correct horse battery\n"), "account", "add", address, "--name", name, "--password-stdin").MustRun(t)
	}
	o.Command(nil, "alias", "add", "info@office.example", "ada@office.example").MustRun(t)
	o.Command(nil, "account", "device", "add", "ada@office.example", "Telephone").MustRun(t)
	o.Command(nil, "ban", "add", "203.0.113.9", "--reason", "it guesses").MustRun(t)
	o.Command(nil, "ban", "allow", "192.168.7.0/24", "--note", "the office").MustRun(t)
	o.Command([]byte(adminPassword+"\n"), "admin", "passwd", "--password-stdin").MustRun(t)
	for range 3 {
		o.Command([]byte("Subject: Hello\r\n\r\nWorld\r\n"), "deliver", "--from", "you@example.org", "--to", "ada@office.example").MustRun(t)
	}
	o.read(t, "ada@office.example", "correct horse battery")
	b := o.browse(t)
	b.open("/")
	b.shoot("signin")
	b.do("sign in", fill("login", "admin", "password", adminPassword), press("Sign in", "Overview"))

	return o, b
}

// links returns where the links of the page lead to on this box.
func (b *browser) links() []string {
	b.t.Helper()
	all, err := chromedp.Run(b.Context, chromedp.Evaluate[[]string](
		`[...document.querySelectorAll("a[href]")].filter(a => a.origin === location.origin && !a.getAttribute("href").startsWith("#")).map(a => a.pathname + a.search)`))
	if err != nil {
		b.t.Fatal(err)
	}

	return all
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

// look has axe-core look at the page as it is.
func (b *browser) look(script string) []finding {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.Context, patience)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Evaluate[chromedp.Void](script+";void 0")); err != nil {
		b.t.Fatalf("load axe-core: %v", err)
	}
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](
		`axe.run({runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}).then(r => JSON.stringify(r.violations))`, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("run axe-core: %v", err)
	}
	var all []finding
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		b.t.Fatal(err)
	}

	return all
}

// name makes a file's name of a path.
func name(path string) string {
	n := strings.Trim(strings.NewReplacer("/", "-", "@", "-at-", "?", "-", "=", "-", "&", "-", "%40", "-at-").Replace(path), "-")
	if n == "" {
		return "overview"
	}

	return n
}

// TestEveryPage follows every link from the first page on, and has axe-core look
// at each page, light and dark, wide and narrow.
func TestEveryPage(t *testing.T) {
	long(t)
	script := axe(t)
	_, b := busyOffice(t)
	files := []string{".crt", ".mobileconfig", ".log", ".json"}
	todo, seen := []string{"/", "/first/1", "/first/2", "/first/4", "/first/5", "/nothing-here"}, map[string]bool{}
	for len(todo) > 0 {
		path := todo[0]
		todo = todo[1:]
		if seen[path] || slices.ContainsFunc(files, func(end string) bool { return strings.HasSuffix(path, end) }) || strings.HasPrefix(path, "/connect") {
			continue
		}
		seen[path] = true
		begin := time.Now()
		b.open(path)
		took := time.Since(begin)
		title := b.text("main h1")
		if path != "/nothing-here" && (title == "Not Found" || title == "Forbidden" || title == "Internal Server Error") {
			t.Errorf("%s: %s", path, title)
		}
		if h, err := chromedp.Run(b.Context, chromedp.Evaluate[int](`document.querySelectorAll("h1").length`)); err != nil || h != 1 {
			t.Errorf("%s has %d headings of the first level: %v", path, h, err)
		}
		// There is no time for both of each page in CI.
		schemes := []string{"light", "dark"}
		if !full() {
			schemes = schemes[len(seen)%2:][:1]
		}
		for _, scheme := range schemes {
			b.do("prefer "+scheme, b.scheme(scheme))
			for _, f := range b.look(script) {
				for _, n := range f.Nodes {
					t.Errorf("%s, %s: %s (%s)\n%s\n%s", path, scheme, f.Help, f.ID, n.HTML, n.Summary)
				}
			}
		}
		b.do("be a telephone", b.scheme("light"), chromedp.EmulateViewport(360, 740))
		if width, err := chromedp.Run(b.Context, chromedp.Evaluate[int](`document.documentElement.scrollWidth`)); err != nil || width > 360 {
			t.Errorf("%s is %d wide on a telephone of 360: %v", path, width, err)
		}
		b.do("be a desk again", chromedp.EmulateViewport(1280, 900))
		t.Logf("%s: %q, %v", path, title, took.Round(time.Millisecond))
		todo = append(todo, b.links()...)
		b.shoot(name(path))
	}
	if len(seen) < 20 {
		t.Errorf("only %d pages were found: %v", len(seen), seen)
	}
}

// TestWithoutJavaScript adds a person in a browser that runs no script.
func TestWithoutJavaScript(t *testing.T) {
	long(t)
	o, b := busyOffice(t)
	b.do("switch scripts off", chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	}))
	b.open("/people/new")
	b.do("add a person with a wrong limit", fill2("name", "Grace Hopper", "address", "grace@office.example", "quota", "much"), wrong("Add the person", "quota"))
	b.do("add the person", fill2("quota", "5"), press("Add the person", "Password for grace@office.example"))
	password := b.text("#secret")
	o.read(t, "grace@office.example", password)
	b.do("go back", press("I have noted", "Grace Hopper"))
	b.do("suspend", press("Suspend", "Grace Hopper"))
	if said := b.text(".note"); !strings.Contains(said, "Nobody can sign in to grace@office.example") {
		t.Errorf("the page says %q", said)
	}
	b.do("see the menu", chromedp.EmulateViewport(390, 800), chromedp.Click(chromedp.CSS(".to-menu")), chromedp.WaitVisible(chromedp.CSS("nav a[href='/audit']")),
		chromedp.Click(chromedp.CSS("nav a[href='/audit']")), sees("Audit"))
	if said := b.text("table"); !strings.Contains(said, "account.suspended") {
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
