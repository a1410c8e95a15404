package sunset_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/ports/sunset"
)

// planned starts a plan that has begun to announce, with a brown-out in a day.
func planned(t *testing.T, o *office) {
	t.Helper()
	must(o.Make(t.Context(), usual(sunset.Leave990), "anna"))(t)
	if _, err := o.Brownout(t.Context(), sunset.Leave990, o.now().Add(day), 0, "anna", ""); !errors.Is(err, sunset.ErrState) {
		t.Errorf("before the plan is approved: %v", err)
	}
	must(o.Next(t.Context(), sunset.Leave990, sunset.Going{Now: true}, "anna", ""))(t)
	must(o.Brownout(t.Context(), sunset.Leave990, o.now().Add(day), 0, "anna", "who breaks?"))(t)
}

// brownoutOf returns the newest brown-out.
func (o *office) brownoutOf(k sunset.Kind) sunset.Brownout {
	o.t.Helper()
	s, err := o.Status(k)
	if err != nil || len(s.Brownouts) == 0 {
		o.t.Fatalf("no brown-out: %v", err)
	}
	return s.Brownouts[len(s.Brownouts)-1]
}

func TestABrownoutShowsWhoBreaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		defer func() { o.stop() }()
		planned(t, o)
		if alert, _ := o.comes(ada, sunset.Legacy); !strings.Contains(alert, "A test: on 2 January 00:00 port 990 is closed for 10m0s.") {
			t.Errorf("beforehand: %q", alert)
		}
		if _, err := o.Brownout(t.Context(), sunset.Leave990, o.now().Add(2*day), 0, "anna", ""); !errors.Is(err, sunset.ErrState) {
			t.Errorf("a second one: %v", err)
		}
		time.Sleep(day - time.Second)
		o.mu.Lock()
		o.sessions = []sunset.Contact{{Account: bob, Port: sunset.Legacy}, {Account: bob, Port: sunset.IMAPS}}
		o.mu.Unlock()
		if _, refused := o.comes(bob, sunset.Legacy); refused {
			t.Error("refused before it begins")
		}
		time.Sleep(2 * time.Minute)
		if b := o.brownoutOf(sunset.Leave990); b.State != sunset.On {
			t.Fatalf("it has not begun: %+v", b)
		}
		if len(o.byes) != 1 {
			t.Errorf("sessions that ended: %q", o.byes)
		}
		for _, who := range []string{ada, bob} {
			if alert, refused := o.comes(who, sunset.Legacy); !refused || !strings.Contains(alert, "Your password is right") {
				t.Errorf("%s: %v, %q", who, refused, alert)
			}
		}
		o.comes(bob, sunset.IMAPS)
		o.comes(eve, sunset.IMAPS)
		time.Sleep(10 * time.Minute)
		b := o.brownoutOf(sunset.Leave990)
		if b.State != sunset.Over || b.Ended.Sub(b.Began) > 11*time.Minute {
			t.Errorf("it does not end: %+v", b)
		}
		if diff := cmp.Diff([]string{ada}, b.Broke()); diff != "" || len(b.Tried) != 2 {
			t.Errorf("broke: %s", diff)
		}
		if _, refused := o.comes(ada, sunset.Legacy); refused {
			t.Error("refused after it ended")
		}
		o.stands(sunset.Leave990, "announce")
	})
}

// TestABrownoutOpensByItself whatever happens in the middle of it.
func TestABrownoutOpensByItself(t *testing.T) {
	for name, tt := range map[string]struct {
		happens func(o *office)
		refused bool // still, after it
		state   sunset.BrownoutState
	}{
		"nothing": {func(*office) {}, true, sunset.Over},
		"a crash": {func(o *office) { o.crash() }, true, sunset.Over},
		"a crash, and off for an hour": {func(o *office) {
			o.power.cut(0)
			o.stop()
			time.Sleep(hour)
			o.power.back()
			o.start()
		}, false, sunset.Over},
		"the clock jumps ahead":            {func(o *office) { o.jump(hour) }, false, sunset.Over},
		"the clock jumps back":             {func(o *office) { o.jump(-hour) }, false, sunset.Over},
		"the clock goes back by a minute":  {func(o *office) { o.jump(-time.Minute) }, true, sunset.Over},
		"the other port is closed by hand": {func(o *office) { o.settings.byHand(sunset.Leave993, false) }, false, sunset.Over},
		"somebody ends it": {func(o *office) {
			if _, err := o.EndBrownout(o.t.Context(), sunset.Leave990, "anna", ""); err != nil {
				o.t.Error(err)
			}
		}, false, sunset.Cancelled},
		"somebody takes the plan back": {func(o *office) {
			if _, err := o.Rollback(o.t.Context(), sunset.Leave990, "anna", ""); err != nil {
				o.t.Error(err)
			}
		}, false, sunset.Cancelled},
		"the disk takes nothing more": {func(o *office) { o.power.cut(0) }, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOffice(t)
				defer func() { o.power.back(); o.stop() }()
				planned(t, o)
				time.Sleep(day + 3*time.Minute)
				if _, refused := o.comes(ada, sunset.Legacy); !refused {
					t.Fatal("it has not begun")
				}
				tt.happens(o)
				if _, refused := o.comes(ada, sunset.Legacy); refused != tt.refused {
					t.Errorf("refused: %v, want %v", refused, tt.refused)
				}
				time.Sleep(8 * time.Minute)
				if _, refused := o.comes(ada, sunset.Legacy); refused {
					t.Error("it does not open by itself")
				}
				if b := o.brownoutOf(sunset.Leave990); tt.state != "" && b.State != tt.state {
					t.Errorf("state %s, want %s", b.State, tt.state)
				}
				if !o.settings.Way(sunset.Leave990).Open {
					t.Error("990 is closed")
				}
			})
		})
	}
}

func TestABrownoutThatCannotTakePlaceIsMissed(t *testing.T) {
	for name, hinders := range map[string]func(o *office){
		"the box is off":           func(o *office) { o.stop(); time.Sleep(2 * day); o.start() },
		"the plan is paused":       func(o *office) { _, _ = o.Pause(o.t.Context(), sunset.Leave990, "anna", "") },
		"the other port is closed": func(o *office) { o.settings.byHand(sunset.Leave993, false) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOffice(t)
				defer func() { o.stop() }()
				planned(t, o)
				hinders(o)
				time.Sleep(day + 2*time.Minute)
				if b := o.brownoutOf(sunset.Leave990); b.State != sunset.Missed || b.Why == "" {
					t.Errorf("brown-out: %+v", b)
				}
				if _, refused := o.comes(ada, sunset.Legacy); refused {
					t.Error("refused")
				}
			})
		})
	}
}

// TestWhoWasRefusedInABrownoutIsNotCountedInAStep: they were let in afterwards.
func TestWhoWasRefusedInABrownoutIsNotCountedInAStep(t *testing.T) {
	for name, ends := range map[string]func(o *office){
		"it ends by itself": func(*office) { time.Sleep(10 * time.Minute) },
		"somebody ends it":  func(o *office) { must(o.EndBrownout(o.t.Context(), sunset.Leave990, "anna", ""))(o.t) },
		"a crash":           func(o *office) { o.crash(); time.Sleep(10 * time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOffice(t)
				defer func() { o.stop() }()
				spec := usual(sunset.Leave990)
				spec.Measures.MaxBroken = 1
				must(o.Make(t.Context(), spec, "anna"))(t)
				must(o.Next(t.Context(), sunset.Leave990, sunset.Going{Now: true}, "anna", ""))(t)
				must(o.Brownout(t.Context(), sunset.Leave990, o.now().Add(day), 0, "anna", ""))(t)
				time.Sleep(day + 2*time.Minute)
				for _, who := range []string{bob, eve} {
					if _, refused := o.comes(who, sunset.Legacy); !refused {
						t.Fatalf("%s is let in", who)
					}
				}
				time.Sleep(2 * time.Minute)
				ends(o)
				for _, who := range []string{bob, eve} {
					if _, refused := o.comes(who, sunset.Legacy); refused {
						t.Fatalf("%s is refused after it", who)
					}
				}
				time.Sleep(8 * day)
				if s := o.stands(sunset.Leave990, "pilot"); s.Hold != nil {
					t.Errorf("the pilot, whom nobody was refused in, is paused: %s", s.Hold.Why)
				}
			})
		})
	}
}
