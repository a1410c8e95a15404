package setup_test

import (
	"errors"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"pillarbox/appliance/setup"
)

func sheetOf(t *testing.T, o *office) string {
	t.Helper()
	text, err := service(o).Sheet(t.Context(), "ada@office.example")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestSheetSaysWhatHolds(t *testing.T) {
	own := &setup.Server{Host: "smtp.provider.example", Port: 587, Security: setup.STARTTLS, Login: setup.OwnLogin}
	for _, c := range []struct {
		name       string
		change     func(*setup.Facts)
		has, lacks []string
	}{
		{"as it is", func(*setup.Facts) {}, []string{
			"Ada &lt;Lovelace&gt;", `<td class="value">mail.office.example</td>`, `<td class="value">993</td>`, "ada@office.example",
			"Certificate Trust Settings", "0A 0A 0A", "does not send mail yet", "Microsoft's servers", "port 465", "28 November 2026", "No password stands",
		}, []string{"990", "<Lovelace>", "OAuth", "<script", "smtp.provider"}},
		{"990 is open", func(f *setup.Facts) {
			f.Legacy = &setup.Legacy{Port: 990, Why: "two <old> scanners", Closes: time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC)}
		}, []string{`<h2 id="legacy">Port 990</h2>`, "because: two &lt;old&gt; scanners", "closes on 1 March 2027", "the port of IMAP is 993"}, nil},
		{"990 is open, nobody has said why", func(f *setup.Facts) { f.Legacy = &setup.Legacy{Port: 990} },
			[]string{"until such devices are moved"}, []string{"It closes on"}},
		{"a public certificate", func(f *setup.Facts) { f.Private, f.Fingerprint = false, "" }, nil, []string{"Trust", "ca.crt", "fingerprint", "authority"}},
		{"no pages", func(f *setup.Facts) { f.HTTP = 0 }, []string{"that your administrator gives you"}, []string{"<svg", "http://"}},
		{"a provider", func(f *setup.Facts) {
			f.Mechanisms, f.Provider = []string{"OAUTHBEARER"}, "https://login.office.example"
		}, []string{"OAuth 2", "https://login.office.example", "Outlook signs in to IMAP by nothing else"}, []string{">Password<"}},
		{"certificates", func(f *setup.Facts) { f.Mechanisms = []string{"EXTERNAL"} }, []string{"a certificate of the device's own"}, []string{">Password<"}},
		{"a server for sending", func(f *setup.Facts) { f.Outgoing = own },
			[]string{"smtp.provider.example", "587", "STARTTLS", "a name and password of its own"}, []string{"does not send"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := newOffice()
			c.change(&o.facts)
			text := sheetOf(t, o)
			for _, s := range c.has {
				if !strings.Contains(text, s) {
					t.Errorf("it lacks %q", s)
				}
			}
			for _, s := range c.lacks {
				if strings.Contains(text, s) {
					t.Errorf("it says %q", s)
				}
			}
			if t.Failed() {
				t.Log(text)
			}
		})
	}
	if _, err := service(newOffice()).Sheet(t.Context(), "nobody@office.example"); !errors.Is(err, setup.ErrNobody) {
		t.Errorf("nobody's sheet: %v", err)
	}
}

// TestSheetNeedsNothingElse: a page that is printed, or opened where there is no
// Internet, and read aloud.
func TestSheetNeedsNothingElse(t *testing.T) {
	o := newOffice()
	o.facts.Legacy = &setup.Legacy{Port: 990}
	for name, text := range map[string]string{
		"sheet": sheetOf(t, o), "page": ask(t, o, http.MethodGet, "http://mail.office.example/connect?emailaddress=ada@office.example", "").body,
		"page for anybody": ask(t, o, http.MethodGet, "http://mail.office.example/connect", "").body,
	} {
		if m := regexp.MustCompile(`(?i)\ssrc=|<link|<script|@import|url\(|href="(https?:)?//|\son[a-z]+=`).FindString(text); m != "" {
			t.Errorf("%s: it brings something: %q", name, m)
		}
		tool(t, []byte(strings.ReplaceAll(text, "<!doctype html>", "")), "python3", "-c", `
import sys
from html.parser import HTMLParser
void = {"meta", "input", "br"}
class P(HTMLParser):
    open, ids, refs, headings = [], set(), set(), []
    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        if tag not in void: self.open.append(tag)
        if "id" in a:
            assert a["id"] not in self.ids, "twice: " + a["id"]
            self.ids.add(a["id"])
        for r in ("aria-labelledby", "for"):
            if r in a: self.refs.add(a[r])
        if tag in ("h1", "h2"): self.headings.append(tag)
        if tag == "html": assert a.get("lang") == "en"
        if tag == "svg": assert a["role"] == "img" and a["aria-label"]
        if tag == "th": assert a["scope"] == "row"
    def handle_endtag(self, tag):
        if self.open.pop() != tag: raise Exception("ends: " + tag + " at %d:%d" % self.getpos())
    handle_startendtag = lambda self, tag, attrs: None
p = P(); p.feed(sys.stdin.read()); p.close()
assert not p.open, p.open
assert p.refs <= p.ids, p.refs - p.ids
assert p.headings[0] == "h1" and p.headings.count("h1") == 1 and len(p.headings) > 8, p.headings`)
	}
}

func TestQRCodeLeadsToThePage(t *testing.T) {
	o := newOffice()
	o.facts.HTTP = 8080
	text := sheetOf(t, o)
	size := regexp.MustCompile(`viewBox="0 0 (\d+) `).FindStringSubmatch(text)
	if size == nil {
		t.Fatal("there is no code")
	}
	n, err := strconv.Atoi(size[1])
	if err != nil {
		t.Fatal(err)
	}
	const scale = 6
	img := image.NewGray(image.Rect(0, 0, n*scale, n*scale))
	for i := range img.Pix {
		img.Pix[i] = 0xff
	}
	for _, m := range regexp.MustCompile(`M(\d+) (\d+)h1v1h-1z`).FindAllStringSubmatch(text, -1) {
		x, _ := strconv.Atoi(m[1]) // digits
		y, _ := strconv.Atoi(m[2])
		for i := range scale * scale {
			img.SetGray(x*scale+i%scale, y*scale+i/scale, color.Gray{})
		}
	}
	name := filepath.Join(t.TempDir(), "code.png")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(png.Encode(f, img), f.Close()); err != nil {
		t.Fatal(err)
	}
	want := "http://mail.office.example:8080/connect?emailaddress=ada%40office.example"
	if got := strings.TrimSpace(tool(t, nil, "zbarimg", "--raw", "--quiet", name)); got != want {
		t.Errorf("the code says %q, want %q", got, want)
	}
	if r := ask(t, o, http.MethodGet, want, ""); r.status != http.StatusOK || !strings.Contains(r.body, "profile for ada@office.example") {
		t.Errorf("there is %d %s", r.status, r.body)
	}
}

func TestWhatADeviceFetches(t *testing.T) {
	for _, c := range []struct {
		url, kind, has string
		status         int
	}{
		{"http://mail.office.example/connect", "text/html; charset=utf-8", `type="email"`, 200},
		{"https://pillarbox.local:8443/connect?emailaddress=nobody@elsewhere.example", "text/html; charset=utf-8", `type="email"`, 200},
		{"http://192.0.2.7/connect/ca.crt", "application/x-x509-ca-cert", "the CA", 200},
		{"http://office.example/connect/apple.mobileconfig?emailaddress=ada@office.example", "application/x-apple-aspen-config", "com.apple.mail.managed", 200},
		{"http://office.example/connect/apple.mobileconfig?emailaddress=ada@elsewhere.example", "text/plain; charset=utf-8", "not found", 404},
		{"http://attacker.example/connect", "text/plain; charset=utf-8", "not found", 404},
		{"http://attacker.example/connect/ca.crt", "text/plain; charset=utf-8", "not found", 404},
		{"http://autoconfig.office.example/connect", "text/plain; charset=utf-8", "not found", 404},
		{"http://mail.office.example/connect/", "text/plain; charset=utf-8", "not found", 404},
	} {
		r := ask(t, newOffice(), http.MethodGet, c.url, "")
		if r.status != c.status || r.header.Get("Content-Type") != c.kind || !strings.Contains(r.body, c.has) {
			t.Errorf("%s: %d %v %s", c.url, r.status, r.header, r.body)
		}
		if strings.Contains(r.body, "0A 0A") {
			t.Errorf("%s: who forges the page can forge the fingerprint on it", c.url)
		}
		if strings.Contains(r.body, "came without encryption") != (c.url == "http://mail.office.example/connect") {
			t.Errorf("%s: %s", c.url, r.body)
		}
		if r.status == 200 && (r.header.Get("X-Content-Type-Options") != "nosniff" || r.header.Get("Cache-Control") != "no-store") {
			t.Errorf("%s: %v", c.url, r.header)
		}
	}
}
