package config_test

import (
	"errors"
	"testing"
	"testing/synctest"

	"pillarbox/appliance/config"
	"pillarbox/netcfg/policy"
)

// close990 is what a plan carries out.
func close990(d *config.Document) error {
	d.Ports.IMAPSLegacy = false
	d.Firewall.Services[policy.IMAPSLegacy] = policy.Rule{From: policy.Nobody}
	return nil
}

func TestWhatWasApprovedBeforeHoldsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t)
		defer func() { b.stop() }()
		v, err := b.Carry(t.Context(), &config.Approved{By: "the plan", Why: "approved by anna", Edit: close990})
		if err != nil || v.Number != 2 || v.ConfirmedBy != "the plan" || b.Pending() != nil {
			t.Fatalf("version %+v, pending %v, error %v", v, b.Pending(), err)
		}
		b.stop()
		b.start()
		if d := b.Current().Document; d.Ports.IMAPSLegacy || d.Firewall.Services[policy.IMAPSLegacy].From != policy.Nobody {
			t.Errorf("after a start: %+v", d.Ports)
		}
		again, err := b.Carry(t.Context(), &config.Approved{By: "the plan", Edit: close990})
		if err != nil || again.Number != 2 {
			t.Errorf("the same again: version %d, error %v", again.Number, err)
		}
		open := func(d *config.Document) error { d.Ports.IMAPSLegacy = true; return nil }
		p, _, err := b.Propose(t.Context(), &config.Proposal{Document: document(120), By: "anna"})
		if err != nil {
			t.Fatal(err)
		}
		var pending *config.PendingError
		if _, err := b.Carry(t.Context(), &config.Approved{By: "the plan", Edit: open}); !errors.As(err, &pending) {
			t.Errorf("beside another change: %v", err)
		}
		if err := b.Revert(t.Context(), p.ID, "anna"); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Carry(t.Context(), &config.Approved{Edit: open}); !errors.Is(err, config.ErrNoProof) {
			t.Errorf("by nobody: %v", err)
		}
	})
}

func TestWhatCouldKeepSomebodyOutIsNotCarried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t)
		defer func() { b.stop() }()
		for name, edit := range map[string]func(*config.Document) error{
			"the administrator's pages": func(d *config.Document) error {
				d.Firewall.Services[policy.HTTPS] = policy.Rule{From: policy.Nobody}
				return nil
			},
			"the network":     func(d *config.Document) error { d.Network.Search = []string{"office.example"}; return nil },
			"the certificate": func(d *config.Document) error { d.Certificate.Source = "acme"; return nil },
			"the changes":     func(d *config.Document) error { d.Changes.ConfirmWithin = 31; return nil },
		} {
			if _, err := b.Carry(t.Context(), &config.Approved{By: "the plan", Edit: edit}); !errors.Is(err, config.ErrReach) {
				t.Errorf("%s: %v", name, err)
			}
		}
		_, err := b.Carry(t.Context(), &config.Approved{By: "the plan", Edit: func(d *config.Document) error {
			d.Ports.NoIMAPS, d.Ports.IMAPSLegacy = true, false
			return nil
		}})
		var check *config.CheckError
		if !errors.As(err, &check) {
			t.Errorf("both ports closed: %v", err)
		}
		b.holds(90, 1)
	})
}

// TestAPowerCutWhileAPlanChangesSomething leaves the one version or the other.
func TestAPowerCutWhileAPlanChangesSomething(t *testing.T) {
	cuts := 0
	for whole := false; !whole; cuts++ {
		if cuts == 100 {
			t.Fatal("there is no end of moments")
		}
		synctest.Test(t, func(t *testing.T) {
			b := newBox(t)
			defer func() { b.stop() }()
			b.power.lasts = b.power.passed + cuts + 1
			_, err := b.Carry(t.Context(), &config.Approved{By: "the plan", Edit: close990})
			whole = b.power.passed < b.power.lasts
			b.stop()
			b.power.lasts = 0
			b.world.restart()
			b.other.restart()
			b.start()
			switch v := b.Current(); {
			case v.Number == 2 && !v.Document.Ports.IMAPSLegacy && !b.world.holds.Ports.IMAPSLegacy:
			case err == nil:
				t.Errorf("after %d moments: what was told to be done is lost", cuts)
			case v.Number != 1 || !b.world.holds.Ports.IMAPSLegacy:
				t.Errorf("after %d moments: version %d, and %+v holds", cuts, v.Number, b.world.holds.Ports)
			}
			if b.Pending() != nil || len(b.Problems()) > 0 {
				t.Errorf("after %d moments: pending %+v, problems %v", cuts, b.Pending(), b.Problems())
			}
		})
	}
	if cuts < 8 {
		t.Errorf("only %d moments: the test misses some", cuts)
	}
}
