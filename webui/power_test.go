package webui_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"pillarbox/webui"
)

// powerState is a box that something would interrupt.
func powerState(started time.Time) map[string]any {
	starts := []any{}
	for _, why := range []string{"first", "restart", "off", "stopped", "error", "crash", "killed", "power-cut", "never heard of"} {
		starts = append(starts, map[string]any{"time": started, "version": "1", "why": why, "reason": "somebody <b>"})
	}

	return map[string]any{
		"orders": []string{"restart", "off"}, "version": "1", "started": started, "booted": started, "starts": starts, "usual_seconds": 40,
		"ports": []any{map[string]any{"name": "imaps", "port": 993, "connections": 3}}, "people": []string{"anna@office.example"},
		"work": []any{map[string]any{"what": "A move of mail", "then": "It goes on by itself afterwards."}},
	}
}

var runField = regexp.MustCompile(`name="run" value="([^"]+)"`)

func TestTheBoxIsEndedOnlyByWhoMeansIt(t *testing.T) {
	b := filled(t)
	w := b.as(webui.Administrator)
	for _, said := range []string{"Power", "Start it anew", "Started anew by somebody &lt;b&gt;", "3 mail programs", "The power had been cut"} {
		if got := w.get("/power"); !strings.Contains(got.text, said) {
			t.Errorf("the page does not say %q", said)
		}
	}
	ask := w.get("/power/restart")
	for _, said := range []string{"Start the box anew?", "3 mail programs connected, of anna@office.example", "A move of mail. It goes on by itself afterwards.", "40 seconds"} {
		if !strings.Contains(ask.text, said) {
			t.Errorf("the question does not say %q:\n%s", said, ask.text)
		}
	}
	if got := w.get("/power/explode"); got.status != http.StatusNotFound {
		t.Errorf("another order: status %d", got.status)
	}
	w.post("/power/restart").leads(t, "/power")
	if got := b.api.changed(); len(got) != 0 {
		t.Fatalf("without the question the box was told %v", got)
	}
	run := runField.FindStringSubmatch(ask.text)[1]
	if got := w.get("/power/run"); got.text != run {
		t.Errorf("the run is %q, and on the page %q", got.text, run)
	}
	wait := w.post("/power/restart", "run", run)
	if wait.status != http.StatusOK || !strings.Contains(wait.text, `data-run="`+run+`"`) || !strings.Contains(wait.text, `http-equiv="refresh"`) {
		t.Errorf("the page that waits: %d\n%s", wait.status, wait.text)
	}
	for _, what := range validate(wait.text) {
		t.Error(what)
	}
	if got := b.api.changed(); len(got) != 1 || got[0].Path != "/v1/power/restart" || !strings.HasPrefix(got[0].By, "admin, web page") {
		t.Fatalf("the box was told %v", got)
	}
	// Sent again when the box is back, it does nothing.
	b.api.say("GET /v1/power", powerState(time.Now().Add(time.Minute)))
	w.post("/power/restart", "run", run).leads(t, "/power")
	if got := b.api.changed(); len(got) != 1 {
		t.Errorf("the box was told again: %v", got)
	}
	// Who was away for a while shows again who they are.
	b.clock.turn(20 * time.Minute)
	if got := w.get("/power/off"); !strings.HasPrefix(got.header.Get("Location"), "/prove") {
		t.Errorf("after a while: %d %s", got.status, got.header.Get("Location"))
	}
}

func TestABoxThatGoesOnSaysSo(t *testing.T) {
	b := filled(t)
	w := b.as(webui.Administrator)
	b.api.mu.Lock()
	b.api.answers["POST /v1/power/off"] = func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadGateway)
		_ = json.NewEncoder(w).Encode(map[string]string{"code": "power", "message": "the box goes on: nobody is there"})
	}
	b.api.mu.Unlock()
	got := w.post("/power/off", "run", runField.FindStringSubmatch(w.get("/power/off").text)[1])
	if got.status != http.StatusUnprocessableEntity || !strings.Contains(got.text, "The box goes on: nobody is there.") {
		t.Errorf("status %d\n%s", got.status, got.text)
	}
}
