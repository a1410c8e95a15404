package integration_test

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"
	"software.sslmate.com/src/go-pkcs12"

	"pillarbox/appliance/integration/rig"
)

// identity is a device's certificate as its owner has it.
type identity struct {
	tls.Certificate
	file, password string // PKCS #12
}

// certify makes a certificate for a device of Ada's.
func certify(t *testing.T, box *rig.Box, device string, args ...string) *identity {
	t.Helper()
	id := &identity{file: filepath.Join(t.TempDir(), "device.p12")}
	out := box.Command(nil, append([]string{"account", "device", "certificate", ada, device, "--out", id.file}, args...)...).MustRun(t)
	for line := range strings.Lines(string(out.Stdout)) {
		if p, ok := strings.CutPrefix(line, "password "); ok {
			id.password = strings.TrimSpace(p)
		}
	}
	data, err := os.ReadFile(id.file)
	if err != nil {
		t.Fatal(err)
	}
	key, leaf, others, err := pkcs12.DecodeChain(data, id.password)
	if err != nil {
		t.Fatal(err)
	}
	id.Certificate = tls.Certificate{PrivateKey: key, Leaf: leaf, Certificate: [][]byte{leaf.Raw, others[0].Raw}}
	return id
}

// askFor has clients asked for certificates.
func askFor(t *testing.T, box *rig.Box, how string) {
	t.Helper()
	changeSettings(t, box, func(settings map[string]any) {
		settings["sign_in"] = map[string]any{"rules": []any{map[string]any{"port": "imaps", "certificate": how}}}
	})
}

// device returns a TLS configuration by which a device shows its certificate.
func device(t *testing.T, box *rig.Box, id *identity) *tls.Config {
	t.Helper()
	conf := box.TLS(t)
	if id != nil {
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &id.Certificate, nil }
	}
	return conf
}

// external signs in by EXTERNAL; the connection goes on.
func external(t *testing.T, box *rig.Box, conf *tls.Config, as string) (*imapclient.Client, *tls.Conn, error) {
	t.Helper()
	conn, err := tls.Dial("tcp", box.IMAPS(t, "tcp4"), conf)
	if err != nil {
		return nil, nil, err
	}
	c := imapclient.New(conn, nil)
	t.Cleanup(func() { c.Close() })
	return c, conn, c.Authenticate(sasl.NewExternalClient(as))
}

func TestADeviceSignsInByItsCertificate(t *testing.T) {
	box := openOffice(t)
	telephone := certify(t, box, "telephone")
	scanner := certify(t, box, "scanner", "--rsa", "--legacy")
	askFor(t, box, "offered")

	for name, id := range map[string]*identity{"telephone": telephone, "scanner": scanner} {
		for _, as := range []string{"", ada} {
			if _, _, err := external(t, box, device(t, box, id), as); err != nil {
				t.Errorf("%s as %q: %v", name, as, err)
			}
		}
		box.WaitLog(t, "log-in", "mechanism=EXTERNAL", "device="+name)
	}
	if _, _, err := external(t, box, device(t, box, telephone), bob); err == nil || !strings.Contains(err.Error(), "Nobody can act for another") {
		t.Errorf("as somebody else: %v", err)
	}
	// Whoever has no certificate, or another's, signs in as before.
	if got := offered(t, box, box.IMAPS(t, "tcp4")); slices.Contains(got, "EXTERNAL") || !slices.Contains(got, "PLAIN") {
		t.Errorf("without a certificate: %q", got)
	}
	strange := certify(t, openOffice(t), "telephone")
	if _, _, err := external(t, box, device(t, box, strange), ""); err == nil || !strings.Contains(err.Error(), "not available here") {
		t.Errorf("by another box's certificate: %v", err)
	}
	list := string(box.Command(nil, "account", "device", "list", ada).MustRun(t).Stdout)
	if !strings.Contains(list, "certificate until 20") || !strings.Contains(list, "127.0.0.1") {
		t.Errorf("the list: %s", list)
	}

	t.Run("curl", func(t *testing.T) {
		_, port, _ := strings.Cut(box.IMAPS(t, "tcp4"), ":")
		cmd := rig.Command{Path: rig.Tool(t, "curl", "curl"), Args: []string{
			"--silent", "--show-error", "--cacert", box.CAFile(), "--cert-type", "P12", "--cert", telephone.file + ":" + telephone.password,
			"--user", ada + ":", "--login-options", "AUTH=EXTERNAL", "imaps://localhost:" + port + "/", "--ipv4",
		}}
		if got := string(cmd.MustRun(t).Stdout); !strings.Contains(got, "INBOX") {
			t.Errorf("curl lists %s", got)
		}
	})
	t.Run("openssl reads the file", func(t *testing.T) {
		for id, args := range map[*identity][]string{telephone: nil, scanner: {"-legacy"}} {
			cmd := rig.Command{Path: rig.Tool(t, "openssl", "openssl"), Args: append([]string{
				"pkcs12", "-in", id.file, "-passin", "pass:" + id.password, "-nodes", "-info",
			}, args...)}
			if out := cmd.MustRun(t); !strings.Contains(out.All(), "Pillarbox CA of devices") {
				t.Errorf("openssl says %s", out.All())
			}
		}
	})
}

// TestARevokedCertificateEndsAtOnce: its sessions, and what could be resumed.
func TestARevokedCertificateEndsAtOnce(t *testing.T) {
	for _, how := range []string{"offered", "required"} {
		t.Run(how, func(t *testing.T) {
			box := openOffice(t)
			id := certify(t, box, "telephone")
			askFor(t, box, how)
			conf := device(t, box, id)
			conf.ClientSessionCache = tls.NewLRUClientSessionCache(4)
			if c, _, err := external(t, box, conf, ""); err != nil {
				t.Fatal(err)
			} else if err := c.Noop().Wait(); err != nil { // and the session ticket has come
				t.Fatal(err)
			}
			c, conn, err := external(t, box, conf, "")
			if err != nil || !conn.ConnectionState().DidResume {
				t.Fatalf("resumed: %v, %v", conn.ConnectionState().DidResume, err)
			}
			box.Command(nil, "account", "device", "revoke", ada, "telephone").MustRun(t)
			if err := c.Noop().Wait(); err == nil {
				t.Error("the session goes on")
			}
			if _, _, err := external(t, box, conf, ""); err == nil {
				t.Error("it signs in again")
			}
		})
	}
}

func TestACertificateCanBeRequired(t *testing.T) {
	box := openOffice(t)
	file := writeSettings(t, box, func(settings map[string]any) {
		settings["sign_in"] = map[string]any{"rules": []any{map[string]any{"certificate": "required"}}}
	})
	if out := box.Command(nil, "network", "apply", "--yes", file).Run(t); out.Err == nil || !strings.Contains(out.All(), "no device has a certificate yet") {
		t.Errorf("before there is one: %s", out.All())
	}
	id := certify(t, box, "telephone")
	askFor(t, box, "required")
	if _, _, err := external(t, box, device(t, box, id), ""); err != nil {
		t.Error(err)
	}
	if _, _, err := external(t, box, device(t, box, nil), ""); err == nil {
		t.Error("signed in without a certificate")
	}
	box.WaitLog(t, "handshake failed", "which is required here")
	if _, _, err := external(t, box, device(t, box, certify(t, openOffice(t), "telephone")), ""); err == nil {
		t.Error("signed in by another box's certificate")
	}
	box.WaitLog(t, "handshake failed", "not one of a device")
	// The other port asks for none.
	if got := offered(t, box, box.Legacy(t, "tcp4")); !slices.Contains(got, "PLAIN") {
		t.Errorf("on the other port: %q", got)
	}
}
