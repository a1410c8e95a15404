package certs_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"pillarbox/appliance/certs"
)

const tsigKey = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3JldA=="

// startKnot starts a name server with the zone office.example, which the key
// "acme." may change.
func startKnot(t *testing.T) (addr string) {
	t.Helper()
	need(t, "knotd")
	dir := t.TempDir()
	addr = fmt.Sprintf("127.0.0.1:%d", freePort(t))
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("office.example.zone", `$ORIGIN office.example.
@ 60 SOA ns hostmaster 1 3600 600 86400 60
@ 60 NS ns
ns 60 A 127.0.0.1
mail 60 A 127.0.0.1
imap 60 A 127.0.0.1
`)
	conf := write("knot.conf", fmt.Sprintf(`server:
  rundir: %[1]s
  listen: %[2]s
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
database:
  storage: %[1]s
log:
- target: stderr
  any: info
key:
- id: acme
  algorithm: hmac-sha256
  secret: %[3]s
acl:
- id: acme
  key: acme
  action: update
zone:
- domain: office.example
  storage: %[1]s
  file: office.example.zone
  acl: acme
`, dir, strings.Replace(addr, ":", "@", 1), tsigKey))
	cmd := exec.Command("knotd", "-c", conf)
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("knotd: %s", said.String())
		}
	})
	await(t, "knotd", func() bool { return len(texts(addr, "ns.office.example.", dns.TypeA)) > 0 })
	return addr
}

// texts asks a name server.
func texts(addr, name string, kind uint16) []string {
	msg := new(dns.Msg)
	msg.SetQuestion(name, kind)
	answer, _, err := (&dns.Client{Timeout: 2 * time.Second}).Exchange(msg, addr)
	if err != nil {
		return nil
	}
	var all []string
	for _, rr := range answer.Answer {
		all = append(all, rr.String())
	}
	return all
}

func TestDNSProofByDynamicUpdates(t *testing.T) {
	knot := startKnot(t)
	p := startPebble(t, pebbleOptions{resolver: knot})
	by := func(change func(map[string]certs.Secret)) certs.Settings {
		return p.settings(certs.DNS01, func(a *certs.ACMESettings) {
			a.Names = []string{"mail.office.example", "*.office.example", "office.example"}
			a.DNS = &certs.DNSSettings{Provider: "rfc2136", Credentials: map[string]certs.Secret{
				"server": certs.Secret(knot), "key_name": "acme", "key": tsigKey,
			}}
			change(a.DNS.Credentials)
		})
	}
	m := p.open(t, newBox(t), func(c *certs.Config) { c.Resolver = knot })
	if _, err := m.Use(t.Context(), by(func(c map[string]certs.Secret) { c["key"] = "bm90IHRoZSBrZXk=" })); err == nil || !strings.Contains(err.Error(), "TXT record") {
		t.Errorf("a wrong key: %v", err)
	}
	if _, err := m.Use(t.Context(), by(func(c map[string]certs.Secret) { c["key_name"] = "nobody" })); err == nil || !strings.Contains(err.Error(), "TXT record") {
		t.Errorf("an unknown key: %v", err)
	}
	if _, err := m.Use(t.Context(), by(func(c map[string]certs.Secret) { c["key"] = "?" })); err == nil || !strings.Contains(err.Error(), "base64") {
		t.Errorf("no key: %v", err)
	}
	if _, err := m.Use(t.Context(), by(func(c map[string]certs.Secret) { c["secret"] = "?" })); err == nil || !strings.Contains(err.Error(), "does not have that") {
		t.Errorf("what it does not know: %v", err)
	}
	if _, err := m.Use(t.Context(), by(func(map[string]certs.Secret) {})); err != nil {
		t.Fatal(err)
	}
	verify(t, greet(t, m), "anything.office.example", p.issued)
	for _, name := range []string{"_acme-challenge.office.example.", "_acme-challenge.mail.office.example."} {
		if left := texts(knot, name, dns.TypeTXT); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	}
}

func TestProvidersWantTheirCredentials(t *testing.T) {
	m := newBox(t).open(t)
	for _, p := range certs.Providers() {
		s := certs.Settings{Source: certs.ACME, ACME: &certs.ACMESettings{
			Directory: "https://127.0.0.1:1/dir", Names: []string{"mail.office.example"}, Agreed: true, Challenge: certs.DNS01,
			DNS: &certs.DNSSettings{Provider: p.Name, Credentials: map[string]certs.Secret{}},
		}}
		err := s.Validate()
		for _, c := range p.Credentials {
			if (err == nil || !strings.Contains(err.Error(), "acme.dns.credentials."+c.Name)) && !c.Optional {
				t.Errorf("%s: %s is not wanted: %v", p.Name, c.Name, err)
			}
			s.ACME.DNS.Credentials[c.Name] = "eA.eA"
		}
		s.ACME.DNS.Credentials["endpoint"] = "ovh-eu"
		if p.Name != "ovh" {
			delete(s.ACME.DNS.Credentials, "endpoint")
		}
		if p.Name == "rfc2136" {
			s.ACME.DNS.Credentials["algorithm"], s.ACME.DNS.Credentials["key"] = "hmac-sha512", tsigKey
		}
		r, err := m.Check(t.Context(), s)
		if err != nil {
			t.Errorf("%s: %v", p.Name, err)
			continue
		}
		// With all it wants the provider is made; only the CA is not there.
		if got := codes(r); len(got) != 1 || got[0] != "ca-unreachable!" {
			t.Errorf("%s: %+v", p.Name, r.Findings)
		}
	}
}
