package webui_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"pillarbox/webui"
)

// asks are requests of the API that change nothing although they are no GET.
var asks = []string{"/v1/audit/export", "/v1/audit/verify", "/v1/settings/plan", "/v1/plans-report"}

// FuzzEveryRole sends arbitrary requests to every route as everybody who there is:
// nothing fails, nothing that is not a form changes anything, nobody changes what
// is not theirs, and markup comes back as text.
func FuzzEveryRole(f *testing.F) {
	const evil = "<zz>"
	for i, seed := range [][4]string{
		{"POST", "", "name=" + evil + "&address=%3Czz%3E&quota=1&members=a%0Db", "Origin: https://127.0.0.1"},
		{"GET", "/people?search=%3Czz%3E&page=-1&show=x", "", "Cookie: __Host-pillarbox=x; __Host-pillarbox-half=y"},
		{"POST", "/signin", "login=%3Czz%3E&password=x&next=/.//elsewhere.example", "Host: [::1%25x]:99"},
		{"HEAD", "", "", "Authorization: Bearer pbx_x"},
		{"PUT", "/api/v1/accounts/%3Czz%3E/password", "{}", "Authorization: Bearer x"},
		{"POST", "/people/%2e%2e%2f/name", "name=%ff%00", "Content-Type: multipart/form-data; boundary=x"},
		{"OPTIONS", "//people//..//%5c", ";=&%", "X-Forwarded-For: 203.0.113.9"},
		{"POST", "/tokens/revoke", "id=..", "Sec-Fetch-Site: none"},
		{"POST", "/passkey/signin/finish?next=//x", `{"id":"eA","rawId":"eA","type":"public-key","response":{}}`, "Content-Type: application/json"},
	} {
		f.Add(uint8(i), uint16(i*13), seed[0], seed[1], seed[2], seed[3])
	}
	b := filled(f)
	routes := b.Routes()
	w, now := b.browse(), webui.Anyone
	f.Fuzz(func(t *testing.T, who uint8, route uint16, method, at, body, header string) {
		b.t, w.t = t, t
		role := webui.Role(who % 5)
		if role != now || role != webui.Anyone && w.get("/me").status != http.StatusOK {
			w, now = b.as(role), role
		}
		if at == "" { // of a route, rather than any path
			at = path(routes[int(route)%len(routes)].Pattern)
		}
		r, err := http.NewRequestWithContext(t.Context(), method, "https://127.0.0.1/", strings.NewReader(body))
		if err != nil || !strings.HasPrefix(at, "/") || strings.ContainsAny(at, " \r\n\x00\x7f") || strings.HasPrefix(at, "/live") || method == "CONNECT" {
			return
		}
		if r.URL, err = r.URL.Parse(at); err != nil || r.URL.Host != "127.0.0.1" {
			return
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		if name, value, ok := strings.Cut(header, ": "); ok {
			if r.Header.Set(name, value); name == "Host" {
				r.Host = value
			}
		}
		acts, kept := len(b.api.changed()), b.store.text("web/users", "web/tokens", "web/office")
		res, err := w.Do(r)
		if err != nil {
			return // the client refuses to send it
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		changed := slices.DeleteFunc(b.api.changed()[acts:], func(c call) bool {
			path, _, _ := strings.Cut(c.Path, "?")
			return slices.Contains(asks, path)
		})
		fail := func(what string) { t.Helper(); t.Errorf("%s %q as %s: %s", method, at, role, what) }
		if res.StatusCode >= http.StatusInternalServerError {
			fail(res.Status + "\n" + string(text))
		}
		if method != http.MethodPost && (len(changed) > 0 || b.store.text("web/users", "web/tokens", "web/office") != kept) {
			fail("something was changed")
		}
		for _, c := range changed {
			own := strings.Contains(c.Path, "/anna@office.example/") && strings.HasPrefix(r.URL.Path, "/me/")
			if role < webui.Operator && !own {
				fail("it asked the box for " + c.Method + " " + c.Path)
			}
		}
		kind := res.Header.Get("Content-Type")
		if strings.HasPrefix(kind, "text/html") && strings.Contains(string(text), evil) {
			fail("markup came through")
		}
		if res.StatusCode >= 200 && !strings.Contains(res.Header.Get("Content-Security-Policy"), "default-src 'none'") && res.StatusCode != http.StatusBadRequest {
			fail("there is no policy")
		}
		if to := res.Header.Get("Location"); to != "" && (!strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//")) {
			fail("it leads to " + to)
		}
	})
}
