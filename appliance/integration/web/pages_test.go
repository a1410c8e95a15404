package web_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// adaPassword is that of the two people of the busy office.
const adaPassword = "correct horse battery"

// busyBox is a box with people, mail, sign-ins, a ban and an administrator.
func busyBox(t *testing.T) *office {
	t.Helper()
	o := newOffice(t)
	for address, name := range map[string]string{"ada@office.example": "Ada Lovelace", "charles@office.example": "Charles Babbage"} {
		o.Command([]byte(adaPassword+"\n"), "account", "add", address, "--name", name, "--password-stdin").MustRun(t)
	}
	o.Command(nil, "alias", "add", "info@office.example", "ada@office.example").MustRun(t)
	o.Command(nil, "account", "device", "add", "ada@office.example", "Telephone").MustRun(t)
	o.Command(nil, "ban", "add", "203.0.113.9", "--reason", "it guesses").MustRun(t)
	o.Command(nil, "ban", "allow", "192.168.7.0/24", "--note", "the office").MustRun(t)
	o.Command([]byte(adminPassword+"\n"), "admin", "passwd", "--password-stdin").MustRun(t)
	for range 3 {
		o.Command([]byte("Subject: Hello\r\n\r\nWorld\r\n"), "deliver", "--from", "you@example.org", "--to", "ada@office.example").MustRun(t)
	}
	o.read(t, "ada@office.example", adaPassword)

	return o
}

// busyOffice is the same, with its administrator signed in.
func busyOffice(t *testing.T) (*office, *browser) {
	t.Helper()
	o := busyBox(t)
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

// name makes a file's name of a path.
func name(path string) string {
	n := strings.Trim(strings.NewReplacer("/", "-", "@", "-at-", "?", "-", "=", "-", "&", "-", "%40", "-at-").Replace(path), "-")
	if n == "" {
		return "overview"
	}

	return n
}

// TestEveryPage follows every link from the first page on, and looks at each page.
func TestEveryPage(t *testing.T) {
	long(t)
	e := newEyes(t)
	if full() {
		defer e.close() // TestEveryLinkLeadsSomewhere has the same pages checked
	}
	_, b := busyOffice(t)
	if seen := e.walk(b, "", "/", "/first/1", "/first/2", "/first/4", "/first/5", "/first/6", "/nothing-here"); seen < 20 {
		t.Errorf("only %d pages were found", seen)
	}
}

// TestEveryPageOfAFreshBox does the same where there is nothing to show yet.
func TestEveryPageOfAFreshBox(t *testing.T) {
	long(t)
	if !full() {
		t.Skip("there is no time for it in CI")
	}
	e := newEyes(t)
	defer e.close()
	o := newOffice(t)
	o.Command([]byte(adminPassword+"\n"), "admin", "passwd", "--password-stdin").MustRun(t)
	b := o.browse(t)
	b.open("/")
	b.do("sign in", fill("login", "admin", "password", adminPassword), press("Sign in", "Overview"))
	if seen := e.walk(b, "fresh-", "/"); seen < 20 {
		t.Errorf("only %d pages were found", seen)
	}
	b.do("add people in the first steps", b.at("/first/2"), fill("name", "Babbage", "domain", "office.example"), press("Continue", "This network"),
		b.at("/first/5"), fill("people", "Ada Lovelace;ada@office.example"), press("Continue", "Passwords of the new"))
	e.look(b, "newcomers")
}

// walk looks at pages and at all to which they lead, and returns how many there are.
func (e *eyes) walk(b *browser, prefix string, todo ...string) int {
	b.t.Helper()
	files, seen := []string{".crt", ".mobileconfig", ".log", ".json"}, map[string]bool{}
	for len(todo) > 0 {
		path := todo[0]
		todo = todo[1:]
		if seen[path] || slices.ContainsFunc(files, func(end string) bool { return strings.HasSuffix(strings.SplitN(path, "?", 2)[0], end) }) {
			continue
		}
		if !full() && strings.Contains(path, "charles") {
			continue // whose pages are like Ada's
		}
		seen[path] = true
		begin := time.Now()
		b.open(path)
		b.t.Logf("%s: %q, %v", path, b.text("main h1"), time.Since(begin).Round(time.Millisecond))
		todo = append(todo, b.links()...)
		e.look(b, prefix+name(path))
	}

	return len(seen)
}
