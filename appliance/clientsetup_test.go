package appliance_test

import (
	"net/netip"
	"path/filepath"
	"slices"
	"testing"
	"time"

	settings "pillarbox/appliance/config"
	"pillarbox/appliance/control"
	"pillarbox/appliance/ports/sunset"
	"pillarbox/appliance/setup"
)

func setupFacts(t *testing.T, dir string) (f *setup.Facts) {
	t.Helper()
	withClient(t, dir, false, func(c *control.Client) {
		var err error
		if f, err = c.SetupFacts(t.Context()); err != nil {
			t.Fatal(err)
		}
	})

	return f
}

// TestClientsAreToldWhatHolds: the ports that are open and the ways in that the
// rules leave.
func TestClientsAreToldWhatHolds(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	addAnna(t, dir)
	r := start(t, config(dir))
	port := func(name string) uint16 { return netip.MustParseAddrPort(r.Addresses(name)[0]).Port() }
	f := setupFacts(t, dir)
	if f.IMAP != (setup.Server{Host: "mail.office.example", Port: port("imaps"), Security: setup.TLS}) ||
		f.Legacy == nil || f.Legacy.Port != port("imaps-legacy") || !f.Private || f.Outgoing != nil {
		t.Errorf("%+v", f)
	}
	for _, name := range []string{"mail.office.example", "autoconfig.office.example", "127.0.0.1"} {
		if !slices.Contains(f.Names, name) {
			t.Errorf("%s is none of the names %v", name, f.Names)
		}
	}

	review, closes := time.Now().Add(240*time.Hour), time.Now().Add(480*time.Hour).UTC().Truncate(time.Second)
	withClient(t, dir, false, func(c *control.Client) {
		if _, err := c.Own(t.Context(), sunset.Ownership{Owner: "anna@office.example", Why: "the scanners", Review: review}); err != nil {
			t.Fatal(err)
		}
		spec := sunset.Spec{Kind: sunset.Leave990, Why: "the standard", Steps: []sunset.Step{{Stage: sunset.Closed, Begins: closes}}}
		if _, err := c.MakePlan(t.Context(), &spec); err != nil {
			t.Fatal(err)
		}
		if f := setupFacts(t, dir); f.Legacy.Why != "the scanners" || !f.Legacy.Closes.IsZero() {
			t.Errorf("as long as a plan is only made, people are told of %+v", f.Legacy)
		}
		if _, err := c.ActOnPlan(t.Context(), sunset.Leave990, "start", &control.PlanAct{}); err != nil {
			t.Fatal(err)
		}
	})
	if f := setupFacts(t, dir); !f.Legacy.Closes.Equal(closes) {
		t.Errorf("people are told of %+v, and not that it closes on %v", f.Legacy, closes)
	}

	setSignIn(t, dir,
		settings.SignInRule{Port: "imaps-legacy", Mechanisms: []string{"LOGIN"}},
		settings.SignInRule{Port: "imaps", Mechanisms: []string{"PLAIN"}})
	if got := setupFacts(t, dir).Mechanisms; !slices.Equal(got, []string{"PLAIN"}) {
		t.Errorf("on 993: %v", got)
	}
	setLegacy(t, dir, false, true)
	if f := setupFacts(t, dir); f.Legacy != nil {
		t.Errorf("closed, and people are told of %+v", f.Legacy)
	}
	change(t, dir, func(d *settings.Document) { d.Ports = settings.Ports{NoIMAPS: true, IMAPSLegacy: true} })
	if f := setupFacts(t, dir); f.IMAP.Port != port("imaps-legacy") || f.Legacy != nil || !slices.Equal(f.Mechanisms, []string{"LOGIN"}) {
		t.Errorf("where 990 is all that there is: %+v", f)
	}
}

// TestNobodyIsSetUpForAPortThatIsLeft, and plans name the server as programs are
// told of it.
func TestNobodyIsSetUpForAPortThatIsLeft(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	addAnna(t, dir)
	r := start(t, config(dir))
	legacy := netip.MustParseAddrPort(r.Addresses("imaps-legacy")[0]).Port()
	change(t, dir, func(d *settings.Document) { d.ClientSetup.Server = "imap.office.example" })
	withClient(t, dir, false, func(c *control.Client) {
		act := func(k sunset.Kind, what string) {
			t.Helper()
			if _, err := c.ActOnPlan(t.Context(), k, what, &control.PlanAct{Going: sunset.Going{Now: true, Anyway: true}}); err != nil {
				t.Fatal(err)
			}
		}
		make990 := &sunset.Spec{Kind: sunset.Leave990, Steps: []sunset.Step{{Stage: sunset.Pilot, Who: sunset.Who{People: []string{"anna@office.example"}}}}}
		if _, err := c.MakePlan(t.Context(), make990); err != nil {
			t.Fatal(err)
		}
		report, err := c.PlanReport(t.Context())
		if err != nil || report.Server != "imap.office.example" {
			t.Errorf("plans name the server %q (%v)", report.Server, err)
		}
		act(sunset.Leave990, "next")
		if f := setupFacts(t, dir); f.Legacy == nil {
			t.Error("announced: 990 is not told of any more")
		}
		act(sunset.Leave990, "next")
		if f := setupFacts(t, dir); f.Legacy != nil {
			t.Errorf("some are refused on 990, and people are told of %+v", f.Legacy)
		}
		act(sunset.Leave990, "drop")
		if _, err := c.MakePlan(t.Context(), &sunset.Spec{Kind: sunset.Leave993}); err != nil {
			t.Fatal(err)
		}
		act(sunset.Leave993, "next")
		if f := setupFacts(t, dir); f.IMAP.Port != legacy || f.Legacy != nil {
			t.Errorf("993 is left, and programs are told of %+v, %+v", f.IMAP, f.Legacy)
		}
	})
}
