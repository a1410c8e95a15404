package appliance_test

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pillarbox/appliance/control"
)

// setLegacy applies and confirms that port 990 is open, or not.
func setLegacy(t *testing.T, dir string, open, confirm bool) {
	t.Helper()
	withClient(t, dir, false, func(c *control.Client) {
		s, err := c.Settings(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		d := s.Current.Document
		d.Ports.IMAPSLegacy = open
		if _, err := c.ProposeSettings(t.Context(), &control.ProposeSettings{Document: &d}); err != nil {
			t.Fatal(err)
		}
	})
	if !confirm {
		return
	}
	withClient(t, dir, false, func(c *control.Client) { // by a new connection
		if _, err := c.ConfirmSettings(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
	})
}

func TestPort990ClosesAndOpensWhileSessionsGoOn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	addAnna(t, dir)
	r := start(t, config(dir))
	session, address := r.imap(t, "imaps-legacy"), r.Addresses("imaps-legacy")[0]
	setLegacy(t, dir, false, true)
	if open := r.Addresses("imaps-legacy"); len(open) > 0 {
		t.Fatalf("it listens on %v", open)
	}
	if c, err := net.DialTimeout("tcp", address, 10*time.Second); err == nil {
		c.Close()
		t.Error("the closed port takes connections")
	}
	session.say("b SELECT INBOX", "b OK")

	setLegacy(t, dir, true, false)
	other := r.imap(t, "imaps-legacy")
	withClient(t, dir, false, func(c *control.Client) {
		if err := c.RevertSettings(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
	})
	if open := r.Addresses("imaps-legacy"); len(open) > 0 {
		t.Errorf("taken back, and it listens on %v", open)
	}
	other.say("c NOOP", "c OK")
	session.say("c NOOP", "c OK")
	// They end with the box, and it with them.
	r.cancel()
	session.expect("* BYE")
	other.expect("* BYE")
	if err := r.stop(); err != nil {
		t.Error(err)
	}
}

// TestAClosedPort990IsNotOpenedAtTheStart, not even for a moment.
func TestAClosedPort990IsNotOpenedAtTheStart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	addAnna(t, dir)
	r := start(t, config(dir))
	setLegacy(t, dir, false, true)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	c := config(dir)
	c.Logger = slog.New(slog.NewTextHandler(log, nil))
	r = start(t, c)
	r.imap(t, "imaps")
	text, err := os.ReadFile(log.Name())
	if err != nil || !strings.Contains(string(text), "listener=imaps ") || strings.Contains(string(text), "imaps-legacy") {
		t.Errorf("it was opened: %v\n%s", err, text)
	}
}

// TestAnOldConnectionConfirmsNothing: it lives on through any firewall.
func TestAnOldConnectionConfirmsNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	addAnna(t, dir)
	start(t, config(dir))
	withClient(t, dir, false, func(old *control.Client) {
		if _, err := old.Settings(t.Context()); err != nil { // it connects
			t.Fatal(err)
		}
		setLegacy(t, dir, false, false)
		_, err := old.ConfirmSettings(t.Context(), "")
		if answer := (*control.Error)(nil); !errors.As(err, &answer) || answer.Code != control.CodeProof {
			t.Errorf("confirmed by an old connection: %v", err)
		}
	})
}

// TestPort993ClosesOnlyBeside990: an estate may have nothing but the old port, and
// nobody is left without any.
func TestPort993ClosesOnlyBeside990(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	addAnna(t, dir)
	r := start(t, config(dir))
	session := r.imap(t, "imaps")
	change := func(no993, legacy bool) error {
		var failed error
		withClient(t, dir, false, func(c *control.Client) {
			s, err := c.Settings(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			d := s.Current.Document
			d.Ports.NoIMAPS, d.Ports.IMAPSLegacy = no993, legacy
			_, failed = c.ProposeSettings(t.Context(), &control.ProposeSettings{Document: &d})
		})
		if failed == nil {
			withClient(t, dir, false, func(c *control.Client) {
				if _, err := c.ConfirmSettings(t.Context(), ""); err != nil {
					t.Fatal(err)
				}
			})
		}
		return failed
	}
	if err := change(true, false); err == nil || !strings.Contains(err.Error(), "cannot both be closed") {
		t.Errorf("both: %v", err)
	}
	if err := change(true, true); err != nil {
		t.Fatal(err)
	}
	if open := r.Addresses("imaps"); len(open) > 0 {
		t.Errorf("it listens on %v", open)
	}
	session.say("b NOOP", "b OK")
	r.imap(t, "imaps-legacy").say("b NOOP", "b OK")
	r.cancel()
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	r = start(t, config(dir))
	if open := r.Addresses("imaps"); len(open) > 0 {
		t.Errorf("after a start it listens on %v", open)
	}
	if err := change(false, false); err != nil {
		t.Fatal(err)
	}
	r.imap(t, "imaps").say("b NOOP", "b OK")
	if open := r.Addresses("imaps-legacy"); len(open) > 0 {
		t.Errorf("990 listens on %v", open)
	}
}
