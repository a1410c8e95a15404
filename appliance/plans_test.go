package appliance_test

import (
	"net/netip"
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

// TestStrangersDoNotStopAPlan: what fails with names that nobody has is no sign
// that people cannot sign in.
func TestStrangersDoNotStopAPlan(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	addAnna(t, dir)
	r := start(t, config(dir))
	withClient(t, dir, false, func(c *control.Client) {
		if _, err := c.MakePlan(t.Context(), &sunset.Spec{Kind: sunset.Leave990}); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"root", "anna@office.example"} {
			r.connect(t, "imaps").say("a LOGIN "+name+" wrong", "a NO")
		}
		s, err := c.Plan(t.Context(), sunset.Leave990)
		if err != nil || s.Measure.Failed != 1 || s.Measure.Tried != 1 {
			t.Errorf("counted: %+v (%v), want anna's alone", s.Measure, err)
		}
	})
}

// TestAPlanRefusesNobodyWhoHasNoOtherWay: what is left is to be offered to them.
func TestAPlanRefusesNobodyWhoHasNoOtherWay(t *testing.T) {
	next := &control.PlanAct{Going: sunset.Going{Now: true, Anyway: true}}
	passwords := []string{"PLAIN", "LOGIN"}
	for name, tt := range map[string]struct {
		kind sunset.Kind
		rule settings.SignInRule
		port string // by which she is let in all the same
		firm bool   // it goes no further, because nobody has another way
	}{
		"passwords, and nothing else is offered": {sunset.NoPasswords, settings.SignInRule{Mechanisms: passwords}, "imaps", true},
		"passwords, and nothing else is offered to her": {
			sunset.NoPasswords, settings.SignInRule{Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Mechanisms: passwords}, "imaps", false,
		},
		"990, and 993 is closed to her": {
			sunset.Leave990,
			settings.SignInRule{Port: "imaps", Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Mechanisms: []string{}},
			"imaps-legacy", false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			addAnna(t, dir)
			r := start(t, config(dir))
			setSignIn(t, dir, tt.rule)
			withClient(t, dir, false, func(c *control.Client) {
				spec := &sunset.Spec{Kind: tt.kind, Steps: []sunset.Step{{Stage: sunset.Phase, Who: sunset.Who{Everybody: true}}}}
				if _, err := c.MakePlan(t.Context(), spec); err != nil {
					t.Fatal(err)
				}
				if _, err := c.ActOnPlan(t.Context(), tt.kind, "next", next); err != nil {
					t.Fatal(err)
				}
				if _, err := c.ActOnPlan(t.Context(), tt.kind, "next", next); (err != nil) != tt.firm {
					t.Errorf("the step that refuses: %v", err)
				}
			})
			r.imap(t, tt.port).say("b NOOP", "b OK")
		})
	}
}
