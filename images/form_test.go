package images_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
)

// window is a browser without JavaScript: it has cookies, fills in forms and makes
// a new connection each time. It trusts any certificate.
type window struct {
	t    *testing.T
	http *http.Client
	path string // of the page that is open
	text string // its HTML
}

// browse opens one on the box, which is known by a name.
func (b *box) browse(name string) *window {
	b.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		b.t.Fatal(err)
	}
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		// The box is called by its own ports; here they are others.
		to := map[string]string{name + ":80": b.HTTP, name + ":443": b.HTTPS}[addr]
		var d net.Dialer
		return d.DialContext(ctx, network, to)
	}

	return &window{t: b.t, path: "http://" + name + "/", http: &http.Client{
		Jar: jar, Timeout: bootTime,
		Transport: &http.Transport{DialContext: dial, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true},
	}}
}

// try sends a request and takes the answer for the page that is open.
func (w *window) try(method, path string, form url.Values) error {
	base, err := url.Parse(w.path)
	if err != nil {
		return err
	}
	to, err := base.Parse(path)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(w.t.Context(), method, to.String(), strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	r.Header.Set("Referer", w.path)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", to.Scheme+"://"+to.Host)
	}
	res, err := w.http.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	w.path, w.text = res.Request.URL.String(), string(text)
	if res.StatusCode != http.StatusOK {
		w.t.Errorf("%s %s: %s\n%s", method, path, res.Status, w.words())
		if path != "/logs" && w.try(http.MethodGet, "/logs", nil) == nil {
			w.t.Fatalf("the box says:\n%s", w.text)
		}
	}

	return nil
}

// open opens a page, which says all of some words.
func (w *window) open(path string, says ...string) {
	w.t.Helper()
	if err := w.try(http.MethodGet, path, nil); err != nil {
		w.t.Fatal(err)
	}
	w.says(says...)
}

func (w *window) says(all ...string) {
	w.t.Helper()
	for _, said := range all {
		if !strings.Contains(w.words(), said) {
			w.t.Errorf("%s does not say %q:\n%s", w.path, said, w.words())
		}
	}
}

// send fills in the page's form with an action and sends it.
func (w *window) send(action string, pairs ...string) {
	w.t.Helper()
	form := w.form(action)
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	if err := w.try(http.MethodPost, action, form); err != nil {
		w.t.Fatal(err)
	}
}

// form returns what a browser would send of a form that nobody touched.
func (w *window) form(action string) url.Values {
	w.t.Helper()
	var found *html.Node
	w.walk(func(n *html.Node) {
		if n.Data == "form" && attribute(n, "method") == "post" && attribute(n, "action") == action && found == nil {
			found = n
		}
	})
	if found == nil {
		w.t.Fatalf("%s has no form for %s:\n%s", w.path, action, w.words())
	}
	form := url.Values{}
	for n := range found.Descendants() {
		name := attribute(n, "name")
		switch {
		case name == "":
		case n.Data == "select":
			form.Set(name, chosen(n))
		case n.Data == "input" && (attribute(n, "type") == "checkbox" || attribute(n, "type") == "radio"):
			if has(n, "checked") {
				form.Add(name, attribute(n, "value"))
			}
		case n.Data == "input":
			form.Add(name, attribute(n, "value"))
		case n.Data == "textarea":
			form.Add(name, content(n))
		}
	}

	return form
}

func (w *window) walk(f func(*html.Node)) {
	w.t.Helper()
	root, err := html.Parse(strings.NewReader(w.text))
	if err != nil {
		w.t.Fatal(err)
	}
	for n := range root.Descendants() {
		if n.Type == html.ElementNode {
			f(n)
		}
	}
}

// words returns what the page says.
func (w *window) words() string {
	w.t.Helper()
	root, err := html.Parse(strings.NewReader(w.text))
	if err != nil {
		w.t.Fatal(err)
	}

	return strings.Join(strings.Fields(content(root)), " ")
}

func content(n *html.Node) string {
	var b strings.Builder
	for c := range n.Descendants() {
		if c.Type == html.TextNode && c.Parent.Data != "script" {
			b.WriteString(c.Data)
		}
	}

	return b.String()
}

// chosen returns the value of the option that is selected, or else of the first.
func chosen(list *html.Node) string {
	value, first := "", true
	for n := range list.Descendants() {
		if n.Type == html.ElementNode && n.Data == "option" && (first || has(n, "selected")) {
			value, first = attribute(n, "value"), false
			if !has(n, "value") {
				value = content(n)
			}
		}
	}

	return value
}

func attribute(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}

	return ""
}

func has(n *html.Node, key string) bool {
	for _, a := range n.Attr {
		if a.Key == key {
			return true
		}
	}

	return false
}

// awaitPage opens a page again and again until there is an answer that fits.
func (w *window) awaitPage(path string, fits func() bool) {
	w.t.Helper()
	for begin := time.Now(); time.Since(begin) < bootTime; time.Sleep(500 * time.Millisecond) {
		if w.try(http.MethodGet, path, nil) == nil && fits() {
			return
		}
	}
	w.t.Fatalf("%s does not come within %s", path, bootTime)
}
