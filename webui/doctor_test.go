package webui_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"pillarbox/webui"
)

// answer has the API answer a request with a status.
func (a *api) answer(what string, status int, v any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answers[what] = func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}
}

// says fails the test unless a page has all texts.
func (p page) says(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(p.text, text) {
			t.Errorf("the page does not say %q:\n%s", text, p.text)
		}
	}
}

// lacks fails the test if a page has one of the texts.
func (p page) lacks(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(p.text, text) {
			t.Errorf("the page says %q:\n%s", text, p.text)
		}
	}
}

var sick = map[string]any{
	"host": "mail.example.org", "well": false,
	"findings": []any{map[string]any{
		"id": "expired", "severity": "broken", "what": "the certificate <expired>", "where": []string{"port 993"},
		"why": "programs refuse it", "do": "renew it", "see": "openssl s_client -connect mail.example.org:993",
	}},
	"not_checked": []any{map[string]any{"what": "IPv6", "why": "there is no address"}},
	"timings":     []any{map[string]any{"what": "TLS handshake", "ms": 12.3}},
}

func TestDoctorExaminesAnotherServer(t *testing.T) {
	b := newBox(t, true)
	b.api.say("POST /v1/doctor", sick)
	w := b.as(webui.Administrator)
	w.get("/doctor").says(t, "Nothing has been examined yet.")

	got := w.post("/doctor", "what", "other", "host", "mail.example.org", "port", "993", "user", "anna", "password", "very secret words")
	to := got.header.Get("Location")
	if got.status != http.StatusSeeOther || !strings.HasPrefix(to, "/doctor/") {
		t.Fatalf("status %d to %q", got.status, to)
	}
	w.get(to).says(t, "mail.example.org, port 993", "The certificate &lt;expired&gt;.", "Programs refuse it.", "Renew it.",
		"openssl s_client", "There is no address.", "12.3", "Signed in as anna")
	if asked := b.api.changed()[0]; !strings.Contains(asked.Body, "very secret words") || !strings.HasPrefix(asked.By, "admin, web page") {
		t.Errorf("the doctor was asked %+v", asked)
	}
	if strings.Contains(b.store.text(), "very secret words") {
		t.Error("the password is kept")
	}

	// The result is there after the next start, too, and for who only reads; one
	// that cannot be read keeps nobody out.
	if err := b.store.Save(t.Context(), false, webui.Record{Section: "web/doctor", Key: "zz", Value: []byte("{")}); err != nil {
		t.Fatal(err)
	}
	b.open()
	b.as(webui.Auditor).get(to).says(t, "Renew it.")
	page := b.as(webui.Auditor).get("/doctor")
	page.says(t, "1 broken")
	page.lacks(t, "Examine this box</button>")
}

func TestDoctorSaysWhatIsWrongWithAForm(t *testing.T) {
	b := newBox(t, true)
	w := b.as(webui.Operator)
	for _, c := range []struct {
		name  string
		pairs []string
		want  string
	}{
		{"no server", []string{"what", "other"}, "Say which server"},
		{"no port", []string{"what", "other", "host", "x", "port", "99999"}, "from 1 to 65535"},
		{"no password", []string{"what", "other", "host", "x", "user", "anna"}, "Type the password, too"},
		{"no name", []string{"what", "other", "host", "x", "password", "p4ssw0rd"}, "Type the name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := w.post("/doctor", c.pairs...)
			if got.status != http.StatusUnprocessableEntity {
				t.Errorf("status %d", got.status)
			}
			got.says(t, c.want)
			got.lacks(t, "p4ssw0rd")
		})
	}
	if asked := b.api.changed(); len(asked) > 0 {
		t.Errorf("the doctor was asked %v", asked)
	}

	b.api.answer("POST /v1/doctor", http.StatusBadRequest, map[string]string{"code": "request", "message": "the host is neither a name nor an address"})
	got := w.post("/doctor", "what", "other", "host", "a b")
	got.says(t, "The host is neither a name nor an address.", `value="a b"`, "Nothing has been examined yet.")
}

// TestDoctorGoesOnAlone has one that takes long.
func TestDoctorGoesOnAlone(t *testing.T) {
	b := newBox(t, true)
	goOn := make(chan struct{})
	b.api.mu.Lock()
	b.api.answers["POST /v1/doctor"] = func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-goOn:
		case <-r.Context().Done():
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"well": true})
	}
	b.api.mu.Unlock()
	w := b.as(webui.Operator)
	w.post("/doctor", "what", "box").leads(t, "/doctor")
	w.get("/doctor").says(t, "This box is being examined")
	w.post("/doctor", "what", "box").says(t, "An examination is under way")

	close(goOn)
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		page := w.get("/doctor")
		if strings.Contains(page.text, "all well") {
			page.lacks(t, "is being examined")
			break
		}
		if time.Now().After(end) {
			t.Fatalf("it does not end:\n%s", page.text)
		}
	}
}
