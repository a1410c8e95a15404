package sunset_test

import (
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"pillarbox/appliance/ports/sunset"
)

// served tells whether a modern program of somebody's gets in by a port.
func (o *office) served(account, port string) bool {
	c := sunset.Contact{Account: account, Remote: netip.MustParseAddr("192.168.7.20"), Port: port, TLS: "TLS 1.3", Mechanism: "SCRAM-SHA-256"}
	if !o.settings.serves(port) || o.Turned(port, c.Remote) != "" {
		return false
	}
	_, refused := o.Arrived(&c)
	return !refused
}

// reachable fails the test if anybody has no port.
func (o *office) reachable(when string) {
	o.t.Helper()
	for _, who := range []string{ada, bob, eve} {
		if !o.served(who, sunset.IMAPS) && !o.served(who, sunset.Legacy) {
			o.t.Fatalf("%s: %s has no port left", when, who)
		}
	}
}

// TestAPowerCutAtAnyMomentOfAPlan cuts the power before and behind each write and
// each change of the settings of a whole plan and of what takes it back.
func TestAPowerCutAtAnyMomentOfAPlan(t *testing.T) {
	cuts := 0
	for whole := false; !whole; cuts++ {
		if cuts == 200 {
			t.Fatal("there is no end of moments")
		}
		synctest.Test(t, func(t *testing.T) {
			o := newOffice(t)
			defer func() { o.stop() }()
			ctx, k := t.Context(), sunset.Leave990
			o.power.cut(cuts + 1)
			at := -1 // the step that somebody was told of
			do := func(f func() (sunset.Plan, error)) bool {
				p, err := f()
				if err == nil {
					at = p.At
				}
				return err == nil
			}
			go1 := func() (sunset.Plan, error) { return o.Next(ctx, k, sunset.Going{Now: true, Anyway: true}, "anna", "") }
			back, tried := false, false
			ok := do(func() (sunset.Plan, error) { return o.Make(ctx, usual(k), "anna") })
			for i := 0; ok && i < 6; i++ {
				o.comes(bob, sunset.Legacy)
				ok = do(go1)
			}
			if tried = ok; ok {
				back = do(func() (sunset.Plan, error) { return o.Rollback(ctx, k, "anna", "") })
			}
			o.stop()
			whole = o.power.back()
			o.start()
			o.reachable("after the start")
			time.Sleep(3 * time.Minute)
			o.reachable("later")
			s, err := o.Status(k)
			switch {
			case err != nil && at < 0:
				return // it was never made
			case err != nil:
				t.Fatal(err)
			case back && s.At != 1, !tried && s.At < at:
				t.Errorf("after %d moments: at %s; told %d, back %v", cuts, s.Place, at, back)
			}
			if open, want := o.settings.Way(k).Open, s.Place != "silent"; open != want {
				t.Errorf("after %d moments: at %s, and 990 open is %v", cuts, s.Place, open)
			}
			if s.Hold != nil && s.Hold.By != "anna" {
				t.Errorf("after %d moments: its own change is taken for somebody else's: %+v", cuts, s.Hold)
			}
		})
	}
	if cuts < 25 {
		t.Errorf("only %d moments: the test misses some", cuts)
	}
}

// TestNoSequenceOfEventsLeavesSomebodyWithoutAPort does at random what people, time
// and crashes can do.
func TestNoSequenceOfEventsLeavesSomebodyWithoutAPort(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		events := rapid.SliceOfN(rapid.IntRange(0, 21), 5, 60).Draw(r, "events")
		waits := rapid.SliceOfN(rapid.IntRange(0, 5), len(events), len(events)).Draw(r, "waits")
		synctest.Test(t, func(t *testing.T) { random(t, events, waits) })
	})
}

func random(t *testing.T, events, waits []int) {
	o := ticking(t, 20*time.Minute)
	defer func() { o.stop() }()
	ctx := t.Context()
	kinds := sunset.Kinds()
	refusedBefore := map[string]bool{}
	for i, event := range events {
		k := kinds[(event+waits[i])%len(kinds)]
		switch event {
		case 0, 1, 2:
			_, _ = o.Make(ctx, usual(k), "anna")
		case 3, 4:
			_, _ = o.Start(ctx, k, "anna", "")
		case 5, 6, 7, 8:
			_, _ = o.Next(ctx, k, sunset.Going{Now: true, Anyway: event > 6}, "anna", "")
		case 9:
			_, _ = o.Pause(ctx, k, "anna", "")
		case 10:
			_, _ = o.Resume(ctx, k, "anna", "")
		case 11:
			if _, err := o.Rollback(ctx, k, "anna", ""); err == nil && !o.settings.busy() {
				if way := o.settings.Way(k); !way.Open {
					t.Fatalf("taken back, and %s is closed", k)
				}
			}
		case 12:
			_, _ = o.Drop(ctx, k, "anna", "")
		case 13, 14:
			_, _ = o.Brownout(ctx, k, o.now().Add(hour), 0, "anna", "")
		case 15:
			o.crash()
		case 16:
			o.settings.byHand(k, waits[i]%2 == 0)
		case 17:
			o.jump([]time.Duration{-400 * day, -hour, hour, 400 * day}[waits[i]%4])
		case 18:
			o.comes([]string{ada, bob, eve}[waits[i]%3], []string{sunset.IMAPS, sunset.Legacy}[waits[i]%2])
		case 19:
			o.fails(sunset.IMAPS, 30)
		case 20:
			o.settings.mu.Lock()
			o.settings.pending = !o.settings.pending
			o.settings.mu.Unlock()
		case 21:
			// What somebody was refused for lasts over a crash.
			for _, who := range []string{ada, bob, eve} {
				refusedBefore[who] = o.served(who, sunset.Legacy)
			}
			o.crash()
			for _, who := range []string{ada, bob, eve} {
				if now := o.served(who, sunset.Legacy); now != refusedBefore[who] && !o.brownoutOn() {
					t.Fatalf("after a crash %s is served by 990: %v, before %v", who, now, refusedBefore[who])
				}
			}
		}
		o.reachable("at once")
		time.Sleep([]time.Duration{time.Second, 5 * time.Minute, hour, day, 3 * day, 8 * day}[waits[i]])
		synctest.Wait()
		o.reachable("later")
	}
}

// brownoutOn tells whether one may have ended meanwhile.
func (o *office) brownoutOn() bool {
	return slices.ContainsFunc(o.Plans(), func(s sunset.Status) bool {
		return slices.ContainsFunc(s.Brownouts, func(b sunset.Brownout) bool {
			return b.State == sunset.On || b.State == sunset.Over || b.State == sunset.Planned
		})
	})
}
