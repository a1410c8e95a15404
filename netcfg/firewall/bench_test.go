package firewall_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"pillarbox/netcfg/firewall"
	"pillarbox/netcfg/policy"
)

// many is a long list of bans.
const many = 50_000

func manyBans() []firewall.Ban {
	bans := make([]firewall.Ban, many)
	for i := range bans {
		bans[i] = firewall.Ban{Source: banned(i), Left: time.Hour}
		if i%2 == 1 {
			a := [16]byte{0x20, 0x01, 0x0d, 0xb9, 0, byte(i >> 16), byte(i >> 8), byte(i)}
			bans[i].Source = netip.PrefixFrom(netip.AddrFrom16(a), 64)
		}
	}

	return bans
}

// quick returns a firewall whose bounds no benchmark meets.
func quick(b *testing.B) (*firewall.Firewall, *policy.Policy, firewall.Network) {
	b.Helper()
	fw, err := firewall.Open(b.Context(), &firewall.Config{Logger: slog.New(slog.DiscardHandler)})
	must(b, err)
	b.Cleanup(func() { must(b, fw.Remove(context.WithoutCancel(b.Context()))) })
	p := policy.Default()
	p.Services[policy.IMAPS] = policy.Rule{From: policy.Anyone, Rate: 60_000, Burst: 60_000, Connections: 10_000}
	var n firewall.Network
	n.Add("bench0", prefix("192.0.2.1/24"))
	_, err = fw.Apply(b.Context(), &p, n)
	must(b, err)

	return fw, &p, n
}

// BenchmarkBan loads 50,000 bans into a table that has none.
func BenchmarkBan(b *testing.B) {
	fw, _, _ := quick(b)
	bans := manyBans()
	for b.Loop() {
		must(b, fw.BanAll(b.Context(), bans))
		b.StopTimer()
		must(b, fw.Remove(b.Context()))
		p := policy.Default()
		_, err := fw.Apply(b.Context(), &p, office())
		must(b, err)
		b.StartTimer()
	}
	b.ReportMetric(many*float64(b.N)/b.Elapsed().Seconds(), "bans/s")
}

// BenchmarkBanOne bans one source beside 50,000.
func BenchmarkBanOne(b *testing.B) {
	fw, _, _ := quick(b)
	must(b, fw.BanAll(b.Context(), manyBans()))
	for b.Loop() {
		must(b, fw.Ban(b.Context(), prefix("198.51.100.7/32"), time.Hour))
	}
}

// BenchmarkApply replaces the table, with and without 50,000 bans in it.
func BenchmarkApply(b *testing.B) {
	for _, n := range []int{0, many} {
		b.Run(fmt.Sprintf("bans=%d", n), func(b *testing.B) {
			fw, p, network := quick(b)
			must(b, fw.BanAll(b.Context(), manyBans()[:n]))
			for i := 0; b.Loop(); i++ {
				p.Services[policy.SMTP] = policy.Rule{From: policy.LAN, Rate: 100 + i%1000}
				r, err := fw.Apply(b.Context(), p, network)
				must(b, err)
				if !r.Changed {
					b.Fatal("the table was not replaced")
				}
			}
		})
	}
}

// BenchmarkThroughput sends bytes to the box over one connection.
func BenchmarkThroughput(b *testing.B) {
	each(b, func(b *testing.B, far *host) {
		listener, err := net.Listen("tcp", "192.0.2.1:993")
		must(b, err)
		defer listener.Close()
		done := make(chan error, 1)
		go func() {
			c, err := listener.Accept()
			if err == nil {
				_, err = io.Copy(io.Discard, c)
			}
			done <- err
		}()
		conn := far.dial(b, "192.0.2.1", 993)
		buf := make([]byte, 64<<10)
		b.SetBytes(int64(len(buf)))
		for b.Loop() {
			_, err := conn.Write(buf)
			must(b, err)
		}
		must(b, conn.Close())
		must(b, <-done)
	})
}

// BenchmarkConnect opens connections to the box, one after the other.
func BenchmarkConnect(b *testing.B) {
	each(b, func(b *testing.B, far *host) {
		listener, err := net.Listen("tcp", "192.0.2.1:993")
		must(b, err)
		defer listener.Close()
		go func() {
			for {
				c, err := listener.Accept()
				if err != nil {
					return
				}
				go echo(c)
			}
		}()
		for b.Loop() {
			c := far.dial(b, "192.0.2.1", 993)
			// A reset leaves nothing behind that the next ones would wait for.
			must(b, c.(*net.TCPConn).SetLinger(0))
			must(b, c.Close())
		}
	})
}

// each runs a benchmark without a firewall, with one, and with one that bans
// 50,000 sources.
func each(b *testing.B, run func(b *testing.B, far *host)) {
	far := newHost(b)
	b.Run("open", func(b *testing.B) { run(b, far) })
	b.Run("policy", func(b *testing.B) {
		quick(b)
		run(b, far)
	})
	b.Run(fmt.Sprintf("bans=%d", many), func(b *testing.B) {
		fw, _, _ := quick(b)
		must(b, fw.BanAll(b.Context(), manyBans()))
		run(b, far)
	})
}

// host is another host, for benchmarks; netlab's is for tests.
type host struct {
	calls chan func()
}

func newHost(b *testing.B) *host {
	b.Helper()
	h := &host{calls: make(chan func())}
	var ns *os.File
	go func() {
		// The thread belongs to the namespace and ends with the goroutine.
		runtime.LockOSThread()
		for f := range h.calls {
			f()
		}
	}()
	b.Cleanup(func() { close(h.calls) })
	h.do(b, func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		ns, err = os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
		return err
	})
	defer ns.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "bench0"
	must(b, netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "far0", PeerNamespace: netlink.NsFd(ns.Fd())}))
	up := func(name, address string) error {
		l, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		a, err := netlink.ParseAddr(address)
		if err != nil {
			return err
		}
		if err := netlink.AddrAdd(l, a); err != nil {
			return err
		}
		return netlink.LinkSetUp(l)
	}
	must(b, up("bench0", "192.0.2.1/24"))
	b.Cleanup(func() {
		if l, err := netlink.LinkByName("bench0"); err == nil {
			_ = netlink.LinkDel(l)
		}
	})
	h.do(b, func() error { return up("far0", "192.0.2.2/24") })

	return h
}

func (h *host) do(b *testing.B, f func() error) {
	b.Helper()
	done := make(chan error)
	h.calls <- func() { done <- f() }
	must(b, <-done)
}

func (h *host) dial(b *testing.B, address string, port uint16) (c net.Conn) {
	b.Helper()
	h.do(b, func() (err error) {
		c, err = connected(addr(address), port)
		return err
	})

	return c
}
