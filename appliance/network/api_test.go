package network

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"pillarbox/netcfg/policy"
	"pillarbox/netcfg/state"
)

// FuzzOrders: whatever is sent to the socket, the service answers, and what
// holds is valid.
func FuzzOrders(f *testing.F) {
	good, err := json.Marshal(Settings{Network: state.Default(), Firewall: policy.Default()})
	if err != nil {
		f.Fatal(err)
	}
	for path, bodies := range map[string][]string{
		"/v1/try": {
			`{"id":"a","seconds":90,"settings":` + string(good) + `}`, `{"id":"a","seconds":1e300}`, `{"id":"","seconds":-1}`,
			`{"id":"a","seconds":90,"settings":{"network":{"version":1,"interfaces":[{"name":"lo"}]}}}`,
		},
		"/v1/hold":    {`{"settings":` + string(good) + `,"provisioned":"mark"}`, `{"settings":` + string(good) + `}`, `{"provisioned":"mark"}`},
		"/v1/ban":     {`{"source":"192.0.2.1/32","seconds":1e300}`, `{"source":"","exempt":true}`},
		"/v1/explain": {`{"source":"192.0.2.1","port":993,"protocol":"tcp"}`},
		"/v1/nothing": {"", "{", "[]", "null", `{"settings":null}`},
	} {
		for _, body := range bodies {
			f.Add(path, body)
		}
	}
	f.Fuzz(func(t *testing.T, path, body string) {
		if path == "/v1/check" || !strings.HasPrefix(path, "/v1/") || strings.ContainsAny(path, " ?#%\r\n") {
			return // a check looks at the machine
		}
		log := slog.New(slog.DiscardHandler)
		s := &service{Config: &Config{Logger: log}}
		s.holder = newHolder(log, "", provisioned{desired: state.Default(), mark: "mark"})
		defer s.holder.endTrial()
		r := httptest.NewRequest(http.MethodPost, "http://network/v1/state", strings.NewReader(body))
		r.URL.Path = path
		w := httptest.NewRecorder()
		s.routes().ServeHTTP(w, r)
		holds := s.holder.active()
		if err := holds.Validate(); err != nil {
			t.Fatalf("%s: %s\nlets this hold: %v", path, body, err)
		}
		if path == "/v1/hold" && w.Code == http.StatusOK {
			if r, err := read[holdRequest](strings.NewReader(body)); err != nil || r.Provisioned != "mark" {
				t.Fatalf("%s is held without the mark", body)
			}
		}
	})
}

func TestOrdersAreAnswered(t *testing.T) {
	good, err := json.Marshal(Settings{Network: state.Default(), Firewall: policy.Default()})
	if err != nil {
		t.Fatal(err)
	}
	settings := `"settings":` + string(good)
	for _, c := range []struct {
		path, body, want string
		status           int
	}{
		{"/v1/hold", `{` + settings + `,"provisioned":"mark"}`, "{}", http.StatusOK},
		{"/v1/hold", `{` + settings + `}`, "put onto the disk since", http.StatusConflict},
		{"/v1/hold", `{` + settings + `,"colour":"blue"}`, "colour", http.StatusConflict},
		{"/v1/try", `{"id":"a","seconds":90,` + settings + `}`, "{}", http.StatusOK},
		{"/v1/try", `{"id":"a","seconds":3601,` + settings + `}`, "a time of at most 1h", http.StatusConflict},
		{"/v1/try", `{"id":"a","seconds":90,"settings":{}}`, "version: 0 is not known", http.StatusConflict},
		{"/v1/ban", `{"source":"192.0.2.1/32","seconds":60}`, "there is no firewall", http.StatusConflict},
		{"/v1/try", `{"id":"` + strings.Repeat("a", maxRequest) + `"}`, "too large", http.StatusConflict},
	} {
		log := slog.New(slog.NewTextHandler(t.Output(), nil))
		s := &service{Config: &Config{Logger: log}}
		s.holder = newHolder(log, "", provisioned{desired: state.Default(), mark: "mark"})
		w := httptest.NewRecorder()
		s.routes().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "http://network"+c.path, strings.NewReader(c.body)))
		s.holder.endTrial()
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s %.60s: %d %s", c.path, c.body, w.Code, w.Body)
		}
	}
}
