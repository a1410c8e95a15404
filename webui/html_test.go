package webui_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"pillarbox/webui"
)

// validate returns what is wrong with a page: elements that are not closed or in
// the wrong order, ids that are there twice, fields without a label, and what the
// policy would refuse.
func validate(text string) (bad []string) {
	void := []string{"meta", "link", "input", "br", "img", "hr", "col"}
	z := html.NewTokenizer(strings.NewReader(text))
	var open []string
	ids, labels, fields := map[string]bool{}, map[string]bool{}, map[string]bool{}
	if !strings.HasPrefix(strings.TrimSpace(text), "<!DOCTYPE html>") {
		bad = append(bad, "it does not begin with <!DOCTYPE html>")
	}
	for {
		kind := z.Next()
		if kind == html.ErrorToken {
			if z.Err() != io.EOF {
				bad = append(bad, z.Err().Error())
			}
			break
		}
		token := z.Token()
		switch kind {
		case html.StartTagToken:
			if !slices.Contains(void, token.Data) {
				open = append(open, token.Data)
			}
		case html.EndTagToken:
			if len(open) == 0 || open[len(open)-1] != token.Data {
				bad = append(bad, "</"+token.Data+"> closes "+strings.Join(open, " > "))
				continue
			}
			open = open[:len(open)-1]
		}
		attrs := map[string]string{}
		for _, a := range token.Attr {
			if _, twice := attrs[a.Key]; twice {
				bad = append(bad, "<"+token.Data+"> has "+a.Key+" twice")
			}
			attrs[a.Key] = a.Val
			if a.Key == "style" || strings.HasPrefix(a.Key, "on") {
				bad = append(bad, "<"+token.Data+"> has "+a.Key)
			}
			if strings.Contains(a.Val, "ZgotmplZ") {
				bad = append(bad, "the template refuses "+a.Key)
			}
		}
		if id := attrs["id"]; id != "" && kind != html.EndTagToken {
			if ids[id] {
				bad = append(bad, "the id "+id+" is there twice")
			}
			ids[id] = true
		}
		if token.Data == "label" && attrs["for"] != "" {
			labels[attrs["for"]] = true
		}
		choice := attrs["type"] == "radio" || attrs["type"] == "checkbox" // inside its label
		if slices.Contains([]string{"input", "select", "textarea"}, token.Data) && kind != html.EndTagToken && attrs["type"] != "hidden" && attrs["aria-hidden"] == "" && !choice {
			fields[attrs["id"]] = true
		}
		if token.Data == "script" && kind == html.StartTagToken && attrs["src"] == "" {
			bad = append(bad, "a script stands in the page")
		}
	}
	if len(open) > 0 {
		bad = append(bad, "open stay "+strings.Join(open, " > "))
	}
	for id := range fields {
		if !labels[id] {
			bad = append(bad, "the field "+id+" has no label")
		}
	}
	for id := range labels {
		if !ids[id] {
			bad = append(bad, "a label is for "+id+", which is not there")
		}
	}

	return bad
}

// jargon returns words of a page that only who made the box knows.
func jargon(text string) (bad []string) {
	z := html.NewTokenizer(strings.NewReader(text))
	inside := ""
	for z.Next() != html.ErrorToken {
		token := z.Token()
		switch token.Type {
		case html.StartTagToken:
			inside = token.Data
		case html.EndTagToken:
			inside = ""
		case html.TextToken:
			if inside == "pre" || inside == "code" {
				continue // lines of the log, and what is to be typed
			}
			for _, word := range []string{
				"nftables", "netlink", "bbolt", "uidvalidity", "modseq", "goroutine", "mutex", "daemon", "stdout", "stderr", "regex", "boolean", "null", "nil", "panic", "sasl", "endpoint", "payload", "timestamp", "username", "e-mail",
			} {
				if slices.Contains(strings.FieldsFunc(strings.ToLower(token.Data), func(r rune) bool { return r != '-' && (r < 'a' || r > 'z') }), word) {
					bad = append(bad, word+": "+strings.TrimSpace(token.Data))
				}
			}
		}
	}

	return bad
}

// filled is a box whose pages have something to show.
func filled(t testing.TB) *box {
	t.Helper()
	b := newBox(t, true)
	now := time.Now()
	anna := map[string]any{"id": "id-anna", "address": "anna@office.example", "name": "Anna", "created": now, "quota": 5e9, "used_bytes": 4.9e9, "suspended": true, "error": "damaged"}
	b.api.say("GET /v1/accounts", []any{anna})
	b.api.say("GET /v1/aliases", []any{
		map[string]any{"address": "info@office.example", "targets": []string{"anna@office.example", "all@office.example"}, "description": "Who <asks>", "writers": "office"},
		map[string]any{"address": "all@office.example", "targets": []string{"anna@office.example", "info@office.example"}},
		map[string]any{"address": "a@office.example", "targets": []string{"anna@office.example"}},
	})
	sheet := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<!DOCTYPE html><p>Hello</p>") }
	b.api.answers["GET /v1/setup/people/anna@office.example/sheet"] = sheet
	b.api.say("GET /v1/setup", map[string]any{"imap": map[string]any{"host": "mail.office.example", "port": 993}, "outgoing": map[string]any{"host": "x", "port": 587, "security": "starttls"}, "mechanisms": []string{"EXTERNAL"}})
	b.api.say("GET /v1/accounts/anna@office.example/devices", []any{map[string]any{"id": "x", "name": "Telephone", "created": now, "last_used": now, "last_remote": "192.0.2.1", "expires": now}})
	b.api.say("GET /v1/audit/records", []any{
		map[string]any{"kind": "signin.ok", "time": now, "severity": "warning", "values": map[string]string{"remote": "192.0.2.1", "count": "3", "after": `{"a":1}`}},
		map[string]any{"kind": "signin.failed", "time": now, "severity": "alert", "values": map[string]string{"reason": "wrong"}},
	})
	b.api.say("GET /v1/bans", []any{map[string]any{"network": "203.0.113.9/32", "account": "anna", "reason": "x", "tried": []string{"a", "b"}, "manual": true, "times": 3, "until": now}})
	b.api.say("GET /v1/allowed", []any{map[string]any{"network": "203.0.113.0/24", "note": "x", "since": now}})
	b.api.say("GET /v1/log", []string{"level=INFO msg=x"})
	version := map[string]any{"number": 2, "by": "admin", "confirmed": now, "document": map[string]any{"format": 1}}
	b.api.say("GET /v1/settings/versions", []any{version, map[string]any{"number": 1, "by": "the box"}})
	b.api.say("GET /v1/settings/versions/1", map[string]any{"number": 1, "document": map[string]any{"format": 1}})
	change := []any{map[string]any{"path": "ports.metrics", "label": "the port for metrics", "before": "false", "after": "true"}}
	b.api.say("GET /v1/settings", map[string]any{"current": version, "pending": map[string]any{"id": "x", "state": "applied", "by": "admin", "ends": now.Add(time.Minute), "diff": change, "notes": []string{"x"}}})
	b.api.say("POST /v1/settings/plan", map[string]any{"diff": change, "reports": []any{map[string]any{"applier": "x", "steps": []string{"y"}, "notes": []string{"z"}}}})
	cert := map[string]any{"subject": "x", "issuer": "y", "names": []string{"a", "b"}, "not_after": now.Add(time.Hour), "sha256": "00"}
	b.api.say("GET /v1/certificate", map[string]any{"presented": []any{cert}, "ca": cert, "problems": []string{"x"}})
	b.api.say("GET /v1/status", map[string]any{"version": "x", "health": []any{
		map[string]any{"title": "a", "severity": "high", "text": "b"}, map[string]any{"title": "a", "severity": "medium", "text": "b"},
	}, "listeners": []any{map[string]any{"name": "imaps", "address": "x"}}})
	b.api.say("GET /v1/power", powerState(now))
	b.api.say("GET /v1/network", map[string]any{"pid": 7, "network": map[string]any{"interfaces": []any{map[string]any{"name": "eth0", "managed": true}, map[string]any{"name": "eth1"}}}})
	b.api.say("GET /v1/exports", []any{moveOut("locked")})
	b.api.say("GET /v1/exports/x", moveOut("locked"))
	b.api.say("GET /v1/exports/x/report", map[string]any{"bad": []any{map[string]any{"mailbox": "x", "uid": 1}}, "remarks": []string{"x"}, "differences": []string{"x"}})
	b.api.say("GET /v1/support", []any{map[string]any{"name": "log.txt", "title": "the log"}})
	b.api.say("GET /v1/pulse", map[string]any{"hours": []any{map[string]any{"begins": now, "delivered": 5, "failed": 1}}, "ports": []any{map[string]any{"name": "imaps", "port": 993}}, "disk_size": 100, "disk_free": 5, "certificate": now})

	return b
}

// path fills in what a pattern leaves open.
func path(pattern string) string {
	_, p, _ := strings.Cut(pattern, " ")

	return strings.NewReplacer("{address}", "anna@office.example", "{group}", "info@office.example", "{number}", "1", "{$}", "", "{id}", "x", "{step}", "1", "{order}", "restart").Replace(p)
}

func TestPagesAreValid(t *testing.T) {
	b := filled(t)
	w := b.as(webui.Administrator)
	anna := b.as(webui.Person)
	w.post("/tokens/new", "name", "Monitor", "role", "auditor")
	paths := []string{"/signin", "/nothing", "/first/2", "/first/3", "/first/4", "/first/5", "/first/6"}
	for _, route := range b.Routes() {
		if strings.HasPrefix(route.Pattern, "GET ") && !route.Stream && !strings.HasPrefix(route.Pattern, "GET /trust/") {
			paths = append(paths, path(route.Pattern))
		}
	}
	for _, p := range paths {
		for who, browser := range map[string]*browser{"admin": w, "anna": anna, "nobody": b.browse()} {
			got := browser.get(p)
			if !strings.HasPrefix(got.header.Get("Content-Type"), "text/html") || got.status == http.StatusSeeOther {
				continue
			}
			if got.status >= 500 {
				t.Errorf("%s as %s: status %d", p, who, got.status)
			}
			for _, what := range validate(got.text) {
				t.Errorf("%s as %s: %s", p, who, what)
			}
			for _, what := range jargon(got.text) {
				t.Errorf("%s as %s says %s", p, who, what)
			}
			if len(got.text) > 100<<10 {
				t.Errorf("%s as %s has %d octets", p, who, len(got.text))
			}
		}
	}
}

// TestFormsThatAreWrongComeBack sends each form with nothing in it, and some with
// nonsense: the page that comes back is valid, and nothing was done.
func TestFormsThatAreWrongComeBack(t *testing.T) {
	b := filled(t)
	w := b.as(webui.Administrator)
	for p, form := range map[string][]string{
		"/people/new":                                     {"name", "Ben <b>", "address", "", "quota", "much"},
		"/people/anna@office.example/quota":               {"quota", "-1"},
		"/people/anna@office.example/devices":             {"name", ""},
		"/people/anna@office.example/role":                {"role", "king"},
		"/people/anna@office.example/remove":              {"address", "ben@office.example"},
		"/people/many":                                    {"people", "Ben,ben@office.example\nAnna,anna@office.example\nX,x@y\n", "quota", ""},
		"/groups/new":                                     {"address", "", "members", "", "description", "x"},
		"/groups/info@office.example/add":                 {"members", " , "},
		"/people/anna@office.example/devices/certificate": {"name", ""},
		"/tokens/new":                                     {"name", "", "role", "king"},
		"/office/records":                                 {"audit-acts-days", "many"},
		"/office/ports":                                   {"ports-metrics", "ajar"},
		"/network":                                        {"kind-0", "bridge", "which-0", "", "mtu-0", "big", "kind-1", "vlan", "id-1", "x", "gateway-1", "y", "method-1", "static"},
		"/firewall":                                       {"rate-smtp", "often", "from-smtp", "networks", "networks-smtp", "here", "lan", "there"},
		"/first/1":                                        {"zone", "Mars/Olympus"},
		"/first/2":                                        {"name", "", "domain", "x y"},
		"/first/5":                                        {"people", "Ada Lovelace\nnobody <>;;;"},
		"/me/password":                                    {"old", "x", "password", "y", "again", "z"},
		"/certificates/upload":                            {},
		"/moving/upload":                                  {"upload_account", "<b>"},
		"/moving-out/new":                                 {"kind", "imap", "people", "anna"},
		"/moving-out/file":                                {"account", "", "form", "paper"},
		"/factor":                                         {"secret", "", "code", ""},
	} {
		got := w.post(p, form...)
		if p == "/factor" {
			continue // it begins anew
		}
		if got.status != http.StatusUnprocessableEntity {
			t.Errorf("%s: status %d", p, got.status)
		}
		for _, what := range validate(got.text) {
			t.Errorf("%s: %s", p, what)
		}
		if !strings.Contains(got.text, `class="problem"`) && !strings.Contains(got.text, `role="alert"`) {
			t.Errorf("%s does not say what is wrong", p)
		}
	}
	for _, c := range b.api.changed() {
		if c.Path != "/v1/settings/plan" {
			t.Errorf("done was %v", c)
		}
	}
}

// FuzzRequest sends what nobody would by hand, as the administrator: nothing may
// break down.
func FuzzRequest(f *testing.F) {
	for _, seed := range [][3]string{
		{"GET", "/people?search=%00", ""}, {"POST", "/people/new", "address=x&quota=1e400"}, {"POST", "/first/5", "people=a%2Cb%0A%3B%3B"},
		{"GET", "/settings/99999999999999999999", ""}, {"POST", "/bans/add", "network=%ff&days=x"}, {"GET", "/audit?since=0000-00-00&kind=x", ""},
		{"POST", "/prove", "next=//x&password=%f0"}, {"GET", "/signin?next=%0d%0aSet-Cookie:x", ""}, {"DELETE", "/people/%2e%2e", ""},
		{"POST", "/certificates/acme", "names=%20%2c&agreed=yes"}, {"POST", "/factor", "secret=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA&code=1"},
		{"POST", "/groups/new", "address=%40&members=%2c%00%0a%ff&writers=king"}, {"POST", "/people/many", "people=%22%0a%2c%40&quota=nan"},
		{"POST", "/network", "kind-0=vlan&id-0=%ff&which-0=%00&kind-1=bridge&port-1=&port-1=%0a&mtu-1=99999999999999999999&do=add-%00"},
		{"POST", "/firewall", "rate-imaps=1e9&burst-smtp=-&admin=%00&lan=%2f&do=check"},
		{"GET", "/people?page=99999999999999999999&show=%00", ""}, {"POST", "/groups/info%40office.example/drop", "member=%ff"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	b := filled(f)
	w := b.as(webui.Administrator)
	f.Fuzz(func(t *testing.T, method, path, body string) {
		if b.t, w.t = t, t; w.get("/me").status != http.StatusOK {
			w = b.as(webui.Administrator) // the last one signed out
		}
		r, err := http.NewRequestWithContext(t.Context(), method, "https://127.0.0.1/", strings.NewReader(body))
		if err != nil || !strings.HasPrefix(path, "/") || strings.ContainsAny(path, " \r\n\x00\x7f") || strings.HasPrefix(path, "/live") || method == "CONNECT" {
			return
		}
		if r.URL, err = r.URL.Parse(path); err != nil || r.URL.Host != "127.0.0.1" {
			return
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		res, err := w.Do(r)
		if err != nil {
			return // the client refuses to send it
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		if res.StatusCode >= 500 {
			t.Errorf("%s %q: status %d\n%s", method, path, res.StatusCode, text)
		}
		if strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") && res.StatusCode == 200 {
			for _, what := range validate(string(text)) {
				t.Errorf("%s %q: %s", method, path, what)
			}
		}
	})
}

func TestFaultsOfPagesAreFound(t *testing.T) {
	for _, body := range []string{
		"<p><b></p></b>", "<div>", `<i id="a"></i><i id="a"></i>`, `<input id="a" name="a">`, `<label for="b">x</label>`,
		`<p style="color:red"></p>`, `<p onclick="x"></p>`, "<script>x</script>", `<a href="#ZgotmplZ"></a>`,
	} {
		if got := validate("<!DOCTYPE html>" + body); len(got) == 0 {
			t.Errorf("nothing is wrong with %s", body)
		}
	}
	if got := jargon("<p>Its UIDVALIDITY changed.</p><pre>level=INFO msg=nil</pre>"); len(got) != 1 {
		t.Errorf("of words that nobody knows are found: %q", got)
	}
}
