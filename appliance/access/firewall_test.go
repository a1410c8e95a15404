package access_test

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pillarbox/appliance/access"
)

// wall is a firewall that can lose its memory and go away.
type wall struct {
	mu    sync.Mutex
	until map[netip.Prefix]time.Time
	told  int
	gone  bool
	locks func() // fails if a lock of the caller is held
}

func (w *wall) Ban(_ context.Context, p netip.Prefix, d time.Duration) error {
	return w.act(func() { w.until[p] = time.Now().Add(d) })
}

func (w *wall) Unban(_ context.Context, p netip.Prefix) error {
	return w.act(func() { delete(w.until, p) })
}

func (w *wall) act(f func()) error {
	w.locks()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told++
	if w.gone {
		return errors.New("nobody answers")
	}
	f()
	return nil
}

func (w *wall) holds(s string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Before(w.until[netip.MustParsePrefix(s)])
}

func (w *wall) asked() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.told
}

// restart begins anew, with or without an answer to who asks.
func (w *wall) restart(gone bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.until, w.gone = map[netip.Prefix]time.Time{}, gone
}

func TestTheFirewallIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wall{until: map[netip.Prefix]time.Time{}}
		b, err := access.OpenBans(&access.BansConfig{Logger: slog.New(slog.DiscardHandler), Store: newShelf(), Firewall: w})
		if err != nil {
			t.Fatal(err)
		}
		w.locks = func() { b.Count() } // hangs, which synctest tells, if a lock is held
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- b.Run(ctx) }()
		step := func(what string, want map[string]bool) {
			t.Helper()
			synctest.Wait()
			for s, holds := range want {
				if w.holds(s) != holds {
					t.Errorf("%s: the firewall holds %s: %v", what, s, !holds)
				}
			}
		}
		const bad, net, office, local = "198.51.100.1/32", "2001:db8:1::/64", "2001:db8:2::/64", "2001:db8:2::5/128"
		check := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		add := func(s string, d time.Duration) { _, err := b.Add(ctx, prefix(s), "", "", d); check(err) }

		guesses(b, "198.51.100.1", 100, dictionary, true)
		for i := range 10 {
			guess(b, "198.51.100.2", "anna", string(rune('a'+i)), false)
		}
		add(net, 24*time.Hour)
		add("192.0.2.0/24", 24*time.Hour)
		add("fd00::1/128", 24*time.Hour) // its /64 would be the whole office
		add("fe80::/64", 24*time.Hour)
		step("after a ban", map[string]bool{
			bad: true, net: true, "198.51.100.2/32": false, "192.0.2.0/24": true, "fd00::1/128": false, "fd00::/64": false, "fe80::/64": false,
		})

		b.Exempt(netip.MustParseAddr("2001:db8:1::99"), 20*time.Minute)
		step("the administrator is in it", map[string]bool{bad: true, net: false})
		if b.Connects(addr("[2001:db8:1::98]:1")) {
			t.Error("a neighbour of the administrator may connect")
		}
		time.Sleep(26 * time.Minute) // the automatic ban has ended meanwhile
		step("the administrator has left", map[string]bool{bad: false, net: true})
		time.Sleep(20 * time.Hour)
		step("a long ban is renewed", map[string]bool{net: true})

		w.restart(false)
		time.Sleep(6 * time.Minute)
		step("it began anew", map[string]bool{net: true})
		w.restart(true)
		add(office, 24*time.Hour)
		_, err = b.Lift(ctx, prefix(net), "")
		check(err)
		time.Sleep(10 * time.Minute)
		before := w.asked()
		time.Sleep(10 * time.Minute)
		if n := w.asked() - before; n < 5 || n > 30 {
			t.Errorf("it was asked %d times in ten minutes in which it was gone", n)
		}
		w.restart(false)
		if err := w.Ban(ctx, prefix(net), time.Hour); err != nil { // left over
			t.Error(err)
		}
		time.Sleep(time.Minute + time.Second)
		step("it came back", map[string]bool{net: false, office: true})

		_, err = b.Allow(ctx, prefix(local), "")
		check(err)
		step("somebody in it is allowed", map[string]bool{office: false})
		check(b.Disallow(ctx, prefix(local)))
		step("and no longer", map[string]bool{office: true})
		w.restart(false)
		b.Resync()
		step("it is said that it began anew", map[string]bool{office: true})
		stop()
		check(<-done)
	})
}

func TestWhatTheBoxBansIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []access.Ban
		s := newShelf()
		b, err := access.OpenBans(&access.BansConfig{
			Logger: slog.New(slog.DiscardHandler), Store: s,
			Banned: func(_ context.Context, ban access.Ban) { told = append(told, ban) },
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- b.Run(ctx) }()
		for i := range 30 {
			guesses(b, netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}).String(), 100, dictionary, true)
			time.Sleep(time.Second)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(told) != 30 {
			t.Errorf("told of %d bans", len(told))
		}
		if s.writes < 1 || s.writes > 2 {
			t.Errorf("%d writes for 30 bans in half a minute", s.writes)
		}
		if n := len(s.kept["access/bans"]); n != 30 {
			t.Errorf("%d are kept", n)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
