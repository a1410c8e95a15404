package access_test

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"pillarbox/appliance/access"
)

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func TestAnAdministratorBans(t *testing.T) {
	tests := []struct {
		network, account string
		d                time.Duration
		want             string // the network; or the error
		err              error
	}{
		{"192.0.2.7/32", "", time.Hour, "192.0.2.7/32", nil},
		{"192.0.2.7/24", "", time.Hour, "192.0.2.0/24", nil},
		{"2001:db8::7/128", "", time.Hour, "2001:db8::/64", nil},
		{"2001:db8::7/128", "anna@office.example", time.Hour, "2001:db8::/64", nil},
		{"192.0.2.0/24", "anna@office.example", time.Hour, "", access.ErrBanWide},
		{"0.0.0.0/0", "", time.Hour, "", access.ErrBanWide},
		{"2001::/15", "", time.Hour, "", access.ErrBanWide},
		{"127.0.0.1/32", "", time.Hour, "", access.ErrSpared},
		{"::1/128", "", time.Hour, "", access.ErrSpared},
		{"203.0.113.9/32", "", time.Hour, "", access.ErrSpared}, // on the allow-list
		{"224.0.0.1/32", "", time.Hour, "", access.ErrSpared},
		{"0.0.0.0/8", "", time.Hour, "", access.ErrSpared},
		{"198.51.100.77/32", "", time.Hour, "", access.ErrSpared},
		{"192.0.2.7/32", "", 0, "", access.ErrBanTime},
		{"192.0.2.7/32", "", -time.Hour, "", access.ErrBanTime},
		{"192.0.2.7/32", "", 11 * 365 * 24 * time.Hour, "", access.ErrBanTime},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.network, tt.account, tt.d), func(t *testing.T) {
			c := newClock()
			b := openBans(t, newShelf(), c.now)
			if _, err := b.Allow(t.Context(), prefix("203.0.113.0/24"), ""); err != nil {
				t.Fatal(err)
			}
			b.Exempt(netip.MustParseAddr("198.51.100.77"), time.Hour)
			ban, err := b.Add(t.Context(), prefix(tt.network), tt.account, "spam", tt.d)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if err != nil {
				if list := b.List(); len(list) > 0 {
					t.Errorf("banned nevertheless: %+v", list)
				}
				return
			}
			if ban.Network.String() != tt.want || ban.Account != tt.account || !ban.Manual || ban.Until.Sub(ban.Since) != tt.d {
				t.Errorf("%+v", ban)
			}
			remote := addr(at(ban.Network.Addr().Next().Prev().String()))
			if _, refused := b.Refuses(remote, "anna@office.example"); !refused {
				t.Error("a sign-in is not refused")
			}
			if got := b.Connects(remote); got != (tt.account != "") {
				t.Errorf("it connects: %v", got)
			}
		})
	}
}

func TestAnAdministratorLifts(t *testing.T) {
	c := newClock()
	b := openBans(t, newShelf(), c.now)
	ctx := t.Context()
	if _, err := b.Lift(ctx, prefix("192.0.2.7/32"), ""); !errors.Is(err, access.ErrNotBanned) {
		t.Errorf("nothing is banned: %v", err)
	}
	for _, account := range []string{"", "anna", "ben"} {
		if _, err := b.Add(ctx, prefix("192.0.2.7/32"), account, "", time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	if lifted, err := b.Lift(ctx, prefix("192.0.2.7/32"), "anna"); err != nil || len(lifted) != 1 || lifted[0].Account != "anna" {
		t.Errorf("anna's: %+v, %v", lifted, err)
	}
	if lifted, err := b.Lift(ctx, prefix("192.0.2.7/32"), ""); err != nil || len(lifted) != 2 {
		t.Errorf("the others: %+v, %v", lifted, err)
	}
	if !b.Connects(addr("192.0.2.7:1")) || b.Count() != 0 {
		t.Error("it is banned still")
	}
	if _, err := b.Add(ctx, prefix("192.0.2.0/24"), "", "", time.Hour); err != nil {
		t.Fatal(err)
	}
	_, err := b.Lift(ctx, prefix("192.0.2.7/32"), "")
	if want := "192.0.2.7/32 is not banned by itself; 192.0.2.0/24, to which it belongs, is"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestLiftingForgetsWhatWasBefore(t *testing.T) {
	c := newClock()
	b := openBans(t, newShelf(), c.now)
	guesses(b, "198.51.100.1", 100, dictionary, true)
	if _, err := b.Lift(t.Context(), prefix("198.51.100.1/32"), ""); err != nil {
		t.Fatal(err)
	}
	if n := guesses(b, "198.51.100.1", 100, dictionary, true); n != 10 {
		t.Errorf("banned again after %d tries, want 10", n)
	}
	if ban := b.List()[0]; ban.Times != 1 || ban.Until.Sub(ban.Since) != 10*time.Minute {
		t.Errorf("%+v", ban)
	}
}

func TestTheAllowList(t *testing.T) {
	c := newClock()
	b := openBans(t, newShelf(), c.now)
	ctx := t.Context()
	guesses(b, "198.51.100.1", 100, dictionary, true)
	if _, err := b.Allow(ctx, prefix("198.51.100.1/25"), "the branch\x1b"); err != nil {
		t.Fatal(err)
	}
	if list := b.AllowList(); len(list) != 1 || list[0].Network.String() != "198.51.100.0/25" || list[0].Note != "the branch\uFFFD" {
		t.Errorf("%+v", list)
	}
	if !b.Connects(addr("198.51.100.1:1")) {
		t.Error("a ban from before holds for what is allowed")
	}
	if n := guesses(b, "198.51.100.2", 500, dictionary, true); n != 0 {
		t.Errorf("what is allowed is banned after %d tries", n)
	}
	if err := b.Disallow(ctx, prefix("198.51.100.1/32")); !errors.Is(err, access.ErrNotAllowed) {
		t.Errorf("a part of it: %v", err)
	}
	if err := b.Disallow(ctx, prefix("198.51.100.0/25")); err != nil {
		t.Fatal(err)
	}
	if b.Connects(addr("198.51.100.1:1")) {
		t.Error("the ban does not hold again")
	}
	for i := range 256 {
		if _, err := b.Allow(ctx, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i), 0}), 24), ""); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Allow(ctx, prefix("10.1.0.0/16"), ""); !errors.Is(err, access.ErrAllowedFull) {
		t.Errorf("the 257th: %v", err)
	}
}

func TestTheAdministratorIsSparedForAWhile(t *testing.T) {
	c := newClock()
	b := openBans(t, newShelf(), c.now)
	admin := netip.MustParseAddr("::ffff:198.51.100.1")
	guesses(b, "198.51.100.1", 100, dictionary, true)
	if _, err := b.Add(t.Context(), prefix("198.51.0.0/16"), "", "", 24*time.Hour); err != nil {
		t.Fatal(err)
	}
	b.Exempt(admin, 30*time.Minute)
	if !b.Connects(addr("198.51.100.1:1")) {
		t.Error("he may not connect")
	}
	if n := guesses(b, "198.51.100.1", 500, dictionary, true); n != 0 {
		t.Errorf("banned after %d tries", n)
	}
	for i := range 1000 { // others do not push him out while he is the newest
		b.Exempt(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), time.Minute)
	}
	if !b.Connects(addr("198.51.100.1:1")) {
		t.Error("he may not connect after others came")
	}
	c.advance(31 * time.Minute)
	if b.Connects(addr("198.51.100.1:1")) {
		t.Error("it does not end")
	}
}
