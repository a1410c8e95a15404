package main

import (
	"encoding/json"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/firmware"
	"pillarbox/appliance/firmware/provision"
	"pillarbox/appliance/firmware/sockets"
	"pillarbox/appliance/health"
)

func TestMailProgramsLearnHowToConnect(t *testing.T) {
	here := []address{{net.IPv4(192, 0, 2, 7), "eth0"}, {net.ParseIP("2001:db8::7"), "eth0"}}
	for _, tt := range []struct {
		name, status string
		want         []string
	}{
		{
			"the box's own authority, both ports on two addresses",
			`{"running": true, "listeners": [
				{"name": "imaps-legacy", "address": "[::]:990"}, {"name": "imaps", "address": "0.0.0.0:993"},
				{"name": "imaps", "address": "[::]:993"}, {"name": "lmtp", "address": "/perm/pillarbox/lmtp.sock"}],
				"ca": {"sha256": "AA:BB"}, "health": [], "restarts": {"bad": 0}}`,
			[]string{
				"Mail         IMAP with SSL/TLS, port 993 or 990",
				"             server mail or 192.0.2.7 or 2001:db8::7",
				"             log in by the full address and the password",
				"Certificate  of the box's own authority, which mail programs are to trust:",
				"             SHA-256 AA:BB",
			},
		},
		{
			"a certificate of the office and a crash",
			`{"running": true, "listeners": [{"name": "imaps", "address": "[::]:993"}], "ca": {},
				"certificate": {"issuer": "Example CA", "sha256": "CC:DD"},
				"restarts": {"last_crash": {"time": "2026-01-02T03:04:05Z", "reason": "panic: gone"}}}`,
			[]string{
				"Mail         IMAP with SSL/TLS, port 993",
				"             server mail or 192.0.2.7 or 2001:db8::7",
				"             log in by the full address and the password",
				"Certificate  the office's own, by Example CA",
				"             SHA-256 CC:DD",
				"Last crash   2026-01-02 03:04:05: panic: gone",
			},
		},
		{
			"a web page that nobody has claimed",
			`{"running": true, "claim": "ABCDE-23456", "listeners": [{"name": "imaps", "address": "[::]:993"}, {"name": "http", "address": "[::]:80"}]}`,
			[]string{
				"Mail         IMAP with SSL/TLS, port 993",
				"             server mail or 192.0.2.7 or 2001:db8::7",
				"             log in by the full address and the password",
				"Web page     http://pillarbox.local/ or http://192.0.2.7/",
				"             claim code ABCDE-23456: with it you become the administrator",
			},
		},
		{"no port", `{"running": true}`, []string{"Mail         the server listens on no port"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var m mailStatus
			if err := json.Unmarshal([]byte(tt.status), &m); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, m.lines("mail", here)); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatIsWrongIsShownOnce(t *testing.T) {
	clock := health.Condition{Name: "clock-not-set", Title: "No time server has set the clock", Severity: health.Medium, Text: "Now."}
	stale := clock
	stale.Text = "Some seconds ago."
	full := health.Condition{Name: "disk-full", Title: "The disk is full", Severity: health.High, Text: strings.Repeat("word ", 20)}
	for _, tt := range []struct {
		name   string
		device []health.Condition
		mail   *mailStatus
		want   []string
	}{
		{"nothing", nil, &mailStatus{}, []string{"Health       all is well"}},
		{"nothing known of mail", nil, nil, nil},
		{"cleared since the server looked", nil, &mailStatus{Health: []health.Condition{stale}}, []string{"Health       all is well"}},
		{
			"both", []health.Condition{clock}, &mailStatus{Health: []health.Condition{full, stale}},
			[]string{
				"Attention    No time server has set the clock (medium)",
				"             Now.",
				"Attention    The disk is full (high)",
				"             " + strings.TrimSpace(strings.Repeat("word ", 13)),
				"             " + strings.TrimSpace(strings.Repeat("word ", 7)),
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, healthLines(tt.device, tt.mail)); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatListensIsNamed(t *testing.T) {
	for want, all := range map[string][]sockets.Socket{
		"Listens      nothing": nil,
		"Listens      68/udp dhcp, 993/tcp pillarbox": {
			{Protocol: "udp", Port: 68, Program: "dhcp"}, {Protocol: "tcp", Port: 993, Program: "pillarbox"},
		},
	} {
		if got := listens(all, nil); got != want {
			t.Errorf("listens = %q, want %q", got, want)
		}
	}
	if got, want := listens(nil, net.ErrClosed), "Listens      "+net.ErrClosed.Error(); got != want {
		t.Errorf("listens = %q, want %q", got, want)
	}
}

func TestServicesOfTheSettings(t *testing.T) {
	s := &firmware.System{Settings: provision.Settings{Host: "mail", Admin: "$argon2id$…"}}
	args := strings.Join(mailCommand(s).Args, " ")
	want := "/user/pillarbox serve --data /perm/pillarbox --back-off --log-file --conditions /run/pillarbox-conditions.json" +
		" --network-socket /run/pillarbox-network.sock --power-socket /run/pillarbox-power.sock" +
		" --name mail --admin-password-hash-file /run/pillarbox-admin-password-hash"
	if args != want {
		t.Errorf("the server is started by\n%s, want\n%s", args, want)
	}
}
