package appliance_test

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"

	settings "pillarbox/appliance/config"
	"pillarbox/appliance/control"
)

// setSignIn makes rules of signing in hold.
func setSignIn(t *testing.T, dir string, rules ...settings.SignInRule) {
	t.Helper()
	change(t, dir, func(d *settings.Document) { d.SignIn.Rules = rules })
}

// change applies and confirms a change of the settings.
func change(t *testing.T, dir string, f func(*settings.Document)) {
	t.Helper()
	withClient(t, dir, false, func(c *control.Client) {
		s, err := c.Settings(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		d := s.Current.Document
		f(&d)
		if _, err := c.ProposeSettings(t.Context(), &control.ProposeSettings{Document: &d}); err != nil {
			t.Fatal(err)
		}
	})
	withClient(t, dir, false, func(c *control.Client) {
		if _, err := c.ConfirmSettings(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
	})
}

// refused makes sure that a connection that is open cannot sign in.
func (c *talk) refused() {
	c.t.Helper()
	c.say("r AUTHENTICATE PLAIN AGFubmEAYg==", "r NO [CANNOT]")
	c.say("r LOGIN anna@office.example \""+password+"\"", "r NO [CANNOT]")
}

// TestAConnectionFromBeforeACertificateWasRequiredCannotSignIn: its handshake
// asked for none.
func TestAConnectionFromBeforeACertificateWasRequiredCannotSignIn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	addAnna(t, dir)
	r := start(t, config(dir))
	withClient(t, dir, false, func(c *control.Client) {
		n := control.NewCertificate{NewDevice: control.NewDevice{Name: "telephone"}}
		if _, err := c.CertifyDevice(t.Context(), "anna@office.example", n); err != nil {
			t.Fatal(err)
		}
	})
	before, other := r.connect(t, "imaps"), r.connect(t, "imaps-legacy")
	setSignIn(t, dir, settings.SignInRule{Port: "imaps", Certificate: settings.CertificateRequired})
	before.refused()
	other.say("b LOGIN anna@office.example \""+password+"\"", "b OK")
}

// TestAPortThatIsClosedKeepsItsRules for who is connected there.
func TestAPortThatIsClosedKeepsItsRules(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	addAnna(t, dir)
	r := start(t, config(dir))
	setSignIn(t, dir, settings.SignInRule{Port: "imaps-legacy", Mechanisms: []string{}})
	before := r.connect(t, "imaps-legacy")
	before.refused()
	setLegacy(t, dir, false, true)
	before.refused()
}

// TestTheFirstAccountsDomainIsCertified although the box has made its CA before.
func TestTheFirstAccountsDomainIsCertified(t *testing.T) {
	r := start(t, config(filepath.Join(t.TempDir(), "data")))
	addAnna(t, r.dir)
	text, err := os.ReadFile(r.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	c, err := tls.Dial("tcp", r.Addresses("imaps")[0], &tls.Config{RootCAs: pool, ServerName: "imap.office.example"})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}
