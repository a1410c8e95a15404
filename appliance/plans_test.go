package appliance_test

import (
	"path/filepath"
	"strings"
	"testing"

	settings "pillarbox/appliance/config"
	"pillarbox/appliance/control"
	"pillarbox/appliance/ports/sunset"
)

// TestAPlanDoesNotTrustAPortByWhichNobodyGetsIn: rules of signing in can close 993
// as well as the port itself can be closed.
func TestAPlanDoesNotTrustAPortByWhichNobodyGetsIn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	addAnna(t, dir)
	r := start(t, config(dir))
	next := &control.PlanAct{Going: sunset.Going{Now: true, Anyway: true}}
	withClient(t, dir, false, func(c *control.Client) {
		spec := &sunset.Spec{Kind: sunset.Leave990, Steps: []sunset.Step{{Stage: sunset.Phase, Who: sunset.Who{Everybody: true}}}}
		if _, err := c.MakePlan(t.Context(), spec); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := c.ActOnPlan(t.Context(), sunset.Leave990, "next", next); err != nil {
				t.Fatal(err)
			}
		}
		s, err := c.Settings(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		d := s.Current.Document
		d.SignIn.Rules = []settings.SignInRule{{Port: "imaps", Mechanisms: []string{}}}
		if _, err := c.ProposeSettings(t.Context(), &control.ProposeSettings{Document: &d}); err != nil {
			t.Fatal(err)
		}
	})
	withClient(t, dir, false, func(c *control.Client) { // by a new connection
		if _, err := c.ConfirmSettings(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		if _, err := c.ActOnPlan(t.Context(), sunset.Leave990, "next", next); err == nil || !strings.Contains(err.Error(), "port 993 is not open") {
			t.Errorf("the next step: %v", err)
		}
	})
	// Whoever was to be refused there has nothing else.
	r.imap(t, "imaps-legacy").say("b NOOP", "b OK")
}
