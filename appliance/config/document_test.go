package config_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/config"
	"pillarbox/netcfg/policy"
)

func TestWhatIsWrongIsToldWithItsPlace(t *testing.T) {
	d := config.Default()
	d.Network.Interfaces[0].IPv4.Method = "magic"
	d.Firewall.Services["telnet"] = policy.Rule{From: policy.LAN}
	d.Changes.ConfirmWithin = 5
	d.Changes.Window = &config.Window{Days: []string{"monday"}, From: "25:00", To: "02:00"}
	err := d.Validate()
	if err == nil {
		t.Fatal("it passes")
	}
	want := []string{
		`network.interfaces[0].ipv4.method: "magic" is neither dhcp, static nor off`,
		"firewall.services.telnet: there is no such service",
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
	r := b.Firewall.Services[policy.SMTP]
	r.From = policy.Anyone
	b.Firewall.Services[policy.SMTP] = r
	var got []string
	for _, c := range config.Diff(&a, &b) {
		got = append(got, c.String())
	}
	want := []string{
		`~ firewall.services.smtp.from: "lan" becomes "anyone"`,
		`+ network.search: ["office.example"]`,
		"~ ports.imaps_legacy: true becomes false",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
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
