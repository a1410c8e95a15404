package ports_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"pillarbox/appliance/ports"
)

// BenchmarkSession is what a session costs: told of as connection, sign-in, name
// and end, with many clients beside it.
func BenchmarkSession(b *testing.B) {
	for _, accounts := range []int{20, 2000} {
		b.Run(fmt.Sprintf("of %d accounts", accounts), func(b *testing.B) {
			o := newOffice(b)
			fill(o, accounts)
			c := &ports.Connection{Remote: netip.MustParseAddr("192.168.7.20"), Port: ports.IMAPS, Number: 993, TLS: 0x304, Cipher: 0x1301}
			in := &ports.SignIn{AccountID: "3", Account: "p3@office.example", Kind: ports.Password, Mechanism: "PLAIN"}
			id := ports.ID{Name: "Thunderbird", Version: "140.1"}
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					v := o.inv.Visit(c)
					v.SignedIn(in)
					v.Named(id)
					v.End()
				}
			})
		})
	}
}

// BenchmarkScan is what a stranger costs, of whom there are ever new ones.
func BenchmarkScan(b *testing.B) {
	o := newOffice(b)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		scan(o, i)
	}
}

// BenchmarkFlush is what is written after a quarter of an hour in which every
// client came, and how much that is.
func BenchmarkFlush(b *testing.B) {
	for _, accounts := range []int{20, 200, 2000} {
		b.Run(fmt.Sprintf("%d accounts of 3 clients", accounts), func(b *testing.B) {
			o := newOffice(b)
			for range 90 {
				fill(o, accounts)
				o.pass(day)
			}
			o.flush()
			octets := 0
			for b.Loop() {
				b.StopTimer()
				fill(o, accounts)
				o.pass(15 * time.Minute)
				o.disk.octets = 0
				b.StartTimer()
				o.flush()
				octets = o.disk.octets
			}
			b.ReportMetric(float64(octets), "octets/flush")
		})
	}
}

// BenchmarkClients looks at all clients, and BenchmarkSimulate at what would break.
func BenchmarkClients(b *testing.B) {
	o := newOffice(b)
	fill(o, 2000)
	for b.Loop() {
		o.inv.Clients(ports.Query{})
	}
}

func BenchmarkSimulate(b *testing.B) {
	o := newOffice(b)
	for range 30 {
		fill(o, 2000)
		o.pass(day)
	}
	for b.Loop() {
		if _, err := o.inv.Simulate(ports.Scenario{Change: ports.Close, Port: ports.Legacy}); err != nil {
			b.Fatal(err)
		}
	}
}

// fill has the three clients of each account come once.
func fill(o *office, accounts int) {
	for i := range accounts {
		for j, name := range []string{"Thunderbird", "iPhone Mail", ""} {
			c := o.inv.Visit(&ports.Connection{
				Remote: netip.AddrFrom4([4]byte{192, 168, byte(i), byte(j)}), Port: []string{ports.IMAPS, ports.Legacy}[j/2], Number: 993, TLS: 0x304,
			})
			c.Named(ports.ID{Name: name})
			c.SignedIn(&ports.SignIn{AccountID: fmt.Sprint(i), Account: fmt.Sprintf("p%d@office.example", i), Kind: ports.Password, Mechanism: "PLAIN"})
			c.End()
		}
	}
}
