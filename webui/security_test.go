package webui_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"pillarbox/webui"
)

func cookie(p page, name string) *http.Cookie {
	for _, c := range (&http.Response{Header: p.header}).Cookies() {
		if c.Name == name {
			return c
		}
	}

	return nil
}

const sessionCookie = "__Host-pillarbox"

func TestClaimingNeedsTheCodeAndIsDoneOnce(t *testing.T) {
	b := newBox(t, false)
	w := b.browse()
	w.get("/").leads(t, "/claim")
	w.get("/people").leads(t, "/claim")
	w.get("/signin").leads(t, "/claim")
	form := []string{"code", "AAAAA-AAAAA", "password", adminPassword, "again", adminPassword}
	if got := w.post("/claim", form...); got.status != http.StatusUnprocessableEntity || !strings.Contains(got.text, "That is not the code") {
		t.Errorf("a wrong code: status %d", got.status)
	}
	if claimed, _ := b.gate.Claimed(); claimed {
		t.Fatal("a wrong code claimed the box")
	}
	form[1] = b.ClaimCode()
	if got := w.post("/claim", "code", form[1], "password", "short", "again", "short"); got.status != http.StatusUnprocessableEntity || !strings.Contains(got.text, form[1]) {
		t.Errorf("a short password: status %d; the code that was typed must stay", got.status)
	}
	got := w.post("/claim", form...)
	got.leads(t, "/first")
	if c := cookie(got, sessionCookie); c == nil {
		t.Error("who claimed the box is not signed in")
	}
	if code := b.ClaimCode(); code != "" {
		t.Errorf("the code is still shown: %s", code)
	}
	form[3], form[5] = "another long password", "another long password"
	b.browse().post("/claim", form...).leads(t, "/")
	if err := b.gate.Administrator(t.Context(), adminPassword, nil); err != nil {
		t.Errorf("the box was claimed twice: %v", err)
	}
	if b.acts[0].Kind != "signin.failed" || b.acts[1].Kind != "box.claimed" {
		t.Errorf("what is recorded of a guess and the claim: %v", b.acts)
	}
}

func TestTheCookieIsSafe(t *testing.T) {
	b := newBox(t, true)
	c := cookie(b.browse().post("/signin", "login", "admin", "password", adminPassword), sessionCookie)
	if c == nil || !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" {
		t.Fatalf("the cookie is %v", c)
	}
	if strings.Contains(b.store.text(), c.Value) {
		t.Error("the cookie is kept as it is")
	}
}

// TestASessionCannotBeFixed gives a browser a cookie before the sign-in.
func TestASessionCannotBeFixed(t *testing.T) {
	b := newBox(t, true)
	w := b.browse()
	planted := func(r *http.Request) { r.Header.Set("Cookie", sessionCookie+"=planted") }
	got := w.do(http.MethodPost, "/signin", url.Values{"login": {"admin"}, "password": {adminPassword}}, planted)
	got.leads(t, "/")
	if c := cookie(got, sessionCookie); c == nil || c.Value == "planted" {
		t.Fatalf("the cookie is %v", c)
	}
	if got := b.browse().do(http.MethodGet, "/people", nil, planted); got.status != http.StatusSeeOther {
		t.Errorf("the planted cookie opens a page: %d", got.status)
	}
	// Signing in again takes another cookie, and the first one is worth nothing.
	first := cookie(got, sessionCookie)
	w.post("/prove", "password", adminPassword, "next", "/people").leads(t, "/people")
	old := func(r *http.Request) { r.Header.Set("Cookie", sessionCookie+"="+first.Value) }
	if got := b.browse().do(http.MethodGet, "/people", nil, old); got.status != http.StatusSeeOther {
		t.Errorf("the cookie from before opens a page: %d", got.status)
	}
	if got := w.get("/people"); got.status != http.StatusOK {
		t.Errorf("the new one does not: %d", got.status)
	}
}

func TestSessionsEnd(t *testing.T) {
	b := newBox(t, true)
	w := b.as(webui.Administrator)
	for range 5 {
		b.clock.turn(20 * time.Minute)
		if got := w.get("/people"); got.status != http.StatusOK {
			t.Fatalf("a session that is used ends: %d", got.status)
		}
	}
	b.clock.turn(31 * time.Minute)
	w.get("/people").leads(t, "/signin?next=%2Fpeople")
	w = b.as(webui.Administrator)
	for range 13 * 3 {
		b.clock.turn(20 * time.Minute)
		w.get("/people")
	}
	w.get("/people").leads(t, "/signin?next=%2Fpeople")
	w = b.as(webui.Administrator)
	w.post("/signout").leads(t, "/signin")
	w.get("/people").leads(t, "/signin?next=%2Fpeople")
}

// TestAnOpenPageKeepsNobodySignedIn has a page ask for its live part again and
// again, as browsers do by themselves.
func TestAnOpenPageKeepsNobodySignedIn(t *testing.T) {
	b := filled(t)
	w := b.as(webui.Administrator)
	w.get("/people")
	open := func() *http.Response {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://127.0.0.1/live/overview", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := w.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	live := open()
	if live.StatusCode != http.StatusOK {
		t.Fatalf("status %d", live.StatusCode)
	}
	b.clock.turn(20 * time.Minute)
	again := open()
	again.Body.Close()
	b.clock.turn(11 * time.Minute)
	// It ends with the session, at its next look.
	if _, err := io.Copy(io.Discard, live.Body); err != nil {
		t.Errorf("the live part: %v", err)
	}
	live.Body.Close()
	w.get("/people").leads(t, "/signin?next=%2Fpeople")
}

func TestASessionOutlivesARestart(t *testing.T) {
	b := newBox(t, true)
	w := b.as(webui.Administrator)
	b.open()
	w.Transport = b.browse().Transport
	if got := w.get("/people"); got.status != http.StatusOK {
		t.Errorf("status %d", got.status)
	}
}

func TestAnotherRoleOrPasswordEndsSessions(t *testing.T) {
	b := newBox(t, true)
	anna := b.as(webui.Operator)
	if got := anna.get("/people"); got.status != http.StatusOK {
		t.Fatalf("status %d", got.status)
	}
	b.as(webui.Administrator).post("/people/anna@office.example/role", "role", "person").leads(t, "/people/anna@office.example")
	anna.get("/people").leads(t, "/signin?next=%2Fpeople")
	anna = b.as(webui.Person)
	if n, err := b.api.book.EndSessions(t.Context(), "id-anna", ""); err != nil || n != 1 {
		t.Errorf("%d sessions ended: %v", n, err)
	}
	anna.get("/me").leads(t, "/signin?next=%2Fme")
	b.as(webui.Administrator).post("/people/anna@office.example/role", "role", "administrator").leads(t, "/people/anna@office.example")
	if err := b.api.book.Forget(t.Context(), "id-anna"); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.store.text(), "id-anna") {
		t.Error("something of the removed account is kept")
	}
}

func TestOtherSitesAreRefused(t *testing.T) {
	b := newBox(t, true)
	w := b.as(webui.Administrator)
	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	form := url.Values{"address": {"ben@office.example"}}
	for what, change := range map[string][]func(*http.Request){
		"of another site":           {set("Sec-Fetch-Site", "cross-site")},
		"of a sister's site":        {set("Sec-Fetch-Site", "same-site")},
		"of another origin":         {set("Sec-Fetch-Site", ""), set("Origin", "https://elsewhere.example")},
		"of nobody's origin":        {set("Sec-Fetch-Site", ""), set("Origin", "null")},
		"of the same host by plain": {set("Sec-Fetch-Site", ""), set("Origin", "http://127.0.0.1")},
	} {
		if got := w.do(http.MethodPost, "/people/new", form, change...); got.status != http.StatusForbidden {
			t.Errorf("a form %s: status %d", what, got.status)
		}
	}
	if changed := b.api.changed(); len(changed) > 0 {
		t.Errorf("it was done: %v", changed)
	}
}

// TestARefusalIsNoFile has the API refuse what is to be downloaded.
func TestARefusalIsNoFile(t *testing.T) {
	b := newBox(t, true)
	b.api.answer("POST /v1/audit/export", http.StatusForbidden, map[string]string{"code": "x", "message": "there is no room for that"})
	got := b.as(webui.Administrator).post("/audit/export", "format", "csv")
	if got.header.Get("Content-Disposition") != "" || !strings.HasPrefix(got.header.Get("Content-Type"), "text/html") || got.status < http.StatusBadRequest {
		t.Errorf("status %d, %v", got.status, got.header)
	}
	if !strings.Contains(got.text, "here is no room for that") {
		t.Errorf("the page says\n%s", got.text)
	}
}

// TestAZoneIsNoAddress sends what no browser and no library does.
func TestAZoneIsNoAddress(t *testing.T) {
	b := newBox(t, true)
	c, err := net.Dial("tcp", b.secure)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET /signin HTTP/1.1\r\nHost: [fe80::1%elsewhere.example]\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("status %d", res.StatusCode)
	}
}

func TestOnlyOurNamesAreAnswered(t *testing.T) {
	b := newBox(t, true)
	for host, want := range map[string]int{
		"127.0.0.1": http.StatusOK, "[::1]": http.StatusOK, "localhost": http.StatusOK, "pillarbox.local": http.StatusOK,
		"mail.office.example": http.StatusOK, "MAIL.office.example.": http.StatusOK, "box": http.StatusOK, "box.local": http.StatusOK,
		"elsewhere.example": http.StatusMisdirectedRequest, "mail.office.example.elsewhere.example": http.StatusMisdirectedRequest,
		"box.elsewhere.example": http.StatusMisdirectedRequest, "": http.StatusMisdirectedRequest,
	} {
		got := b.browse().do(http.MethodGet, "/signin", nil, func(r *http.Request) {
			if r.Host = host; host == "" {
				r.Host = " "
			}
		})
		if got.status != want {
			t.Errorf("%q: status %d, want %d", host, got.status, want)
		}
	}
}

func TestEveryAnswerHasThePolicy(t *testing.T) {
	b := newBox(t, true)
	w := b.as(webui.Administrator)
	for _, path := range []string{"/", "/people", "/nothing", "/api/v1/status", "/api/openapi.json", "/static/nothing"} {
		h := w.get(path).header
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
			"Referrer-Policy": "same-origin", "Strict-Transport-Security": "max-age", "Cache-Control": "no-store",
		} {
			if !strings.Contains(h.Get(name), want) {
				t.Errorf("%s: %s is %q", path, name, h.Get(name))
			}
		}
		if csp := h.Get("Content-Security-Policy"); strings.Contains(csp, "unsafe") {
			t.Errorf("%s: %s", path, csp)
		}
	}
}

func TestPlainHTTPLeadsToHTTPS(t *testing.T) {
	b := newBox(t, true)
	_, port, _ := net.SplitHostPort(b.secure)
	plain := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for path, want := range map[string]string{
		"/":              "https://127.0.0.1:" + port + "/",
		"/people?x":      "https://127.0.0.1:" + port + "/people?x",
		"//evil/a":       "https://127.0.0.1:" + port + "//evil/a",
		"/api/v1/status": "https://127.0.0.1:" + port + "/api/v1/status",
	} {
		res, err := plain.Get("http://" + b.plain + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if got := res.Header.Get("Location"); got != want {
			t.Errorf("%s leads to %q, want %q (status %d)", path, got, want, res.StatusCode)
		}
	}
	res, err := plain.PostForm("http://"+b.plain+"/signin", url.Values{"login": {"admin"}, "password": {adminPassword}})
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if len(res.Cookies()) > 0 || res.StatusCode != http.StatusSeeOther {
		t.Errorf("a password sent in clear is taken: %d %v", res.StatusCode, res.Cookies())
	}
	res, err = plain.Get("http://" + b.plain + "/.well-known/acme-challenge/x")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("a certificate authority is answered %d", res.StatusCode)
	}
}

func TestASecondFactorIsAskedFor(t *testing.T) {
	b := newBox(t, true)
	w := b.as(webui.Administrator)
	text := w.get("/factor").text
	_, rest, _ := strings.Cut(text, `name="secret" value="`)
	secret, _, _ := strings.Cut(rest, `"`)
	code := func() string {
		c, err := totp.GenerateCode(secret, b.clock.now())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	if got := w.post("/factor", "secret", secret, "code", "000000"); got.status != http.StatusUnprocessableEntity {
		t.Errorf("a wrong code sets it up: %d", got.status)
	}
	used := code()
	got := w.post("/factor", "secret", secret, "code", used)
	_, rest, _ = strings.Cut(got.text, `id="secret">`)
	recovery := strings.Split(rest, "<br>")[0]
	if len(recovery) != 11 {
		t.Fatalf("no recovery codes are shown: %q", recovery)
	}
	if strings.Contains(b.store.text(), strings.ReplaceAll(recovery, "-", "")) {
		t.Error("recovery codes are kept as they are")
	}
	in := func(code string) page {
		w := b.browse()
		w.post("/signin", "login", "admin", "password", adminPassword).leads(t, "/signin/code")
		w.get("/people").leads(t, "/signin?next=%2Fpeople") // the password alone opens nothing
		return w.post("/signin/code", "code", code)
	}
	if got := in(used); got.status != http.StatusUnprocessableEntity {
		t.Errorf("a code is taken twice: %d", got.status)
	}
	b.clock.turn(time.Minute)
	in(code()).leads(t, "/")
	in(recovery).leads(t, "/")
	if got := in(recovery); got.status != http.StatusUnprocessableEntity {
		t.Errorf("a recovery code is taken twice: %d", got.status)
	}
	w = b.browse()
	w.post("/signin", "login", "admin", "password", adminPassword).leads(t, "/signin/code")
	for range 5 {
		if got := w.post("/signin/code", "code", "123456"); got.status != http.StatusUnprocessableEntity {
			t.Fatalf("status %d", got.status)
		}
	}
	b.clock.turn(time.Minute)
	w.post("/signin/code", "code", code()).leads(t, "/signin")
}

func TestDangerousActsAskAgain(t *testing.T) {
	b := newBox(t, true)
	w := b.as(webui.Administrator)
	if got := w.get("/people/anna@office.example/remove"); got.status != http.StatusOK {
		t.Errorf("right after the sign-in: %d", got.status)
	}
	b.clock.turn(16 * time.Minute)
	w.get("/people/anna@office.example/remove").leads(t, "/prove?next=%2Fpeople%2Fanna%40office.example%2Fremove")
	if got := w.post("/people/anna@office.example/remove", "address", "anna@office.example"); !strings.HasPrefix(got.header.Get("Location"), "/prove") {
		t.Errorf("an old session deletes an account: %d", got.status)
	}
	if changed := b.api.changed(); len(changed) > 0 {
		t.Errorf("it was done: %v", changed)
	}
	if got := w.post("/prove", "password", "wrong", "next", "/people"); got.status != http.StatusUnprocessableEntity {
		t.Errorf("a wrong password: %d", got.status)
	}
	w.post("/prove", "password", adminPassword, "next", "https://elsewhere.example/").leads(t, "/")
	w.post("/people/anna@office.example/remove", "address", "anna@office.example").leads(t, "/people")
	if changed := b.api.changed(); len(changed) != 1 || changed[0].Method != http.MethodDelete {
		t.Errorf("what was done: %v", changed)
	}
}

func TestNobodyIsLedElsewhere(t *testing.T) {
	b := newBox(t, true)
	for _, next := range []string{"https://elsewhere.example/", "//elsewhere.example", "/\\elsewhere.example", "javascript:alert(1)", "\t//x", "/a\r\nb"} {
		w := b.browse()
		if got := w.post("/signin", "login", "admin", "password", adminPassword, "next", next); got.header.Get("Location") != "/" {
			t.Errorf("%q leads to %q", next, got.header.Get("Location"))
		}
	}
}

func TestTokensOpenTheAPI(t *testing.T) {
	b := newBox(t, true)
	w := b.as(webui.Administrator)
	text := w.post("/tokens/new", "name", "Monitor", "role", "auditor", "days", "30").text
	_, rest, _ := strings.Cut(text, `id="secret">`)
	token, _, _ := strings.Cut(rest, "<")
	if !strings.HasPrefix(token, "pbx_") || strings.Contains(b.store.text(), token) {
		t.Fatalf("the token is %q, and is kept as it is: %v", token, strings.Contains(b.store.text(), token))
	}
	ask := func(method, path, token string) page {
		return b.browse().do(method, path, url.Values{}, func(r *http.Request) {
			r.Header.Del("Sec-Fetch-Site")
			if token != "" {
				r.Header.Set("Authorization", "Bearer "+token)
			}
		})
	}
	for _, tt := range []struct {
		method, path, token string
		want                int
	}{
		{"GET", "/api/v1/status", token, 200},
		{"GET", "/api/v1/status", "", 401},
		{"GET", "/api/v1/status", "pbx_" + strings.Repeat("0", 64), 401},
		{"POST", "/api/v1/accounts", token, 403},
		{"PUT", "/api/v1/admin/password", token, 403},
		{"GET", "/api/v1/nothing", token, 404},
	} {
		if got := ask(tt.method, tt.path, tt.token); got.status != tt.want {
			t.Errorf("%s %s: status %d, want %d: %s", tt.method, tt.path, got.status, tt.want, got.text)
		}
	}
	// What a browser sends by itself opens nothing.
	if got := w.get("/api/v1/status"); got.status != http.StatusUnauthorized {
		t.Errorf("a cookie opens the API: %d", got.status)
	}
	last := b.api.calls[len(b.api.calls)-1]
	if last.By != "token Monitor, 127.0.0.1" {
		t.Errorf("it was asked by %q", last.By)
	}
	b.clock.turn(31 * 24 * time.Hour)
	if got := ask("GET", "/api/v1/status", token); got.status != http.StatusUnauthorized {
		t.Errorf("a token that has ended: status %d", got.status)
	}
}

// TestATokenNeverMayMoreThanItsMaker takes rights from who made one.
func TestATokenNeverMayMoreThanItsMaker(t *testing.T) {
	b := newBox(t, true)
	boss := b.as(webui.Administrator)
	role := func(name string) {
		boss.post("/people/anna@office.example/role", "role", name).leads(t, "/people/anna@office.example")
	}
	role("administrator")
	w := b.browse()
	w.post("/signin", "login", "anna@office.example", "password", annaPassword).leads(t, "/")
	_, rest, _ := strings.Cut(w.post("/tokens/new", "name", "Hers", "role", "administrator", "days", "30").text, `id="secret">`)
	token, _, _ := strings.Cut(rest, "<")
	ask := func(method, path string) int {
		return b.browse().do(method, path, url.Values{}, func(r *http.Request) {
			r.Header.Del("Sec-Fetch-Site")
			r.Header.Set("Authorization", "Bearer "+token)
		}).status
	}
	expect := func(when string, read, keep, all int) {
		t.Helper()
		for path, want := range map[string]int{"GET /api/v1/status": read, "POST /api/v1/accounts": keep, "PUT /api/v1/admin/password": all} {
			method, path, _ := strings.Cut(path, " ")
			if got := ask(method, path); got != want {
				t.Errorf("%s, %s %s: status %d, want %d", when, method, path, got, want)
			}
		}
	}
	expect("as an administrator", 200, 200, 200)
	role("operator")
	expect("as an operator", 200, 200, 403)
	role("person")
	expect("as a person", 403, 403, 403)
	role("administrator")
	b.gate.mu.Lock()
	b.gate.suspended = true
	b.gate.mu.Unlock()
	expect("suspended", 403, 403, 403)
	b.gate.mu.Lock()
	b.gate.suspended = false
	b.gate.mu.Unlock()
	expect("no longer suspended", 200, 200, 200)
	if err := b.api.book.Forget(t.Context(), "id-anna"); err != nil {
		t.Fatal(err)
	}
	expect("gone", 401, 401, 401)
	b.open()
	expect("gone, after a restart", 401, 401, 401)
}

func TestWhoGuessesWaits(t *testing.T) {
	b := newBox(t, true)
	b.gate.slow = true
	if got := b.browse().post("/signin", "login", "admin", "password", adminPassword); got.status != http.StatusUnprocessableEntity || !strings.Contains(got.text, "Too many tries") {
		t.Errorf("status %d", got.status)
	}
	b.gate.slow = false
	if got := b.browse().post("/signin", "login", "admin", "password", "wrong"); !strings.Contains(got.text, "The name or the password is wrong") || !strings.Contains(got.text, `value="admin"`) {
		t.Errorf("a wrong password: %d; the name that was typed must stay", got.status)
	}
	kinds := []string{}
	for _, a := range b.acts {
		kinds = append(kinds, a.Kind)
	}
	if len(kinds) != 2 || kinds[0] != "signin.failed" || kinds[1] != "signin.failed" {
		t.Errorf("recorded was %v", kinds)
	}
}

// TestMarkupStaysText puts what a stranger may have sent onto pages.
func TestMarkupStaysText(t *testing.T) {
	b := newBox(t, true)
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(1)>`
	b.api.say("GET /v1/accounts", []any{map[string]any{"id": "id-anna", "address": "anna@office.example", "name": evil}})
	b.api.say("GET /v1/log", []string{evil})
	b.api.say("GET /v1/audit/records", []any{map[string]any{"kind": "signin.failed", "time": time.Now(), "values": map[string]string{"actor": evil, "reason": evil}}})
	b.api.say("GET /v1/bans", []any{map[string]any{"network": "203.0.113.9/32", "reason": evil, "tried": []string{evil}}})
	w := b.as(webui.Administrator)
	for _, path := range []string{"/people", "/people/anna@office.example", "/logs?find=%22%3E%3Cscript", "/audit?account=%22%3E%3Cscript", "/bans", "/people?search=%22%3E%3Cscript"} {
		got := w.get(path)
		if got.status != http.StatusOK || strings.Contains(got.text, "<script>") || strings.Contains(got.text, "<img src=x") || strings.Contains(got.text, `"><script`) {
			t.Errorf("%s: status %d, or markup came through", path, got.status)
		}
	}
}
