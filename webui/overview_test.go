package webui_test

import (
	"strings"
	"testing"

	"pillarbox/webui"
)

// TestAConditionLeadsToItsPage wants beside what is wrong the way to where it is
// put right.
func TestAConditionLeadsToItsPage(t *testing.T) {
	b := filled(t)
	b.api.say("GET /v1/status", map[string]any{"version": "x", "health": []any{
		map[string]any{"name": "certificate-expires", "title": "a", "severity": "high", "text": "b"},
		map[string]any{"name": "disk-full", "title": "c", "severity": "high", "text": "d"},
	}})
	got := b.as(webui.Administrator).get("/").text
	if !strings.Contains(got, `· <a href="/certificates">Certificates</a>`) {
		t.Error("the condition of the certificate does not lead to its page")
	}
	if n := strings.Count(got, "· <a "); n != 1 {
		t.Errorf("%d conditions lead to a page", n)
	}
}
