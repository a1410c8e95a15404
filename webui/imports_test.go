package webui_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"pillarbox/webui"
)

// move is one of two people that is in a state.
func move(state string) map[string]any {
	return map[string]any{
		"id": "m1", "created": time.Now(), "by": "admin", "state": state, "follow": true,
		"from": map[string]any{"imap": map[string]any{"host": "old.example", "port": 993, "admin": "cyrus"}},
		"people": []any{
			map[string]any{"user": "anna", "account": "anna@office.example", "stage": "moving", "progress": map[string]any{
				"phase": "moving", "mailbox": "INBOX/<Old>", "messages": 1000, "messages_done": 250, "seconds_left": 120,
			}},
			map[string]any{"user": "bob", "account": "bob@office.example", "stage": "done", "bad": 2, "ok": false, "total": map[string]any{"listed": 10, "taken": 8}},
		},
	}
}

func movingBox(t *testing.T) *box {
	t.Helper()
	b := newBox(t, true)
	b.api.say("GET /v1/imports", []any{move("running")})
	b.api.say("GET /v1/imports/m1", move("running"))
	b.api.say("POST /v1/imports", move("running"))
	b.api.say("POST /v1/imports/try", map[string]any{"estimate": map[string]any{"messages": 1234, "bytes": 5_000_000, "seconds": 90}})
	b.api.say("GET /v1/imports/m1/report", map[string]any{
		"account": "bob@office.example", "total": map[string]any{"listed": 10, "taken": 8, "quarantined": 2},
		"mailboxes": []any{map[string]any{"from": "Old.Mail", "to": "Old/Mail", "listed": 10, "taken": 8}},
		"bad":       []any{map[string]any{"mailbox": "INBOX", "message": "UID 7", "size": 99, "reason": "it is <broken>", "file": "quarantine/7"}},
		"remarks":   []string{"a folder got another name"}, "verified": map[string]any{"ok": false, "messages": 8, "differences": []string{"UID 9 is not here"}},
	})

	return b
}

func TestMovesAreFollowed(t *testing.T) {
	b := movingBox(t)
	w := b.as(webui.Auditor)
	page := w.get("/moving")
	page.says(t, "old.example, port 993", "1 of 2")
	page.lacks(t, "Begin the move")
	page = w.get("/moving/m1")
	page.says(t, "250 of 1,000, about 2 minutes left", `width="25"`, "INBOX/&lt;Old&gt;", "2 set aside", "differs", `data-live="/live/moving/m1"`)
	page.lacks(t, "Cancel")
	w.get("/moving/m1/report?person=1").says(t, "It is &lt;broken&gt;.", "Old/Mail", "A folder got another name.", "UID 9 is not here.")
	b.api.say("GET /v1/imports", []any{})
	w.get("/moving").says(t, "No mail has moved in yet.")
}

func TestMovesBegin(t *testing.T) {
	b := movingBox(t)
	w := b.as(webui.Administrator)
	for _, c := range []struct {
		pairs []string
		want  string
	}{
		{[]string{"people", "anna,anna@office.example,pw"}, "Say from which server."},
		{[]string{"host", "old.example"}, "Say whose mail is to move."},
		{[]string{"host", "old.example", "people", "anna,anna@office.example"}, "Line 1 has no password."},
		{[]string{"host", "old.example", "people", "anna,,pw\n,bob@office.example,pw"}, "Line 2 says nobody"},
		{[]string{"host", "old.example", "people", "\"anna,x"}, "cannot be read"},
		{[]string{"host", "old.example", "people", "anna", "admin", "cyrus"}, "Type the administrator"},
		{[]string{"host", "old.example", "people", "anna,,pw", "port", "0"}, "from 1 to 65535"},
	} {
		w.post("/moving", c.pairs...).says(t, c.want)
	}
	if asked := b.api.changed(); len(asked) > 0 {
		t.Fatalf("the box was asked %v", asked)
	}

	form := []string{"host", "old.example", "security", "tls", "people", "anna;anna@office.example;p,w\r\nbob;;x\r\n", "keep_uids", "yes"}
	w.post("/moving", append(form, "do", "try")...).says(t, "1,234 messages, 5.0 MB", "about 1 minute")
	w.post("/moving", append(form, "do", "begin")...).leads(t, "/moving/m1")
	got := b.api.body(t)
	if at(t, got, "people", 0, "secret") != "p,w" || at(t, got, "people", 1, "account") != "bob" || at(t, got, "options", "keep_uids") != true ||
		at(t, got, "from", "imap", "host") != "old.example" {
		t.Errorf("asked %v", got)
	}

	b.api.answer("POST /v1/imports", http.StatusBadGateway, map[string]string{"code": "import-login", "message": "the server refuses the password"})
	page := w.post("/moving", "host", "old.example", "people", "anna", "admin", "cyrus", "secret", "very secret words")
	page.lacks(t, "very secret words")
}

func TestMovesAreDecidedAbout(t *testing.T) {
	for act, want := range map[string]string{
		"pause": "POST /v1/imports/m1/pause", "cancel": "POST /v1/imports/m1/cancel", "cut-over": "POST /v1/imports/m1/cut-over",
		"resume": "POST /v1/imports/m1/resume", "remove": "DELETE /v1/imports/m1",
	} {
		t.Run(act, func(t *testing.T) {
			b := movingBox(t)
			to := "/moving/m1"
			if act == "remove" {
				to = "/moving"
			}
			b.as(webui.Administrator).post("/moving/m1/act", "act", act, "secret", "pw").leads(t, to)
			got := b.api.last(t)
			if got.Method+" "+got.Path != want || act == "resume" && !strings.Contains(got.Body, `"secret":"pw"`) {
				t.Errorf("asked %+v", got)
			}
		})
	}
	b := movingBox(t)
	b.api.say("GET /v1/imports/m1", move("locked"))
	w := b.as(webui.Administrator)
	w.get("/moving/m1").says(t, "needs a password", "Password of cyrus", "Go on")
	b.api.answer("POST /v1/imports/m1/resume", http.StatusConflict, map[string]string{"code": "import-state", "message": "it is not paused"})
	w.post("/moving/m1/act", "act", "resume").says(t, "It is not paused.")
	if got := w.post("/moving/m1/act", "act", "explode"); got.status != http.StatusNotFound {
		t.Errorf("status %d", got.status)
	}
}

func TestMovesFromFiles(t *testing.T) {
	b := movingBox(t)
	w := b.as(webui.Administrator)
	w.post("/moving/files", "path", "usb", "account", "").says(t, "begins with a slash", "Say whose mail it becomes.")
	w.post("/moving/files", "path", "/media/usb", "account", "anna@office.example").leads(t, "/moving/m1")
	if got := b.api.changed(); len(got) != 1 || !strings.Contains(got[0].Body, `"path":"/media/usb"`) {
		t.Errorf("asked %v", got)
	}
	b.api.answer("POST /v1/imports", http.StatusBadRequest, map[string]string{"code": "import", "message": "there is no mail"})
	w.post("/moving/files", "path", "/media/<usb>", "account", "anna@office.example").says(t, `id="path-problem">There is no mail.`, "/media/&lt;usb&gt;")
}

func TestMailIsComparedAgainAndQuarantineIsRead(t *testing.T) {
	b := movingBox(t)
	w := b.as(webui.Administrator)
	w.get("/moving/m1").says(t, "New mail keeps coming over")
	b.api.say("POST /v1/imports/m1/verify", map[string]any{"verified": map[string]any{"ok": true, "messages": 8}})
	w.post("/moving/m1/verify", "person", "1", "secret", "pw").says(t, "Compared just now: Everything is here")
	b.api.answer("POST /v1/imports/m1/verify", http.StatusBadGateway, map[string]string{"code": "import-login", "message": "the server refuses it"})
	page := w.post("/moving/m1/verify", "person", "1", "secret", "secret words")
	page.says(t, `id="secret-problem">The server refuses it.`)
	page.lacks(t, "secret words")
	b.api.mu.Lock()
	b.api.answers["POST /v1/imports/m1/bad"] = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "message/rfc822")
		_, _ = w.Write([]byte("From: x"))
	}
	b.api.mu.Unlock()
	got := w.post("/moving/m1/bad", "person", "1", "message", "0")
	if got.text != "From: x" || got.header.Get("Content-Disposition") != `attachment; filename="message-1.eml"` {
		t.Errorf("%d %q %v", got.status, got.text, got.header)
	}
	b.api.answer("POST /v1/imports/m1/bad", http.StatusNotFound, map[string]string{"code": "no-report", "message": "it is in quarantine no more"})
	w.post("/moving/m1/bad", "person", "1", "message", "0").says(t, "It is in quarantine no more.")
	if auditor := b.as(webui.Auditor).post("/moving/m1/bad", "message", "0"); auditor.status != http.StatusForbidden {
		t.Errorf("an auditor reads mail: status %d", auditor.status)
	}
}
