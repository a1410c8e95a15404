package webui_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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
		"counters": []any{map[string]any{"name": "imaps/refused", "why": "too many at once", "packets": 1234, "bytes": 5678}, map[string]any{"name": "loopback", "why": "never said"}},
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

// networkForm is the form of the network as it comes, with pairs changed.
func networkForm(pairs ...string) []string {
	return append([]string{"kind-0", "", "which-0", "", "mtu-0", "1400", "method-0", "dhcp", "method6-0", "slaac"}, pairs...)
}

func TestNetworkIsCheckedAndThenTried(t *testing.T) {
	b := settingsBox(t)
	w := b.as(webui.Administrator)
	w.get("/network").says(t, "eth0", "192.168.7.2/24", "another machine has it", "The cable is loose.", "pillarbox.local", `value="dhcp" selected`, `value="1400"`)

	form := networkForm("method-0", "static", "address-0", "192.168.7.9/24", "gateway-0", "192.168.7.1", "method6-0", "off", "mtu-0", "9000",
		"dns", "9.9.9.9, 192.168.7.1", "search", "office.example", "why", "a fixed one")
	w.post("/network", append(form, "do", "check")...).says(t, "What it would change", "How long it lasts", "Somebody is &lt;cut&gt; off.", "Try it", `value="192.168.7.9/24"`)
	if got := b.api.last(t); got.Path != "/v1/settings/plan" {
		t.Fatalf("asked %+v", got)
	}
	w.post("/network", append(form, "do", "try")...).leads(t, "/network")
	if got := b.api.last(t); got.Path != "/v1/settings/proposals" {
		t.Fatalf("asked %+v", got)
	}
	want := map[string]any{
		"version":    1.0,
		"interfaces": []any{map[string]any{"first_wired": true, "mtu": 9000.0, "ipv4": map[string]any{"method": "static", "addresses": []any{"192.168.7.9/24"}, "gateway": "192.168.7.1"}, "ipv6": map[string]any{"method": "off"}}},
		"dns":        []any{"9.9.9.9", "192.168.7.1"}, "search": []any{"office.example"}, "ntp": []any{},
	}
	doc := at(t, b.api.body(t), "document")
	if diff := cmp.Diff(want, at(t, doc, "network")); diff != "" {
		t.Errorf("the network (-want +got):\n%s", diff)
	}
	if got := at(t, doc, "firewall", "services", "imaps", "rate"); got != 42.0 {
		t.Errorf("the rate is %v", got)
	}
	// What stays is written as it was.
	w.post("/network", append(networkForm(), "do", "try")...).leads(t, "/network")
	got := at(t, b.api.body(t), "document", "network", "interfaces", 0)
	if diff := cmp.Diff(map[string]any{"first_wired": true, "mtu": 1400.0, "ipv4": map[string]any{"method": "dhcp"}}, got); diff != "" {
		t.Errorf("the interface (-want +got):\n%s", diff)
	}
}

func TestNetworkSaysWhatIsWrong(t *testing.T) {
	b := settingsBox(t)
	w := b.as(webui.Administrator)
	bridge := []string{"kind-1", "bridge", "which-1", "br0", "method-1", "off", "method6-1", "off"}
	vlan := []string{"kind-1", "vlan", "which-1", "guests", "parent-1", "eth0", "id-1", "7", "method-1", "off", "method6-1", "off"}
	for _, c := range []struct {
		pairs       []string
		field, want string
	}{
		{[]string{"method-0", "static"}, "address-0", "An address is wanted, with the length"},
		{[]string{"method6-0", "static"}, "address6-0", "An address is wanted, with the length"},
		{[]string{"method-0", "static", "address-0", "192.168.7.9"}, "address-0", "“192.168.7.9” is no address with the length"},
		{[]string{"method-0", "static", "address-0", "192.168.7.9/24", "gateway-0", "router"}, "gateway-0", "“router” is no address."},
		{[]string{"dns", "one.one"}, "dns", "“one.one” is no address."},
		{[]string{"mtu-0", "big"}, "mtu-0", "is no whole number."},
		{bridge, "port-1", "Choose at least one interface."},
		{append([]string{"which-0", "eth0", "port-1", "eth0"}, bridge...), "which-0", "eth0 becomes a part of br0"},
		{append(slices.Clone(bridge), "port-1", "eth1", "kind-2", "bridge", "which-2", "br1", "port-2", "eth1"), "port-2", "eth1 is a part of br0 already."},
		{append(slices.Clone(vlan), "which-1", ""), "which-1", "Give it a name, such as guests."},
		{append(slices.Clone(vlan), "parent-1", ""), "parent-1", "Say on which interface"},
		{append(slices.Clone(vlan), "id-1", ""), "id-1", "from 1 to 4094."},
		{append(slices.Clone(vlan), "id-1", "seven"), "id-1", "is no whole number."},
	} {
		got := w.post("/network", networkForm(append(c.pairs, "why", "kept <as> typed", "do", "try")...)...)
		got.says(t, c.want, `id="`+c.field+`-problem"`, "kept &lt;as&gt; typed")
		if got.status != http.StatusUnprocessableEntity {
			t.Errorf("%v: status %d", c.pairs, got.status)
		}
		for _, what := range validate(got.text) {
			t.Errorf("%v: %s", c.pairs, what)
		}
	}
	w.post("/network", "do", "try").says(t, "Keep one.")
	w.post("/network", networkForm("remove-0", "yes", "do", "try")...).says(t, "Keep one.")
	if asked := b.api.changed(); len(asked) > 0 {
		t.Fatalf("the box was asked %v", asked)
	}
	b.api.answer("POST /v1/settings/proposals", http.StatusConflict, map[string]string{"code": "pending", "message": "another change is on its way"})
	w.post("/network", networkForm("do", "try")...).says(t, "Another change is on its way.")
}

// TestWhatTheSettingsMindStandsBesideItsField has the box, which knows best, refuse
// all that the page lets pass, in the order in which the settings would have it.
func TestWhatTheSettingsMindStandsBesideItsField(t *testing.T) {
	b := settingsBox(t)
	w := b.as(webui.Administrator)
	b.api.answer("POST /v1/settings/plan", http.StatusBadRequest, map[string]string{"code": "settings", "message": strings.Join([]string{
		"configuration: network.interfaces[0].vlan.id: 5000 is not between 1 and 4094", "network.interfaces[0].ipv4.addresses[1]: 192.168.7.0/24 is not an address",
		"network.interfaces[1].mtu: 7 is not between 1280 and 65535", "network.search[0]: \"_\" is not a domain", "network.version: another is wanted", "format: so is this",
	}, "\n")})
	got := w.post("/network", networkForm("mtu-0", "7", "search", "_", "kind-1", "vlan", "which-1", "guests", "parent-1", "eth0", "id-1", "5000",
		"method-1", "static", "address-1", "192.168.8.2/24 192.168.7.0/24", "first-1", "yes", "do", "check")...)
	got.says(t, `id="id-1-problem">5000 is not between 1 and 4094.`, `id="address-1-problem">192.168.7.0/24 is not an address.`,
		`id="mtu-0-problem">7 is not between`, `id="search-problem">&#34;_&#34; is not a domain.`, "Network.version: another is wanted. Format: so is this.")
	b.api.answer("POST /v1/settings/plan", http.StatusBadRequest, map[string]string{"code": "settings", "message": strings.Join([]string{
		"firewall.services.imaps.rate: 70000 is not between 0 and 60000 a minute", "firewall.services.imaps-legacy: say why", `firewall.admin_interface: "a/b" is not the name`,
	}, "\n")})
	got = w.post("/firewall", "from-imaps", "lan", "rate-imaps", "70000", "from-imaps-legacy", "anyone", "admin", "a/b", "do", "check")
	got.says(t, `id="rate-imaps-problem">70000 is not`, `id="override-imaps-legacy-problem">Say why.`, `id="admin-problem">&#34;a/b&#34; is not the name.`, `value="70000"`, "<details open>")
	for _, what := range validate(got.text) {
		t.Error(what)
	}
}

// TestInterfacesAreAddedMovedAndRemoved goes by the forms that the page gives.
func TestInterfacesAreAddedMovedAndRemoved(t *testing.T) {
	b := settingsBox(t)
	b.api.say("GET /v1/settings", map[string]any{"current": map[string]any{"document": map[string]any{"network": map[string]any{"version": 1, "interfaces": []any{
		map[string]any{"name": "eth0"},
		map[string]any{"name": "br0", "bridge": map[string]any{"ports": []string{"eth1", "gone0"}}, "ipv6": map[string]any{"addresses": []string{"fd00::2/64"}}},
		map[string]any{"name": "guests", "vlan": map[string]any{"parent": "br0", "id": 7}, "ipv4": map[string]any{"method": "off"}},
	}}}}})
	b.as(webui.Auditor).get("/network").says(t, "Bridge br0", "Made of eth1 and gone0; no IPv4; IPv6 from the router and fd00::2/64.", "Number 7 on br0")
	w := b.as(webui.Administrator)
	w.get("/network").says(t, "Interface eth0", "Bridge br0", "VLAN guests", `name="port-1" value="gone0" checked`, `value="fd00::2/64"`, `<option value="br0">`)

	typed := []string{
		"kind-0", "", "which-0", "02:00:00:00:00:01", "method-0", "off", "method6-0", "slaac",
		"kind-1", "bridge", "which-1", "br0", "port-1", "eth1", "method-1", "dhcp", "method6-1", "slaac", "address6-1", "fd00::2/64", "first-1", "yes",
		"kind-2", "vlan", "which-2", "guests", "parent-2", "br0", "id-2", "7", "method-2", "off", "method6-2", "slaac", "remove-2", "yes",
	}
	for kind, want := range map[string]string{"vlan": "A new VLAN", "bridge": "A new bridge", "device": "Another interface"} {
		page := w.post("/network", append(typed, "do", "add-"+kind)...)
		page.says(t, want, `value="02:00:00:00:00:01"`, "autofocus", `name="kind-3"`, `name="remove-2" value="yes" checked`)
		if page.status != http.StatusOK {
			t.Errorf("add a %s: status %d", kind, page.status)
		}
		for _, what := range validate(page.text) {
			t.Errorf("add a %s: %s", kind, what)
		}
	}
	if asked := b.api.changed(); len(asked) > 0 {
		t.Fatalf("the box was asked %v", asked)
	}
	w.post("/network", append(typed, "kind-3", "vlan", "new-3", "yes", "which-3", "phones", "parent-3", "br0", "id-3", "8", "method-3", "dhcp", "method6-3", "off", "do", "try")...).leads(t, "/network")
	want := []any{
		map[string]any{"name": "br0", "bridge": map[string]any{"ports": []any{"eth1"}}, "ipv4": map[string]any{"method": "dhcp"}, "ipv6": map[string]any{"addresses": []any{"fd00::2/64"}}},
		map[string]any{"mac": "02:00:00:00:00:01"}, // which has no IPv4, and IPv6 from the router
		map[string]any{"name": "phones", "vlan": map[string]any{"parent": "br0", "id": 8.0}, "ipv4": map[string]any{"method": "dhcp"}, "ipv6": map[string]any{"method": "off"}},
	}
	if diff := cmp.Diff(want, at(t, b.api.body(t), "document", "network", "interfaces")); diff != "" {
		t.Errorf("the interfaces (-want +got):\n%s", diff)
	}
}

func TestFirewallTellsAndIsChanged(t *testing.T) {
	b := settingsBox(t)
	b.as(webui.Auditor).get("/firewall").says(t, "imaps: the office", "imaps/refused", "Too many at once.", "1,234", "1 rule that decided about nothing yet", "loopback")
	w := b.as(webui.Administrator)
	w.get("/firewall").says(t, `value="42"`, `placeholder="300"`, `name="log" value="yes" checked`, `<option value="eth0">`)
	w.get("/firewall?source=203.0.113.9&for=993").says(t, "No, 203.0.113.9 would not get in", "It is not of the office.", "imaps/outside")
	w.get("/firewall?source=somebody").says(t, "An address is wanted")
	w.get("/firewall?source=203.0.113.9&for=x").says(t, "A port is a number")

	w.post("/firewall", "from-imaps", "networks", "networks-imaps", "here", "do", "check").says(t, "“here” is no network.")
	w.post("/firewall", "rate-imaps", "often", "do", "check").says(t, "is no whole number.", `id="rate-imaps-problem"`, `value="often"`)
	w.post("/firewall", "from-imaps", "networks", "networks-imaps", "203.0.113.9 198.51.100.7/24", "burst-imaps", "5", "connections-imaps", "6",
		"from-imaps-legacy", "lan", "lan", "10.0.0.0/8", "admin", "eth0", "do", "try").leads(t, "/firewall")
	doc := at(t, b.api.body(t), "document")
	want := map[string]any{"from": "networks", "networks": []any{"203.0.113.9/32", "198.51.100.0/24"}, "burst": 5.0, "connections": 6.0}
	if diff := cmp.Diff(want, at(t, doc, "firewall", "services", "imaps")); diff != "" {
		t.Errorf("the rule (-want +got):\n%s", diff)
	}
	if got := at(t, doc, "firewall"); at(t, got, "admin_interface") != "eth0" || at(t, got, "log") != false {
		t.Errorf("the firewall is %v", got)
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
	w.post("/network", networkForm("do", "try")...).says(t, "own system keeps its network")
	if asked := b.api.changed(); len(asked) > 0 {
		t.Fatalf("the box was asked %v", asked)
	}
}
