package webui_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"pillarbox/webui"
)

// moveOut is a move out of two people that is in a state.
func moveOut(state string) map[string]any {
	return map[string]any{
		"id": "o1", "created": time.Now(), "by": "admin", "state": state,
		"to": map[string]any{"kind": "imap", "server": map[string]any{"host": "new.example", "port": 993, "admin": "cyrus"}},
		"people": []any{
			map[string]any{"account": "anna@office.example", "user": "anna", "stage": "moving", "progress": map[string]any{
				"mailbox": "INBOX/<Old>", "total": 1000, "done": 250, "seconds_left": 120, "bytes_per_second": 5e6,
			}},
			map[string]any{"account": "bob@office.example", "user": "bob@office.example", "stage": "failed", "error": "the target's quota is used up", "ok": false, "total": map[string]any{"listed": 10, "refused": 2}},
		},
	}
}

func moveOutBox(t *testing.T) *box {
	t.Helper()
	b := newBox(t, true)
	b.api.say("GET /v1/exports", []any{moveOut("running")})
	b.api.say("GET /v1/exports/o1", moveOut("running"))
	b.api.say("POST /v1/exports", moveOut("running"))
	b.api.say("GET /v1/accounts", []any{map[string]any{"address": "anna@office.example"}, map[string]any{"address": "bob@office.example"}})
	b.api.say("GET /v1/exports/o1/report", map[string]any{
		"account": "bob@office.example", "total": map[string]any{"listed": 10, "put": 8, "refused": 2},
		"mailboxes": []any{map[string]any{"name": "Old/Mail", "to": "Old.Mail", "listed": 10, "put": 8}},
		"bad":       []any{map[string]any{"mailbox": "INBOX", "uid": 7, "size": 99, "reason": "it is <broken>"}},
		"remarks":   []string{"a folder got another name"}, "differences": []string{"message 9 is not there"},
	})

	return b
}

func TestMovesOutAreFollowed(t *testing.T) {
	b := moveOutBox(t)
	w := b.as(webui.Auditor)
	page := w.get("/moving-out")
	page.says(t, "new.example, port 993", "0 of 2")
	page.lacks(t, "Move mail out")
	page = w.get("/moving-out/o1")
	page.says(t, "250 of 1,000, 5.0 MB a second, about 2 minutes left", `width="25"`, "INBOX/&lt;Old&gt;", "2 refused", "differs", "quota is used up", `data-live="/live/moving-out/o1"`)
	page.lacks(t, "Cancel")
	w.get("/moving-out/o1/report?person=1").says(t, "It is &lt;broken&gt;.", "UID 7", "Old.Mail", "A folder got another name.", "Message 9 is not there.")
	b.api.say("GET /v1/exports", []any{})
	w.get("/moving-out").says(t, "No mail has moved out yet.")
	for state, want := range map[string]string{"locked": "Password of cyrus", "ended": "Try again", "running": "Pause"} {
		b.api.say("GET /v1/exports/o1", moveOut(state))
		b.as(webui.Administrator).get("/moving-out/o1").says(t, want)
	}
}

func TestMovesOutBegin(t *testing.T) {
	b := moveOutBox(t)
	w := b.as(webui.Administrator)
	w.get("/moving-out/new").says(t, "Where it goes")
	for _, c := range []struct {
		want  string
		pairs []string
	}{
		{"Say to which server.", []string{"kind", "imap", "people", "anna@office.example,anna,pw"}},
		{"Line 1 has no password.", []string{"kind", "imap", "host", "new.example", "people", "anna@office.example"}},
		{"an administrator of that server has to sign in", []string{"kind", "imap", "host", "new.example", "all", "yes"}},
		{"Type the administrator&#39;s password.", []string{"kind", "imap", "host", "new.example", "all", "yes", "admin", "cyrus"}},
		{"begins with a slash", []string{"kind", "mbox", "dir", "usb", "all", "yes"}},
		{"Say whose mail is to move.", []string{"kind", "mbox", "dir", "/media/usb"}},
		{"Say where the mail goes.", []string{"kind", "paper", "all", "yes"}},
	} {
		page := w.post("/moving-out/new", c.pairs...)
		page.says(t, c.want)
		if page.status != http.StatusUnprocessableEntity {
			t.Errorf("%v: status %d", c.pairs, page.status)
		}
		for _, what := range validate(page.text) {
			t.Errorf("%v: %s", c.pairs, what)
		}
	}
	if got := b.api.changed(); len(got) != 0 {
		t.Errorf("asked %v", got)
	}
	w.post("/moving-out/new", "kind", "imap", "host", "new.example", "people", "anna@office.example, anna, secret words\nbob@office.example,,pw").leads(t, "/moving-out/o1")
	w.post("/moving-out/new", "kind", "mbox", "dir", "/media/usb", "all", "yes").leads(t, "/moving-out/o1")
	asked := b.api.changed()
	for i, want := range [][]string{
		{`{"user":"anna","account":"anna@office.example","secret":"secret words"}`, `"user":"bob@office.example"`, `"apart":false`},
		{`"dir":"/media/usb"`, `"account":"bob@office.example"`, `"apart":true`},
	} {
		for _, text := range want {
			if !strings.Contains(asked[i].Body, text) {
				t.Errorf("%s is not in %s", text, asked[i].Body)
			}
		}
	}
	// What the other server is at fault for stands beside its field, with what was typed.
	for code, field := range map[string]string{"import-login": "secret", "import-trust": "fingerprint", "import-busy": "host", "export": "host", "no-account": "people"} {
		b.api.answer("POST /v1/exports", http.StatusBadGateway, map[string]string{"code": code, "message": "it does not work"})
		page := w.post("/moving-out/new", "kind", "imap", "host", "new.example", "people", "anna@office.example", "admin", "cyrus", "secret", "very secret words")
		page.says(t, `id="`+field+`-problem">It does not work.`, "new.example", "cyrus")
		page.lacks(t, "very secret words")
	}
}

func TestMovesOutAreDecidedAbout(t *testing.T) {
	for act, want := range map[string]string{
		"pause": "POST /v1/exports/o1/pause", "cancel": "POST /v1/exports/o1/cancel", "resume": "POST /v1/exports/o1/resume", "remove": "DELETE /v1/exports/o1",
	} {
		b := moveOutBox(t)
		to := "/moving-out/o1"
		if act == "remove" {
			to = "/moving-out"
		}
		b.as(webui.Administrator).post("/moving-out/o1/act", "act", act, "secret", "pw").leads(t, to)
		if got := b.api.changed(); len(got) != 1 || got[0].Method+" "+got[0].Path != want {
			t.Errorf("%s: asked %v", act, got)
		}
	}
}

func TestMailAsAFile(t *testing.T) {
	b := moveOutBox(t)
	b.api.mu.Lock()
	b.api.answers["POST /v1/accounts/anna@office.example/archive"] = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/zip")
		_, _ = w.Write([]byte("PK…"))
	}
	b.api.mu.Unlock()
	anna := b.as(webui.Person)
	anna.get("/me").says(t, "Download my mail")
	anna.get("/me/mail").says(t, "My mail as a file")
	got := anna.post("/me/mail", "form", "maildir", "account", "bob@office.example")
	if got.text != "PK…" || got.header.Get("Content-Disposition") != `attachment; filename="anna@office.example.tar"` {
		t.Errorf("%d %q %v", got.status, got.text, got.header)
	}
	if page := anna.post("/moving-out/file", "account", "bob@office.example"); page.status != http.StatusForbidden {
		t.Errorf("another's mail: status %d", page.status)
	}
	for _, c := range b.api.changed() {
		if strings.Contains(c.Path, "bob") {
			t.Errorf("asked %v", c)
		}
	}
	w := b.as(webui.Administrator)
	w.get("/moving-out/file?account=bob@office.example").says(t, "<option selected>bob@office.example")
	if got := w.post("/moving-out/file", "account", "anna@office.example", "form", "mbox"); got.text != "PK…" {
		t.Errorf("%d %q", got.status, got.text)
	}
	w.post("/moving-out/file", "account", "anna@office.example", "form", "paper").says(t, "Choose one of the two.")
	b.api.answer("POST /v1/accounts/bob@office.example/archive", http.StatusConflict, map[string]string{"code": "too-many", "message": "others are downloading"})
	w.post("/moving-out/file", "account", "bob@office.example").says(t, "Others are downloading.", "<!DOCTYPE html>")
}
