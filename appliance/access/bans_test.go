package access_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/access"
)

// shelf is a BanStore in memory.
type shelf struct {
	mu     sync.Mutex
	kept   map[string]map[string][]byte
	writes int
	wrote  int // changes of the last write
	fail   error
}

func newShelf() *shelf { return &shelf{kept: map[string]map[string][]byte{}} }

func (s *shelf) Load(section string, f func(string, []byte) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, v := range s.kept[section] {
		if err := f(k, v); err != nil {
			return err
		}
	}
	return nil
}

func (s *shelf) Save(_ context.Context, changes []access.Change) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	s.writes, s.wrote = s.writes+1, len(changes)
	for _, c := range changes {
		if s.kept[c.Section] == nil {
			s.kept[c.Section] = map[string][]byte{}
		}
		if s.kept[c.Section][c.Key] = c.Value; c.Value == nil {
			delete(s.kept[c.Section], c.Key)
		}
	}
	return nil
}

func openBans(t testing.TB, s *shelf, now func() time.Time) *access.Bans {
	t.Helper()
	b, err := access.OpenBans(&access.BansConfig{Logger: slog.New(slog.DiscardHandler), Store: s, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func at(host string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]:40000"
	}
	return host + ":40000"
}

// guess fails a sign-in, unless it is refused unchecked.
func guess(b *access.Bans, from, account, credential string, unknown bool) {
	remote := addr(at(from))
	if !b.Connects(remote) {
		return
	}
	ban, refused := b.Refuses(remote, account)
	if refused && ban.Account == "" {
		return
	}
	b.Failed(&access.Attempt{Remote: remote, Account: account, Credential: credential, Unknown: unknown && !refused, Unchecked: refused})
}

// guesses guesses until the address is banned and returns how many it took;
// 0 if most did not suffice.
func guesses(b *access.Bans, from string, most int, account func(i int) string, unknown bool) int {
	for i := range most {
		guess(b, from, account(i), fmt.Sprint("guess", i), unknown)
		if !b.Connects(addr(at(from))) {
			return i + 1
		}
	}
	return 0
}

func anna(int) string         { return "anna" }
func somebody(i int) string   { return fmt.Sprint("staff", i%20) }
func dictionary(i int) string { return fmt.Sprint("name", i) }

func TestGuessersAreBanned(t *testing.T) {
	tests := []struct {
		name    string
		from    string
		account func(int) string
		unknown bool
		trusted bool
		want    int // tries; 0 means never
	}{
		{"many passwords for one account", "198.51.100.1", anna, false, false, 30},
		{"passwords for many accounts", "198.51.100.1", somebody, false, false, 30},
		{"a dictionary of names", "198.51.100.1", dictionary, true, false, 10},
		{"a dictionary of names by IPv6", "2001:db8::1", dictionary, true, false, 10},
		{"from the LAN it takes three times as much", "192.168.1.20", dictionary, true, false, 30},
		{"from the LAN by IPv6", "fe80::1234", somebody, false, false, 90},
		{"an office's address", "198.51.100.1", somebody, false, true, 0},
		{"one name that nobody has, from an office", "198.51.100.1", func(int) string { return "leaver" }, true, true, 0},
		{"a dictionary of names from an office", "198.51.100.1", dictionary, true, true, 20},
		{"loopback", "127.0.0.1", dictionary, true, false, 0},
		{"loopback by IPv6", "::1", dictionary, true, false, 0},
		{"loopback in IPv6's form", "::ffff:127.0.0.1", dictionary, true, false, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newClock()
			b := openBans(t, newShelf(), c.now)
			if tt.trusted {
				b.Passed(addr(at(tt.from)), "ben")
			}
			if got := guesses(b, tt.from, 500, tt.account, tt.unknown); got != tt.want {
				t.Errorf("banned after %d tries, want %d", got, tt.want)
			}
		})
	}
}

func TestOneAccountIsBannedForAnAddressBeforeTheAddressIs(t *testing.T) {
	c := newClock()
	b := openBans(t, newShelf(), c.now)
	const from = "198.51.100.1"
	for i := range 10 {
		if _, refused := b.Refuses(addr(at(from)), "anna"); refused {
			t.Fatalf("refused after %d tries", i)
		}
		guess(b, from, "anna", fmt.Sprint("guess", i), false)
	}
	if ban, refused := b.Refuses(addr(at(from)), "anna"); !refused || ban.Account != "anna" {
		t.Errorf("after 10 tries: %+v, %v", ban, refused)
	}
	if _, refused := b.Refuses(addr(at(from)), "ben"); refused {
		t.Error("another account is refused")
	}
	if _, refused := b.Refuses(addr(at("198.51.100.2")), "anna"); refused {
		t.Error("another address is refused")
	}
	if !b.Connects(addr(at(from))) {
		t.Error("the address may not connect")
	}
}

func TestAnEmptyNameBansNoAddress(t *testing.T) {
	for _, name := range []string{"", "\xff\xfe", "\x00"} {
		b := openBans(t, newShelf(), newClock().now)
		b.Passed(addr(at("198.51.100.1")), "anna")
		if n := guesses(b, "198.51.100.1", 200, func(int) string { return name }, true); n != 0 {
			t.Errorf("%q: an office is banned after %d tries", name, n)
		}
		if _, refused := b.Refuses(addr(at("198.51.100.1")), "ben"); refused {
			t.Errorf("%q: another account is refused", name)
		}
	}
}

func TestABanInAPrivateNetworkIsOfOneAddress(t *testing.T) {
	for from, neighbour := range map[string]string{
		"fe80::1": "fe80::2", "fd00:1:2:3::1": "fd00:1:2:3::2", "192.168.1.1": "192.168.1.2",
	} {
		b := openBans(t, newShelf(), newClock().now)
		if guesses(b, from, 100, dictionary, true) == 0 {
			t.Errorf("%s is not banned", from)
		}
		if !b.Connects(addr(at(neighbour))) {
			t.Errorf("%s is banned with %s", neighbour, from)
		}
		if _, err := b.Lift(t.Context(), netip.PrefixFrom(netip.MustParseAddr(from), netip.MustParseAddr(from).BitLen()), ""); err != nil {
			t.Error(err)
		}
	}
}

// TestAnUnknownNameIsRefusedAsLateAsAKnownOne keeps the refusal from telling
// which names exist.
func TestAnUnknownNameIsRefusedAsLateAsAKnownOne(t *testing.T) {
	for _, unknown := range []bool{false, true} {
		c := newClock()
		b := openBans(t, newShelf(), c.now)
		b.Passed(addr(at("198.51.100.1")), "ben") // so that the address is not banned before
		n := 0
		for ; n < 100; n++ {
			if _, refused := b.Refuses(addr(at("198.51.100.1")), "anna"); refused {
				break
			}
			guess(b, "198.51.100.1", "anna", fmt.Sprint("guess", n), unknown)
		}
		if n != 10 {
			t.Errorf("unknown %v: refused after %d tries", unknown, n)
		}
	}
}

// TestAStalePhoneHarmsNobody is an office of 50 behind one address, with some
// telephones that try old passwords every minute, all of a working week.
func TestAStalePhoneHarmsNobody(t *testing.T) {
	for _, office := range []string{"198.51.100.7", "192.168.1.1"} {
		c := newClock()
		b := openBans(t, newShelf(), c.now)
		for minute := range 5 * 24 * 60 {
			c.advance(time.Minute)
			for phone := range 5 {
				guess(b, office, fmt.Sprint("staff", phone), "last year's", false)
			}
			guess(b, office, "leaver", "last year's", true)
			if h := minute / 60 % 24; h >= 8 && h < 18 {
				b.Passed(addr(at(office)), fmt.Sprint("staff", minute%50))
				if minute%30 == 0 { // and people mistype
					guess(b, office, fmt.Sprint("staff", minute/30%50), fmt.Sprint("typo", minute), false)
				}
			}
			if !b.Connects(addr(at(office))) {
				t.Fatalf("%s is banned after %d minutes: %+v", office, minute, b.List())
			}
		}
		if list := b.List(); len(list) > 0 {
			t.Errorf("%+v", list)
		}
	}
}

func TestAStalePhoneAloneIsNotBannedEither(t *testing.T) {
	c := newClock()
	b := openBans(t, newShelf(), c.now)
	for range 10_000 {
		guess(b, "198.51.100.7", "anna", "last year's", false)
		c.advance(time.Second)
	}
	if list := b.List(); len(list) > 0 {
		t.Errorf("%+v", list)
	}
}

func TestSlowGuessesFade(t *testing.T) {
	c := newClock()
	b := openBans(t, newShelf(), c.now)
	for i := range 1000 {
		guess(b, "198.51.100.7", somebody(i), fmt.Sprint("guess", i), false)
		c.advance(10 * time.Minute)
	}
	if list := b.List(); len(list) > 0 {
		t.Errorf("%+v", list)
	}
}

func TestABanGrowsAndIsForgotten(t *testing.T) {
	tests := []struct {
		from string
		want []time.Duration
	}{
		{"198.51.100.1", []time.Duration{10 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour, 168 * time.Hour, 168 * time.Hour}},
		{"10.1.2.3", []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, time.Hour}},
	}
	for _, tt := range tests {
		t.Run(tt.from, func(t *testing.T) {
			c := newClock()
			b := openBans(t, newShelf(), c.now)
			n := 0
			again := func() access.Ban {
				t.Helper()
				if guesses(b, tt.from, 100, func(i int) string { n++; return dictionary(n) }, true) == 0 {
					t.Fatal("not banned")
				}
				return b.List()[0]
			}
			for i, want := range tt.want {
				ban := again()
				if got := ban.Until.Sub(ban.Since); got != want || ban.Times != i+1 {
					t.Errorf("ban %d: for %v, the %dth; want %v", i+1, got, ban.Times, want)
				}
				c.advance(want - time.Second)
				if b.Connects(addr(at(tt.from))) {
					t.Fatal("it ends too early")
				}
				c.advance(time.Second)
				if !b.Connects(addr(at(tt.from))) {
					t.Fatal("it does not end")
				}
			}
			steps := len(tt.want) - 1 // the last repeats the longest
			c.advance(2*7*24*time.Hour + time.Hour)
			ban := again()
			if got, want := ban.Until.Sub(ban.Since), tt.want[steps-2]; got != want {
				t.Errorf("after two quiet weeks: %v, want %v", got, want)
			}
			c.advance(60 * 7 * 24 * time.Hour)
			if ban = again(); ban.Until.Sub(ban.Since) != tt.want[0] {
				t.Errorf("after a quiet year: %v", ban.Until.Sub(ban.Since))
			}
		})
	}
}

func TestABanSaysWhatHappened(t *testing.T) {
	c := newClock()
	b := openBans(t, newShelf(), c.now)
	names := []string{"root", "admin", "test\x1b[2J", strings.Repeat("long", 100), "backup", "info", "root"}
	for i := range 10 {
		guess(b, "2001:db8:1:2::99", names[i%len(names)]+strings.Repeat("x", i/len(names)), fmt.Sprint("guess", i), true)
	}
	for range 7 {
		b.Connects(addr("[2001:db8:1:2::1]:1"))
	}
	want := []access.Ban{{
		Network: netip.MustParsePrefix("2001:db8:1:2::/64"), Reason: "too many failed sign-ins",
		Since: c.now(), Until: c.now().Add(10 * time.Minute), Times: 1, Attempts: 10,
		Tried: []string{"test\uFFFD[2Jx", "adminx", "rootx", "root", "info"}, Refused: 7,
	}}
	if diff := cmp.Diff(want, b.List(), cmp.Comparer(func(x, y netip.Prefix) bool { return x == y })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestARestartKeepsBansAllowListAndMemory(t *testing.T) {
	c := newClock()
	s := newShelf()
	b := openBans(t, s, c.now)
	ctx := t.Context()
	if _, err := b.Allow(ctx, netip.MustParsePrefix("203.0.113.0/24"), "the branch"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Add(ctx, netip.MustParsePrefix("192.0.2.0/24"), "", "spam", time.Hour); err != nil {
		t.Fatal(err)
	}
	guesses(b, "198.51.100.1", 100, dictionary, true)
	for i := range 10 {
		guess(b, "198.51.100.2", "anna", fmt.Sprint("guess", i), false)
	}
	run, stop := context.WithCancel(ctx)
	stop()
	if err := b.Run(run); err != nil {
		t.Fatal(err)
	}
	again := openBans(t, s, c.now)
	if diff := cmp.Diff(fmt.Sprint(b.List(), b.AllowList()), fmt.Sprint(again.List(), again.AllowList())); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
	if len(again.List()) != 3 || again.Connects(addr("192.0.2.9:1")) || !again.Connects(addr("203.0.113.9:1")) {
		t.Errorf("%+v", again.List())
	}
	if _, err := again.Lift(ctx, prefix("192.0.2.0/24"), ""); err != nil {
		t.Fatal(err)
	}
	if !openBans(t, s, c.now).Connects(addr("192.0.2.9:1")) {
		t.Error("a ban from before a restart comes back after it was lifted")
	}
	c.advance(20 * time.Minute)
	guesses(again, "198.51.100.1", 100, func(i int) string { return "other" + dictionary(i) }, true)
	if ban := again.List()[0]; ban.Until.Sub(ban.Since) != time.Hour || ban.Times != 2 {
		t.Errorf("the next ban: %+v", ban)
	}
}

func TestWhatIsOverIsNotKept(t *testing.T) {
	c := newClock()
	s := newShelf()
	b := openBans(t, s, c.now)
	guesses(b, "198.51.100.1", 100, dictionary, true)
	c.advance(30 * 24 * time.Hour)
	if _, err := b.Allow(t.Context(), netip.MustParsePrefix("203.0.113.0/24"), ""); err != nil {
		t.Fatal(err)
	}
	if n := len(s.kept["access/bans"]); n != 0 {
		t.Errorf("%d bans are kept", n)
	}
}

func TestAWriteThatFailsIsToldAndRepeated(t *testing.T) {
	c := newClock()
	s := newShelf()
	b := openBans(t, s, c.now)
	s.fail = errors.New("the disk is full")
	if _, err := b.Allow(t.Context(), netip.MustParsePrefix("203.0.113.0/24"), ""); !errors.Is(err, s.fail) {
		t.Errorf("Allow: %v", err)
	}
	if _, err := b.Add(t.Context(), netip.MustParsePrefix("192.0.2.0/24"), "", "", time.Hour); !errors.Is(err, s.fail) {
		t.Errorf("Add: %v", err)
	}
	s.fail = nil
	if _, err := b.Lift(t.Context(), netip.MustParsePrefix("192.0.2.0/24"), ""); err != nil {
		t.Errorf("Lift: %v", err)
	}
	if again := openBans(t, s, c.now); len(again.AllowList()) != 1 || len(again.List()) != 0 {
		t.Errorf("after a restart: %+v, %+v", again.AllowList(), again.List())
	}
}

func TestWhatIsDamagedOrNewer(t *testing.T) {
	s := newShelf()
	s.kept["access/bans"] = map[string][]byte{"192.0.2.1/32 ": []byte("{"), "x": []byte(`{"network":"192.0.2.2/32"}`), "y": []byte(`{}`)}
	s.kept["access/allowed"] = map[string][]byte{"10.0.0.0/8": []byte("nonsense"), "z": []byte(`{"network":"10.0.0.0/8"}`)}
	b := openBans(t, s, newClock().now)
	if len(b.List()) != 0 || len(b.AllowList()) != 0 {
		t.Errorf("%+v, %+v", b.List(), b.AllowList())
	}
	s.kept["access"] = map[string][]byte{"format": []byte("2")}
	_, err := access.OpenBans(&access.BansConfig{Logger: slog.New(slog.DiscardHandler), Store: s})
	if !errors.Is(err, access.ErrFormat) {
		t.Errorf("a newer format: %v", err)
	}
}

// TestAFloodOfBansIsBounded is one that comes while the disk is full.
func TestAFloodOfBansIsBounded(t *testing.T) {
	c := newClock()
	s := newShelf()
	b := openBans(t, s, c.now)
	manual := netip.MustParsePrefix("203.0.113.0/24")
	if _, err := b.Add(t.Context(), manual, "", "", 20*time.Minute); err != nil {
		t.Fatal(err)
	}
	s.fail = errors.New("the disk is full")
	for i := range 12_000 {
		for j := range 10 {
			guess(b, fmt.Sprintf("11.0.%d.%d", i>>8, i&255), dictionary(j), "x", true)
		}
		c.advance(time.Millisecond)
		if i%4000 == 0 {
			if _, err := b.Allow(t.Context(), prefix("10.0.0.0/8"), ""); !errors.Is(err, s.fail) {
				t.Errorf("a full disk: %v", err)
			}
		}
	}
	s.fail = nil
	if _, err := b.Allow(t.Context(), prefix("10.0.0.0/8"), ""); err != nil {
		t.Fatal(err)
	}
	if s.wrote > 8192+10 {
		t.Errorf("%d changes were held until they could be written", s.wrote)
	}
	if n := len(s.kept["access/bans"]); n != b.Count() {
		t.Errorf("%d are kept of %d", n, b.Count())
	}
	if n := b.Count(); n > 8192 || n < 7000 {
		t.Errorf("%d bans", n)
	}
	if b.Connects(addr("203.0.113.1:1")) {
		t.Error("the administrator's ban is gone")
	}
}
