package control_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"pillarbox/appliance/access"
	"pillarbox/appliance/control"
	"pillarbox/appliance/directory"
	"pillarbox/storage"
)

// nothing is a store of bans that keeps none.
type nothing struct{}

func (nothing) Load(string, func(string, []byte) error) error { return nil }
func (nothing) Save(context.Context, []access.Change) error   { return nil }

func newBanHandler(t testing.TB) *control.Handler {
	t.Helper()
	bans, err := access.OpenBans(&access.BansConfig{Logger: discard(), Store: nothing{}})
	if err != nil {
		t.Fatal(err)
	}

	store, err := storage.Open(t.Context(), &storage.Config{Dir: t.TempDir(), Logger: discard(), MaxMessage: maxMessage})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	dir, err := directory.New(&directory.Config{Store: store, Logger: discard()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dir.Add(t.Context(), directory.NewAccount{Address: "ada@office.example", Password: "long enough"}); err != nil {
		t.Fatal(err)
	}

	return control.NewHandler(&control.Config{Directory: dir, Bans: bans, Audit: newAudit(t, t.TempDir()), Logger: discard()})
}

func ask(h http.Handler, method, target, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, target, strings.NewReader(body)))

	return w
}

func TestBanRequests(t *testing.T) {
	h := newBanHandler(t)
	for _, tt := range []struct {
		method, target, body string
		status               int
		want                 string // in the answer
	}{
		{"GET", "/v1/bans", "", 200, "[]"},
		{"GET", "/v1/allowed", "", 200, "[]"},
		{"POST", "/v1/bans", `{"network":"192.0.2.7","reason":"spam","seconds":60}`, 201, `"network":"192.0.2.7/32"`},
		{"POST", "/v1/bans", `{"network":"192.0.2.7","seconds":-1}`, 400, `"code":"request"`},
		{"POST", "/v1/bans", `{"network":"192.0.2.7","seconds":9223372036854775807}`, 400, `"code":"request"`},
		{"POST", "/v1/bans", `{"network":"192.0.2.7","seconds":9223372036854775808}`, 400, `"code":"request"`},
		{"POST", "/v1/bans", `{"network":"nowhere"}`, 400, `"code":"network"`},
		{"POST", "/v1/bans", `{"network":"::/0"}`, 400, `"code":"network"`},
		{"POST", "/v1/bans", `{"network":"127.0.0.1"}`, 409, `"code":"spared"`},
		{"POST", "/v1/bans", `{"net":"192.0.2.7"}`, 400, `"code":"request"`},
		{"POST", "/v1/allowed", `{"network":"203.0.113.0/24","note":"branch"}`, 201, `"note":"branch"`},
		{"POST", "/v1/bans", `{"network":"203.0.113.1"}`, 409, `"code":"spared"`},
		{"POST", "/v1/bans", `{"network":"192.0.2.8","account":"Ada"}`, 201, `"account":"ada@office.example"`},
		{"DELETE", "/v1/bans?network=192.0.2.8&account=ada", "", 200, `"account":"ada@office.example"`},
		{"POST", "/v1/bans", `{"network":"192.0.2.8","account":"ADMIN"}`, 201, `"account":"admin"`},
		{"DELETE", "/v1/bans?network=192.0.2.8&account=admin", "", 200, `"account":"admin"`},
		{"GET", "/v1/bans", "", 200, `"reason":"spam"`},
		{"GET", "/v1/status", "", 200, `"banned":1`},
		{"DELETE", "/v1/bans?network=192.0.2.7%2F32", "", 200, `"network":"192.0.2.7/32"`},
		{"DELETE", "/v1/bans?network=192.0.2.7", "", 404, `"code":"not-banned"`},
		{"DELETE", "/v1/bans", "", 400, `"code":"network"`},
		{"DELETE", "/v1/allowed?network=203.0.113.0/24", "", 204, ""},
		{"DELETE", "/v1/allowed?network=203.0.113.0/24", "", 404, `"code":"not-allowed"`},
	} {
		w := ask(h, tt.method, tt.target, tt.body)
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.want) {
			t.Errorf("%s %s %s: %d %s; want %d with %s", tt.method, tt.target, tt.body, w.Code, w.Body, tt.status, tt.want)
		}
	}
}

// FuzzBanRequests sends any JSON: the answer is never a fault of ours, and a
// ban that is made is in the list and can be lifted by its own name.
func FuzzBanRequests(f *testing.F) {
	for _, seed := range []string{
		`{"network":"192.0.2.7","reason":"spam","seconds":60}`, `{"network":"2001:db8::/32"}`, `{"network":"fe80::1","account":"anna"}`,
		`{"network":"::ffff:192.0.2.7/120","seconds":-5}`, `{"network":1}`, `[]`, `{"network":"1.2.3.4","account":"\u0000\ufffd"}`,
	} {
		f.Add(seed)
	}
	h := newBanHandler(f)
	f.Fuzz(func(t *testing.T, body string) {
		w := ask(h, "POST", "/v1/bans", body)
		switch w.Code {
		case http.StatusBadRequest, http.StatusConflict:
			return
		case http.StatusCreated:
		default:
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		var b access.Ban
		if err := json.Unmarshal(w.Body.Bytes(), &b); err != nil {
			t.Fatal(err)
		}
		if w = ask(h, "DELETE", "/v1/bans?network="+b.Network.String(), ""); w.Code != http.StatusOK {
			t.Fatalf("lifting %v: %d %s", b.Network, w.Code, w.Body)
		}
	})
}
