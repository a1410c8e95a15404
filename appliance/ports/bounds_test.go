package ports_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"pgregory.net/rapid"

	"pillarbox/appliance/ports"
)

// TestBounds has anybody do anything: nothing grows beyond its bound, sessions
// are counted once, and what is shown is what is stored.
func TestBounds(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		o := newOffice(t)
		text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "A", "B", "\x1b]0;x\a", "\u202eevil"}))
		addr := rapid.Custom(func(rt *rapid.T) netip.Addr {
			if rapid.Bool().Draw(rt, "inside") {
				return netip.AddrFrom4([4]byte{192, 168, byte(rapid.IntRange(0, 1).Draw(rt, "net")), rapid.Byte().Draw(rt, "host")})
			}
			var b [16]byte
			copy(b[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(rt, "addr"))
			return netip.AddrFrom16(b)
		})
		signed := 0
		n := rapid.IntRange(1, 150).Draw(rt, "n")
		for range n {
			from := addr.Draw(rt, "from")
			c := o.inv.Visit(&ports.Connection{
				Remote: from, Port: rapid.SampledFrom([]string{ports.IMAPS, ports.Legacy, "\x00odd"}).Draw(rt, "port"),
				Number: 993, TLS: rapid.Uint16().Draw(rt, "tls"), ServerName: text.Draw(rt, "sni"),
			})
			if rapid.Bool().Draw(rt, "named") {
				c.Named(ports.ID{Name: text.Draw(rt, "name"), Version: text.Draw(rt, "version"), OS: text.Draw(rt, "os")})
			}
			switch rapid.IntRange(0, 3).Draw(rt, "what") {
			case 0:
				c.Refused(text.Draw(rt, "login"), text.Draw(rt, "reason"))
			case 1, 2:
				signed++
				c.SignedIn(&ports.SignIn{
					AccountID: rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "account"), Account: "ada@office.example",
					Kind:   rapid.SampledFrom([]ports.Kind{ports.Password, ports.AppPassword, ports.Certificate, ports.Token}).Draw(rt, "kind"),
					Device: rapid.SampledFrom([]string{"", "telephone", "laptop"}).Draw(rt, "device"), Credential: "x",
					Mechanism: text.Draw(rt, "mechanism"),
				})
			}
			c.End()
			o.pass(time.Duration(rapid.IntRange(0, 90_000).Draw(rt, "passed")) * time.Second)
			if rapid.IntRange(0, 20).Draw(rt, "jumps") == 0 { // as clocks without a battery do
				o.pass(begin.AddDate(0, 0, rapid.IntRange(-1000, 1000).Draw(rt, "to")).Sub(o.clock()))
			}
		}
		o.flush()
		all := o.inv.Clients(ports.Query{})
		sum := 0
		of := map[string]int{}
		for _, c := range all {
			sum += c.Sessions
			if of[c.AccountID]++; of[c.AccountID] > 32 {
				rt.Fatalf("an account has %d clients", of[c.AccountID])
			}
			if len(c.Addresses) > 8 || len(c.Uses) > 6 || c.Connected != 0 {
				rt.Fatalf("too much: %+v", c)
			}
			for _, s := range []string{c.Program, c.Name(), c.Account, c.Uses[0].ServerName, c.Uses[0].Mechanism} {
				showable(rt, s)
			}
		}
		if sum > signed {
			rt.Fatalf("%d sessions of %d", sum, signed)
		}
		if f, err := o.inv.Simulate(ports.Scenario{Change: ports.Close, Port: ports.Legacy}); err != nil || f.From.After(f.To) {
			rt.Fatalf("forecast from %v to %v: %v", f.From, f.To, err)
		}
		before := fmt.Sprintf("%+v %+v", all, o.inv.Strangers(ports.Query{}))
		o.open()
		if after := fmt.Sprintf("%+v %+v", o.inv.Clients(ports.Query{}), o.inv.Strangers(ports.Query{})); after != before {
			rt.Fatalf("after a restart:\n%s\nbefore:\n%s", after, before)
		}
	})
}

// TestAScanDoesNotGrowIt: a million addresses connect and leave.
func TestAScanDoesNotGrowIt(t *testing.T) {
	n := 1_000_000
	if testing.Short() {
		n = 50_000
	}
	o := newOffice(t)
	o.connect(visit{from: "192.168.7.99", port: ports.Legacy}).End() // the scanner in the office
	o.connect(visit{from: "203.0.113.99"}).End()                     // somebody who came before
	o.comes(visit{account: "a", from: "192.168.7.20"})
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for i := range n {
		scan(o, i)
		if i%1000 == 0 {
			o.pass(time.Second)
		}
	}
	grown := int64(heap()) - int64(before)
	strangers := o.inv.Strangers(ports.Query{})
	o.flush()
	t.Logf("%d addresses: %d strangers, %d KiB of memory, %d KiB on disk", n, len(strangers), grown>>10, o.disk.size()>>10)
	if len(strangers) > 400 || grown > 2<<20 || o.disk.size() > 400<<10 {
		t.Error("a scan makes it grow")
	}
	o.only()
	for _, network := range []string{"192.168.7.99/32", "203.0.113.99/32"} {
		found := false
		for _, s := range strangers {
			found = found || s.Network.String() == network
		}
		if !found {
			t.Errorf("the scan pushed out %s", network)
		}
	}
	totals := 0
	for _, p := range o.inv.Ports() {
		totals += p.Days[0].SilentSessions
	}
	if totals != n+2 {
		t.Errorf("%d sessions in the totals", totals)
	}
}

// scan is one address of many.
func scan(o *office, i int) {
	var b [16]byte
	b[0] = 0x20
	binary.BigEndian.PutUint32(b[2:], uint32(i))
	o.inv.Visit(&ports.Connection{Remote: netip.AddrFrom16(b), Port: ports.IMAPS, Number: 993}).End()
}

// TestManyAccountsDoNotGrowIt: of all clients those not seen for longest go.
func TestManyAccountsDoNotGrowIt(t *testing.T) {
	o := newOffice(t)
	const n = 9_000
	for i := range n {
		c := o.inv.Visit(&ports.Connection{Remote: netip.MustParseAddr("192.168.7.20"), Port: ports.IMAPS})
		c.SignedIn(&ports.SignIn{AccountID: fmt.Sprint(i), Account: fmt.Sprintf("p%d@office.example", i), Kind: ports.Password})
		c.End()
		o.pass(time.Second)
	}
	all := o.inv.Clients(ports.Query{})
	if len(all) > 8192 || len(all) < 7000 {
		t.Errorf("%d clients", len(all))
	}
	if want := fmt.Sprintf("p%d@office.example", n-1); all[0].Account != want {
		t.Errorf("the newest is %s", all[0].Account)
	}
	o.flush()
	t.Logf("%d clients, %d KiB on disk", len(all), o.disk.size()>>10)
	if got := len(o.disk.all["ports/clients"]); got != len(all) {
		t.Errorf("%d accounts are stored", got)
	}
}

// TestDaysStayFew has somebody come on 1,000 days in any order: the newest are
// kept, and can be read again.
func TestDaysStayFew(t *testing.T) {
	o := newOffice(t, func(c *ports.Config) { c.Keep = 400 })
	for i := range 1000 {
		o.pass(begin.AddDate(0, 0, i*457%1000).Sub(o.clock()))
		o.comes(visit{account: "a", from: "192.168.7.20"})
	}
	before := o.only()
	days := before.Uses[0].Days
	if len(days) > 400 || !days[len(days)-1].Date.Equal(begin.AddDate(0, 0, 999).Truncate(day)) {
		t.Errorf("%d days, the last %v", len(days), days[len(days)-1])
	}
	o.flush()
	o.open()
	if after := o.only(); after.Sessions != before.Sessions {
		t.Errorf("%d sessions after a restart, %d before", after.Sessions, before.Sessions)
	}
	if n := len(o.inv.Ports()[0].Days); n > 400 {
		t.Errorf("%d days of totals", n)
	}
}
