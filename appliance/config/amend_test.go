package config_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pillarbox/appliance/config"
	"pillarbox/netcfg/policy"
)

func TestWhatTheOfficeIsCalledIsAVersionAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t)
		defer func() { b.stop() }()
		amend := func(patch string) (config.Version, *config.Pending, error) {
			v, p, _, err := b.Amend(t.Context(), &config.Amendment{Patch: []byte(patch), By: "anna", Why: "we moved"})
			return v, p, err
		}
		want := config.Office{Name: "Müller & Töchter", Domain: "mueller.example", TimeZone: "Europe/Berlin"}
		v, p, err := amend(`{"office": {"name": "Müller & Töchter", "domain": "mueller.example", "time_zone": "Europe/Berlin"}}`)
		if err != nil || p != nil || v.Number != 2 || v.Document.Office != want || v.By != "anna" || v.Why != "we moved" {
			t.Fatalf("version %d with %+v by %s, pending %v, error %v", v.Number, v.Document.Office, v.By, p, err)
		}
		b.stop()
		b.start()
		if got := b.Current(); got.Number != 2 || got.Document.Office != want || b.Pending() != nil {
			t.Errorf("after a start version %d with %+v", got.Number, got.Document.Office)
		}
		if v, _, err := amend(`{"office": {"domain": "mueller.example"}}`); err != nil || v.Number != 2 {
			t.Errorf("the same again: version %d, %v", v.Number, err)
		}
		if v, _, err := amend(`{"office": {"domain": null}, "audit": {"checkpoints_to": "anna@mueller.example"}}`); err != nil ||
			v.Document.Office.Domain != "" || v.Document.Office.Name != want.Name || v.Document.Audit.CheckpointsTo == "" {
			t.Errorf("%+v, %v", v.Document.Office, err)
		}
		old, err := b.Version(2)
		if err != nil {
			t.Fatal(err)
		}
		now := b.Current()
		for _, c := range config.Diff(&old.Document, &now.Document) {
			if c.Label == "" || c.Path == "office.domain" && !strings.Contains(c.String(), "the office's mail domain: mueller.example") {
				t.Errorf("in words: %s", c)
			}
		}
	})
}

// TestWhatLosesSomethingIsToBeConfirmed: by the same request.
func TestWhatLosesSomethingIsToBeConfirmed(t *testing.T) {
	for _, patch := range []string{
		`{"audit": {"access": {"days": 30}}}`, `{"inventory": {"days": 31}}`, `{"ports": {"imaps_legacy": false}}`,
		`{"changes": {"confirm_within": 120}, "office": {"name": "A"}}`, `{"certificate": {"policy": "modern"}}`, `{"network": {"search": ["a.example"]}}`,
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBox(t)
			defer func() { b.stop() }()
			v, p, _, err := b.Amend(t.Context(), &config.Amendment{Patch: []byte(patch), By: "anna"})
			if err != nil || p == nil || p.State != config.Applied || v.Number != 1 {
				t.Fatalf("%s: version %d, pending %+v, error %v", patch, v.Number, p, err)
			}
			if _, _, _, err := b.Amend(t.Context(), &config.Amendment{Patch: []byte(`{"office": {"name": "B"}}`), By: "anna"}); !errors.As(err, new(*config.PendingError)) {
				t.Errorf("beside another: %v", err)
			}
			time.Sleep(16 * time.Minute)
			synctest.Wait()
			if b.Pending() != nil || b.Current().Number != 1 {
				t.Errorf("%s: nobody confirmed it, and it holds", patch)
			}
		})
	}
}

func TestWhatIsWrongWithSomeSettingsIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t)
		defer func() { b.stop() }()
		for patch, want := range map[string]string{
			`[]`:                       "a JSON object of settings is wanted",
			`{"office": {"nam": "A"}}`: "nam",
			`{"office": "A"}`:          "office",
			`{"ports": {"no_imaps": true, "imaps_legacy": false}}`:     "993 and 990 cannot both be closed",
			`{"office": {"time_zone": "Europe/Atlantis"}}`:             "office.time_zone",
			`{"office": {"time_zone": "Local"}}`:                       "office.time_zone",
			`{"office": {"time_zone": "../../etc/passwd"}}`:            "office.time_zone",
			`{"office": {"domain": "Office"}}`:                         "office.domain",
			`{"office": {"name": "A\nB"}}`:                             "office.name",
			`{"office": {"name": "` + strings.Repeat("A", 101) + `"}}`: "office.name",
		} {
			_, p, _, err := b.Amend(t.Context(), &config.Amendment{Patch: []byte(patch), By: "anna"})
			var check *config.CheckError
			if !errors.As(err, &check) || !strings.Contains(err.Error(), want) || p != nil {
				t.Errorf("%s: %v, want %q", patch, err, want)
			}
		}
		if _, _, _, err := b.Amend(t.Context(), &config.Amendment{Patch: []byte(`{"office": {"name": "A"}}`)}); !errors.Is(err, config.ErrNoProof) {
			t.Errorf("by nobody: %v", err)
		}
		b.holds(90, 1)
	})
}

// TestAWindowIsInTheOfficesHours: at noon in London it is 21 o'clock in Tokyo.
func TestAWindowIsInTheOfficesHours(t *testing.T) {
	d := config.Default()
	d.Office.TimeZone = "Asia/Tokyo"
	d.Changes.Window = &config.Window{From: "22:00", To: "23:00"}
	now := time.Date(2026, 1, 10, 12, 0, 0, 0, time.UTC)
	if got := d.Next(now); !got.Equal(now.Add(time.Hour)) {
		t.Errorf("changes may begin at %s", got)
	}
	d.Firewall.Services[policy.IMAPSLegacy] = policy.Rule{From: policy.Nobody} // what else there is does not matter
	if got := d.Next(now.Add(time.Hour)); !got.Equal(now.Add(time.Hour)) {
		t.Errorf("in the window: %s", got)
	}
}

func FuzzAmend(f *testing.F) {
	f.Add([]byte(`{"office": {"name": "A", "domain": null}, "firewall": {"lan": []}}`))
	f.Add([]byte(`{"network": null, "changes": {"window": {"from": "22:00", "to": "23:00"}}}`))
	f.Fuzz(func(t *testing.T, patch []byte) {
		d := config.Default()
		if err := d.Merge(patch); err == nil {
			if err := d.Validate(); err != nil {
				t.Errorf("%s makes what is not valid: %v", patch, err)
			}
		}
	})
}
