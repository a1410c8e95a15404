package access_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestWhoIsNeverBanned plays random attacks, acts of an administrator and
// restarts, and looks after each that who is to be spared gets in.
func TestWhoIsNeverBanned(t *testing.T) {
	hosts := []string{
		"127.0.0.1", "::1", "10.0.0.5", "10.0.0.6", "198.51.100.1", "198.51.100.2", "203.0.113.9", "2001:db8::1", "2001:db8::2", "fe80::1",
	}
	networks := []string{"10.0.0.0/24", "198.51.100.1/32", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/64", "2001:db8::1/128", "2001:db8::/32"}
	rapid.Check(t, func(r *rapid.T) {
		c := newClock()
		s := newShelf()
		b := openBans(t, s, c.now)
		allowed := map[netip.Prefix]bool{}
		exempt := map[netip.Addr]time.Time{}
		host := rapid.SampledFrom(hosts)
		network := rapid.Map(rapid.SampledFrom(networks), netip.MustParsePrefix)
		n := 0
		ctx := t.Context()
		r.Repeat(map[string]func(*rapid.T){
			"attack": func(r *rapid.T) {
				from, unknown := host.Draw(r, "from"), rapid.Bool().Draw(r, "unknown")
				for range rapid.IntRange(1, 120).Draw(r, "tries") {
					n++
					guess(b, from, fmt.Sprint("name", n%rapid.SampledFrom([]int{1, 7, 1000}).Draw(r, "names")), fmt.Sprint(n), unknown)
				}
			},
			"sign in": func(r *rapid.T) { b.Passed(addr(at(host.Draw(r, "from"))), "anna") },
			"ban": func(r *rapid.T) {
				_, _ = b.Add(ctx, network.Draw(r, "network"), rapid.SampledFrom([]string{"", "anna"}).Draw(r, "account"), "", time.Hour)
			},
			"lift": func(r *rapid.T) { _, _ = b.Lift(ctx, network.Draw(r, "network"), "") },
			"allow": func(r *rapid.T) {
				p := network.Draw(r, "network")
				if _, err := b.Allow(ctx, p, ""); err != nil {
					r.Fatal(err)
				}
				allowed[p] = true
			},
			"disallow": func(r *rapid.T) {
				p := network.Draw(r, "network")
				if err := b.Disallow(ctx, p); (err == nil) != allowed[p] {
					r.Fatalf("Disallow(%v) = %v", p, err)
				}
				delete(allowed, p)
			},
			"exempt": func(r *rapid.T) {
				a := netip.MustParseAddr(host.Draw(r, "admin"))
				b.Exempt(a, time.Hour)
				exempt[a] = c.now().Add(time.Hour)
			},
			"wait": func(r *rapid.T) {
				c.advance(time.Duration(rapid.IntRange(1, 48*60).Draw(r, "minutes")) * time.Minute)
			},
			"restart": func(r *rapid.T) {
				before := fmt.Sprint(b.AllowList())
				b = openBans(t, s, c.now)
				clear(exempt) // the administrator's next page tells it again
				if after := fmt.Sprint(b.AllowList()); after != before {
					r.Fatalf("the allow-list was %s and is %s", before, after)
				}
			},
			"": func(r *rapid.T) {
				for _, h := range hosts {
					a := netip.MustParseAddr(h)
					spared := a.IsLoopback() || c.now().Before(exempt[a])
					for p := range allowed {
						spared = spared || p.Contains(a)
					}
					_, refused := b.Refuses(addr(at(h)), "name1")
					if spared && (refused || !b.Connects(addr(at(h)))) {
						r.Fatalf("%s is banned: %+v", h, b.List())
					}
				}
				for _, ban := range b.List() {
					if d := ban.Until.Sub(ban.Since); d <= 0 || d > 7*24*time.Hour || !ban.Until.After(c.now()) {
						r.Fatalf("%+v", ban)
					}
				}
			},
		})
	})
}

// TestARestartChangesNothing is that what is stored is what is held.
func TestARestartChangesNothing(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		c := newClock()
		s := newShelf()
		b := openBans(t, s, c.now)
		account := rapid.StringN(0, 40, 400)
		for range rapid.IntRange(1, 10).Draw(r, "acts") {
			bits := rapid.IntRange(16, 32).Draw(r, "bits")
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, rapid.Byte().Draw(r, "a"), rapid.Byte().Draw(r, "b")}), bits)
			name := ""
			if bits == 32 {
				name = account.Draw(r, "account")
			}
			if _, err := b.Add(t.Context(), p, name, account.Draw(r, "reason"), time.Hour); err != nil {
				r.Fatal(err)
			}
			if rapid.Bool().Draw(r, "lifted") {
				if _, err := b.Lift(t.Context(), p, name); err != nil {
					r.Fatal(err)
				}
			}
		}
		if before, after := fmt.Sprint(b.List()), fmt.Sprint(openBans(t, s, c.now).List()); before != after {
			r.Fatalf("before: %s\nafter: %s", before, after)
		}
	})
}
