package web_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// reader follows links as a browser that shows nothing.
type reader struct {
	*http.Client
	t    testing.TB
	base *url.URL
}

// reads returns one that is signed in, unless no name is given.
func (o *office) reads(t testing.TB, login, password string) *reader {
	t.Helper()
	base, err := url.Parse(o.url)
	if err != nil {
		t.Fatal(err)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	r := &reader{t: t, base: base, Client: &http.Client{
		Jar: jar, Timeout: patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // who it is is no matter here
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				var d net.Dialer
				return d.DialContext(ctx, network, "127.0.0.1:"+base.Port())
			},
		},
	}}
	if login != "" {
		r.post("/signin", "login", login, "password", password)
	}

	return r
}

// post sends a form that is to lead to another page.
func (r *reader) post(path string, pairs ...string) {
	r.t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.base.String()+path, strings.NewReader(form.Encode()))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	res, err := r.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusSeeOther {
		r.t.Fatalf("POST %s: status %d", path, res.StatusCode)
	}
}

// place is what was found at a path.
type place struct {
	ids   map[string]bool
	links []string // to other places, and to parts of this one
	text  string   // of a page
}

// get opens what a link leads to.
func (r *reader) get(path string) (p place, err error) {
	ctx, cancel := context.WithCancel(r.t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.base.String()+path, nil)
	if err != nil {
		return p, err
	}
	res, err := r.Do(req)
	if err != nil {
		return p, err
	}
	defer res.Body.Close()
	kind, _, _ := strings.Cut(res.Header.Get("Content-Type"), ";")
	switch {
	case res.StatusCode == http.StatusSeeOther:
		p.links = []string{res.Header.Get("Location")}
		return p, nil
	case res.StatusCode != http.StatusOK:
		return p, fmt.Errorf("status %d", res.StatusCode)
	case kind == "text/event-stream":
		return p, nil
	}
	text, err := io.ReadAll(res.Body)
	if err != nil || kind != "text/html" {
		return p, err
	}
	p.text, p.ids = string(text), map[string]bool{}
	doc, err := html.Parse(strings.NewReader(p.text))
	if err != nil {
		return p, err
	}
	for n := range doc.Descendants() {
		get := n.Data == "form" // one that is sent by GET, as they are unless they say so
		action := ""
		for _, a := range n.Attr {
			switch a.Key {
			case "id":
				p.ids[a.Val] = true
			case "href", "src", "data-live":
				p.links = append(p.links, a.Val)
			case "action":
				action = a.Val
			case "method":
				get = get && a.Val != "post"
			}
		}
		if get {
			p.links = append(p.links, action)
		}
	}

	return p, nil
}

// TestEveryLinkLeadsSomewhere follows all links that somebody with each role
// sees: none is dead or forbidden, and the place in a page to which one leads is there.
func TestEveryLinkLeadsSomewhere(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	t.Parallel()
	o := busyBox(t)
	admin := o.reads(t, "admin", adminPassword)
	pages := map[string]string{}
	for _, role := range []string{"nobody", "person", "auditor", "operator", "administrator"} {
		r := admin
		switch role {
		case "nobody":
			r = o.reads(t, "", "")
		case "person", "auditor", "operator":
			admin.post("/people/ada@office.example/role", "role", role)
			r = o.reads(t, "ada@office.example", adaPassword)
		}
		places, from := map[string]place{}, map[string]string{}
		todo := []string{"/", "/signin", "/connect"}
		var parts []string
		for len(todo) > 0 {
			path := todo[0]
			todo = todo[1:]
			if _, ok := places[path]; ok {
				continue
			}
			p, err := r.get(path)
			if err != nil {
				t.Errorf("as %s, %s leads to %s: %v", role, from[path], path, err)
			}
			places[path] = p
			if p.text != "" {
				pages[role+" "+path] = p.text
			}
			here, err := url.Parse(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, link := range p.links {
				if strings.Contains(link, "%25") {
					t.Errorf("as %s, %s leads to %s, which is escaped twice", role, path, link)
				}
				to, err := url.Parse(link)
				if err != nil {
					t.Errorf("as %s, %s: %v", role, path, err)
					continue
				}
				if to = here.ResolveReference(to); to.Scheme != "" || to.Host != "" {
					continue // not on this box, or a picture within the page
				}
				if to.Fragment != "" {
					parts = append(parts, path+" "+to.RequestURI()+" "+to.Fragment)
				}
				if from[to.RequestURI()] == "" {
					from[to.RequestURI()] = path
				}
				todo = append(todo, to.RequestURI())
			}
		}
		for _, part := range parts {
			f := strings.Fields(part)
			if !places[f[1]].ids[f[2]] {
				t.Errorf("as %s, %s leads to #%s of %s, which is not there", role, f[0], f[2], f[1])
			}
		}
		if least := map[string]int{"nobody": 5, "person": 6, "auditor": 25}[role]; len(places) < least {
			t.Errorf("as %s only %d places were found", role, len(places))
		}
		t.Logf("as %s: %d places, %d of them in pages", role, len(places), len(parts))
	}
	for _, bad := range validate(t, pages) {
		t.Error(bad)
	}
}
