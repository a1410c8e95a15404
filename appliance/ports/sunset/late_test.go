package sunset_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pillarbox/appliance/ports/sunset"
)

func TestAPlanWhoseDatesHaveGoneByIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		defer func() { o.stop() }()
		spec := usual(sunset.Leave990)
		for i := range spec.Steps {
			spec.Steps[i].Begins = spec.Steps[i].Begins.AddDate(-1, 0, 0) // the year is mistyped
		}
		if _, err := o.Make(t.Context(), spec, "anna"); !errors.Is(err, sunset.ErrSpec) || !strings.Contains(err.Error(), "has gone by") {
			t.Errorf("made: %v", err)
		}
	})
}

// TestStepsKeepTheirDistance where one begins so late that the dates of others have
// gone by: what it shows can still be looked at before the next one.
func TestStepsKeepTheirDistance(t *testing.T) {
	for name, tt := range map[string]struct {
		begins func(o *office)
		undate bool // the pilot has no date
		pause  bool
		want   string
	}{
		"begun late by itself": {begins: func(o *office) {
			time.Sleep(5 * time.Minute)
		}, want: "phase 1"},
		"begun late by hand, without a date": {undate: true, begins: func(o *office) {
			must(o.Next(o.t.Context(), sunset.Leave990, sunset.Going{Anyway: true}, "anna", ""))(o.t)
		}, want: "pilot"},
		"after a pause": {pause: true, begins: func(o *office) {
			must(o.Resume(o.t.Context(), sunset.Leave990, "anna", ""))(o.t)
			time.Sleep(5 * time.Minute)
		}, want: "phase 1"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOffice(t)
				defer func() { o.stop() }()
				spec := usual(sunset.Leave990)
				spec.NoMail = true
				if tt.undate {
					spec.Steps[1].Begins = time.Time{}
				}
				must(o.Make(t.Context(), spec, "anna"))(t)
				must(o.Start(t.Context(), sunset.Leave990, "anna", ""))(t)
				for _, who := range []string{ada, bob, eve} { // whom nobody told
					o.uses(sunset.Use{Contact: sunset.Contact{Account: who, Port: sunset.Legacy}, Last: o.now().Add(31 * day)})
				}
				time.Sleep(day + hour)
				if tt.pause {
					must(o.Pause(t.Context(), sunset.Leave990, "anna", ""))(t)
				}
				time.Sleep(29 * day)
				must(o.Accept(o.t.Context(), sunset.Leave990, []string{ada, bob, eve}, "anna", ""))(o.t)
				tt.begins(o)
				o.stands(sunset.Leave990, "pilot")
				time.Sleep(6 * day)
				o.stands(sunset.Leave990, "pilot")
				time.Sleep(day + time.Hour)
				o.stands(sunset.Leave990, tt.want)
			})
		})
	}
}
