package sunset_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/ports/sunset"
)

func TestAnOfficeLeavesPort990StepByStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := ticking(t, 30*time.Minute)
		defer func() { o.stop() }()
		ctx := t.Context()
		o.comes(ada, sunset.Legacy)
		o.comes(bob, sunset.Legacy)
		must(o.Make(ctx, usual(sunset.Leave990), "anna"))(t)
		time.Sleep(2 * day)
		o.stands(sunset.Leave990, "dual") // it was not started
		must(o.Start(ctx, sunset.Leave990, "anna", "the board wants it"))(t)
		time.Sleep(hour)
		o.stands(sunset.Leave990, "announce")
		if alert, refused := o.comes(ada, sunset.IMAPS); alert != "" || refused {
			t.Errorf("on 993: %q, %v", alert, refused)
		}
		alert, refused := o.comes(ada, sunset.Legacy)
		if refused || !strings.Contains(alert, "port 993 with SSL/TLS; the server is mail.office.example") || !strings.Contains(alert, "(on ") {
			t.Errorf("on 990: %q, %v", alert, refused)
		}
		mails := o.mailsOf(ada)
		if len(mails) != 1 || !strings.Contains(mails[0], "scanner, Scan 1.0, at 192.168.7.20") || !strings.Contains(mails[0], "Port:        993") {
			t.Fatalf("mails: %q", mails)
		}
		if len(o.mailsOf(eve)) > 0 {
			t.Error("somebody was told who never used it")
		}
		time.Sleep(7 * day)
		o.stands(sunset.Leave990, "pilot")
		o.mu.Lock()
		o.sessions = []sunset.Contact{{Account: bob, Port: sunset.Legacy}, {Account: ada, Port: sunset.IMAPS}}
		o.mu.Unlock()
		if alert, refused := o.comes(ada, sunset.Legacy); !refused || !strings.HasPrefix(alert, "Your password is right") {
			t.Errorf("the pilot on 990: %q, %v", alert, refused)
		}
		if _, refused := o.comes(ada, sunset.IMAPS); refused {
			t.Error("the pilot is refused on 993")
		}
		if _, refused := o.comes(bob, sunset.Legacy); refused {
			t.Error("somebody else is refused")
		}
		time.Sleep(7 * day)
		o.stands(sunset.Leave990, "phase 1")
		if len(o.byes) != 1 || !strings.HasPrefix(o.byes[0], bob) {
			t.Errorf("sessions that ended: %q", o.byes)
		}
		o.comes(bob, sunset.Legacy)
		o.comes(bob, sunset.IMAPS)
		time.Sleep(7 * day)
		o.stands(sunset.Leave990, "phase 2")
		if _, refused := o.comes(eve, sunset.Legacy); !refused {
			t.Error("somebody in the network is let in")
		}
		o.comes(eve, sunset.IMAPS)
		time.Sleep(7 * day)
		o.stands(sunset.Leave990, "closed")
		if bye, refused := o.comes(ada, sunset.Legacy); !refused || !strings.Contains(bye, "is not served here any more") {
			t.Errorf("closed: %q", bye)
		}
		if len(o.Callers()) != 1 {
			t.Errorf("callers: %+v", o.Callers())
		}
		if !o.settings.Way(sunset.Leave990).Open {
			t.Error("the listener is gone within the grace")
		}
		time.Sleep(31 * day)
		s := o.stands(sunset.Leave990, "silent")
		if o.settings.Way(sunset.Leave990).Open || s.Outcome != sunset.Done {
			t.Errorf("the end: %+v, way %+v", s.Outcome, o.settings.Way(sunset.Leave990))
		}
		if c := o.settings.Changes(); len(c) != 1 || c[0].Why != "Leaving port 990 for 993: silent; approved by anna" {
			t.Errorf("changes: %+v", c)
		}
		want := []string{
			"made by anna", "started by anna", "moved announce by the plan leave-990", "moved pilot by the plan leave-990",
			"moved phase 1 by the plan leave-990", "moved phase 2 by the plan leave-990", "moved closed by the plan leave-990",
			"moved silent by the plan leave-990", "done by the plan leave-990",
		}
		got := o.told()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		// One command brings everything back.
		must(o.Rollback(ctx, sunset.Leave990, "anna", "the scanner in the hall"))(t)
		if !o.settings.Way(sunset.Leave990).Open {
			t.Error("taken back, and 990 is closed")
		}
		if _, refused := o.comes(ada, sunset.Legacy); refused {
			t.Error("taken back, and somebody is refused")
		}
	})
}

func TestNobodyIsCutOffWhoDoesNotExpectIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := ticking(t, 20*time.Minute)
		defer func() { o.stop() }()
		ctx := t.Context()
		spec := usual(sunset.Leave990)
		spec.NoMail = true
		must(o.Make(ctx, spec, "anna"))(t)
		must(o.Start(ctx, sunset.Leave990, "anna", ""))(t)
		o.comes(ada, sunset.Legacy) // before anybody is told
		time.Sleep(day + hour)
		o.comes(bob, sunset.Legacy)
		time.Sleep(6*day + 22*hour)
		o.comes(ada, sunset.IMAPS)
		o.uses(sunset.Use{Contact: sunset.Contact{Account: ada, Port: sunset.Legacy}, Device: "printer", Last: o.now()})
		time.Sleep(2 * hour)
		s := o.stands(sunset.Leave990, "announce")
		if diff := cmp.Diff([]string{ada}, s.Check.Unexpected); diff != "" || len(s.Check.CutOff) != 1 || !slices.Contains(s.Check.CutOff[0].Devices, "printer") {
			t.Errorf("unexpected: %s; check %+v", diff, s.Check)
		}
		if text := o.troubleOf(sunset.PlanWaits); !strings.Contains(text, "pilot does not begin: 1 would be cut off without having been told: "+ada) {
			t.Errorf("condition: %q", text)
		}
		var check *sunset.CheckError
		if _, err := o.Next(ctx, sunset.Leave990, sunset.Going{Now: true}, "anna", ""); !errors.As(err, &check) {
			t.Errorf("next: %v", err)
		}
		must(o.Accept(ctx, sunset.Leave990, []string{ada}, "anna", "she said so"))(t)
		time.Sleep(2 * time.Minute)
		o.stands(sunset.Leave990, "pilot")
		if text := o.troubleOf(sunset.PlanWaits); text != "" {
			t.Errorf("the condition stays: %q", text)
		}
		// Bob was told by the ALERT, and may be.
		must(o.Next(ctx, sunset.Leave990, sunset.Going{Now: true}, "anna", ""))(t)
		o.stands(sunset.Leave990, "phase 1")
		o.uses(sunset.Use{Contact: sunset.Contact{Account: eve, Port: sunset.Legacy}, Last: o.now()})
		if _, err := o.Next(ctx, sunset.Leave990, sunset.Going{Now: true}, "anna", ""); err != nil {
			t.Errorf("eve is not in the network of the phase: %v", err)
		}
		if _, err := o.Next(ctx, sunset.Leave990, sunset.Going{Now: true}, "anna", ""); !errors.As(err, &check) {
			t.Errorf("close with eve: %v", err)
		}
		plan := must(o.Next(ctx, sunset.Leave990, sunset.Going{Now: true, Anyway: true}, "anna", "no more waiting"))(t)
		if last := plan.Decisions[len(plan.Decisions)-1]; !strings.Contains(last.Why, "although: 1 would be cut off") || !slices.Contains(plan.Accepted, eve) {
			t.Errorf("decision %+v, accepted %v", last, plan.Accepted)
		}
	})
}

func TestStepsBeginInTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := ticking(t, 20*time.Minute)
		defer func() { o.stop() }()
		ctx := t.Context()
		night := time.Now().Add(3 * day)
		o.settings.window = func(now time.Time) time.Time {
			if now.Before(night) {
				return night
			}
			return now
		}
		must(o.Make(ctx, usual(sunset.Leave990), "anna"))(t)
		must(o.Start(ctx, sunset.Leave990, "anna", ""))(t)
		time.Sleep(2 * day)
		o.stands(sunset.Leave990, "dual")
		plan := must(o.Next(ctx, sunset.Leave990, sunset.Going{}, "anna", ""))(t)
		if plan.At != 0 || !plan.Steps[1].Begins.Equal(night) {
			t.Errorf("it begins at %v", plan.Steps[1].Begins)
		}
		time.Sleep(day + time.Minute)
		o.stands(sunset.Leave990, "announce")
		night = time.Now().Add(day)
		must(o.Next(ctx, sunset.Leave990, sunset.Going{Now: true}, "anna", ""))(t)
		o.stands(sunset.Leave990, "pilot")
	})
}

// toPilot brings a plan to its pilot.
func toPilot(t *testing.T, o *office, spec *sunset.Spec) {
	t.Helper()
	must(o.Make(t.Context(), spec, "anna"))(t)
	for range 2 {
		must(o.Next(t.Context(), spec.Kind, sunset.Going{Now: true}, "anna", ""))(t)
	}
	o.stands(spec.Kind, "pilot")
}

func TestARiseInFailuresPausesThePlanAndTakesItBack(t *testing.T) {
	for name, mends := range map[string]bool{"that ends": true, "that stays": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOffice(t)
				defer func() { o.stop() }()
				for range 50 {
					o.comes(eve, sunset.IMAPS)
				}
				o.fails(sunset.IMAPS, 5)
				time.Sleep(2 * time.Minute)
				toPilot(t, o, usual(sunset.Leave990))
				time.Sleep(2 * time.Minute)
				for range 20 {
					o.comes(ada, sunset.IMAPS)
				}
				o.fails(sunset.IMAPS, 4) // 16 %, and 9 % before
				time.Sleep(2 * time.Minute)
				if s := o.stands(sunset.Leave990, "pilot"); s.Hold != nil || s.Measure.Base != 9 {
					t.Errorf("paused: %+v, measure %+v", s.Hold, s.Measure)
				}
				o.fails(sunset.IMAPS, 20)
				time.Sleep(2 * time.Minute)
				s := o.stands(sunset.Leave990, "pilot")
				if s.Hold == nil || !s.Hold.Auto || !strings.Contains(o.troubleOf(sunset.PlanPaused), "54 % of 44 sign-ins by port 993 fail") {
					t.Fatalf("not paused: %+v, trouble %q", s.Hold, o.troubleOf(sunset.PlanPaused))
				}
				if mends {
					for range 400 {
						o.comes(eve, sunset.IMAPS)
					}
				}
				time.Sleep(16 * time.Minute)
				if mends {
					o.stands(sunset.Leave990, "pilot")
					must(o.Resume(t.Context(), sunset.Leave990, "anna", ""))(t)
					time.Sleep(2 * time.Minute)
					if s := o.stands(sunset.Leave990, "pilot"); s.Hold != nil {
						t.Errorf("paused again: %+v", s.Hold)
					}
					return
				}
				s = o.stands(sunset.Leave990, "announce")
				if s.Hold == nil || s.Hold.By != "the plan leave-990" {
					t.Errorf("hold %+v", s.Hold)
				}
				if _, refused := o.comes(ada, sunset.Legacy); refused {
					t.Error("taken back, and the pilot is refused")
				}
				time.Sleep(20 * day)
				o.stands(sunset.Leave990, "announce")
			})
		})
	}
}

func TestPeopleWhoDoNotComeBackPauseThePlan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		defer func() { o.stop() }()
		spec := usual(sunset.Leave990)
		spec.Steps[1].Who.People = []string{ada, bob, eve}
		spec.Measures.MaxBroken = 1
		toPilot(t, o, spec)
		for _, who := range []string{ada, bob, eve} {
			o.comes(who, sunset.Legacy)
		}
		o.comes(eve, sunset.IMAPS)
		time.Sleep(29 * time.Minute)
		if s := o.stands(sunset.Leave990, "pilot"); s.Hold != nil {
			t.Errorf("paused too early: %+v", s.Hold)
		}
		time.Sleep(2 * time.Minute)
		s := o.stands(sunset.Leave990, "pilot")
		if s.Hold == nil || !strings.Contains(s.Hold.Why, "2 people were refused and have not come by port 993 since: "+ada+", "+bob) {
			t.Fatalf("hold: %+v", s.Hold)
		}
		time.Sleep(16 * time.Minute)
		s = o.stands(sunset.Leave990, "announce")
		if len(s.Measure.Broken) > 0 {
			t.Errorf("broken after it was taken back: %v", s.Measure.Broken)
		}
	})
}

func TestWhatIsChangedByHandStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		defer func() { o.stop() }()
		ctx := t.Context()
		toPilot(t, o, usual(sunset.Leave990))
		o.settings.byHand(sunset.Leave990, false)
		time.Sleep(2 * time.Minute)
		s := o.stands(sunset.Leave990, "pilot")
		if s.Hold == nil || !strings.Contains(s.Hold.Why, "port 990 was closed by hand (version 2 of the settings, by berta)") {
			t.Fatalf("hold: %+v", s.Hold)
		}
		time.Sleep(20 * day)
		if o.settings.Way(sunset.Leave990).Open {
			t.Error("it was opened again by itself")
		}
		// Whoever takes the plan back wants it open.
		must(o.Rollback(ctx, sunset.Leave990, "anna", ""))(t)
		if !o.settings.Way(sunset.Leave990).Open {
			t.Error("taken back, and it is closed")
		}
		for range 5 {
			must(o.Next(ctx, sunset.Leave990, sunset.Going{Now: true, Anyway: true}, "anna", ""))(t)
		}
		o.settings.mu.Lock()
		o.settings.pending = true
		o.settings.mu.Unlock()
		must(o.Rollback(ctx, sunset.Leave990, "anna", ""))(t)
		if s := o.stands(sunset.Leave990, "announce"); s.Unheld == "" && !o.settings.Way(sunset.Leave990).Open {
			t.Errorf("it hides that it is not held: %+v", s)
		}
		o.settings.mu.Lock()
		o.settings.pending = false
		o.settings.mu.Unlock()
		time.Sleep(30 * time.Minute)
		if !o.settings.Way(sunset.Leave990).Open {
			t.Error("it is not tried again")
		}
	})
}

// TestTheOtherPortClosesWhileThisOneIsLeft: whatever an administrator does beside
// the plan, one port serves people.
func TestTheOtherPortClosesWhileThisOneIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		defer func() { o.stop() }()
		ctx := t.Context()
		toPilot(t, o, usual(sunset.Leave990))
		for range 3 {
			must(o.Next(ctx, sunset.Leave990, sunset.Going{Now: true, Anyway: true}, "anna", ""))(t)
		}
		if _, refused := o.comes(ada, sunset.Legacy); !refused {
			t.Fatal("closed, and somebody is let in")
		}
		o.settings.byHand(sunset.Leave993, false)
		if _, refused := o.comes(ada, sunset.Legacy); refused {
			t.Error("nobody can read mail any more")
		}
		if _, err := o.Next(ctx, sunset.Leave990, sunset.Going{Now: true, Anyway: true}, "anna", ""); err == nil {
			t.Error("the last port is to be closed")
		}
	})
}

func TestAClockThatJumpsBeginsNothing(t *testing.T) {
	for name, tt := range map[string]struct {
		jump  time.Duration
		place string
		held  bool
	}{
		"an hour ahead":    {hour, "announce", false},
		"three years":      {3 * 365 * day, "announce", true},
		"three years back": {-3 * 365 * day, "announce", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := ticking(t, 20*time.Minute)
				defer func() { o.stop() }()
				must(o.Make(t.Context(), usual(sunset.Leave990), "anna"))(t)
				must(o.Start(t.Context(), sunset.Leave990, "anna", ""))(t)
				time.Sleep(2 * day)
				o.jump(tt.jump)
				time.Sleep(hour)
				if s := o.stands(sunset.Leave990, tt.place); (s.Hold != nil) != tt.held {
					t.Errorf("hold %+v", s.Hold)
				}
				o.jump(-tt.jump)
				time.Sleep(6 * day)
				if !tt.held {
					o.stands(sunset.Leave990, "pilot")
				}
			})
		})
	}
}

func TestABoxThatWasOffMakesUpForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := ticking(t, 20*time.Minute)
		must(o.Make(t.Context(), usual(sunset.Leave990), "anna"))(t)
		must(o.Start(t.Context(), sunset.Leave990, "anna", ""))(t)
		time.Sleep(2 * day)
		o.stop()
		time.Sleep(20 * day)
		o.start()
		defer func() { o.stop() }()
		time.Sleep(2 * time.Minute)
		if s := o.stands(sunset.Leave990, "announce"); s.Hold == nil || !strings.Contains(s.Hold.Why, "the box was off") {
			t.Errorf("hold %+v", s.Hold)
		}
	})
}

func TestPlansOfSeveralKindsGoOnTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		defer func() { o.stop() }()
		ctx := t.Context()
		for _, k := range []sunset.Kind{sunset.Leave990, sunset.TLS13, sunset.NoPasswords} {
			toPilot(t, o, usual(k))
		}
		if _, err := o.Make(ctx, usual(sunset.Leave993), "anna"); !errors.Is(err, sunset.ErrOpposite) {
			t.Errorf("the other direction: %v", err)
		}
		if _, err := o.Make(ctx, usual(sunset.TLS13), "anna"); !errors.Is(err, sunset.ErrExists) {
			t.Errorf("the same again: %v", err)
		}
		old := sunset.Contact{Account: bob, Port: sunset.Legacy, TLS: "TLS 1.2", Mechanism: "PLAIN"}
		alert, refused := o.arrives(old)
		for _, said := range []string{"Port 990 will not", "TLS 1.2 will not", "Signing in by sending the password will not"} {
			if refused || !strings.Contains(alert, said) {
				t.Errorf("%v: %q", refused, alert)
			}
		}
		old.Account = ada
		if alert, refused := o.arrives(old); !refused || !strings.Contains(alert, "port 990 is over for you") {
			t.Errorf("%v: %q", refused, alert)
		}
		old.Port = sunset.IMAPS
		if alert, refused := o.arrives(old); !refused || !strings.Contains(alert, "TLS 1.2 is over for you") {
			t.Errorf("%v: %q", refused, alert)
		}
		old.TLS = "TLS 1.3"
		if alert, refused := o.arrives(old); !refused || !strings.Contains(alert, "sending the password is over for you") {
			t.Errorf("%v: %q", refused, alert)
		}
		if alert, refused := o.comes(ada, sunset.IMAPS); alert != "" || refused {
			t.Errorf("%v: %q", refused, alert)
		}
		for range 3 {
			must(o.Next(ctx, sunset.TLS13, sunset.Going{Now: true, Anyway: true}, "anna", ""))(t)
		}
		s := o.stands(sunset.TLS13, "closed")
		if s.Outcome != sunset.Done || o.settings.Way(sunset.TLS13).Open || !o.settings.Way(sunset.NoPasswords).Open {
			t.Errorf("outcome %q", s.Outcome)
		}
		must(o.Drop(ctx, sunset.Leave990, "anna", "not this year"))(t)
		must(o.Make(ctx, usual(sunset.Leave993), "anna"))(t)
		for range 6 {
			must(o.Next(ctx, sunset.Leave993, sunset.Going{Now: true, Anyway: true}, "anna", ""))(t)
		}
		if o.settings.serves(sunset.IMAPS) || !o.settings.serves(sunset.Legacy) {
			t.Error("993 is not left for 990")
		}
	})
}

func TestEveryActNeedsSomebodyAndIsRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		defer func() { o.stop() }()
		ctx, k := t.Context(), sunset.Leave990
		acts := []struct {
			what string
			do   func(by string) error
		}{
			{"made", func(by string) error { _, err := o.Make(ctx, usual(k), by); return err }},
			{"started", func(by string) error { _, err := o.Start(ctx, k, by, "why"); return err }},
			{"moved announce", func(by string) error { _, err := o.Next(ctx, k, sunset.Going{Now: true}, by, "why"); return err }},
			{"accepted eve@office.example", func(by string) error { _, err := o.Accept(ctx, k, []string{eve}, by, "why"); return err }},
			{"brownout planned", func(by string) error {
				_, err := o.Brownout(ctx, k, o.now().Add(day), 0, by, "why")
				return err
			}},
			{"brownout cancelled", func(by string) error { _, err := o.EndBrownout(ctx, k, by, "why"); return err }},
			{"paused", func(by string) error { _, err := o.Pause(ctx, k, by, "why"); return err }},
			{"resumed", func(by string) error { _, err := o.Resume(ctx, k, by, "why"); return err }},
			{"rolled-back announce", func(by string) error { _, err := o.Rollback(ctx, k, by, "why"); return err }},
			{"dropped dual", func(by string) error { _, err := o.Drop(ctx, k, by, "why"); return err }},
			{"owned", func(by string) error {
				_, err := o.Own(ctx, sunset.Ownership{Owner: ada, Why: "a scanner", Review: o.now().Add(90 * day)}, by)
				return err
			}},
		}
		for _, act := range acts {
			if err := act.do(""); !errors.Is(err, sunset.ErrNobody) {
				t.Errorf("%s by nobody: %v", act.what, err)
			}
			before := len(o.told())
			if err := act.do("anna"); err != nil {
				t.Errorf("%s: %v", act.what, err)
			}
			told := o.told()[before:]
			if len(told) == 0 || !strings.HasPrefix(told[0], act.what) || !strings.HasSuffix(told[0], " by anna") {
				t.Errorf("%s is recorded as %q", act.what, told)
			}
		}
		if _, err := o.Pause(ctx, sunset.TLS13, "anna", ""); !errors.Is(err, sunset.ErrNoPlan) {
			t.Errorf("no plan: %v", err)
		}
		if _, err := o.Pause(ctx, k, "anna", ""); !errors.Is(err, sunset.ErrState) {
			t.Errorf("a plan that was dropped: %v", err)
		}
	})
}

func TestMailsComeNoMoreOftenThanSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		defer func() { o.stop() }()
		spec := usual(sunset.Leave990)
		spec.Steps = spec.Steps[:1]
		spec.MailEach = sunset.Span(3 * day)
		o.unmailed = errors.New("the disk is full")
		must(o.Make(t.Context(), spec, "anna"))(t)
		must(o.Start(t.Context(), sunset.Leave990, "anna", ""))(t)
		time.Sleep(day)
		o.comes(ada, sunset.Legacy)
		time.Sleep(30 * time.Minute)
		s := o.stands(sunset.Leave990, "announce")
		if i := slices.IndexFunc(s.People, func(p sunset.Person) bool { return p.Account == ada }); i < 0 || !s.People[i].Mailed.IsZero() {
			t.Errorf("people: %+v", s.People)
		}
		o.mu.Lock()
		o.unmailed = nil
		o.mu.Unlock()
		time.Sleep(hour)
		if n := len(o.mailsOf(ada)); n != 1 {
			t.Fatalf("%d mails after it could be delivered again", n)
		}
		for range 6 {
			time.Sleep(12 * hour)
			o.crash()
			o.comes(ada, sunset.Legacy)
		}
		time.Sleep(12 * hour)
		if n := len(o.mailsOf(ada)); n != 2 {
			t.Errorf("%d mails in three days and a half, want 2", n)
		}
	})
}

func TestWhatCannotBeReadRefusesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		toPilot(t, o, usual(sunset.Leave990))
		o.stop()
		o.disk.kept["plan/leave-990"] = []byte(`{"kind":"leave-990","steps":[{}],"at":9}`)
		o.start()
		defer func() { o.stop() }()
		time.Sleep(2 * time.Minute)
		if _, refused := o.comes(ada, sunset.Legacy); refused {
			t.Error("refused")
		}
		if o.troubleOf(sunset.PlanDamaged) == "" {
			t.Error("nobody is told")
		}
		must(o.Make(t.Context(), usual(sunset.Leave990), "anna"))(t)
	})
}

func TestWhoHasGoneIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		defer func() { o.stop() }()
		toPilot(t, o, usual(sunset.Leave990))
		o.comes(bob, sunset.Legacy)
		o.comes(eve, sunset.Legacy)
		time.Sleep(2 * time.Minute)
		o.leaves(bob)
		time.Sleep(2 * hour)
		if s := o.stands(sunset.Leave990, "pilot"); len(s.People) != 1 || s.People[0].Account != eve {
			t.Errorf("people: %+v", s.People)
		}
		if o.disk.kept["person/leave-990/"+bob] != nil || o.disk.kept["person/leave-990/"+eve] == nil {
			t.Error("they are not forgotten on the disk")
		}
	})
}

// TestPeopleAreToldTheServersName that the settings have now.
func TestPeopleAreToldTheServersName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		defer func() { o.stop() }()
		must(o.Make(t.Context(), usual(sunset.Leave990), "anna"))(t)
		must(o.Next(t.Context(), sunset.Leave990, sunset.Going{Now: true}, "anna", ""))(t)
		o.mu.Lock()
		o.name = "imap.office.example"
		o.mu.Unlock()
		time.Sleep(2 * time.Minute)
		if alert, _ := o.comes(ada, sunset.Legacy); !strings.Contains(alert, "the server is imap.office.example") {
			t.Errorf("ALERT: %q", alert)
		}
		time.Sleep(2 * time.Minute)
		if mails := o.mailsOf(ada); len(mails) != 1 || !strings.Contains(mails[0], "Server:      imap.office.example") {
			t.Errorf("mails: %q", mails)
		}
	})
}

// TestWhoComesOnceAMonthIsToldAndNotCutOffUnexpectedly, by one letter.
func TestWhoComesOnceAMonthIsToldAndNotCutOffUnexpectedly(t *testing.T) {
	for name, silent := range map[string]bool{"by mail": false, "no mail is sent": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOffice(t)
				defer func() { o.stop() }()
				o.uses(sunset.Use{Contact: sunset.Contact{Account: ada, Port: sunset.Legacy}, Device: "scanner", Last: o.now().Add(-10 * day)})
				spec := usual(sunset.Leave990)
				spec.NoMail = silent
				must(o.Make(t.Context(), spec, "anna"))(t)
				must(o.Start(t.Context(), sunset.Leave990, "anna", ""))(t)
				time.Sleep(8*day + hour)
				if silent {
					if s := o.stands(sunset.Leave990, "announce"); len(s.Check.Unexpected) != 1 {
						t.Errorf("nobody told her, and the pilot's check finds %+v", s.Check)
					}
					return
				}
				o.stands(sunset.Leave990, "pilot")
				if mails := o.mailsOf(ada); len(mails) != 1 || !strings.Contains(mails[0], "scanner") {
					t.Errorf("mails: %q", mails)
				}
			})
		})
	}
}
