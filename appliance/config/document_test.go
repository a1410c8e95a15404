package config_test

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/config"
	"pillarbox/netcfg/policy"
	"pillarbox/netcfg/state"
)

func TestWhatIsWrongIsToldWithItsPlace(t *testing.T) {
	d := config.Default()
	d.Network.Interfaces[0].IPv4.Method = "magic"
	d.Firewall.Services["telnet"] = policy.Rule{From: policy.LAN}
	d.Certificate = config.Certificate{Source: "upload", Policy: "loose"}
	d.Audit.Access, d.Audit.Acts.Megabytes, d.Audit.CheckpointsTo = config.Retention{Days: 3, Megabytes: -1}, 5000, "Anna <anna@office.example>"
	d.Inventory.Days = 29
	d.Changes.ConfirmWithin = 5
	d.Changes.Window = &config.Window{Days: []string{"monday"}, From: "25:00", To: "02:00"}
	err := d.Validate()
	if err == nil {
		t.Fatal("it passes")
	}
	want := []string{
		`network.interfaces[0].ipv4.method: "magic" is neither dhcp, static nor off`,
		"firewall.services.telnet: there is no such service",
		`certificate.upload: "" is not a SHA-256 fingerprint`,
		`certificate.policy: "loose" is neither intermediate nor modern`,
		"audit.acts.megabytes: 5000 is not between 4 and 4096",
		"audit.access.days: 3 is not between 7 and 3660",
		"audit.access.megabytes: -1 is not between 4 and 4096",
		`audit.checkpoints_to: "Anna <anna@office.example>" is not an address such as anna@office.example`,
		"inventory.days: 29 is not between 30 and 400",
		"changes.confirm_within: 5 is not between 30 and 900 seconds",
		`changes.window.days[0]: "monday" is none of mon, tue, wed, thu, fri, sat and sun`,
		`changes.window.from: "25:00" is not a time of day such as 22:00`,
	}
	if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDiffSaysWhatChanges(t *testing.T) {
	a, b := config.Default(), config.Default()
	b.Ports.IMAPSLegacy = false
	b.Network.Search = []string{"office.example"}
	a.Network.Interfaces[0].IPv6.Method = "off"
	b.Network.Interfaces = []state.Interface{
		{FirstWired: true, IPv4: state.IPv4{Method: state.MethodStatic, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.2/24")}}},
		{Name: "eth1"},
	}
	delete(b.Firewall.Services, policy.Metrics)
	b.Firewall.Log = false
	b.SignIn.Provider = &config.Provider{Issuer: "https://login.office.example"}
	b.Audit.Access.Days, b.Audit.CheckpointsTo = 30, "anna@office.example"
	b.Inventory.Days = 30
	b.Changes.ConfirmWithin = 120
	b.Changes.Window = &config.Window{From: "22:00", To: "02:00"}
	r := b.Firewall.Services[policy.SMTP]
	r.From = policy.Anyone
	b.Firewall.Services[policy.SMTP] = r
	var got []string
	for _, c := range config.Diff(&a, &b) {
		got = append(got, c.String())
	}
	want := []string{
		"~ days for which sign-ins, handshakes and bans are recorded: 90 becomes 30 (audit.access.days)",
		"+ who gets a checkpoint of the audit record by mail each day: anna@office.example (audit.checkpoints_to)",
		"~ seconds to confirm a change: 90 becomes 120 (changes.confirm_within)",
		`+ when changes are applied: {"from":"22:00","to":"02:00"} (changes.window)`,
		"- logging of refused packets: on (firewall.log)",
		`- metrics (port 9464): {"from":"lan"} (firewall.services.metrics)`,
		"~ who may reach smtp (port 25): the office's network becomes anyone (firewall.services.smtp.from)",
		"~ days for which is kept who used which port: 90 becomes 30 (inventory.days)",
		`+ the first wired interface, IPv4 addresses: ["192.0.2.2/24"] (network.interfaces[0].ipv4.addresses)`,
		"~ the first wired interface, IPv4 method: dhcp becomes static (network.interfaces[0].ipv4.method)",
		`- the first wired interface, IPv6: {"method":"off"} (network.interfaces[0].ipv6)`,
		`+ the interface eth1: {"name":"eth1"} (network.interfaces[1])`,
		`+ search domains: ["office.example"] (network.search)`,
		"~ port 990 for IMAP: open becomes closed (ports.imaps_legacy)",
		`+ how people sign in: {"provider":{"audience":null,"issuer":"https://login.office.example"}} (sign_in)`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestWhatAnEarlierReleaseDidNotKnowIsAsUsual, and is shown so.
func TestWhatAnEarlierReleaseDidNotKnowIsAsUsual(t *testing.T) {
	text, err := json.Marshal(config.Default())
	if err != nil {
		t.Fatal(err)
	}
	var old map[string]any
	if err := json.Unmarshal(text, &old); err != nil {
		t.Fatal(err)
	}
	delete(old, "audit")
	delete(old, "inventory")
	if text, err = json.Marshal(old); err != nil {
		t.Fatal(err)
	}
	d, err := config.Parse(bytes.NewReader(text))
	if err != nil || d.Inventory.Days != 90 || d.Audit != config.Default().Audit || d.Audit.Access.Days != 90 {
		t.Errorf("%+v, %v", d.Audit, err)
	}
}

func FuzzDocument(f *testing.F) {
	text, err := json.Marshal(config.Default())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text))
	f.Add(`{"format":1,"changes":{"confirm_within":90,"window":{"from":"22:00","to":"02:00"}},"network":{"version":1}}`)
	f.Fuzz(func(t *testing.T, text string) {
		d, err := config.Parse(strings.NewReader(text))
		if err != nil {
			return
		}
		first := config.Default()
		for _, c := range append(config.Diff(&first, &d), config.Diff(&d, &first)...) {
			if words := c.String(); !strings.Contains(words, c.Path) {
				t.Fatalf("%+v is %q", c, words)
			}
		}
		again, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		e, err := config.Parse(strings.NewReader(string(again)))
		if err != nil {
			t.Fatalf("what was read cannot be read again: %v", err)
		}
		if diff := config.Diff(&d, &e); len(diff) > 0 {
			t.Fatalf("it changes when it is read again: %v", diff)
		}
	})
}
