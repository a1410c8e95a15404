package access_test

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"pillarbox/appliance/access"
)

// clock is a clock that a test moves.
type clock struct{ t time.Time }

func newClock() *clock { return &clock{time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time          { return c.t }
func (c *clock) advance(d time.Duration) { c.t = c.t.Add(d) }

func addr(s string) net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(s))
}

// attempt tries a log-in whose outcome is known and returns its delay.
func attempt(t *access.Throttle, c *clock, from net.Addr, account, credential string, right bool) (time.Duration, bool) {
	d, ok := t.Delay(from, account, credential)
	if !ok {
		return d, false
	}
	c.advance(d)
	if right {
		t.OK(from, account, credential)
	} else {
		t.Failed(from, account, credential)
	}
	return d, true
}

var office = addr("192.0.2.7:1234")

func TestStalePasswordDoesNotSlowTheOffice(t *testing.T) {
	c := newClock()
	th := access.NewThrottle(&access.ThrottleConfig{Now: c.now})
	slowed := false
	for range 1000 {
		d, _ := attempt(th, c, office, "anna", "stale", false)
		slowed = slowed || d > 0
		c.advance(time.Second)
	}
	if !slowed {
		t.Error("the phone with the stale password was never slowed down")
	}
	for _, who := range []string{"anna", "ben"} {
		if d, ok := th.Delay(office, who, "right"); d != 0 || !ok {
			t.Errorf("%s with the right password waits %v (%v)", who, d, ok)
		}
	}
}

func TestGuessingIsSlowedDown(t *testing.T) {
	tests := []struct {
		name    string
		account func(i int) string
		free    int
	}{
		{"many passwords for one account", func(int) string { return "anna" }, 4},
		{"one password each for many accounts", func(i int) string { return fmt.Sprint("user", i) }, 20},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newClock()
			th := access.NewThrottle(&access.ThrottleConfig{Now: c.now})
			start := c.now()
			for i := range 100 {
				d, ok := attempt(th, c, office, tt.account(i), fmt.Sprint("guess", i), false)
				if !ok {
					t.Fatalf("attempt %d was refused though it came alone", i)
				}
				if (d > 0) != (i > tt.free) {
					t.Fatalf("attempt %d waited %v; %d are free", i, d, tt.free)
				}
			}
			if took := c.now().Sub(start); took < 10*time.Minute {
				t.Errorf("100 guesses took %v only", took)
			}
			if d, _ := th.Delay(addr("198.51.100.1:5"), "anna", "x"); d != 0 {
				t.Errorf("another address waits %v", d)
			}
			c.advance(3 * time.Hour)
			if d, ok := th.Delay(office, "anna", "other"); d != 0 || !ok {
				t.Errorf("after three hours: %v, %v", d, ok)
			}
		})
	}
}

func TestParallelGuessesTakeTurns(t *testing.T) {
	c := newClock()
	th := access.NewThrottle(&access.ThrottleConfig{Now: c.now})
	for i := range 12 {
		attempt(th, c, office, "anna", fmt.Sprint("guess", i), false)
	}
	refused := 0
	for i := range 100 {
		if _, ok := th.Delay(office, "anna", fmt.Sprint("more", i)); !ok {
			refused++
		}
	}
	if refused < 97 {
		t.Errorf("%d of 100 parallel guesses were refused", refused)
	}
}

func TestKnownGoodCredentialIsNotSlowed(t *testing.T) {
	c := newClock()
	th := access.NewThrottle(&access.ThrottleConfig{Now: c.now})
	attempt(th, c, office, "anna", "right", true)
	for i := range 60 {
		attempt(th, c, office, "anna", fmt.Sprint("guess", i), false)
	}
	if d, ok := th.Delay(office, "anna", "right"); d != 0 || !ok {
		t.Errorf("the right password waits %v (%v)", d, ok)
	}
	if d, _ := th.Delay(office, "anna", "next guess"); d == 0 {
		t.Error("a guess does not wait")
	}
	// Once it is refused it is a password like any other.
	th.Failed(office, "anna", "right")
	if d, _ := th.Delay(office, "anna", "right"); d == 0 {
		t.Error("the password that is right no longer does not wait")
	}
}

func TestTypingErrorsAreForgottenOnSuccess(t *testing.T) {
	c := newClock()
	th := access.NewThrottle(&access.ThrottleConfig{Now: c.now})
	for i := range 4 {
		attempt(th, c, office, "anna", fmt.Sprint("typo", i), false)
	}
	attempt(th, c, office, "anna", "right", true)
	if d, _ := attempt(th, c, office, "anna", "typo again", false); d != 0 {
		t.Errorf("a typing error after a success waits %v", d)
	}
}

func TestThrottleCountsIPv6ByNetwork(t *testing.T) {
	c := newClock()
	th := access.NewThrottle(&access.ThrottleConfig{Now: c.now})
	for i := range 30 {
		attempt(th, c, addr(fmt.Sprintf("[2001:db8:1:2::%x]:99", i+1)), "anna", fmt.Sprint("guess", i), false)
	}
	if d, _ := th.Delay(addr("[2001:db8:1:2:ffff::1]:99"), "anna", "x"); d == 0 {
		t.Error("another address of the /64 does not wait")
	}
	if d, _ := th.Delay(addr("[2001:db8:1:3::1]:99"), "anna", "x"); d != 0 {
		t.Errorf("another /64 waits %v", d)
	}
}

func TestThrottleMemoryIsBounded(t *testing.T) {
	c := newClock()
	th := access.NewThrottle(&access.ThrottleConfig{Now: c.now})
	for i := range 20_000 {
		th.Failed(addr(fmt.Sprintf("10.%d.%d.%d:1", i>>16, i>>8&255, i&255)), "anna", "x")
	}
	if got := th.Len(); got > 16_384 {
		t.Errorf("%d counters are held", got)
	}
}

func TestGuessesFromEverywhereSlowOnlyStrangers(t *testing.T) {
	c := newClock()
	th := access.NewThrottle(&access.ThrottleConfig{Now: c.now})
	attempt(th, c, office, "anna", "right", true)
	for i := range 200 {
		th.Failed(addr(fmt.Sprintf("198.51.100.%d:1", i)), "anna", fmt.Sprint("guess", i))
	}
	if d, _ := th.Delay(office, "anna", "right"); d != 0 {
		t.Errorf("the known device waits %v", d)
	}
	if d, _ := th.Delay(office, "anna", "right as well"); d != 0 {
		t.Errorf("a new device beside it waits %v", d)
	}
	if d, _ := th.Delay(addr("192.0.2.99:1"), "ben", "x"); d != 0 {
		t.Errorf("another account waits %v", d)
	}
	for i := range 4 {
		d, ok := th.Delay(addr(fmt.Sprintf("203.0.113.%d:1", i)), "anna", "x")
		if want := time.Duration(i) * 3 * time.Second; d != want || !ok {
			t.Errorf("stranger %d waits %v (%v), want %v", i, d, ok, want)
		}
	}
	c.advance(3 * time.Hour)
	if d, _ := th.Delay(addr("203.0.113.200:1"), "anna", "x"); d != 0 {
		t.Errorf("after three hours a stranger waits %v", d)
	}
}

// TestAScanDoesNotPushOutWhoIsKnown is a scan from more addresses than are
// counted, while somebody reads mail.
func TestAScanDoesNotPushOutWhoIsKnown(t *testing.T) {
	c := newClock()
	th := access.NewThrottle(&access.ThrottleConfig{Now: c.now})
	attempt(th, c, office, "anna", "right", true)
	for i := range 50_000 {
		th.Failed(addr(fmt.Sprintf("10.%d.%d.%d:1", i>>16, i>>8&255, i&255)), "anna", "x")
	}
	if !th.Known(office, "anna", "right") {
		t.Error("the right password is not known any more")
	}
	if th.Known(office, "anna", "wrong") || th.Known(addr("192.0.2.99:1"), "anna", "right") {
		t.Error("what was never right is known")
	}
}

func TestLogInsToOneAccountAreBounded(t *testing.T) {
	c := newClock()
	th := access.NewThrottle(&access.ThrottleConfig{Now: c.now})
	count := func(from string, n int) (may int) {
		for range n {
			if th.OK(addr(from), "anna", "right") {
				may++
			}
		}
		return may
	}
	if n := count("192.0.2.7:1", 150) + count("192.0.2.8:1", 150); n != 200 {
		t.Errorf("%d log-ins at once, want 200", n)
	}
	if !th.OK(office, "ben", "right") {
		t.Error("another account is bounded with it")
	}
	if n := count("127.0.0.1:1", 300); n != 300 {
		t.Errorf("%d of 300 log-ins from this machine", n)
	}
	c.advance(10 * time.Second)
	if n := count("192.0.2.7:1", 300); n != 50 {
		t.Errorf("%d log-ins after ten seconds, want 50", n)
	}
}

// TestUnseenCredentials: a telephone that repeats a stale password is not taken
// for one that guesses, unless it goes on for long.
func TestUnseenCredentials(t *testing.T) {
	th := access.NewThrottle(nil)
	here := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}
	there := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 1}
	seen := map[string]int{}
	for range 160 {
		seen[th.Unseen(here, "anna")]++
	}
	if len(seen) != 10 {
		t.Errorf("160 failures count as %d", len(seen))
	}
	for name, n := range seen {
		if n != 16 {
			t.Errorf("%q stands for %d", name, n)
		}
	}
	if th.Unseen(there, "anna") != th.Unseen(here, "ben") {
		t.Error("they are not counted by account and address")
	}
}
