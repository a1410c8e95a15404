package webui_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"pillarbox/webui"
)

// factor sets a second factor up for who is signed in, and returns what makes its
// codes; each is of another period than the one before.
func factor(t *testing.T, b *box, w *browser) func() string {
	t.Helper()
	_, rest, _ := strings.Cut(w.get("/factor").text, `name="secret" value="`)
	secret, _, _ := strings.Cut(rest, `"`)
	code := func() string {
		t.Helper()
		b.clock.turn(time.Minute)
		c, err := totp.GenerateCode(secret, b.clock.now())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	if got := w.post("/factor", "secret", secret, "code", code()); got.status != http.StatusOK {
		t.Fatalf("a second factor is not set up: %d", got.status)
	}

	return code
}

// TestACodeProvesOnlyTheSessionThatAskedForIt has somebody prove themselves, and
// send the code with the cookie of an administrator's session that was stolen.
func TestACodeProvesOnlyTheSessionThatAskedForIt(t *testing.T) {
	b := newBox(t, true)
	stolen := b.as(webui.Administrator)
	anna := b.as(webui.Person)
	code := factor(t, b, anna)
	b.clock.turn(16 * time.Minute)
	got := anna.post("/prove", "password", annaPassword, "next", "/me")
	half := cookie(got, sessionCookie+"-half")
	if half == nil {
		t.Fatalf("no code is asked for: %d", got.status)
	}
	addHalf := func(r *http.Request) { r.AddCookie(half) }
	stolen.do(http.MethodPost, "/signin/code", url.Values{"code": {code()}}, addHalf).leads(t, "/signin")
	stolen.get("/tokens/new").leads(t, "/prove?next=%2Ftokens%2Fnew")
	anna.post("/signin/code", "code", code()).leads(t, "/me")
}

// TestANewPasswordDoesNotStandForTheSecondFactor: who has a session and the
// password, but no code, must not come to what wants both.
func TestANewPasswordDoesNotStandForTheSecondFactor(t *testing.T) {
	b := newBox(t, true)
	w := b.as(webui.Administrator)
	factor(t, b, w)
	b.clock.turn(16 * time.Minute)
	w.post("/me/password", "old", adminPassword, "password", adminPassword+"!", "again", adminPassword+"!").leads(t, "/me")
	w.post("/factor/remove").leads(t, "/prove?next=%2F")
}

// TestACodeIsOfWhoHasStillThatPassword has an account changed between password and
// code.
func TestACodeIsOfWhoHasStillThatPassword(t *testing.T) {
	b := newBox(t, true)
	code := factor(t, b, b.as(webui.Operator))
	in := func() *browser {
		w := b.browse()
		w.post("/signin", "login", "anna@office.example", "password", annaPassword).leads(t, "/signin/code")
		return w
	}
	in().post("/signin/code", "code", code()).leads(t, "/")
	w := in()
	if _, err := b.api.book.SetRole(t.Context(), "id-anna", "anna@office.example", "person"); err != nil {
		t.Fatal(err)
	}
	w.post("/signin/code", "code", code()).leads(t, "/signin")
	w = in() // another password, and a suspension, end what there is of an account
	if _, err := b.api.book.EndSessions(t.Context(), "id-anna", ""); err != nil {
		t.Fatal(err)
	}
	w.post("/signin/code", "code", code()).leads(t, "/signin")
}

// TestASessionHasTheRoleOfNow finds a session that was kept with more than its
// user may do any more, as a crash between the two leaves it.
func TestASessionHasTheRoleOfNow(t *testing.T) {
	b := newBox(t, true)
	anna := b.as(webui.Operator)
	if err := b.store.Save(t.Context(), false, webui.Record{Section: "web/users", Key: "id-anna", Value: []byte(`{"role":"person"}`)}); err != nil {
		t.Fatal(err)
	}
	b.open()
	anna.Transport = b.browse().Transport
	if got := anna.get("/people"); got.status != http.StatusForbidden {
		t.Errorf("a person's session shows all people: %d", got.status)
	}
	if got := anna.get("/me"); got.status != http.StatusOK {
		t.Errorf("and not its own page: %d", got.status)
	}
}

// TestAClaimDoesNotWaitForWhoGuesses has a stranger be slowed down for guessing.
func TestAClaimDoesNotWaitForWhoGuesses(t *testing.T) {
	b := newBox(t, false)
	b.gate.guessing = make(chan struct{})
	form := func(code string) url.Values {
		return url.Values{"code": {code}, "password": {adminPassword}, "again": {adminPassword}}
	}
	ctx, cancel := context.WithCancel(t.Context())
	guessed := make(chan struct{})
	go func() {
		defer close(guessed)
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+b.plain+"/claim", strings.NewReader(form("AAAAA-AAAAA").Encode()))
		if err == nil {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if res, err := http.DefaultClient.Do(r); err == nil {
				res.Body.Close()
			}
		}
	}()
	defer func() { cancel(); <-guessed; close(b.gate.guessing) }()
	w := b.browse()
	w.Timeout = 20 * time.Second
	for range 3 { // the stranger is there before one of them
		time.Sleep(50 * time.Millisecond)
		if got := w.post("/claim", "code", b.ClaimCode(), "password", "short", "again", "short"); got.status != http.StatusUnprocessableEntity {
			t.Fatalf("status %d", got.status)
		}
	}
	w.do(http.MethodPost, "/claim", form(b.ClaimCode())).leads(t, "/first")
}

// TestATokenChangesNobodyAboveItByAnySpelling: the box finds an account by more
// spellings of its address than the one that is kept.
func TestATokenChangesNobodyAboveItByAnySpelling(t *testing.T) {
	b := newBox(t, true)
	w := b.as(webui.Administrator)
	_, rest, _ := strings.Cut(w.post("/tokens/new", "name", "Script", "role", "operator", "days", "30").text, `id="secret">`)
	token, _, _ := strings.Cut(rest, "<")
	b.api.answers["GET /v1/accounts/nobody@office.example/web"] = func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"code":"no-account","message":"there is no such account"}`))
	}
	b.api.answers["GET /v1/accounts/sick@office.example/web"] = func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
	}
	b.api.say("GET /v1/accounts/boss@ｏffice.example/web", map[string]string{"role": "administrator"})
	b.api.say("GET /v1/accounts/anna@office.example/web", map[string]string{"role": "operator"})
	for address, want := range map[string]int{
		"boss@ｏffice.example": http.StatusForbidden, "sick@office.example": http.StatusInternalServerError,
		"anna@office.example": http.StatusOK, "nobody@office.example": http.StatusOK, // the harness's own answer
	} {
		before := len(b.api.changed())
		got := b.browse().do(http.MethodPut, "/api/v1/accounts/"+url.PathEscape(address)+"/password", url.Values{}, func(r *http.Request) {
			r.Header.Set("Authorization", "Bearer "+token)
		})
		if asked := len(b.api.changed()) > before; got.status != want || asked != (want == http.StatusOK) {
			t.Errorf("%s: status %d, want %d; it was asked for: %v", address, got.status, want, asked)
		}
	}
}

// TestNobodyChangesWhoStandsAboveThem has an operator work on an administrator.
func TestNobodyChangesWhoStandsAboveThem(t *testing.T) {
	b := newBox(t, true)
	w := b.as(webui.Operator)
	boss := map[string]any{"id": "id-boss", "address": "boss@office.example", "name": "Boss"}
	b.api.say("GET /v1/accounts", []any{boss})
	if _, err := b.api.book.SetRole(t.Context(), "id-boss", "boss@office.example", "administrator"); err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"name", "quota", "suspend", "password", "sessions/end", "devices", "devices/certificate", "devices/revoke", "factor", "role", "remove"} {
		got := w.post("/people/boss@office.example/"+what, "name", "Telephone", "quota", "1", "suspended", "yes", "device", "x")
		if got.status != http.StatusForbidden {
			t.Errorf("%s: status %d", what, got.status)
		}
	}
	if changed := b.api.changed(); len(changed) > 0 {
		t.Errorf("it was done: %v", changed)
	}
}

// TestDotsAreNoName: the box answers a path with dots by leading elsewhere, which
// is no success.
func TestDotsAreNoName(t *testing.T) {
	b := newBox(t, true)
	w := b.as(webui.Administrator)
	b.api.answers["DELETE /v1/aliases/.."] = func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/v1/", http.StatusTemporaryRedirect)
	}
	if got := w.post("/people/anna@office.example/aliases/remove", "alias", ".."); got.status != http.StatusNotFound && got.header.Get("Location") == "" {
		t.Errorf("status %d", got.status)
	}
	if got := w.get("/people/anna@office.example"); strings.Contains(got.text, "no longer leads here") {
		t.Error("it is said to have been removed")
	}
}

// TestAFormThatCannotBeReadDoesNothing: without its fields some forms mean more.
func TestAFormThatCannotBeReadDoesNothing(t *testing.T) {
	b := newBox(t, true)
	other, w := b.as(webui.Administrator), b.as(webui.Administrator)
	for body, want := range map[string]int{
		"session=%zz":                            http.StatusBadRequest,
		"session=" + strings.Repeat("x", 70<<10): http.StatusRequestEntityTooLarge,
	} {
		got := w.do(http.MethodPost, "/me/sessions/end", url.Values{}, func(r *http.Request) {
			r.Body, r.ContentLength = http.NoBody, 0
			r2, err := http.NewRequestWithContext(r.Context(), r.Method, r.URL.String(), strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			r.Body, r.ContentLength = r2.Body, r2.ContentLength
		})
		if got.status != want {
			t.Errorf("%.20s: status %d, want %d", body, got.status, want)
		}
	}
	if got := other.get("/people"); got.status != http.StatusOK {
		t.Errorf("the other session has ended: %d", got.status)
	}
}

// TestOneUserKeepsNobodyFromLiveParts opens more than one user may.
func TestOneUserKeepsNobodyFromLiveParts(t *testing.T) {
	b := filled(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	open := func(w *browser) int {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://127.0.0.1/live/overview", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := w.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { res.Body.Close() })
		return res.StatusCode
	}
	auditor, admin := b.as(webui.Auditor), b.as(webui.Administrator)
	last := 0
	for range 21 {
		last = open(auditor)
	}
	if last != http.StatusServiceUnavailable {
		t.Errorf("the 21st live part: status %d", last)
	}
	if got := open(admin); got != http.StatusOK {
		t.Errorf("somebody else's: status %d", got)
	}
}

func TestALineOfALivePartStaysOne(t *testing.T) {
	want := "data: a\ndata: retry: 0\ndata: b\ndata: c\n\n"
	if got := webui.Event("a\rretry: 0\r\nb\nc"); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestWhoBeginsManyPasskeysPushesOutNobodys: anybody may begin one.
func TestWhoBeginsManyPasskeysPushesOutNobodys(t *testing.T) {
	var c webui.Ceremonies
	now := time.Now()
	c.Begin("owner", netip.MustParseAddr("192.0.2.1"), now)
	for i := range 500 {
		c.Begin(fmt.Sprint("stranger ", i), netip.MustParseAddr("192.0.2.2"), now.Add(time.Duration(i)*time.Millisecond))
	}
	if !c.End("owner", now.Add(time.Minute)) || !c.End("stranger 499", now.Add(time.Minute)) {
		t.Error("the owner's or the newest is not waited for any more")
	}
	if c.End("stranger 479", now.Add(time.Minute)) || c.End("owner", now.Add(time.Minute)) {
		t.Error("one that is over is still waited for")
	}
}

// TestAPasskeyThatIsNoneIsRecorded sends an answer to a challenge that no key made.
func TestAPasskeyThatIsNoneIsRecorded(t *testing.T) {
	b := newBox(t, true)
	w := b.browse()
	w.host = "mail.office.example"
	var asked struct {
		PublicKey struct {
			Challenge string `json:"challenge"`
		} `json:"publicKey"`
	}
	if err := json.Unmarshal([]byte(w.post("/passkey/signin/begin").text), &asked); err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	client := fmt.Sprintf(`{"type":"webauthn.get","challenge":%q,"origin":"https://mail.office.example"}`, asked.PublicKey.Challenge)
	body, err := json.Marshal(map[string]any{
		"id": b64([]byte("a key")), "rawId": b64([]byte("a key")), "type": "public-key",
		"response": map[string]string{
			"clientDataJSON": b64([]byte(client)), "authenticatorData": b64(make([]byte, 37)), "signature": b64([]byte("x")), "userHandle": b64([]byte("admin")),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := w.do(http.MethodPost, "/passkey/signin/finish", nil, func(r *http.Request) {
		r2, err := http.NewRequestWithContext(r.Context(), r.Method, r.URL.String(), strings.NewReader(string(body)))
		if err != nil {
			t.Fatal(err)
		}
		r.Body, r.ContentLength = r2.Body, r2.ContentLength
		r.Header.Set("Content-Type", "application/json")
	})
	if got.status != http.StatusUnprocessableEntity || !strings.Contains(got.text, "not known here") {
		t.Fatalf("status %d: %s", got.status, got.text)
	}
	if len(b.acts) != 1 || b.acts[0].Kind != "signin.failed" || b.acts[0].More["mechanism"] != "web, passkey" {
		t.Errorf("recorded was %v", b.acts)
	}
}
