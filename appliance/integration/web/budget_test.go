package web_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"golang.org/x/net/html"

	"pillarbox/appliance/audit"
	"pillarbox/storage/ledger"
)

// What a page may be, with all that belongs to it, in octets.
const lightPage = 100 << 10

// fullOffice is a box with as many people as one has at the most, and with a long
// record of who did what.
func fullOffice(t testing.TB) *office {
	t.Helper()
	o := newOffice(t)
	o.Command([]byte(adminPassword+"\n"), "admin", "passwd", "--password-stdin").MustRun(t)
	var all sync.WaitGroup
	for begin := range 4 { // a password takes its time
		all.Go(func() {
			for i := begin; i < 200; i += 4 {
				o.Command([]byte(adaPassword+"\n"), "account", "add", fmt.Sprintf("person%03d@office.example", i), "--name", fmt.Sprintf("Person %d of the Office", i), "--password-stdin").Run(t)
			}
		})
	}
	all.Wait()
	o.Command([]byte("Subject: Hello\r\n\r\nWorld\r\n"), "deliver", "--from", "you@example.org", "--to", "person000@office.example").MustRun(t)
	o.Stop(t)
	lengthen(t, filepath.Join(o.Dir, "audit", string(audit.Access)), 100_000)
	o.Start(t)
	o.locate(t)

	return o
}

// lengthen adds sign-ins to a book, as half a year has them.
func lengthen(t testing.TB, dir string, n int) {
	t.Helper()
	l, _, err := ledger.Open(&ledger.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	var last audit.Record
	var prev audit.Hash
	for _, s := range l.Segments() {
		err := l.Read(s, func(_ int64, data []byte) {
			if r, err := audit.DecodeRecord(data); err == nil {
				last, prev = r, audit.HashOf(data)
			}
		}, func(ledger.Gap) {})
		if err != nil {
			t.Fatal(err)
		}
	}
	var batch [][]byte
	for i := range n {
		r := audit.Record{
			Seq: last.Seq + uint64(i) + 1, Time: time.Now().Add(-time.Duration(n-i) * 2 * time.Minute).Truncate(time.Millisecond).UTC(), Kind: audit.SignInOK, Prev: prev,
			Values: map[string]string{
				audit.ValueAccount: fmt.Sprintf("person%03d@office.example", i%200), audit.ValueRemote: fmt.Sprintf("192.0.2.%d", i%250), "port": "993", "mechanism": "PLAIN", "count": "3",
			},
		}
		batch = append(batch, r.Encode())
		prev = audit.HashOf(batch[len(batch)-1])
		if len(batch) == 1000 {
			if err := l.Append(batch...); err != nil {
				t.Fatal(err)
			}
			batch = nil
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// everyPage are the pages of the full office to which links lead, and those of
// forms that are sent by GET, each kind of page once.
func (r *reader) everyPage() []string {
	r.t.Helper()
	seen := map[string]bool{}
	todo := []string{
		"/", "/people?search=person&show=everybody", "/audit?account=person007@office.example", "/audit?kind=ban",
		"/audit?since=2020-01-01&until=2020-01-02", "/logs?find=nothing", "/ports?account=person007@office.example", "/people/person007@office.example",
	}
	var pages []string
	for len(todo) > 0 {
		path := todo[0]
		todo = todo[1:]
		if kind := kindOf(path); seen[kind] {
			continue
		} else {
			seen[kind] = true
		}
		p, err := r.get(path)
		if err != nil {
			r.t.Errorf("%s: %v", path, err)
		}
		if p.text != "" {
			pages = append(pages, path)
		}
		here, err := url.Parse(path)
		if err != nil {
			r.t.Fatal(err)
		}
		for _, link := range p.links {
			if to, err := here.Parse(link); err == nil && to.Host == "" && to.Scheme == "" {
				todo = append(todo, to.RequestURI())
			}
		}
	}

	return pages
}

// kindOf makes one of the paths of all people, and of all places of the record.
func kindOf(path string) string {
	at, query, _ := strings.Cut(path, "?")
	parts := strings.Split(at, "/")
	for i, part := range parts {
		if strings.Contains(part, "@") || strings.Contains(part, "%40") {
			parts[i] = "{address}"
		}
	}
	q, _ := url.ParseQuery(query)
	names := make([]string, 0, len(q))
	for name, values := range q {
		if values[0] != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)

	return strings.Join(parts, "/") + " " + strings.Join(names, " ")
}

// weight is how much a page has, with its style, scripts and pictures, in octets.
func (r *reader) weight(path string) int {
	r.t.Helper()
	text := r.octets(path)
	doc, err := html.Parse(strings.NewReader(text))
	if err != nil {
		r.t.Fatal(err)
	}
	all := len(text)
	for n := range doc.Descendants() {
		for _, a := range n.Attr {
			if a.Key == "src" && strings.HasPrefix(a.Val, "/") || n.Data == "link" && a.Key == "href" {
				all += len(r.octets(a.Val))
			}
		}
	}

	return all
}

func (r *reader) octets(path string) string {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.base.String()+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	res, err := r.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		r.t.Fatalf("%s: status %d, %v", path, res.StatusCode, err)
	}

	return string(text)
}

// TestPagesAreLightAndStill weighs the pages of a full office, and has a browser
// tell whether anything moves on them after it was shown.
func TestPagesAreLightAndStill(t *testing.T) {
	long(t)
	if !full() {
		t.Skip("there is no time for it in CI")
	}
	o := fullOffice(t)
	r := o.reads(t, "admin", adminPassword)
	pages := r.everyPage()
	if len(pages) < 30 {
		t.Errorf("only %d pages were found: %q", len(pages), pages)
	}
	b := o.browse(t)
	b.open("/")
	b.do("sign in", fill("login", "admin", "password", adminPassword), press("Sign in", "Overview"))
	const shifts = `new Promise(done => { let sum = 0; new PerformanceObserver(l => { for (const e of l.getEntries()) sum += e.value }).observe({type: "layout-shift", buffered: true}); setTimeout(() => done(sum), 700) })`
	for _, path := range pages {
		weight := r.weight(path)
		b.open(path)
		moved, err := chromedp.Run(b.Context, chromedp.Evaluate[float64](shifts, chromedp.EvalAwaitPromise))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		t.Logf("%-60s %4d KB, layout shift %.3f", path, weight>>10, moved)
		if weight > lightPage {
			t.Errorf("%s has %d octets", path, weight)
		}
		if moved > 0 {
			t.Errorf("something moves on %s after it was shown: %.3f", path, moved)
		}
	}
}

// BenchmarkPages measures how long a page of a full office takes, TLS and all.
func BenchmarkPages(b *testing.B) {
	o := fullOffice(b)
	r := o.reads(b, "admin", adminPassword)
	for _, path := range r.everyPage() {
		b.Run(name(path), func(b *testing.B) {
			for b.Loop() {
				r.octets(path)
			}
		})
	}
}
