package integration_test

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"

	"pillarbox/appliance/integration/openid"
	"pillarbox/appliance/integration/rig"
)

// writeSettings writes the settings into a file, with a change.
func writeSettings(t *testing.T, box *rig.Box, change func(settings map[string]any)) (file string) {
	t.Helper()
	var settings map[string]any
	if err := json.Unmarshal(box.Command(nil, "network", "settings").MustRun(t).Stdout, &settings); err != nil {
		t.Fatal(err)
	}
	change(settings)
	text, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "settings.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// changeSettings makes a change of the settings that holds.
func changeSettings(t *testing.T, box *rig.Box, change func(settings map[string]any)) {
	t.Helper()
	box.Command(nil, "network", "apply", "--yes", writeSettings(t, box, change)).MustRun(t)
	box.Command(nil, "network", "confirm").MustRun(t)
}

// offered returns the mechanisms that a connection is offered, with LOGINDISABLED.
func offered(t *testing.T, box *rig.Box, addr string) []string {
	t.Helper()
	conn, err := tls.Dial("tcp", addr, box.TLS(t))
	if err != nil {
		t.Fatal(err)
	}
	c := imapclient.New(conn, nil)
	defer c.Close()
	caps, err := c.Capability().Wait()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for c := range caps {
		if name, ok := strings.CutPrefix(string(c), "AUTH="); ok || c == "LOGINDISABLED" {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

// byToken signs in by OAUTHBEARER with go-imap's client.
func byToken(t *testing.T, box *rig.Box, user, token string) error {
	t.Helper()
	conn, err := tls.Dial("tcp", box.IMAPS(t, "tcp4"), box.TLS(t))
	if err != nil {
		t.Fatal(err)
	}
	c := imapclient.New(conn, nil)
	defer c.Close()
	return c.Authenticate(sasl.NewOAuthBearerClient(&sasl.OAuthBearerOptions{Username: user, Token: token, Host: "localhost", Port: 993}))
}

// TestTheOfficesProviderOpensMailboxes: people who sign in there need no password
// here.
func TestTheOfficesProviderOpensMailboxes(t *testing.T) {
	box := openOffice(t)
	p := openid.Start(t)
	for _, name := range []string{ada, "nobody@office.example"} {
		p.AddPerson(name, true)
	}
	if got := offered(t, box, box.IMAPS(t, "tcp4")); slices.Contains(got, "OAUTHBEARER") {
		t.Errorf("offered before there is a provider: %q", got)
	}
	changeSettings(t, box, func(settings map[string]any) {
		settings["sign_in"] = map[string]any{"provider": map[string]any{"issuer": p.Issuer, "audience": []string{openid.Mail}, "scope": "imap", "ca": p.CA}}
	})
	if got := offered(t, box, box.IMAPS(t, "tcp4")); !slices.Contains(got, "OAUTHBEARER") || !slices.Contains(got, "XOAUTH2") {
		t.Errorf("offered: %q", got)
	}
	token := p.Token(t, openid.Mail, ada, "imap")
	for _, user := range []string{"", ada, strings.ToUpper(ada)} {
		if err := byToken(t, box, user, token); err != nil {
			t.Errorf("as %q: %v", user, err)
		}
	}
	box.WaitLog(t, "log-in", "mechanism=OAUTHBEARER", "account="+ada)

	for name, tt := range map[string]struct{ user, token, said string }{
		"another's mailbox":   {bob, token, "vouched for"},
		"not known here":      {"", p.Token(t, openid.Mail, "nobody@office.example", "imap"), "no such account"},
		"another program's":   {ada, p.Token(t, openid.Other, ada, "imap"), "not for this service"},
		"without the scope":   {ada, p.Token(t, openid.Mail, ada), "the scope"},
		"nobody's":            {ada, "a.b.c", "the token is not valid"},
		"longer than any has": {ada, strings.Repeat("a", 17<<10), "longer than"},
	} {
		if err := byToken(t, box, tt.user, tt.token); err == nil || !strings.Contains(err.Error(), "invalid_token") {
			t.Errorf("%s: %v", name, err)
		}
		if line := box.WaitLog(t, "log-in failed", "mechanism=OAUTHBEARER", tt.said); strings.Contains(line, tt.token) {
			t.Errorf("%s: the token is in the log: %s", name, line)
		}
	}

	t.Run("curl", func(t *testing.T) {
		_, port, _ := strings.Cut(box.IMAPS(t, "tcp4"), ":")
		cmd := rig.Command{Path: rig.Tool(t, "curl", "curl"), Args: []string{
			"--silent", "--show-error", "--cacert", box.CAFile(), "--user", ada + ":", "--oauth2-bearer", token,
			"imaps://localhost:" + port + "/", "--ipv4",
		}}
		if got := string(cmd.MustRun(t).Stdout); !strings.Contains(got, "INBOX") {
			t.Errorf("curl lists %s", got)
		}
	})
	t.Run("XOAUTH2", func(t *testing.T) {
		w, err := rig.DialWire(box.IMAPS(t, "tcp4"), box.TLS(t))
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		message := base64.StdEncoding.EncodeToString([]byte("user=" + ada + "\x01auth=Bearer " + token + "\x01\x01"))
		if _, err := w.Do("AUTHENTICATE XOAUTH2 " + message); err != nil {
			t.Error(err)
		}
		box.WaitLog(t, "log-in", "mechanism=XOAUTH2", "account="+ada)
	})
	box.Stop(t) // what is counted is written then
	audit := string(box.Command(nil, "audit", "list", "--json").MustRun(t).Stdout)
	if !strings.Contains(audit, "OAUTHBEARER") || strings.Contains(audit, token) {
		t.Errorf("the audit log does not tell of it, or too much")
	}
}

// TestWhatIsOfferedDependsOnPortAndNetwork, also for who asks for more.
func TestWhatIsOfferedDependsOnPortAndNetwork(t *testing.T) {
	box := openOffice(t)
	changeSettings(t, box, func(settings map[string]any) {
		settings["sign_in"] = map[string]any{"rules": []any{
			map[string]any{"port": "imaps-legacy", "networks": []string{"127.0.0.0/8"}, "mechanisms": []string{"SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"}},
			map[string]any{"port": "imaps-legacy", "mechanisms": []string{}},
		}}
	})
	if got := offered(t, box, box.IMAPS(t, "tcp4")); !slices.Contains(got, "PLAIN") || slices.Contains(got, "LOGINDISABLED") {
		t.Errorf("on the usual port: %q", got)
	}
	if got := offered(t, box, box.Legacy(t, "tcp4")); !slices.Equal(got, []string{"LOGINDISABLED", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"}) {
		t.Errorf("on the legacy port: %q", got)
	}
	if rig.HasIPv6() {
		if got := offered(t, box, box.Legacy(t, "tcp6")); !slices.Equal(got, []string{"LOGINDISABLED"}) {
			t.Errorf("on the legacy port from elsewhere: %q", got)
		}
	}
	w, err := rig.DialWire(box.Legacy(t, "tcp4"), box.TLS(t))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for _, command := range []string{"LOGIN " + ada + " \"" + adaPassword + "\"", "AUTHENTICATE PLAIN AGEAYg=="} {
		if _, err := w.Do(command); err == nil || !strings.Contains(err.Error(), "not available here; use SCRAM") {
			t.Errorf("%s: %v", command, err)
		}
	}
}

// TestSettingsThatLockEverybodyOutAreRefused before they are tried.
func TestSettingsThatLockEverybodyOutAreRefused(t *testing.T) {
	box := openOffice(t)
	for said, signIn := range map[string]any{
		"nobody could sign in anywhere":   map[string]any{"rules": []any{map[string]any{"mechanisms": []string{}}}},
		"only tokens are taken there":     map[string]any{"rules": []any{map[string]any{"port": "imaps", "mechanisms": []string{"XOAUTH2"}}}},
		"no device has a certificate":     map[string]any{"rules": []any{map[string]any{"certificate": "required", "mechanisms": []string{"PLAIN"}}}},
		"could sign in anywhere any more": map[string]any{"rules": []any{map[string]any{"port": "imaps", "mechanisms": []string{}}, map[string]any{"port": "imaps-legacy", "mechanisms": []string{}}}},
		"leave a port":                    map[string]any{"rules": []any{map[string]any{"networks": []string{"0.0.0.0/0", "::/0"}, "mechanisms": []string{}}}},
		"must be offered or required":     map[string]any{"rules": []any{map[string]any{"mechanisms": []string{"EXTERNAL", "OAUTHBEARER"}}}},
		"make them first":                 map[string]any{"rules": []any{map[string]any{"mechanisms": []string{"EXTERNAL"}, "certificate": "offered"}}},
		"is none of PLAIN":                map[string]any{"rules": []any{map[string]any{"mechanisms": []string{"CRAM-MD5"}}}},
		"https://":                        map[string]any{"provider": map[string]any{"issuer": "http://login.office.example", "audience": []string{"mail"}}},
		"any other service":               map[string]any{"provider": map[string]any{"issuer": "https://login.office.example"}},
	} {
		file := writeSettings(t, box, func(settings map[string]any) { settings["sign_in"] = signIn })
		if out := box.Command(nil, "network", "apply", "--yes", file).Run(t); out.Err == nil || !strings.Contains(out.All(), said) {
			t.Errorf("%q is not said: %s", said, out.All())
		}
	}
}
