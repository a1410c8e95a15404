package health_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/health"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func names(t *health.Tracker) []string {
	all := []string{}
	for _, c := range t.Conditions() {
		all = append(all, c.Name)
	}

	return all
}

func TestConditionsAreShownWhenTheyLastAndAreNotExplained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var (
			cable = &health.Kind{Name: "no-cable", Title: "No cable", Severity: health.High, After: 10 * time.Second}
			ntp   = &health.Kind{Name: "no-time", Title: "No time", Severity: health.Medium, Follows: []string{"no-cable"}}
			note  = &health.Kind{Name: "note", Title: "Note", Severity: health.Low}
		)
		tracker := health.NewTracker(quiet())
		begun := time.Now()
		tracker.Set(note, "something")
		tracker.Set(ntp, "no answer")
		tracker.Set(cable, "plug it in")
		// The cause hides what follows from it even before it is shown itself.
		if diff := cmp.Diff([]string{"note"}, names(tracker)); diff != "" {
			t.Error(diff)
		}
		time.Sleep(10 * time.Second)
		tracker.Set(cable, "plug it in again")
		want := []health.Condition{
			{Name: "no-cable", Title: "No cable", Severity: health.High, Text: "plug it in again", Since: begun},
			{Name: "note", Title: "Note", Severity: health.Low, Text: "something", Since: begun},
		}
		if diff := cmp.Diff(want, tracker.Conditions()); diff != "" {
			t.Error(diff)
		}
		tracker.Clear(cable)
		tracker.Clear(cable)
		if diff := cmp.Diff([]string{"no-time", "note"}, names(tracker)); diff != "" {
			t.Error(diff)
		}
		// It comes again, and is not shown at once again.
		tracker.Set(cable, "plug it in")
		if diff := cmp.Diff([]string{"note"}, names(tracker)); diff != "" {
			t.Error(diff)
		}
	})
}

// monitor runs one check and returns what Run returned within a time.
func monitor(t *testing.T, c health.Check, beat func(), d time.Duration) (error, *health.Tracker) {
	t.Helper()
	c.Kind = &health.Kind{Name: "storage", Title: "Storage does not work", Severity: health.High}
	c.Every, c.Limit = 10*time.Second, 5*time.Second
	m := &health.Monitor{
		Tracker: health.NewTracker(quiet()), Logger: quiet(), Checks: []health.Check{c}, Beat: beat, BeatEvery: 20 * time.Second,
	}
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()

	return m.Run(ctx), m.Tracker
}

func TestAHungCheckMakesTheProgramSickAndStopsTheWatchdog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls, beats atomic.Int32
		release := make(chan struct{})
		begun := time.Now()
		err, _ := monitor(t, health.Check{Run: func(context.Context) error {
			if calls.Add(1) == 4 { // at 30 s
				<-release
			}
			return nil
		}}, func() { beats.Add(1) }, time.Hour)
		var sick *health.SickError
		if !errors.As(err, &sick) || !strings.Contains(sick.Reason, "Storage does not work: no answer for 10s") {
			t.Errorf("error %v", err)
		}
		if after := time.Since(begun); after != 40*time.Second {
			t.Errorf("sick after %v, want 40s", after)
		}
		if beats.Load() != 2 {
			t.Errorf("%d beats, want those at 0 and 20 s", beats.Load())
		}
		close(release)
	})
}

func TestOnlyErrorsThatARestartMendsMakeTheProgramSick(t *testing.T) {
	broken := errors.New("broken")
	for _, tt := range []struct {
		name string
		err  func(call int32) error
		sick bool
		ill  bool
	}{
		{"a disk that fails", func(int32) error { return broken }, false, true},
		{"a listener that is deaf", func(int32) error { return health.Mendable(broken) }, true, true},
		{"a listener that is deaf at times", func(n int32) error {
			if n%3 == 0 {
				return nil
			}
			return health.Mendable(broken)
		}, false, true},
		{"all is well", func(int32) error { return health.Mendable(nil) }, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var calls atomic.Int32
				err, tracker := monitor(t, health.Check{Strikes: 3, Run: func(context.Context) error {
					return tt.err(calls.Add(1))
				}}, nil, 75*time.Second)
				if got := errors.As(err, new(*health.SickError)); got != tt.sick {
					t.Errorf("sick %v (%v), want %v", got, err, tt.sick)
				}
				if got := len(tracker.Conditions()) > 0; got != tt.ill {
					t.Errorf("conditions %v, want %v", tracker.Conditions(), tt.ill)
				}
			})
		})
	}
}

func TestConditionsOfAnotherProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "conditions.json")
		tracker := health.NewTracker(quiet())
		tracker.Set(&health.Kind{Name: "own", Title: "Own", Severity: health.Medium}, "ours")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			tracker.Follow(ctx, path)
		}()
		expect := func(want ...string) {
			t.Helper()
			time.Sleep(11 * time.Second)
			if diff := cmp.Diff(want, names(tracker)); diff != "" {
				t.Error(diff)
			}
		}
		expect("own")
		clock := health.Condition{Name: "clock-not-set", Title: "The clock is not set", Severity: health.High, Text: "wait", Since: time.Now()}
		odd := health.Condition{Name: "odd", Severity: "shattering"}
		if err := health.Publish(path, []health.Condition{clock, odd}); err != nil {
			t.Fatal(err)
		}
		expect("clock-not-set", "odd", "own")
		if got := tracker.Conditions(); !got[0].Since.Equal(clock.Since) || got[1].Severity != health.Medium {
			t.Errorf("conditions %+v", got)
		}
		// What cannot be read changes nothing.
		if err := os.WriteFile(path, []byte("[{"), 0o600); err != nil {
			t.Fatal(err)
		}
		expect("clock-not-set", "odd", "own")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		expect("own")
		cancel()
		<-done
	})
}
