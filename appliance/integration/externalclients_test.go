package integration_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pillarbox/appliance/integration/rig"
)

// pem has openssl take a device's file apart: its certificate and its key.
func (id *identity) pem(t *testing.T) (cert, key string) {
	t.Helper()
	cert, key = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	for file, what := range map[string]string{cert: "-nokeys", key: "-nocerts"} {
		(&rig.Command{
			Path: rig.Tool(t, "openssl", "openssl"),
			Args: []string{"pkcs12", "-in", id.file, "-passin", "pass:" + id.password, "-nodes", what, "-out", file},
		}).MustRun(t)
	}
	return cert, key
}

// TestProgramsSignInByADevicesCertificate, and by nothing else: the port takes no
// passwords.
func TestProgramsSignInByADevicesCertificate(t *testing.T) {
	box := openOffice(t)
	mustAppend(t, asAda(t, box, nil), "INBOX", rig.Message(1))
	telephone := certify(t, box, "telephone")
	changeSettings(t, box, func(settings map[string]any) {
		settings["sign_in"] = map[string]any{"rules": []any{
			map[string]any{"port": "imaps", "certificate": "required", "mechanisms": []string{"EXTERNAL"}},
		}}
	})
	cert, key := telephone.pem(t)

	t.Run("openssl", func(t *testing.T) {
		out := sClient(t, box.IMAPS(t, "tcp4"), "a1 AUTHENTICATE EXTERNAL =\na2 SELECT INBOX\na3 LOGOUT\n",
			"-CAfile", box.CAFile(), "-cert", cert, "-key", key)
		if !strings.Contains(out.All(), "a1 OK") || !strings.Contains(out.All(), "* 1 EXISTS") {
			t.Errorf("openssl gets %s", out.All())
		}
	})
	t.Run("openssl without it", func(t *testing.T) {
		out := sClient(t, box.IMAPS(t, "tcp4"), "a1 AUTHENTICATE EXTERNAL =\na3 LOGOUT\n", "-CAfile", box.CAFile())
		if strings.Contains(out.All(), "* OK") || !strings.Contains(out.All(), "alert certificate required") {
			t.Errorf("openssl gets %s", out.All())
		}
	})
	t.Run("mbsync by Cyrus SASL", func(t *testing.T) {
		r := newReplica(t, box)
		config, err := os.ReadFile(r.config)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Replace(string(config), "SSLType IMAPS\n", "SSLType IMAPS\nAuthMechs EXTERNAL\nClientCertificate "+cert+"\nClientKey "+key+"\n", 1)
		if err := os.WriteFile(r.config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r.sync(t)
		if got, err := filepath.Glob(filepath.Join(r.dir, "INBOX", "*", "*")); err != nil || len(got) != 1 {
			t.Errorf("mbsync has %q, %v", got, err)
		}
	})
	t.Run("mutt by GNU SASL", func(t *testing.T) {
		both := filepath.Join(t.TempDir(), "both.pem")
		var text []byte
		for _, file := range []string{key, cert} {
			part, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			text = append(text, part...)
		}
		if err := os.WriteFile(both, text, 0o600); err != nil {
			t.Fatal(err)
		}
		m := newMutt(t, box, "set imap_authenticators = \"external\"\nset ssl_client_cert = \""+both+"\"\n")
		if got := m.save("INBOX", "~A", "saved"); len(got) == 0 {
			t.Error("mutt has nothing")
		}
	})
}
