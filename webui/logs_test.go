package webui_test

import (
	"fmt"
	"html"
	"net/http"
	"strings"
	"testing"

	"pillarbox/webui"
)

// TestTheLogIsSearched wants what was chosen to be asked for, kept on the page and
// in what is downloaded.
func TestTheLogIsSearched(t *testing.T) {
	b := newBox(t, true)
	var asked []string
	b.api.mu.Lock()
	b.api.answers["GET /v1/log"] = func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.RawQuery)
		fmt.Fprint(w, `["time=x level=WARN msg=one"]`)
	}
	b.api.mu.Unlock()
	w := b.as(webui.Auditor)
	got := html.UnescapeString(w.get("/logs?find=a+%26+b&least=warn&service=imap&since=2026-11-28T09%3A00&until=never").text)
	for _, want := range []string{
		`value="a & b"`, `<option selected>imap</option>`, `value="2026-11-28T09:00"`, "msg=one",
		`href="/logs/pillarbox.log?find=a+%26+b&least=warn&service=imap&since=2026-11-28T09%3A00&until=never"`, "Download these", `data-live="/live/logs?`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the page has no %s", want)
		}
	}
	if got := w.get("/logs?until=2026-11-28T10%3A00").text; strings.Contains(got, "data-live") {
		t.Error("lines of the past are to come")
	}
	if got := w.get("/logs").text; !strings.Contains(got, "data-live") || strings.Contains(got, "Download these") {
		t.Error("without a choice the page is another")
	}
	w.get("/logs/pillarbox.log?service=imap")
	all := strings.Join(asked, "\n")
	for i, want := range []string{"all=yes&find=a+%26+b&least=warn&lines=500&service=imap&since=2026-11-28T09%3A00%3A00", "all=yes", "lines=500", "all=yes&lines=10000&service=imap"} {
		if !strings.Contains(asked[i], want) {
			t.Errorf("asked were\n%s\nwant %s", all, want)
		}
	}
}
