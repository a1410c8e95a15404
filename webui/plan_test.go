package webui_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"pillarbox/webui"
)

// leaving is a plan that is in its first steps.
func leaving() map[string]any {
	now := time.Now()
	step := func(stage string, people ...string) map[string]any {
		return map[string]any{"stage": stage, "begins": now.Add(24 * time.Hour), "who": map[string]any{"people": people}}
	}

	return map[string]any{
		"kind": "leave-990", "title": "Leaving port 990 for 993", "why": "the audit", "by": "admin", "made": now, "started": now, "at": 1,
		"steps":   []any{step("dual"), step("announce"), step("pilot", "anna@office.example"), step("closed"), step("silent")},
		"next":    step("pilot", "anna@office.example"),
		"measure": map[string]any{"moved": 3, "remaining": 2, "refused": []string{}, "broken": []string{}},
		"check": map[string]any{
			"waits":      []string{"1 would be cut off without having been told or chosen: bob@office.example"},
			"cut_off":    []any{map[string]any{"account": "bob@office.example", "devices": []string{"scanner <old>"}, "last": now}},
			"unexpected": []string{"bob@office.example"},
		},
		"brownouts": []any{map[string]any{"state": "over", "begins": now, "for": "10m", "tried": []string{"bob@office.example"}, "came": []string{}}},
		"decisions": []any{map[string]any{"at": now, "what": "made", "by": "admin", "why": "the audit"}, map[string]any{"at": now, "what": "moved", "to": "announce", "by": "the plan leave-990"}},
		"people":    []any{map[string]any{"account": "bob@office.example", "old": now, "refusals": 1}},
	}
}

func planBox(t *testing.T) *box {
	t.Helper()
	b := newBox(t, true)
	b.api.say("GET /v1/plans", []any{leaving()})
	b.api.say("GET /v1/plans/leave-990", leaving())
	b.api.say("GET /v1/port-990", map[string]any{"owner": "Ida of the office", "why": "two scanners", "review": time.Now().Add(1000 * time.Hour)})

	return b
}

// last returns the newest request that changes something.
func (a *api) last(t *testing.T) call {
	t.Helper()
	all := a.changed()
	if len(all) == 0 {
		t.Fatal("the box was asked to change nothing")
	}

	return all[len(all)-1]
}

func TestPlansAreShown(t *testing.T) {
	b := planBox(t)
	w := b.as(webui.Auditor)
	page := w.get("/plans")
	page.says(t, "Leaving port 990 for 993", "under way", "2 people", "Ida of the office", "two scanners")
	page.lacks(t, "Make the plan")
	page = w.get("/plans/leave-990")
	page.says(t, "Refused there, with what to change: anna@office.example.", "would be cut off without having been told", "scanner &lt;old&gt;",
		"10 minutes", "went on to people are told", "refused 1 time")
	page.lacks(t, "Go back now", "Start the plan")
	b.api.say("GET /v1/plans", []any{})
	w.get("/plans").says(t, "There is no plan. Everything stays as it is.")
}

func TestPlansAreMade(t *testing.T) {
	b := planBox(t)
	w := b.as(webui.Administrator)
	w.post("/plans", "kind", "leave-990", "pilot_on", "2027-02-01").says(t, "Say who, or take the date away.")
	w.post("/plans", "kind", "leave-990", "closed_on", "soon").says(t, "A date such as", `value="soon"`)
	if asked := b.api.changed(); len(asked) > 0 {
		t.Fatalf("the box was asked %v", asked)
	}

	w.post("/plans", "kind", "leave-990", "why", "the audit", "pilot", "anna@office.example, 192.168.7.9", "pilot_on", "2027-02-01", "phase", "everybody").leads(t, "/plans/leave-990")
	got := b.api.last(t)
	for _, want := range []string{
		`"kind":"leave-990"`, `"stage":"announce"`, `"people":["anna@office.example"]`, `"networks":["192.168.7.9/32"]`, `"begins":"2027-02-01T09:00:00`,
		`"everybody":true`, `"stage":"closed"`,
	} {
		if !strings.Contains(got.Body, want) {
			t.Errorf("%s %s %s lacks %s", got.Method, got.Path, got.Body, want)
		}
	}

	b.api.answer("POST /v1/plans", http.StatusConflict, map[string]string{"code": "plan-taken", "message": "there is a plan already"})
	w.post("/plans", "kind", "leave-990", "why", "once more").says(t, "There is a plan already.", `value="once more"`)
}

func TestPlansAreDecidedAbout(t *testing.T) {
	for _, c := range []struct {
		name  string
		pairs []string
		path  string
		body  []string
	}{
		{"start", []string{"act", "start"}, "start", nil},
		{"next", []string{"act", "next", "why", "ready", "anyway", "yes"}, "next", []string{`"anyway":true`, `"why":"ready"`, `"now":true`}},
		{"accept", []string{"act", "accept", "why", "known", "person", "bob@office.example"}, "accept", []string{`"people":["bob@office.example"]`}},
		{"brown-out", []string{"act", "brownout", "why", "try", "for", "10m", "begins", "2027-02-01", "at", "14:30"}, "brownout", []string{`"for":"10m"`, `"begins":"2027-02-01T14:30:00`}},
		{"end of a brown-out", []string{"act", "end-brownout"}, "brownout", []string{`"end":true`}},
		{"drop", []string{"act", "drop", "why", "no need"}, "drop", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := planBox(t)
			w := b.as(webui.Administrator)
			w.get("/plans/leave-990/decide?act="+c.pairs[1]).says(t, "Leave it")
			w.post("/plans/leave-990/decide", c.pairs...).leads(t, "/plans/leave-990")
			got := b.api.last(t)
			if got.Path != "/v1/plans/leave-990/"+c.path {
				t.Errorf("asked %s", got.Path)
			}
			for _, want := range c.body {
				if !strings.Contains(got.Body, want) {
					t.Errorf("%s lacks %s", got.Body, want)
				}
			}
		})
	}
}

func TestPlansWantReasonsAndTheRightPerson(t *testing.T) {
	b := planBox(t)
	w := b.as(webui.Administrator)
	w.post("/plans/leave-990/decide", "act", "next").says(t, "Say why, for the record.")
	w.post("/plans/leave-990/decide", "act", "accept", "why", "x").says(t, "Choose somebody.")
	w.post("/plans/leave-990/decide", "act", "brownout", "why", "x", "for", "10m", "begins", "2027-02-01", "at", "noon").says(t, "a time such as 14:30")
	if got := w.post("/plans/leave-990/decide", "act", "explode", "why", "x"); got.status != http.StatusNotFound {
		t.Errorf("status %d", got.status)
	}
	if asked := b.api.changed(); len(asked) > 0 {
		t.Fatalf("the box was asked %v", asked)
	}
	b.api.answer("POST /v1/plans/leave-990/next", http.StatusConflict, map[string]string{"code": "plan-check", "message": "the check finds something"})
	w.post("/plans/leave-990/decide", "act", "next", "why", "x").says(t, "The check finds something.")

	// Who has not shown lately who they are is asked for the password.
	b.clock.turn(16 * time.Minute)
	w.post("/plans/leave-990/decide", "act", "drop", "why", "x").leads(t, "/prove?next=%2F")
}

// TestWhoeverKeepsTheBoxCanGoBack holds without a question in between.
func TestWhoeverKeepsTheBoxCanGoBack(t *testing.T) {
	b := planBox(t)
	w := b.as(webui.Operator)
	w.post("/plans/leave-990/pause", "act", "rollback", "why", "the scanner").leads(t, "/plans/leave-990")
	if got := b.api.last(t); got.Path != "/v1/plans/leave-990/rollback" || !strings.Contains(got.Body, "the scanner") {
		t.Errorf("asked %+v", got)
	}
	w.get("/plans/leave-990").says(t, "Everybody is let in by both ways again.")
	w.post("/plans/leave-990/pause", "act", "pause").leads(t, "/plans/leave-990")
	if got := b.api.last(t); got.Path != "/v1/plans/leave-990/pause" {
		t.Errorf("asked %+v", got)
	}
}

func TestOwnerAndReport(t *testing.T) {
	b := planBox(t)
	w := b.as(webui.Administrator)
	w.post("/plans/owner", "owner", "Ida", "review", "later").says(t, "A date such as", `value="Ida"`)
	w.post("/plans/owner", "owner", "Ida", "review", "2027-03-01").leads(t, "/plans")
	if got := b.api.last(t); got.Method != http.MethodPut || !strings.Contains(got.Body, `"review":"2027-03-01T09`) {
		t.Errorf("asked %+v", got)
	}
	b.api.mu.Lock()
	b.api.answers["POST /v1/plans-report"] = func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("report as " + r.URL.Query().Get("form")))
	}
	b.api.mu.Unlock()
	got := b.as(webui.Auditor).post("/plans/report", "form", "csv")
	got.says(t, "report as csv")
	if file := got.header.Get("Content-Disposition"); !strings.Contains(file, "port-990.csv") {
		t.Errorf("the file is called %s", file)
	}
}
