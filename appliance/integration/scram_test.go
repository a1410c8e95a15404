package integration_test

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/xdg-go/scram"

	"pillarbox/appliance/integration/rig"
)

// scramClient is SCRAM of xdg-go for go-imap's client.
type scramClient struct {
	mechanism string
	*scram.ClientConversation
}

// Start implements sasl.Client.
func (c *scramClient) Start() (string, []byte, error) {
	first, err := c.Step("")
	return c.mechanism, []byte(first), err
}

// Next implements sasl.Client.
func (c *scramClient) Next(challenge []byte) ([]byte, error) {
	answer, err := c.Step(string(challenge))
	return []byte(answer), err
}

// signIn signs in by SCRAM over one connection and tells whether the two have
// authenticated each other.
func signIn(t *testing.T, box *rig.Box, conf *tls.Config, mechanism, user, password string) error {
	t.Helper()
	conn, err := tls.Dial("tcp", box.IMAPS(t, "tcp4"), conf)
	if err != nil {
		t.Fatal(err)
	}
	c := imapclient.New(conn, nil)
	defer c.Close()
	client, err := scram.SHA256.NewClient(user, password, "")
	if err != nil {
		t.Fatal(err)
	}
	conv := client.NewConversation()
	if mechanism == "SCRAM-SHA-256-PLUS" {
		state := conn.ConnectionState()
		binding := scram.NewTLSUniqueBinding(state.TLSUnique)
		if state.Version == tls.VersionTLS13 {
			if binding, err = scram.NewTLSExporterBinding(&state); err != nil {
				t.Fatal(err)
			}
		}
		conv = client.NewConversationWithChannelBinding(binding)
	}
	if err := c.Authenticate(&scramClient{mechanism, conv}); err != nil {
		return err
	}
	if !conv.Valid() {
		t.Errorf("%s: the server did not prove itself", mechanism)
	}
	return c.Logout().Wait()
}

func TestSCRAMByLibrary(t *testing.T) {
	box := openOffice(t)
	device := addDevice(t, box, "telephone")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		conf := box.TLS(t)
		conf.MaxVersion = version
		for _, mechanism := range []string{"SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"} {
			for _, password := range []string{adaPassword, device} {
				for _, user := range []string{ada, "Ada"} {
					if err := signIn(t, box, conf, mechanism, user, password); err != nil {
						t.Errorf("%s over %s as %s: %v", mechanism, tls.VersionName(version), user, err)
					}
				}
			}
		}
	}
	box.WaitLog(t, "log-in", "mechanism=SCRAM-SHA-256-PLUS", "device=telephone")
	if err := signIn(t, box, box.TLS(t), "SCRAM-SHA-256-PLUS", ada, "a guess of it"); err == nil || !strings.Contains(err.Error(), "AUTHENTICATIONFAILED") {
		t.Errorf("a guess: %v", err)
	}
}

// TestSCRAMHidesNames: strangers get the same course as people, to the octet but
// for what is random, and theirs is the same each time.
func TestSCRAMHidesNames(t *testing.T) {
	box := openOffice(t)
	first := func(name string) (challenge, answer string) {
		w, err := rig.DialWire(box.IMAPS(t, "tcp4"), box.TLS(t))
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		client, err := scram.SHA256.NewClient(name, "a guess of it", "")
		if err != nil {
			t.Fatal(err)
		}
		conv := client.NewConversation()
		line := func(message string) string {
			t.Helper()
			step, err := conv.Step(message)
			if err != nil {
				t.Fatal(err)
			}
			return base64.StdEncoding.EncodeToString([]byte(step))
		}
		read := func() string {
			t.Helper()
			l, err := w.Line()
			if err != nil {
				t.Fatal(err)
			}
			return strings.TrimSpace(string(l))
		}
		send := func(l string) {
			t.Helper()
			if err := w.Send([]byte(l + "\r\n")); err != nil {
				t.Fatal(err)
			}
		}
		send("a AUTHENTICATE SCRAM-SHA-256 " + line(""))
		text, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(read(), "+ "))
		if err != nil {
			t.Fatal(err)
		}
		send(line(string(text)))
		_, challenge, _ = strings.Cut(string(text), ",") // without the nonce
		return challenge, read()
	}
	salts := map[string]bool{}
	for _, name := range []string{ada, bob, "nobody@office.example", "nobody@elsewhere.example"} {
		challenge, answer := first(name)
		again, _ := first(name)
		if challenge != again {
			t.Errorf("%s: first %q, then %q", name, challenge, again)
		}
		if len(challenge) != len("s=,i=65536")+24 || !strings.HasSuffix(challenge, ",i=65536") {
			t.Errorf("%s: challenge %q", name, challenge)
		}
		if answer != "a NO [AUTHENTICATIONFAILED] The name or the password is wrong" {
			t.Errorf("%s: answer %q", name, answer)
		}
		salts[challenge] = true
	}
	if len(salts) != 3 {
		t.Errorf("three names have %d salts", len(salts))
	}
}

// TestSCRAMByMbsync is Cyrus SASL's.
func TestSCRAMByMbsync(t *testing.T) {
	box := openOffice(t)
	rig.Tool(t, "mbsync", "isync")
	if plugins, err := filepath.Glob("/usr/lib/*/sasl2/libscram.so*"); err != nil || len(plugins) == 0 {
		rig.Need(t, "Cyrus SASL's SCRAM is missing: install libsasl2-modules")
	}
	r := newReplica(t, box)
	text, err := os.ReadFile(r.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.config, bytes.Replace(text, []byte("SSLType"), []byte("AuthMechs SCRAM-SHA-256\nSSLType"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	r.sync(t)
	box.WaitLog(t, "log-in", "account="+ada, "mechanism=SCRAM-SHA-256 ")
}

// addDevice makes a password for a device of Ada's.
func addDevice(t *testing.T, box *rig.Box, name string) string {
	t.Helper()
	var added struct{ Password string }
	out := box.Command(nil, "account", "device", "add", ada, name, "--json").MustRun(t)
	if err := json.Unmarshal(out.Stdout, &added); err != nil || added.Password == "" {
		t.Fatalf("%v: %s", err, out.All())
	}
	return added.Password
}

// TestDeviceIsRevoked: its sessions end, those of others stay.
func TestDeviceIsRevoked(t *testing.T) {
	box := openOffice(t)
	telephone, tablet := addDevice(t, box, "telephone"), addDevice(t, box, "tablet")
	out := box.Wire(t, ada, telephone)
	stays := []*rig.Wire{box.Wire(t, ada, tablet), box.Wire(t, ada, adaPassword)}
	list := string(box.Command(nil, "account", "device", "list", ada).MustRun(t).Stdout)
	if !strings.Contains(list, "127.0.0.1") || strings.Contains(list, "never") {
		t.Errorf("the list is\n%s", list)
	}
	box.Command(nil, "account", "device", "revoke", ada, "telephone").MustRun(t)
	line, err := out.Line()
	if want := "* BYE [UNAVAILABLE] This device was revoked"; err != nil || strings.TrimSpace(string(line)) != want {
		t.Errorf("got %q, %v", line, err)
	}
	for _, w := range stays {
		if _, err := w.Do("NOOP"); err != nil {
			t.Error(err)
		}
	}
	w, err := rig.DialWire(box.IMAPS(t, "tcp4"), box.TLS(t))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Login(ada, telephone); err == nil {
		t.Error("the revoked device is let in")
	}
	records := string(box.Command(nil, "audit", "list", "--json").MustRun(t).Stdout)
	for _, want := range []string{`"device.added"`, `"device.revoked"`, `"device": "tablet"`} {
		if !strings.Contains(records, want) {
			t.Errorf("the record does not have %s:\n%s", want, fmt.Sprintf("%.3000s", records))
		}
	}
}
