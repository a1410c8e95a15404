package webui_test

import (
	"net/http"
	"testing"

	"pillarbox/webui"
)

func TestRulesOfSigningIn(t *testing.T) {
	b := settingsBox(t)
	b.as(webui.Auditor).get("/signing-in").says(t, "On port 990, from 192.168.7.0/24: PLAIN.", "There is none.")
	w := b.as(webui.Administrator)
	w.get("/signing-in").says(t, "Rule 1", "Another rule", `value="192.168.7.0/24"`)

	form := []string{"port-0", "imaps-legacy", "networks-0", "192.168.7.0/24", "mechanism-0", "SCRAM-SHA-256", "certificate-0", "required"}
	w.post("/signing-in", append(form, "do", "check")...).says(t, "What it would change", "Somebody is &lt;cut&gt; off.", "Try it")
	got := b.api.body(t)
	if rule := at(t, got, "sign_in", "rules", 0); at(t, rule, "mechanisms", 0) != "SCRAM-SHA-256" || at(t, rule, "certificate") != "required" {
		t.Errorf("the rule is %v", rule)
	}
	if all := at(t, got, "sign_in", "rules").([]any); len(all) != 1 {
		t.Errorf("the rules are %v", all)
	}

	// Another one goes in front; with nothing chosen nobody gets in.
	w.post("/signing-in", append(form, "add", "yes", "first", "yes", "networks-1", "10.0.0.9", "do", "try")...).leads(t, "/signing-in")
	rules := at(t, b.api.body(t), "document", "sign_in", "rules")
	if at(t, rules, 0, "networks", 0) != "10.0.0.9/32" || len(at(t, rules, 0, "mechanisms").([]any)) != 0 || at(t, rules, 1, "port") != "imaps-legacy" {
		t.Errorf("the rules are %v", rules)
	}

	w.post("/signing-in", append(form, "remove-0", "yes", "do", "check")...)
	if all := at(t, b.api.body(t), "sign_in", "rules").([]any); len(all) != 0 {
		t.Errorf("the rules are %v", all)
	}
}

func TestProviderOfTokens(t *testing.T) {
	b := settingsBox(t)
	w := b.as(webui.Administrator)
	w.post("/signing-in", "issuer", "https://login.office.example", "do", "check").says(t, "Say for whom")
	w.post("/signing-in", "audience", "box", "do", "check").says(t, "Say where the provider is", `value="box"`)
	w.post("/signing-in", "networks-0", "here", "do", "check").says(t, "“here” is no network.")
	if asked := b.api.changed(); len(asked) > 0 {
		t.Fatalf("the box was asked %v", asked)
	}
	b.api.answer("POST /v1/settings/plan", http.StatusUnprocessableEntity, map[string]string{"code": "settings", "message": "the provider does not answer"})
	w.post("/signing-in", "issuer", "https://login.office.example", "audience", "box mail", "do", "check").says(t, "The provider does not answer.")
	if got := at(t, b.api.body(t), "sign_in", "provider", "audience", 1); got != "mail" {
		t.Errorf("for whom: %v", got)
	}
}
