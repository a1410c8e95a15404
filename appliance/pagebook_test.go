package appliance

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"pillarbox/appliance/audit"
	"pillarbox/appliance/control"
	"pillarbox/appliance/directory"
)

// ask asks the API in the name of eve, and decodes the answer.
func ask(t *testing.T, o *office, method, path string, in, out any) int {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(control.As(t.Context(), "eve, a test", time.Now()), method, path, bytes.NewReader(body))
	w := httptest.NewRecorder()
	o.handler.ServeHTTP(w, r)
	if out != nil {
		if err := json.Unmarshal(w.Body.Bytes(), out); err != nil {
			t.Fatalf("%s %s: %v: %s", method, path, err, w.Body)
		}
	}

	return w.Code
}

// kinds returns what the record has of an actor, the newest last.
func kinds(t *testing.T, o *office, account string) string {
	t.Helper()
	var all []audit.Entry
	ask(t, o, http.MethodGet, "/v1/audit/records?book=acts&limit=50&account="+account, nil, &all)
	var names []string
	for _, e := range all {
		names = append(names, string(e.Kind)+" by "+e.Values["actor"])
	}

	return strings.Join(names, "; ")
}

// TestTheAPIKeepsThePagesUsers works without a server, as a command at night does.
func TestTheAPIKeepsThePagesUsers(t *testing.T) {
	dir := t.TempDir()
	open := func() *office {
		o, err := openOffice(t.Context(), quiet(dir), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	shut := func(o *office) {
		if err := o.close(o.log); err != nil {
			t.Error(err)
		}
	}
	const anna, at = "anna@office.example", "/v1/accounts/anna@office.example/"
	o := open()
	add := directory.NewAccount{Address: anna, Password: "long enough for anna"}
	first, err := o.directory.Add(t.Context(), add)
	if err != nil {
		t.Fatal(err)
	}
	if code := ask(t, o, http.MethodPut, at+"role", control.RoleChange{Role: "operator"}, nil); code != http.StatusNoContent {
		t.Errorf("role: status %d", code)
	}
	for _, role := range []string{"", "anyone", "king"} {
		var wrong control.Error
		if code := ask(t, o, http.MethodPut, at+"role", control.RoleChange{Role: role}, &wrong); code != http.StatusBadRequest || wrong.Code != control.CodeRole {
			t.Errorf("role %q: status %d, %v", role, code, wrong)
		}
	}
	if code := ask(t, o, http.MethodPut, "/v1/accounts/nobody@office.example/role", control.RoleChange{Role: "operator"}, nil); code != http.StatusNotFound {
		t.Errorf("of nobody: status %d", code)
	}
	var made control.AddedToken
	ask(t, o, http.MethodPost, "/v1/tokens", control.NewToken{Name: "Monitor", Role: "auditor", Days: 30}, &made)
	for _, n := range []control.NewToken{{Name: "Monitor", Role: "auditor", Days: 1}, {Name: "x", Role: "person", Days: 1}, {Name: "", Role: "auditor", Days: 1}, {Name: "x", Role: "auditor", Days: 9999}} {
		if code := ask(t, o, http.MethodPost, "/v1/tokens", n, nil); code != http.StatusBadRequest {
			t.Errorf("%v: status %d", n, code)
		}
	}
	shut(o)

	o = open()
	var u control.PageUser
	if ask(t, o, http.MethodGet, at+"web", nil, &u); u.Role != "operator" {
		t.Errorf("after a restart: %+v", u)
	}
	var all []control.Token
	if ask(t, o, http.MethodGet, "/v1/tokens", nil, &all); len(all) != 1 || all[0].ID != made.ID || all[0].By != "eve" || !strings.HasPrefix(made.Secret, "pbx_") {
		t.Errorf("tokens: %+v, made %+v", all, made)
	}
	if code := ask(t, o, http.MethodDelete, "/v1/tokens/"+made.ID, nil, nil); code != http.StatusOK {
		t.Errorf("revoke: status %d", code)
	}
	if code := ask(t, o, http.MethodDelete, "/v1/tokens/"+made.ID, nil, nil); code != http.StatusNotFound {
		t.Errorf("revoke again: status %d", code)
	}
	var reset control.FactorReset
	if ask(t, o, http.MethodDelete, at+"factor", nil, &reset); reset.Had {
		t.Error("there was a second factor")
	}
	if said := kinds(t, o, anna); strings.Count(said, "role.set by eve, a test") != 1 || strings.Contains(said, "factor") {
		t.Errorf("the record has %q", said)
	}
	// Whoever gets the address later is somebody else.
	if err := o.directory.Remove(context.WithoutCancel(t.Context()), anna); err != nil {
		t.Fatal(err)
	}
	if o.pages.User(string(first.ID)).Role != "person" {
		t.Error("the pages still know who was removed")
	}
	if _, err := o.directory.Add(t.Context(), add); err != nil {
		t.Fatal(err)
	}
	shut(o)
	o = open()
	defer shut(o)
	if ask(t, o, http.MethodGet, at+"web", nil, &u); u.Role != "person" {
		t.Errorf("the next one with the address: %+v", u)
	}
}
