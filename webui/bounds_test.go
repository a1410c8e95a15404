package webui_test

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"pillarbox/webui"
)

// TestNothingIsUnpacked sends what is small and would be large, to each way in.
func TestNothingIsUnpacked(t *testing.T) {
	b := filled(t)
	other, w := b.as(webui.Administrator), b.as(webui.Administrator)
	var body bytes.Buffer
	z := gzip.NewWriter(&body)
	chunk := bytes.Repeat([]byte("a,a@office.example\n"), 1<<16)
	for range 50 { // 60 MB
		if _, err := z.Write(chunk); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	before := allocated()
	for _, path := range []string{"/people/many", "/moving", "/moving/upload", "/me/sessions/end", "/signin", "/api/v1/accounts"} {
		for _, coding := range []string{"gzip", "GZIP", "deflate", "br", "x-gzip, identity"} {
			got := w.do(http.MethodPost, path, url.Values{}, func(r *http.Request) {
				r2, err := http.NewRequestWithContext(r.Context(), r.Method, r.URL.String(), bytes.NewReader(body.Bytes()[:min(body.Len(), 50_000)]))
				if err != nil {
					t.Fatal(err)
				}
				r.Body, r.ContentLength = r2.Body, r2.ContentLength
				r.Header.Set("Content-Encoding", coding)
			})
			if got.status != http.StatusUnsupportedMediaType || !strings.Contains(strings.ToLower(got.text), "must not be compressed") {
				t.Errorf("%s in %s: status %d, %.200s", path, coding, got.status, got.text)
			}
		}
	}
	if used := allocated() - before; used > 100<<20 {
		t.Errorf("%d MB were allocated", used>>20)
	}
	if asked := b.api.changed(); len(asked) > 0 {
		t.Errorf("the box was asked %v", asked)
	}
	if got := other.get("/people"); got.status != http.StatusOK {
		t.Errorf("another session has ended: %d", got.status)
	}
	if got := w.do(http.MethodGet, "/people", nil, func(r *http.Request) { r.Header.Set("Content-Encoding", "identity") }); got.status != http.StatusOK {
		t.Errorf("without compression: status %d", got.status)
	}
}

// allocated is what this process has ever allocated, in octets.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)

	return m.TotalAlloc
}

// TestHugeListsAreTold sends lists as long as a form may be, and longer: each is
// answered soon, with a plain reason and nothing done.
func TestHugeListsAreTold(t *testing.T) {
	b := filled(t)
	w := b.as(webui.Administrator)
	const most = 1 << 20
	fill := func(line string) string { return strings.Repeat(line, (most-200)/len(url.QueryEscape(line))) }
	lists := map[string]string{
		"people":              fill("Ada,ada@office.example\n"),
		"no people":           fill("x y\n"),
		"short lines":         fill("a\n"),
		"empty lines":         fill("\n"),
		"one long line":       fill("a"),
		"many cells":          fill(","),
		"many cells in lines": fill(strings.Repeat(",", 1000) + "\n"),
		"quotes":              fill(`"`),
		"markup":              fill("<"),
	}
	for path, more := range map[string][]string{
		"/people/many":    nil,
		"/first/5":        nil,
		"/moving":         {"host", "old.example"},
		"/moving-out/new": {"kind", "imap", "host", "old.example"},
	} {
		if testing.Short() && (path == "/first/5" || path == "/moving-out/new") {
			continue // they read lists as the others do
		}
		for what, text := range lists {
			began, before := time.Now(), allocated()
			got := w.post(path, append(more, "people", text)...)
			took, used := time.Since(began), allocated()-before
			t.Logf("%s, %s: status %d, %d KB, %v, %d MB allocated", path, what, got.status, len(got.text)>>10, took.Round(time.Millisecond), used>>20)
			if got.status != http.StatusUnprocessableEntity && got.status != http.StatusSeeOther {
				t.Errorf("%s, %s: status %d", path, what, got.status)
			}
			if got.status == http.StatusUnprocessableEntity && !strings.Contains(got.text, `class="problem"`) {
				t.Errorf("%s, %s: it does not say what is wrong", path, what)
			}
			if took > 10*time.Second || used > 400<<20 || len(got.text) > 8<<20 {
				t.Errorf("%s, %s: %v, %d MB allocated, %d KB", path, what, took, used>>20, len(got.text)>>10)
			}
		}
		got := w.post(path, append(more, "people", strings.Repeat("x", most+1))...)
		if got.status != http.StatusRequestEntityTooLarge || !strings.Contains(got.text, "does not take so much at once") {
			t.Errorf("%s: longer than a form may be: status %d", path, got.status)
		}
	}
	for _, c := range b.api.changed() {
		if c.Path != "/v1/imports" && c.Path != "/v1/exports" { // which bound them themselves
			t.Errorf("done was %.200v", c)
		}
	}
}
