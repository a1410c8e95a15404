package webui_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pquerna/otp/totp"

	"pillarbox/webui"
)

func TestParsePeople(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		want [][2]string
		says string
	}{
		"a name and an address":       {"Ada Lovelace, ada@office.example", [][2]string{{"ada@office.example", "Ada Lovelace"}}, ""},
		"in the other order":          {"ada@office.example; Ada Lovelace", [][2]string{{"ada@office.example", "Ada Lovelace"}}, ""},
		"an address alone":            {"<ada@office.example>", [][2]string{{"ada@office.example", ""}}, ""},
		"a heading and empty lines":   {"Name\tE-Mail\n\nAda\tada@office.example\n", [][2]string{{"ada@office.example", "Ada"}}, ""},
		"without what is behind an @": {"Ada Lovelace, ada", [][2]string{{"ada@office.example", "Ada Lovelace"}}, ""},
		"a comma in quotes":           {`"Lovelace, Ada",ada@office.example`, [][2]string{{"ada@office.example", "Lovelace, Ada"}}, ""},
		"nobody":                      {"\n \n", nil, ""},
		"lines without an address":    {"Ada Lovelace\n\nben@office.example\n<>", [][2]string{{"ben@office.example", ""}}, "1 Ada Lovelace: It has no address|4 <>: It has no address"},
		"a mark in front of a file":   {"\ufeffada@office.example", [][2]string{{"ada@office.example", ""}}, ""},
		"no list of people":           {strings.Repeat("no one here\n", 200), nil, "This is no list of people"},
		"a line of a megabyte":        {strings.Repeat("x", 1<<20), nil, "too long"},
	} {
		t.Run(name, func(t *testing.T) {
			got, wrong, err := webui.ParsePeople(tt.text, "office.example")
			said := append([]string{}, wrong...)
			if err != nil {
				said = append(said, err.Error())
			}
			for i, want := range strings.Split(tt.says, "|") {
				if tt.says == "" && len(said) > 0 || tt.says != "" && (i >= len(said) || !strings.Contains(said[i], want)) {
					t.Fatalf("it says %q, want %q", said, tt.says)
				}
			}
			if err == nil {
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			}
		})
	}
}

// FuzzParsePeople pastes anything: an error is for a person to read, and whoever
// is found has an address.
func FuzzParsePeople(f *testing.F) {
	for _, seed := range []string{"Ada, ada@office.example", "a;b\nc\td", `"x,"y"`, "Name;Mail\n\"", "@\n@@", "\x00,\xff@x"} {
		f.Add(seed, "office.example")
	}
	f.Fuzz(func(t *testing.T, text, domain string) {
		all, wrong, err := webui.ParsePeople(text, domain)
		var said *webui.Refusal
		if err != nil && !errors.As(err, &said) {
			t.Errorf("the error is not for a person: %v", err)
		}
		if len(wrong) > 100 {
			t.Errorf("%d lines are told of", len(wrong))
		}
		for _, p := range all {
			if !strings.Contains(p[0], "@") {
				t.Errorf("%q has no address", p)
			}
		}
		for _, a := range webui.MailAddresses(text, "office.example") {
			if !strings.Contains(a, "@") || strings.ContainsAny(a, ",; \t\r\n") {
				t.Errorf("%q is no address", a)
			}
		}
	})
}

// crowd has the box tell of many people.
func crowd(b *box, n int) {
	var all []any
	for i := range n {
		all = append(all, map[string]any{
			"id": fmt.Sprint("id-", i), "address": fmt.Sprintf("p%03d@office.example", i), "name": fmt.Sprint("Person ", i),
			"suspended": i%50 == 7, "quota": 1e9, "used_bytes": 1e7 * (i % 100),
		})
	}
	b.api.say("GET /v1/accounts", all)
}

func TestManyPeopleAreShownInParts(t *testing.T) {
	b := newBox(t, true)
	crowd(b, 200)
	w := b.as(webui.Administrator)
	for path, want := range map[string][]string{
		"/people":                           {"p000@", "p049@", "Page 1 of 4, 200 accounts", "page=2"},
		"/people?page=4":                    {"p150@", "p199@", "Page 4 of 4", "page=3"},
		"/people?page=99":                   {"p199@"},
		"/people?page=-1":                   {"p000@"},
		"/people?page=x":                    {"p000@"},
		"/people?search=person+19&show=":    {"p019@", "p190@", "p199@"},
		"/people?show=suspended":            {"p007@", "p157@"},
		"/people?show=full":                 {"p090@", "p199@"},
		"/people?show=staff":                {"Nobody is found so"},
		"/people?search=%3Cb%3E&show=staff": {"Nobody is found so"},
	} {
		got := w.get(path)
		for _, text := range want {
			if !strings.Contains(got.text, text) {
				t.Errorf("%s lacks %q", path, text)
			}
		}
		for _, what := range validate(got.text) {
			t.Errorf("%s: %s", path, what)
		}
		if rows := strings.Count(got.text, "@office.example</td>"); rows > 50 || path == "/people?show=suspended" && rows != 4 {
			t.Errorf("%s has %d people", path, rows)
		}
	}
}

func TestAPersonWithATypedPassword(t *testing.T) {
	b := newBox(t, true)
	b.api.say("POST /v1/accounts", map[string]any{"address": "ben@office.example"})
	w := b.as(webui.Operator)
	w.post("/people/new", "address", "ben@office.example", "password", " typed by hand ").leads(t, "/people/ben@office.example")
	got := b.api.changed()
	if len(got) != 1 || !strings.Contains(got[0].Body, `"password":" typed by hand "`) {
		t.Errorf("asked was %v", got)
	}
	b.api.answers["POST /v1/accounts"] = func(rw http.ResponseWriter, _ *http.Request) {
		rw.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(rw).Encode(map[string]string{"code": "password", "message": "the password cannot be used: it is too short"})
	}
	p := w.post("/people/new", "address", "ben@office.example", "password", "x")
	if p.status != http.StatusUnprocessableEntity || !strings.Contains(p.text, `id="password-problem"`) || strings.Contains(p.text, `value="x"`) {
		t.Errorf("status %d\n%s", p.status, p.text)
	}
}

func TestAnOperatorDoesNothingToWhoStandsAbove(t *testing.T) {
	b := newBox(t, true)
	b.api.say("GET /v1/accounts", []any{
		map[string]any{"id": "id-anna", "address": "anna@office.example"}, map[string]any{"id": "id-boss", "address": "boss@office.example"},
	})
	if _, err := b.api.book.SetRole(t.Context(), "id-boss", "boss@office.example", "administrator"); err != nil {
		t.Fatal(err)
	}
	w := b.as(webui.Operator)
	for _, route := range b.Routes() {
		if !strings.HasPrefix(route.Pattern, "POST /people/{address}/") {
			continue
		}
		path := strings.Replace(strings.TrimPrefix(route.Pattern, "POST "), "{address}", "boss@office.example", 1)
		got := w.post(path, "name", "x", "quota", "1", "alias", "x", "device", "x", "password", "typed by hand", "suspended", "yes")
		if got.status != http.StatusForbidden {
			t.Errorf("%s: status %d", path, got.status)
		}
	}
	if got := b.api.changed(); len(got) > 0 {
		t.Errorf("asked was %v", got)
	}
}

func TestAPasswordIsTypedForSomebody(t *testing.T) {
	b := newBox(t, true)
	w := b.as(webui.Operator)
	w.post("/people/anna@office.example/password", "password", "typed by hand").leads(t, "/people/anna@office.example")
	if got := b.api.changed(); len(got) != 1 || !strings.Contains(got[0].Body, `"password":"typed by hand"`) {
		t.Errorf("asked was %v", got)
	}
	if got := w.post("/people/anna@office.example/password").text; !strings.Contains(got, `id="secret"`) {
		t.Errorf("no password is shown:\n%s", got)
	}
	b.api.answers["PUT /v1/accounts/anna@office.example/password"] = func(rw http.ResponseWriter, _ *http.Request) {
		rw.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(rw).Encode(map[string]string{"code": "password", "message": "the password cannot be used"})
	}
	if got := w.post("/people/anna@office.example/password", "password", "x"); got.status != http.StatusUnprocessableEntity || !strings.Contains(got.text, `id="password-problem"`) {
		t.Errorf("status %d\n%s", got.status, got.text)
	}
}

func TestAGroupOfAllIsNoHeavyPage(t *testing.T) {
	b := newBox(t, true)
	crowd(b, 200)
	var all []string
	for i := range 200 {
		all = append(all, fmt.Sprintf("p%03d@office.example", i))
	}
	b.api.say("GET /v1/aliases", []any{map[string]any{"address": "all@office.example", "targets": all}})
	w := b.as(webui.Administrator)
	for _, path := range []string{"/groups", "/groups/all@office.example", "/groups/new", "/people", "/people/p007@office.example"} {
		got := w.get(path)
		if got.status != http.StatusOK || len(got.text) > 80<<10 {
			t.Errorf("%s: status %d, %d octets", path, got.status, len(got.text))
		}
		for _, what := range validate(got.text) {
			t.Errorf("%s: %s", path, what)
		}
	}
}

func TestManyPeopleAtOnce(t *testing.T) {
	b := newBox(t, true)
	w := b.as(webui.Operator)
	list := "Ada,ada@office.example\nAnna,anna@office.example\nAda again,ada@office.example\nX,x@y\nInfo,info@office.example"
	b.api.say("GET /v1/aliases", []any{map[string]any{"address": "info@office.example", "targets": []string{"anna@office.example"}}})
	p := w.post("/people/many", "people", list, "quota", "2,5")
	for _, want := range []string{"account with this address already", "in the list twice", "This is no address", "group or alias has this address", "Nobody was added yet", "X,x@y"} {
		if !strings.Contains(p.text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if got := b.api.changed(); p.status != http.StatusUnprocessableEntity || len(got) > 0 {
		t.Errorf("status %d, asked was %v", p.status, got)
	}
	w.post("/people/many", "people", "Ada,ada@office.example\nBen,ben@office.example", "quota", "2,5").leads(t, "/people/many/added")
	p = w.get("/people/many/added")
	passwords := map[string]bool{}
	for _, c := range b.api.changed() {
		var in struct {
			Address, Password string
			Quota             int64
		}
		if err := json.Unmarshal([]byte(c.Body), &in); err != nil || in.Quota != 2_500_000_000 || !strings.Contains(p.text, in.Password) {
			t.Errorf("%s: %v", c.Body, err)
		}
		passwords[in.Password] = true
	}
	if len(passwords) != 2 {
		t.Errorf("%d passwords\n%s", len(passwords), p.text)
	}
	// They are for who sent the list, until they are noted or forgotten.
	b.as(webui.Administrator).get("/people/many/added").leads(t, "/people")
	if again := w.get("/people/many/added"); again.text != p.text {
		t.Errorf("after a reload:\n%s", again.text)
	}
	w.post("/people/many/noted").leads(t, "/people")
	w.get("/people/many/added").leads(t, "/people")
}

// TestALongListGoesOn leaves the page while people are added: what fails in the
// middle hides no password, and no second list begins meanwhile.
func TestALongListGoesOn(t *testing.T) {
	b := newBox(t, true)
	w := b.as(webui.Operator)
	hold := make(chan bool)
	b.api.answers["POST /v1/accounts"] = func(rw http.ResponseWriter, _ *http.Request) {
		if !<-hold {
			rw.WriteHeader(http.StatusInsufficientStorage)
			_ = json.NewEncoder(rw).Encode(map[string]string{"code": "disk-full", "message": "the disk is full"})
			return
		}
		_ = json.NewEncoder(rw).Encode(nil)
	}
	w.post("/people/many", "people", "Ada,ada@office.example\nCarl,carl@office.example\nDora,dora@office.example").leads(t, "/people/many/added")
	hold <- true
	hold <- false
	for p := w.get("/people/many/added"); !strings.Contains(p.text, "2 of 3 are added"); p = w.get("/people/many/added") {
		if !strings.Contains(p.text, "of 3 are added") || strings.Contains(p.text, "<code>") {
			t.Fatalf("the page says\n%s", p.text)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if p := w.post("/people/many", "people", "Eve,eve@office.example"); p.status != http.StatusUnprocessableEntity || !strings.Contains(p.text, "still under way") {
		t.Errorf("a second list: status %d", p.status)
	}
	w.post("/people/many/noted") // too early to be forgotten
	hold <- true
	p := w.get("/people/many/added")
	for ; strings.Contains(p.text, "of 3 are added"); p = w.get("/people/many/added") {
		time.Sleep(10 * time.Millisecond)
	}
	if strings.Count(p.text, "<code>") != 2 || !strings.Contains(p.text, "The disk is full.") || !strings.Contains(p.text, "carl@office.example") {
		t.Errorf("the page says\n%s", p.text)
	}
	for _, what := range validate(p.text) {
		t.Error(what)
	}
	b.clock.turn(16 * time.Minute)
	w.get("/people/many/added").leads(t, "/people")
}

func TestASecondFactorIsResetForSomebody(t *testing.T) {
	b := newBox(t, true)
	anna, admin := b.as(webui.Person), b.as(webui.Administrator)
	if got := admin.get("/people/anna@office.example").text; !strings.Contains(got, "Sign them out everywhere") {
		t.Errorf("the page does not show the session:\n%s", got)
	}
	if got := admin.get("/people/anna@office.example/factor"); !strings.Contains(got.text, "Be sure that it is they who ask") {
		t.Errorf("status %d", got.status)
	}
	_, rest, _ := strings.Cut(anna.get("/factor").text, `name="secret" value="`)
	secret, _, _ := strings.Cut(rest, `"`)
	code, err := totp.GenerateCode(secret, b.clock.now())
	if err != nil {
		t.Fatal(err)
	}
	if got := anna.post("/factor", "secret", secret, "code", code); !strings.Contains(got.text, "recovery codes") {
		t.Fatalf("status %d\n%s", got.status, got.text)
	}
	b.browse().post("/signin", "login", "anna@office.example", "password", annaPassword).leads(t, "/signin/code")
	admin.post("/people/anna@office.example/factor").leads(t, "/people/anna@office.example")
	if got := admin.get("/people/anna@office.example").text; !strings.Contains(got, "The second factor is gone") {
		t.Errorf("the page says\n%s", got)
	}
	anna.get("/me").leads(t, "/signin?next=%2Fme")
	b.browse().post("/signin", "login", "anna@office.example", "password", annaPassword).leads(t, "/me")
}

func TestSessionsAreEndedOneByOne(t *testing.T) {
	b := newBox(t, true)
	one, two, three := b.as(webui.Person), b.browse(), b.browse()
	for _, w := range []*browser{two, three} {
		w.post("/signin", "login", "anna@office.example", "password", annaPassword).leads(t, "/me")
	}
	id := sessions(one.get("/me").text)
	if len(id) != 2 {
		t.Fatalf("%d sessions can be ended, want 2", len(id))
	}
	one.post("/me/sessions/end", "session", id[0]).leads(t, "/me")
	ended := 0
	for _, w := range []*browser{two, three} {
		if w.get("/me").status == http.StatusSeeOther {
			ended++
		}
	}
	if ended != 1 || one.get("/me").status != http.StatusOK {
		t.Errorf("%d others ended", ended)
	}
	b.as(webui.Administrator).post("/people/anna@office.example/sessions/end").leads(t, "/people/anna@office.example")
	one.get("/me").leads(t, "/signin?next=%2Fme")
}

// sessions finds those that a page can end.
func sessions(text string) (all []string) {
	for _, part := range strings.Split(text, `name="session" value="`)[1:] {
		id, _, _ := strings.Cut(part, `"`)
		all = append(all, id)
	}

	return all
}

func TestWhatWasDoneIsTakenBack(t *testing.T) {
	b := filled(t)
	w := b.as(webui.Operator)
	for _, tt := range []struct {
		path string
		form []string
		want call // that the undo asks for
	}{
		{"/people/anna@office.example/quota", []string{"quota", "7"}, call{Method: "PUT", Path: "/v1/accounts/anna@office.example/quota", Body: `{"quota":5000000000}`}},
		{"/people/anna@office.example/name", []string{"name", "Anna <b>"}, call{Method: "PUT", Path: "/v1/accounts/anna@office.example/name", Body: `{"name":"Anna"}`}},
		{"/people/anna@office.example/suspend", []string{"suspended", "no"}, call{Method: "PUT", Path: "/v1/accounts/anna@office.example/suspended", Body: `{"suspended":true}`}},
		{"/people/anna@office.example/aliases/remove", []string{"alias", "a@office.example"}, call{Method: "POST", Path: "/v1/aliases", Body: `{"address":"a@office.example","targets":["anna@office.example"]}`}},
		{"/groups/info@office.example/drop", []string{"member", "all@office.example"}, call{Method: "POST", Path: "/v1/aliases", Body: `{"address":"info@office.example","targets":["all@office.example"]}`}},
		{"/groups/info@office.example", []string{"description", "x", "writers", ""}, call{Method: "PUT", Path: "/v1/aliases/info@office.example", Body: `{"description":"Who \u003casks\u003e","new":false,"targets":["anna@office.example","all@office.example"],"writers":"office"}`}},
		{"/groups/info@office.example/remove", nil, call{Method: "PUT", Path: "/v1/aliases/info@office.example", Body: `{"description":"Who \u003casks\u003e","new":true,"targets":["anna@office.example","all@office.example"],"writers":"office"}`}},
	} {
		t.Run(tt.path, func(t *testing.T) {
			done := w.post(tt.path, tt.form...)
			if done.status != http.StatusSeeOther {
				t.Fatalf("status %d\n%s", done.status, done.text)
			}
			path, form := undo(t, w.get(done.header.Get("Location")).text)
			b.api.mu.Lock()
			b.api.calls = nil
			b.api.mu.Unlock()
			if got := w.do(http.MethodPost, path, form); got.status != http.StatusSeeOther {
				t.Fatalf("undo: status %d\n%s", got.status, got.text)
			}
			got := b.api.changed()
			if len(got) != 1 || got[0].Method != tt.want.Method || got[0].Path != tt.want.Path || strings.TrimSpace(got[0].Body) != tt.want.Body {
				t.Errorf("it asks %v, want %v", got, tt.want)
			}
		})
	}
}

// undo finds the form that takes back what a page says was done.
func undo(t *testing.T, text string) (path string, form url.Values) {
	t.Helper()
	i := strings.LastIndex(text, ">Undo<") // that of the undo before stands above it
	if i < 0 {
		t.Fatalf("the page offers no undo:\n%s", text)
	}
	start := strings.LastIndex(text[:i], "<form")
	form = url.Values{}
	for _, part := range strings.Split(text[start:i], "<input ")[1:] {
		form.Set(attribute(part, "name"), attribute(part, "value"))
	}

	return attribute(text[start:i], "action"), form
}

func attribute(text, name string) string {
	_, rest, _ := strings.Cut(text, name+`="`)
	value, _, _ := strings.Cut(rest, `"`)

	return strings.NewReplacer("&lt;", "<", "&gt;", ">", "&#10;", "\n", "&amp;", "&", "&#43;", "+").Replace(value)
}

func TestGroupsSayWhatIsWrong(t *testing.T) {
	b := filled(t)
	w := b.as(webui.Operator)
	refuse := func(code, message string) func(http.ResponseWriter, *http.Request) {
		return func(rw http.ResponseWriter, _ *http.Request) {
			rw.WriteHeader(http.StatusConflict)
			_ = json.NewEncoder(rw).Encode(map[string]string{"code": code, "message": message})
		}
	}
	b.api.answers["PUT /v1/aliases/sales@office.example"] = refuse("alias", "the alias leads to an address that does not exist here: x@elsewhere.example is outside the office")
	b.api.answers["PUT /v1/aliases/anna@office.example"] = refuse("address-taken", "the address is in use already")
	for _, tt := range []struct {
		address, members, at, says string
	}{
		{"sales@office.example", "x@elsewhere.example", "members", "outside the office"},
		{"anna@office.example", "all@office.example", "address", "in use already"},
		{"sales", "anna@office.example", "address", "Type one address"},
		{"a@office.example, b@office.example", "anna@office.example", "address", "Type one address"},
		{"sales@office.example", " \n", "members", "one member at least"},
	} {
		p := w.post("/groups/new", "address", tt.address, "members", tt.members, "description", "Of <all>")
		if p.status != http.StatusUnprocessableEntity || !strings.Contains(p.text, `id="`+tt.at+`-problem"`) || !strings.Contains(p.text, tt.says) || !strings.Contains(p.text, "Of &lt;all&gt;") {
			t.Errorf("%v: status %d\n%s", tt, p.status, p.text)
		}
		for _, what := range validate(p.text) {
			t.Errorf("%v: %s", tt, what)
		}
	}
	w.post("/groups/all@office.example/drop", "member", "nobody@office.example").leads(t, "/groups/all@office.example")
	b.api.say("GET /v1/aliases", []any{map[string]any{"address": "one@office.example", "targets": []string{"anna@office.example"}}})
	w.post("/groups/one@office.example/drop", "member", "anna@office.example").leads(t, "/groups/one@office.example")
	if got := w.get("/groups/one@office.example").text; !strings.Contains(got, "A group has one member at least") {
		t.Errorf("the page says\n%s", got)
	}
	if slices.ContainsFunc(b.api.changed(), func(c call) bool { return c.Method == http.MethodDelete }) {
		t.Error("a member was taken out")
	}
}

func TestPasswordsOfPeopleDiffer(t *testing.T) {
	if a, b := webui.NewPassword(), webui.NewPassword(); a == b || len(a) != 17 {
		t.Errorf("%q, %q", a, b)
	}
}
