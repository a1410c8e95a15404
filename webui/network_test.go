package webui_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"pillarbox/webui"
)

// settingsBox has a document of settings, and says what a change would do.
func settingsBox(t *testing.T) *box {
	t.Helper()
	b := newBox(t, true)
	document := map[string]any{
		"format":  1,
		"network": map[string]any{"version": 1, "interfaces": []any{map[string]any{"first_wired": true, "mtu": 1400, "ipv4": map[string]any{"method": "dhcp"}}}},
		"firewall": map[string]any{"log": true, "services": map[string]any{
			"imaps": map[string]any{"from": "lan", "rate": 42}, "imaps-legacy": map[string]any{"from": "lan"},
		}},
		"sign_in": map[string]any{"rules": []any{map[string]any{"port": "imaps-legacy", "networks": []string{"192.168.7.0/24"}, "mechanisms": []string{"PLAIN"}}}},
	}
	b.api.say("GET /v1/settings", map[string]any{"current": map[string]any{"number": 3, "document": document}})
	b.api.say("POST /v1/settings/plan", map[string]any{
		"diff":    []any{map[string]any{"path": "a.b", "label": "how long it lasts", "before": "1", "after": "2"}},
		"reports": []any{map[string]any{"applier": "x", "notes": []string{"somebody is <cut> off"}}},
	})
	b.api.say("GET /v1/status", map[string]any{"hostname": "box"})
	b.api.say("GET /v1/network", map[string]any{"pid": 7, "name": "pillarbox.local", "network": map[string]any{
		"interfaces": []any{map[string]any{
			"name": "eth0", "mac": "02:00:00:00:00:01", "up": true, "carrier": true, "managed": true,
			"addresses": []any{map[string]any{"prefix": "192.168.7.2/24", "origin": "dhcp", "clashes": true}},
			"lease":     map[string]any{"server": "192.168.7.1", "expires": time.Now().Add(time.Hour)},
		}},
		"dns": []string{"192.168.7.1"}, "problems": []string{"the cable is loose"},
	}})
	b.api.say("GET /v1/firewall", map[string]any{"words": "imaps: the office", "state": map[string]any{
		"counters": []any{map[string]any{"name": "imaps/refused", "why": "too many at once", "packets": 1234, "bytes": 5678}},
	}})
	b.api.say("GET /v1/firewall/explain", map[string]any{"accepted": false, "rule": "imaps/outside", "why": "it is not of the office"})

	return b
}

// body decodes what the box was asked last.
func (a *api) body(t *testing.T) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(a.last(t).Body), &m); err != nil {
		t.Fatal(err)
	}

	return m
}

// at walks into a document.
func at(t *testing.T, doc any, path ...any) any {
	t.Helper()
	for _, step := range path {
		switch step := step.(type) {
		case string:
			m, ok := doc.(map[string]any)
			if !ok {
				t.Fatalf("%v is no object at %v", doc, step)
			}
			doc = m[step]
		case int:
			l, ok := doc.([]any)
			if !ok || len(l) <= step {
				t.Fatalf("%v has no item %d", doc, step)
			}
			doc = l[step]
		}
	}

	return doc
}

func TestNetworkIsCheckedAndThenTried(t *testing.T) {
	b := settingsBox(t)
	w := b.as(webui.Administrator)
	w.get("/network").says(t, "eth0", "192.168.7.2/24", "another machine has it", "The cable is loose.", "pillarbox.local", `value="dhcp" selected`)

	form := []string{"method", "static", "address", "192.168.7.9/24", "gateway", "192.168.7.1", "method6", "off", "dns", "9.9.9.9, 192.168.7.1", "why", "a fixed one"}
	w.post("/network", append(form, "do", "check")...).says(t, "What it would change", "How long it lasts", "Somebody is &lt;cut&gt; off.", "Try it", `value="192.168.7.9/24"`)
	if got := b.api.last(t); got.Path != "/v1/settings/plan" {
		t.Fatalf("asked %+v", got)
	}
	w.post("/network", append(form, "do", "try")...).leads(t, "/network")
	if got := b.api.last(t); got.Path != "/v1/settings/proposals" {
		t.Fatalf("asked %+v", got)
	}
	doc := at(t, b.api.body(t), "document")
	if got := at(t, doc, "network", "interfaces", 0, "ipv4", "addresses", 0); got != "192.168.7.9/24" {
		t.Errorf("the address is %v", got)
	}
	// What the page does not know stays.
	if got := at(t, doc, "network", "interfaces", 0, "mtu"); got != 1400.0 {
		t.Errorf("the MTU is %v", got)
	}
	if got := at(t, doc, "firewall", "services", "imaps", "rate"); got != 42.0 {
		t.Errorf("the rate is %v", got)
	}
}

func TestNetworkSaysWhatIsWrong(t *testing.T) {
	b := settingsBox(t)
	w := b.as(webui.Administrator)
	for _, c := range []struct {
		pairs []string
		want  string
	}{
		{[]string{"method", "static"}, "An address is wanted, with the length"},
		{[]string{"method", "static", "address", "192.168.7.9"}, "“192.168.7.9” is no address with the length"},
		{[]string{"method", "static", "address", "192.168.7.9/24", "gateway", "router"}, "“router” is no address."},
		{[]string{"method", "dhcp", "dns", "one.one"}, "“one.one” is no address."},
	} {
		got := w.post("/network", append(c.pairs, "do", "try")...)
		got.says(t, c.want)
		if got.status != http.StatusUnprocessableEntity {
			t.Errorf("%v: status %d", c.pairs, got.status)
		}
	}
	if asked := b.api.changed(); len(asked) > 0 {
		t.Fatalf("the box was asked %v", asked)
	}
	b.api.answer("POST /v1/settings/proposals", http.StatusConflict, map[string]string{"code": "pending", "message": "another change is on its way"})
	w.post("/network", "method", "dhcp", "do", "try").says(t, "Another change is on its way.")
}

func TestSpecialNetworksAreLeftAlone(t *testing.T) {
	b := settingsBox(t)
	b.api.say("GET /v1/settings", map[string]any{"current": map[string]any{"document": map[string]any{
		"network": map[string]any{"interfaces": []any{map[string]any{"name": "br0", "bridge": map[string]any{"ports": []string{"a"}}}}},
	}}})
	w := b.as(webui.Administrator)
	w.get("/network").says(t, "several interfaces, a bridge or a VLAN")
	w.post("/network", "method", "dhcp", "do", "try").says(t, "several interfaces, a bridge or a VLAN")
	if asked := b.api.changed(); len(asked) > 0 {
		t.Fatalf("the box was asked %v", asked)
	}
}

func TestFirewallTellsAndIsChanged(t *testing.T) {
	b := settingsBox(t)
	b.as(webui.Auditor).get("/firewall").says(t, "imaps: the office", "imaps/refused", "Too many at once.", "1,234")
	w := b.as(webui.Administrator)
	w.get("/firewall?source=203.0.113.9&for=993").says(t, "No, 203.0.113.9 would not get in", "It is not of the office.", "imaps/outside")
	w.get("/firewall?source=somebody").says(t, "An address is wanted")
	w.get("/firewall?source=203.0.113.9&for=x").says(t, "A port is a number")

	w.post("/firewall", "from-imaps", "networks", "networks-imaps", "here", "do", "check").says(t, "“here” is no network.")
	w.post("/firewall", "from-imaps", "networks", "networks-imaps", "203.0.113.9 198.51.100.7/24", "from-imaps-legacy", "lan", "lan", "10.0.0.0/8", "do", "try").leads(t, "/firewall")
	doc := at(t, b.api.body(t), "document")
	rule := at(t, doc, "firewall", "services", "imaps")
	if at(t, rule, "networks", 0) != "203.0.113.9/32" || at(t, rule, "networks", 1) != "198.51.100.0/24" || at(t, rule, "rate") != 42.0 || at(t, rule, "from") != "networks" {
		t.Errorf("the rule is %v", rule)
	}
	if got := at(t, doc, "firewall", "lan", 0); got != "10.0.0.0/8" {
		t.Errorf("the office is %v", got)
	}
}

func TestThereNeedBeNoFirewall(t *testing.T) {
	b := settingsBox(t)
	b.api.answer("GET /v1/firewall", http.StatusNotFound, map[string]string{"code": "no-server", "message": "this machine's firewall is its own"})
	page := b.as(webui.Administrator).get("/firewall?source=203.0.113.9")
	page.says(t, "no firewall of the box", "firewall is its own.")
	page.lacks(t, "Would this address get in?", "Check it")
	b.as(webui.Administrator).post("/firewall", "from-imaps", "anyone", "do", "try").says(t, "firewall is its own.")
	b.api.say("GET /v1/network", map[string]any{"pid": 0})
	w := b.as(webui.Administrator)
	w.get("/network").says(t, "own system keeps its network")
	w.post("/network", "method", "dhcp", "do", "try").says(t, "own system keeps its network")
	if asked := b.api.changed(); len(asked) > 0 {
		t.Fatalf("the box was asked %v", asked)
	}
}
