package config_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pillarbox/appliance/config"
	"pillarbox/netcfg/policy"
)

// TestAPowerCutAtAnyMomentLeavesWhatWasConfirmed cuts it before and behind each
// write and each thing that an Applier does, and starts the box anew.
func TestAPowerCutAtAnyMomentLeavesWhatWasConfirmed(t *testing.T) {
	cuts := 0
	for whole := false; !whole; cuts++ {
		if cuts == 100 {
			t.Fatal("there is no end of moments")
		}
		synctest.Test(t, func(t *testing.T) {
			b := newBox(t)
			defer func() { b.stop() }()
			b.power.lasts = b.power.passed + cuts + 1
			confirmed := false
			p, _, err := b.Propose(t.Context(), &config.Proposal{Document: document(120), By: "anna"})
			if err == nil {
				time.Sleep(time.Second)
				_, err = b.Confirm(t.Context(), p.ID, now())
				confirmed = err == nil
			}
			whole = b.power.passed < b.power.lasts
			b.stop()
			b.power.lasts = 0
			b.world.restart()
			b.other.restart()
			b.start()
			switch version := b.Current().Number; {
			case version == 2:
				// It was on the disk, although perhaps nobody was told.
				b.holds(120, 2)
			case confirmed:
				t.Errorf("after %d moments: a confirmed change is lost", cuts)
			default:
				b.holds(90, 1)
			}
			if b.Pending() != nil || len(b.Problems()) > 0 {
				t.Errorf("after %d moments: still pending: %+v, problems %v", cuts, b.Pending(), b.Problems())
			}
		})
	}
	if cuts < 12 {
		t.Errorf("only %d moments: the test misses some", cuts)
	}
}

func TestOfProposalsAtOnceOneIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t)
		defer func() { b.stop() }()
		var all sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			all.Go(func() {
				_, _, errs[i] = b.Propose(t.Context(), &config.Proposal{Document: document(100 + i), By: fmt.Sprint("admin ", i)})
			})
		}
		all.Wait()
		taken := slices.Index(errs, nil)
		b.holds(100+taken, 1)
		for i, err := range errs {
			var pending *config.PendingError
			if i != taken && (!errors.As(err, &pending) || !strings.Contains(err.Error(), fmt.Sprintf("by admin %d (seconds to confirm a change)", taken)) ||
				!strings.Contains(err.Error(), "for another 1m30s")) {
				t.Errorf("proposal %d: %v", i, err)
			}
		}
	})
}

func TestWhatHasTakenItselfBackCannotBeConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t)
		defer func() { b.stop() }()
		p := b.propose(120)
		b.world.restart() // as the network's process does when it crashes
		time.Sleep(time.Second)
		if _, err := b.Confirm(t.Context(), p.ID, now()); !errors.Is(err, config.ErrGone) {
			t.Errorf("confirmed: %v", err)
		}
		b.holds(90, 1)
		if b.Pending() != nil {
			t.Error("it is still pending")
		}
		p = b.propose(120)
		b.world.mu.Lock()
		b.world.away = errors.New("it restarts")
		b.world.mu.Unlock()
		time.Sleep(time.Second)
		if _, err := b.Confirm(t.Context(), p.ID, now()); !errors.Is(err, config.ErrUnsure) || b.Pending() == nil {
			t.Errorf("confirmed although nobody knows whether it holds: %v", err)
		}
	})
}

func TestAnApplierThatIsAwayIsToldLater(t *testing.T) {
	back := func(b *box, w *world) {
		w.mu.Lock()
		w.away, w.leaves, w.holds = nil, false, document(90)
		w.mu.Unlock()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if len(b.Problems()) != 0 {
			b.t.Errorf("problems: %v", b.Problems())
		}
	}
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t)
		defer func() { b.stop() }()
		p := b.propose(120)
		time.Sleep(time.Second)
		b.other.leaves = true
		if _, err := b.Confirm(t.Context(), p.ID, now()); err != nil {
			t.Fatal(err)
		}
		if len(b.Problems()) != 1 {
			t.Errorf("problems: %v", b.Problems())
		}
		back(b, b.other)
		b.holds(120, 2)

		b.stop()
		b.other.away = errors.New("it does not start")
		b.start()
		back(b, b.other)
		b.holds(120, 2)
	})
}

func TestADiskThatIsFullIsTriedAgainWithPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t)
		defer func() { b.stop() }()
		b.propose(120)
		b.disk.mu.Lock()
		b.disk.full, b.disk.saves = true, 0
		b.disk.mu.Unlock()
		time.Sleep(150 * time.Second)
		synctest.Wait()
		if b.Pending() == nil || b.disk.saves < 5 || b.disk.saves > 15 {
			t.Errorf("in a minute it was tried %d times, pending %v", b.disk.saves, b.Pending())
		}
		b.holds(90, 1)
		b.disk.mu.Lock()
		b.disk.full = false
		b.disk.mu.Unlock()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if b.Pending() != nil {
			t.Error("it is still pending")
		}
	})
}

func TestAFileOnTheDiskIsTheWayBackIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t)
		defer func() { b.stop() }()
		b.propose(120)
		b.stop()
		d := document(200)
		b.world.newer, b.world.mark = &d, "first"
		b.start()
		b.holds(200, 2)
		if v := b.Current(); v.By != "a file" || b.Pending() != nil {
			t.Errorf("by %q, pending %v", v.By, b.Pending())
		}

		// It is taken once.
		p := b.propose(120)
		time.Sleep(time.Second)
		if _, err := b.Confirm(t.Context(), p.ID, now()); err != nil {
			t.Fatal(err)
		}
		b.stop()
		b.start()
		b.holds(120, 3)
		b.stop()

		// One that is found only later must not have been overwritten until then.
		d = document(250)
		b.world.mark, b.world.away, b.world.said = "second", errors.New("it does not start"), nil
		b.start()
		time.Sleep(time.Minute)
		b.world.mu.Lock()
		b.world.away = nil
		b.world.mu.Unlock()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		b.holds(250, 4)
		if !slices.Equal(b.world.said, []string{"hold"}) {
			t.Errorf("the world was told %q", b.world.said)
		}
	})
}

func TestAfterAFactoryResetTheSettingsAreAsNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t)
		defer func() { b.stop() }()
		d := document(200)
		b.world.newer, b.world.mark = &d, "first"
		b.stop()
		b.start()
		p := b.propose(120)
		time.Sleep(time.Second)
		if _, err := b.Confirm(t.Context(), p.ID, now()); err != nil {
			t.Fatal(err)
		}
		b.world.newer = nil // the file is gone
		if err := b.Renew(t.Context(), "the factory reset"); err != nil {
			t.Fatal(err)
		}
		b.stop()
		b.start()
		b.holds(90, 4)
		b.stop()
		b.world.newer = &d // and comes again
		b.start()
		b.holds(200, 5)
	})
}

// weekend has changes wait for the night to Monday.
func (b *box) weekend() *config.Document {
	d := document(120)
	d.Changes.Window = &config.Window{Days: []string{"sun"}, From: "22:00", To: "02:00"}
	p, _, err := b.Propose(b.t.Context(), &config.Proposal{Document: d, By: "anna"})
	if err != nil {
		b.t.Fatal(err)
	}
	time.Sleep(time.Second)
	if _, err := b.Confirm(b.t.Context(), p.ID, now()); err != nil {
		b.t.Fatal(err)
	}
	d.Changes.ConfirmWithin = 150
	if p, _, err = b.Propose(b.t.Context(), &config.Proposal{Document: d, By: "anna"}); err != nil || p.State != config.Waiting {
		b.t.Fatalf("%+v, %v", p, err)
	}
	return &d
}

func TestAWindowThatWasMissedIsNotTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t) // 2000-01-01 00:00 UTC, a Saturday
		defer func() { b.stop() }()
		b.weekend()
		b.stop()
		time.Sleep(60 * time.Hour) // Monday noon
		b.start()
		time.Sleep(time.Minute)
		synctest.Wait()
		b.holds(120, 2)
		if p := b.Pending(); p == nil || p.Begins.Format(time.DateTime) != "2000-01-09 22:00:00" {
			t.Errorf("pending: %+v", p)
		}
	})
}

func TestAChangeThatWaitsGivesWay(t *testing.T) {
	gone := func(b *box, what string) {
		b.t.Helper()
		if b.Pending() != nil || !strings.HasPrefix(b.events[len(b.events)-1], "reverted by the box "+what) {
			b.t.Errorf("pending %v, recorded %q", b.Pending(), b.events)
		}
	}
	t.Run("to a file on the disk", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBox(t)
			defer func() { b.stop() }()
			b.weekend()
			b.stop()
			d := document(200)
			b.world.newer, b.world.mark = &d, "first"
			b.start()
			gone(b, "another configuration")
			b.holds(200, 3)
		})
	})
	t.Run("when it does not fit any more", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBox(t)
			defer func() { b.stop() }()
			b.weekend()
			b.other.mu.Lock()
			b.other.refuses = errors.New("the interface is gone")
			b.other.mu.Unlock()
			time.Sleep(50 * time.Hour)
			synctest.Wait()
			gone(b, "when its time came: other: the interface is gone")
			b.holds(120, 2)
		})
	})
}

func TestOnlySoManyVersionsAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t)
		defer func() { b.stop() }()
		for i := range 205 {
			d := document(100 + i)
			b.world.newer, b.world.mark = &d, fmt.Sprint(i)
			if err := b.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		check := func() {
			t.Helper()
			all := b.Versions()
			if len(all) != 200 || all[0].Number != 206 || all[199].Number != 7 {
				t.Errorf("%d versions, from %d to %d", len(all), all[len(all)-1].Number, all[0].Number)
			}
		}
		check()
		b.stop()
		b.start()
		check()

		// Large ones leave room for fewer.
		for i := range 200 {
			d := document(100 + i)
			for service, r := range d.Firewall.Services {
				r.From = policy.Networks
				for n := range 250 {
					r.Networks = append(r.Networks, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), byte(n), 0}), 24))
				}
				d.Firewall.Services[service] = r
			}
			b.world.newer, b.world.mark = &d, fmt.Sprint("large ", i)
			if err := b.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(b.Versions()); n < 50 || n > 190 || b.Current().Number != 406 {
			t.Errorf("%d large versions are kept, the newest is %d", n, b.Current().Number)
		}
	})
}
