package webui_test

import (
	"encoding"
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/config"
	"pillarbox/netcfg/policy"
	"pillarbox/netcfg/state"
	"pillarbox/webui"
)

// settingPaths returns all that can be set: [] stands for each item of a list, * for
// each of the services.
func settingPaths(t reflect.Type, path string) []string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
		return []string{path}
	}
	switch t.Kind() {
	case reflect.Struct:
		var all []string
		for f := range t.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			all = append(all, settingPaths(f.Type, strings.TrimPrefix(path+"."+name, "."))...)
		}
		return all
	case reflect.Slice:
		if items := settingPaths(t.Elem(), path+"[]"); items[0] != path+"[]" {
			return items
		}
	case reflect.Map:
		return settingPaths(t.Elem(), path+".*")
	}

	return []string{path}
}

// settingForm is what is typed into a form, and what comes of it.
type settingForm struct {
	page, act string
	typed     []string
	within    string         // where the settings stand in what the API is asked
	sets      map[string]any // by their paths
}

func settingForms() []settingForm {
	return []settingForm{
		{"/network", "/network", []string{
			"kind-0", "", "which-0", "", "mtu-0", "1400", "method-0", "static", "address-0", "192.168.7.9/24", "gateway-0", "192.168.7.1",
			"method6-0", "static", "address6-0", "fd00::9/64", "gateway6-0", "fd00::1",
			"kind-1", "", "which-1", "02:00:00:00:00:01", "method-1", "dhcp", "method6-1", "slaac",
			"kind-2", "bridge", "which-2", "br0", "port-2", "eth1", "method-2", "dhcp", "method6-2", "slaac",
			"kind-3", "vlan", "which-3", "guests", "parent-3", "br0", "id-3", "7", "method-3", "dhcp", "method6-3", "slaac",
			"dns", "9.9.9.9", "search", "office.example", "ntp", "time.example", "do", "try",
		}, "document", map[string]any{
			"network.interfaces[0].first_wired": true, "network.interfaces[0].mtu": 1400.0, "network.interfaces[0].ipv4.method": "static",
			"network.interfaces[0].ipv4.addresses": []any{"192.168.7.9/24"}, "network.interfaces[0].ipv4.gateway": "192.168.7.1",
			"network.interfaces[0].ipv6.method": "static", "network.interfaces[0].ipv6.addresses": []any{"fd00::9/64"}, "network.interfaces[0].ipv6.gateway": "fd00::1",
			"network.interfaces[1].mac": "02:00:00:00:00:01", "network.interfaces[2].name": "br0", "network.interfaces[2].bridge.ports": []any{"eth1"},
			"network.interfaces[3].vlan.parent": "br0", "network.interfaces[3].vlan.id": 7.0,
			"network.dns": []any{"9.9.9.9"}, "network.search": []any{"office.example"}, "network.ntp": []any{"time.example"},
		}},
		{"/firewall", "/firewall", []string{
			"from-imaps-legacy", "networks", "networks-imaps-legacy", "203.0.113.0/24", "override-imaps-legacy", "the branch", "rate-imaps-legacy", "5",
			"burst-imaps-legacy", "6", "connections-imaps-legacy", "7", "lan", "10.0.0.0/8", "admin", "br0", "log", "yes", "do", "try",
		}, "document", map[string]any{
			"firewall.services.imaps-legacy.from": "networks", "firewall.services.imaps-legacy.networks": []any{"203.0.113.0/24"},
			"firewall.services.imaps-legacy.override": "the branch", "firewall.services.imaps-legacy.rate": 5.0,
			"firewall.services.imaps-legacy.burst": 6.0, "firewall.services.imaps-legacy.connections": 7.0,
			"firewall.lan": []any{"10.0.0.0/8"}, "firewall.admin_interface": "br0", "firewall.log": true,
		}},
		{"/signing-in", "/signing-in", []string{
			"add", "yes", "port-0", "imaps", "networks-0", "10.0.0.0/8", "mechanism-0", "PLAIN", "certificate-0", "offered",
			"issuer", "https://login.office.example", "audience", "box", "scope", "mail", "claim", "upn", "ca", "a certificate", "do", "try",
		}, "document", map[string]any{
			"sign_in.rules[0].port": "imaps", "sign_in.rules[0].networks": []any{"10.0.0.0/8"}, "sign_in.rules[0].mechanisms": []any{"PLAIN"},
			"sign_in.rules[0].certificate": "offered", "sign_in.provider.issuer": "https://login.office.example", "sign_in.provider.audience": []any{"box"},
			"sign_in.provider.scope": "mail", "sign_in.provider.claim": "upn", "sign_in.provider.ca": "a certificate",
		}},
		{"/certificates", "/certificates/policy", []string{"policy", "modern"}, "certificate", map[string]any{"certificate.policy": "modern"}},
		{"/certificates", "/certificates/private", nil, "certificate", map[string]any{"certificate.source": "private"}},
		{"/office", "/office/office", []string{"office-name", "Babbage", "office-domain", "babbage.example", "office-time_zone", "Europe/Vienna"}, "set",
			map[string]any{"office.name": "Babbage", "office.domain": "babbage.example", "office.time_zone": "Europe/Vienna"}},
		{"/office", "/office/programs", []string{
			"client_setup-server", "mail.x.example", "client_setup-outgoing-server", "s.x.example", "client_setup-outgoing-port", "587",
			"client_setup-outgoing-security", "starttls", "client_setup-outgoing-sign_in", "same",
		}, "set", map[string]any{
			"client_setup.server": "mail.x.example", "client_setup.outgoing.server": "s.x.example", "client_setup.outgoing.port": 587.0,
			"client_setup.outgoing.security": "starttls", "client_setup.outgoing.sign_in": "same",
		}},
		{"/office", "/office/records", []string{
			"audit-acts-days", "400", "audit-acts-megabytes", "5", "audit-access-days", "30", "audit-access-megabytes", "6", "inventory-days", "31",
			"audit-checkpoints_to", "anna@office.example",
		}, "set", map[string]any{
			"audit.acts.days": 400.0, "audit.acts.megabytes": 5.0, "audit.access.days": 30.0, "audit.access.megabytes": 6.0, "inventory.days": 31.0,
			"audit.checkpoints_to": "anna@office.example",
		}},
		{"/office", "/office/changes", []string{"changes-confirm_within", "120", "changes-window-from", "22:00", "changes-window-to", "05:00", "changes-window-days", "mon"}, "set",
			map[string]any{"changes.confirm_within": 120.0, "changes.window.from": "22:00", "changes.window.to": "05:00", "changes.window.days": []any{"mon"}}},
		{"/office", "/office/ports", []string{"ports-no_imaps", "true", "ports-imaps_legacy", "true", "ports-metrics", "true"}, "set",
			map[string]any{"ports.no_imaps": true, "ports.imaps_legacy": true, "ports.metrics": true}},
	}
}

// without has the settings that no form sets, and why.
func without() map[string]string {
	const form = "it says in which form the settings are written, which the program knows"

	return map[string]string{
		"format": form, "network.version": form,
		"certificate.upload": "the certificate that somebody uploads has this fingerprint",
	}
}

// TestEverySettingHasAForm goes through all that can be set: each has a field on a
// page, and what is typed there arrives where it belongs.
func TestEverySettingHasAForm(t *testing.T) {
	d := config.Default()
	d.Network.Interfaces = append(d.Network.Interfaces, state.Interface{Name: "eth1"},
		state.Interface{Name: "br0", Bridge: &state.Bridge{Ports: []string{"eth1"}}}, state.Interface{Name: "guests", VLAN: &state.VLAN{Parent: "br0", ID: 7}})
	b := settingsBox(t)
	b.api.say("GET /v1/settings", map[string]any{"current": map[string]any{"number": 1, "document": d}})
	b.api.say("GET /v1/certificate", map[string]any{"settings": map[string]any{"source": "upload"}})
	w := b.as(webui.Administrator)
	missing := settingPaths(reflect.TypeFor[config.Document](), "")
	if len(missing) < 60 {
		t.Fatalf("only %d settings are found: %q", len(missing), missing)
	}
	found := func(path string) {
		path = regexp.MustCompile(`^firewall\.services\.[^.]+`).ReplaceAllString(regexp.MustCompile(`\[\d+\]`).ReplaceAllString(path, "[]"), "firewall.services.*")
		missing = slices.DeleteFunc(missing, func(p string) bool { return p == path })
	}
	for _, form := range settingForms() {
		page := w.get(form.page)
		page.says(t, `action="`+form.act+`"`)
		for i := 0; i < len(form.typed); i += 2 {
			page.says(t, `name="`+form.typed[i]+`"`)
		}
		before := len(b.api.changed())
		if got := w.post(form.act, form.typed...); got.status != http.StatusSeeOther {
			t.Errorf("%s: status %d\n%s", form.act, got.status, got.text)
			continue
		}
		asked := b.api.changed()[before:]
		var in map[string]any
		if len(asked) != 1 || json.Unmarshal([]byte(asked[0].Body), &in) != nil {
			t.Fatalf("%s asks for %+v", form.act, asked)
		}
		if form.within == "certificate" { // which has a request of its own
			in = map[string]any{"certificate": map[string]any{"certificate": in["settings"]}}
		}
		for _, path := range slices.Sorted(maps.Keys(form.sets)) {
			found(path)
			var steps []any
			for _, step := range regexp.MustCompile(`[^.\[\]]+`).FindAllString(form.within+"."+path, -1) {
				steps = append(steps, any(step))
				if n, err := strconv.Atoi(step); err == nil {
					steps[len(steps)-1] = n
				}
			}
			if diff := cmp.Diff(form.sets[path], at(t, in, steps...)); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", form.act, path, diff)
			}
		}
	}
	for path, why := range without() {
		if !slices.Contains(missing, path) || why == "" {
			t.Errorf("%s is there to be set, or is no setting, or it is not said why it has no form", path)
		}
		found(path)
	}
	for _, path := range missing {
		t.Errorf("%s can be set, but by no form: give it one, and a line in settingForms", path)
	}
}

// TestThePagesKnowWhatIsUsual compares what a field shows where nothing is typed
// with what holds then.
func TestThePagesKnowWhatIsUsual(t *testing.T) {
	page := settingsBox(t).as(webui.Administrator).get("/firewall")
	for name, usual := range map[string]int{"rate": policy.UsualRate, "burst": policy.UsualBurst, "connections": policy.UsualConnections} {
		page.says(t, `name="`+name+`-smtp" type="text" inputmode="numeric" value="" placeholder="`+strconv.Itoa(usual)+`"`)
	}
	for service := range policy.Ports() {
		page.says(t, `name="from-`+string(service)+`"`)
	}
}
