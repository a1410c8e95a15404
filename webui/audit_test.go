package webui_test

import (
	"html"
	"strings"
	"testing"
	"time"

	"pillarbox/webui"
)

// TestTheRecordGoesOn wants a way to older records that keeps what was chosen, and
// says of each book how far it was read.
func TestTheRecordGoesOn(t *testing.T) {
	b := filled(t)
	w := b.as(webui.Auditor)
	var all []any
	for i := range 100 {
		book := map[bool]string{true: "acts", false: "access"}[i%3 == 0]
		all = append(all, map[string]any{"book": book, "seq": 401 + (i*37)%100, "kind": "signin.failed", "time": time.Now()})
	}
	b.api.say("GET /v1/audit/records", all)
	got := html.UnescapeString(w.get("/audit?kind=signin&account=anna%40office.example").text)
	if want := `"/audit?account=anna%40office.example&before=access%3A402%2Cacts%3A401&kind=signin"`; !strings.Contains(got, want) {
		t.Errorf("the page does not lead to %s", want)
	}
	b.api.say("GET /v1/audit/records", all[:60])
	got = w.get("/audit?before=access%3A402%2Cacts%3A401").text
	if strings.Contains(got, "Older records") || !strings.Contains(got, "The newest") {
		t.Error("the last page leads on, or not back")
	}
}
