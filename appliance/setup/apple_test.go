package setup_test

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/setup"
)

// TestOthersReadTheProfile: openssl verifies it by the box's CA, and Python reads
// the property list.
func TestOthersReadTheProfile(t *testing.T) {
	m := openCerts(t)
	root := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(root, m.Root(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		change func(*setup.Facts)
		want   map[string]any // of the account, beside what is always there
		kinds  []string
	}{
		{"as it is", func(*setup.Facts) {}, map[string]any{
			"OutgoingMailServerHostName": "mail.office.example", "OutgoingMailServerPortNumber": 465.0,
			"OutgoingMailServerUsername": "ada@office.example", "OutgoingPasswordSameAsIncomingPassword": true,
		}, []string{"com.apple.security.root", "com.apple.mail.managed"}},
		{"a public certificate, a server with a password of its own", func(f *setup.Facts) {
			f.Private = false
			f.Outgoing = &setup.Server{Host: "smtp.provider.example", Port: 465, Security: setup.TLS, Login: setup.OwnLogin}
		}, map[string]any{"OutgoingMailServerHostName": "smtp.provider.example", "OutgoingMailServerPortNumber": 465.0}, []string{"com.apple.mail.managed"}},
		{"certificates alone, a server that knows its clients", func(f *setup.Facts) {
			f.Mechanisms = []string{"EXTERNAL"}
			f.Outgoing = &setup.Server{Host: "smtp.office.example", Port: 587, Security: setup.STARTTLS, Login: setup.NoLogin}
		}, map[string]any{
			"IncomingMailServerAuthentication": "EmailAuthNone", "OutgoingMailServerAuthentication": "EmailAuthNone",
			"OutgoingMailServerHostName": "smtp.office.example", "OutgoingMailServerPortNumber": 587.0,
		}, []string{"com.apple.security.root", "com.apple.mail.managed"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := newOffice()
			c.change(&o.facts)
			s := setup.New(&setup.Config{Office: o, Trust: m, Logger: slog.New(slog.DiscardHandler)})
			signed, err := s.Profile(t.Context(), "ada@office.example")
			if err != nil {
				t.Fatal(err)
			}
			text := tool(t, signed, "openssl", "cms", "-verify", "-inform", "DER", "-CAfile", root, "-purpose", "any", "-binary")
			var got struct {
				Type, Name string
				Kinds      []string
				IDs        []string
				Account    map[string]any
			}
			out := tool(t, []byte(text), "python3", "-c", `
import json, plistlib, sys
p = plistlib.loads(sys.stdin.buffer.read())
c = p["PayloadContent"]
json.dump({"Type": p["PayloadType"], "Name": p["PayloadDisplayName"], "Kinds": [x["PayloadType"] for x in c],
  "IDs": [p["PayloadUUID"]] + [x["PayloadUUID"] for x in c],
  "Account": {k: v for k, v in c[-1].items() if not k.startswith("Payload")}}, sys.stdout)`)
			if err := json.Unmarshal([]byte(out), &got); err != nil {
				t.Fatal(err)
			}
			want := map[string]any{
				"EmailAccountType": "EmailTypeIMAP", "EmailAccountDescription": "ada@office.example", "EmailAddress": "ada@office.example",
				"EmailAccountName": "Ada <Lovelace>", "IncomingMailServerAuthentication": "EmailAuthPassword",
				"IncomingMailServerHostName": "mail.office.example", "IncomingMailServerPortNumber": 993.0, "IncomingMailServerUseSSL": true,
				"IncomingMailServerUsername": "ada@office.example", "OutgoingMailServerAuthentication": "EmailAuthPassword", "OutgoingMailServerUseSSL": true,
			}
			for k, v := range c.want {
				want[k] = v
			}
			if d := cmp.Diff(want, got.Account); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(c.kinds, got.Kinds); d != "" || got.Type != "Configuration" || got.Name != "Mail of ada@office.example" {
				t.Errorf("%s %+v", d, got)
			}
			seen := map[string]bool{}
			for _, id := range got.IDs {
				if seen[id] || len(id) != 36 {
					t.Errorf("identifiers %v", got.IDs)
				}
				seen[id] = true
			}
		})
	}
}
