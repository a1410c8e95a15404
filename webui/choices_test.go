package webui_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pillarbox/webui"
)

// TestSettingsAreSetByForms looks at what each form asks of the API.
func TestSettingsAreSetByForms(t *testing.T) {
	b := newBox(t, true)
	b.api.say("GET /v1/settings", map[string]any{"current": map[string]any{"number": 3, "document": map[string]any{
		"office": map[string]any{"name": "Lovelace & Sons", "time_zone": "Europe/Vienna"}, "audit": map[string]any{"acts": map[string]any{"days": 1095}},
		"ports": map[string]any{"imaps_legacy": true}, "changes": map[string]any{"confirm_within": 90, "window": map[string]any{"from": "22:00", "to": "05:00", "days": []string{"mon", "tue"}}},
		"client_setup": map[string]any{"outgoing": map[string]any{"server": "smtp.provider.example", "port": 465, "security": "tls"}},
	}}})
	w := b.as(webui.Administrator)
	page := w.get("/office")
	page.says(t, "Lovelace &amp; Sons", `value="1095"`, `value="mon tue"`, "smtp.provider.example", `value="22:00"`)
	for _, c := range []struct {
		path, want string
		form       []string
	}{
		{"/office/office", `{"office":{"name":"Babbage","domain":"babbage.example","time_zone":null}}`,
			[]string{"office-name", "Babbage", "office-domain", "babbage.example", "office-time_zone", ""}},
		{"/office/programs", `{"client_setup":{"server":null,"outgoing":null}}`, []string{"client_setup-server", "", "client_setup-outgoing-port", "465"}},
		{"/office/programs", `{"client_setup":{"server":"mail.x.example","outgoing":{"server":"s.x.example","port":587,"security":"starttls","sign_in":"same"}}}`,
			[]string{"client_setup-server", "mail.x.example", "client_setup-outgoing-server", "s.x.example", "client_setup-outgoing-port", "587",
				"client_setup-outgoing-security", "starttls", "client_setup-outgoing-sign_in", "same"}},
		{"/office/records", `{"audit":{"acts":{"days":400,"megabytes":null},"access":{"days":null,"megabytes":null},"checkpoints_to":null},"inventory":{"days":null}}`,
			[]string{"audit-acts-days", "400"}},
		{"/office/changes", `{"changes":{"confirm_within":120,"window":null}}`, []string{"changes-confirm_within", "120"}},
		{"/office/changes", `{"changes":{"confirm_within":120,"window":{"from":"1:00","to":"2:00","days":["sat","sun"]}}}`,
			[]string{"changes-confirm_within", "120", "changes-window-from", "1:00", "changes-window-to", "2:00", "changes-window-days", "Sat, sun"}},
		{"/office/ports", `{"ports":{"no_imaps":false,"imaps_legacy":false,"metrics":true}}`,
			[]string{"ports-no_imaps", "false", "ports-imaps_legacy", "false", "ports-metrics", "true"}},
	} {
		before := len(b.api.changed())
		if got := w.post(c.path, c.form...); got.status != http.StatusSeeOther {
			t.Errorf("%s: status %d", c.path, got.status)
		}
		calls := b.api.changed()[before:]
		var got struct{ Set any }
		var want any
		if len(calls) != 1 || calls[0].Method != http.MethodPatch || calls[0].Path != "/v1/settings" || json.Unmarshal([]byte(calls[0].Body), &got) != nil || json.Unmarshal([]byte(c.want), &want) != nil {
			t.Fatalf("%s asks for %+v", c.path, calls)
		}
		if d := cmp.Diff(want, got.Set); d != "" {
			t.Errorf("%s: %s", c.path, d)
		}
	}
	if got := b.as(webui.Auditor).get("/office"); strings.Contains(got.text, "<form method=\"post\" action=\"/office") || !strings.Contains(got.text, "Europe/Vienna") {
		t.Error("an auditor sees forms, or no settings")
	}
	if got := w.post("/office/nothing"); got.status != http.StatusNotFound {
		t.Errorf("a form that is not there: status %d", got.status)
	}
}

// TestWhatIsWrongWithASettingStandsBesideIt, and what was typed is kept.
func TestWhatIsWrongWithASettingStandsBesideIt(t *testing.T) {
	b := newBox(t, true)
	b.api.answers["PATCH /v1/settings"] = func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]string{"code": "settings", "message": "configuration: office.domain: \"X\" is not a domain\noffice.time_zone: \"Y\" is not a time zone"})
	}
	w := b.as(webui.Administrator)
	got := w.post("/office/office", "office-name", "Kept <b>", "office-domain", "X", "office-time_zone", "Y")
	if got.status != http.StatusUnprocessableEntity {
		t.Errorf("status %d", got.status)
	}
	got.says(t, "Kept &lt;b&gt;", `id="office-domain-problem"`, "is not a domain", `id="office-time_zone-problem"`, "is not a time zone")
	first := w.post("/first/2", "name", "A", "domain", "x.example")
	if first.status != http.StatusUnprocessableEntity {
		t.Errorf("the first steps: status %d", first.status)
	}
	first.says(t, `id="domain-problem"`, `value="x.example"`)
}
