package firewall_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pillarbox/netcfg/firewall"
	"pillarbox/netcfg/netlab"
	"pillarbox/netcfg/policy"
)

func TestTheRateOfOneSourceIsBoundedAndOthersAreSpared(t *testing.T) {
	l := newLab(t)
	fw := open(t)
	p := public()
	// A packet a minute: what is let in is the burst, however slow the machine
	// is (within the minutes that the test may take, which the bound allows for).
	p.Services[policy.IMAPS] = policy.Rule{From: policy.Anyone, Rate: 1, Burst: 10}
	apply(t, fw, p, l.network())
	for _, c := range []struct {
		name         string
		source, same netip.Addr
		other        netip.Addr
	}{
		{"IPv4", addr("198.51.100.7"), addr("198.51.100.7"), addr("198.51.100.8")},
		{"IPv6, where a /64 is one source", addr("2001:db8:77:1::7"), addr("2001:db8:77:1:8::"), addr("2001:db8:77:2::7")},
	} {
		t.Run(c.name, func(t *testing.T) {
			began := time.Now()
			var syns [][]byte
			for range 40 {
				syns = append(syns, l.syn(l.wan, c.source, 993))
			}
			in := l.answers(l.wan, syns...)
			if most := 11 + int(time.Since(began)/time.Minute); in < 10 || in > most {
				t.Errorf("%d of 40 connections were let in, the burst is 10", in)
			}
			again := 0
			for range 5 {
				if l.opens(l.wan, c.same, 993) {
					again++
				}
			}
			if again > 1+int(time.Since(began)/time.Minute) {
				t.Errorf("the same source is let in %d times of 5 more", again)
			}
			if !l.opens(l.wan, c.other, 993) {
				t.Error("another source is not spared")
			}
			if !l.opens(l.wan, c.source, 443) {
				t.Error("another service is not spared")
			}
			must(t, fw.Exempt(t.Context(), c.same, time.Hour))
			if !l.opens(l.wan, c.source, 993) {
				t.Error("a source that is exempt is bounded")
			}
		})
	}
	if counted(t, fw, "imaps/over-rate/ipv4") < 29 || counted(t, fw, "imaps/over-rate/ipv6") < 29 {
		t.Error("what was above the rate is not counted")
	}
}

// TestWhatIsLeftOfALostConnectionIsAnswered has segments come that belong to
// connections of before a restart: who sends them shall learn at once that they
// are no more, and they are not new ones.
func TestWhatIsLeftOfALostConnectionIsAnswered(t *testing.T) {
	l := newLab(t)
	fw := open(t)
	p := public()
	p.Services[policy.IMAPS] = policy.Rule{From: policy.Anyone, Rate: 1, Burst: 1}
	apply(t, fw, p, l.network())
	for _, source := range []netip.Addr{remote4, remote6} {
		var segments [][]byte
		for range 20 {
			segments = append(segments, l.segment(l.wan, source, 993, 0x10)) // ACK
		}
		if n := l.answers(l.wan, segments...); n < len(segments) {
			t.Errorf("%s: %d of %d are answered", source, n, len(segments))
		}
		if !l.opens(l.wan, source, 993) {
			t.Errorf("%s: they count as new connections", source)
		}
		if l.answers(l.wan, l.segment(l.wan, source, 587, 0x10)) > 0 {
			t.Errorf("%s: a port that is not open answers", source)
		}
	}
}

func TestARateFillsUpAgain(t *testing.T) {
	l := newLab(t)
	fw := open(t)
	p := public()
	p.Services[policy.IMAPS] = policy.Rule{From: policy.Anyone, Rate: 120, Burst: 5}
	apply(t, fw, p, l.network())
	source := addr("198.51.100.7")
	var syns [][]byte
	for range 200 {
		syns = append(syns, l.syn(l.wan, source, 993))
	}
	if l.answers(l.wan, syns...) == len(syns) {
		t.Fatal("the rate is not bounded")
	}
	netlab.Until(t, "a connection is let in again", func() bool { return l.opens(l.wan, source, 993) })
}

func TestTheOpenConnectionsOfOneSourceAreCounted(t *testing.T) {
	l := newLab(t)
	fw := open(t)
	p := public()
	p.Services[policy.IMAPS] = policy.Rule{From: policy.Anyone, Connections: 3}
	if !fw.Features().Counts {
		// The firmware's kernels are such: the rest stands, and it is told.
		r := apply(t, fw, p, l.network())
		if !strings.Contains(strings.Join(r.Notes, "\n"), "this kernel cannot count the open connections of a source") {
			t.Errorf("nobody is told: %q", r.Notes)
		}
		if !l.opens(l.wan, remote4, 993) || l.opens(l.wan, remote4, 25) {
			t.Error("the rest of the policy does not stand")
		}
		return
	}
	apply(t, fw, p, l.network())
	for _, c := range []struct {
		name        string
		cable       *cable
		box, source netip.Addr
		other       *cable
		otherBox    netip.Addr
	}{
		{"IPv4", l.wan, boxWAN4, remote4, l.lan, boxLAN4},
		{"IPv6", l.wan, boxWAN6, remote6, l.lan, boxLAN6},
	} {
		t.Run(c.name, func(t *testing.T) {
			listen(t, netip.AddrPortFrom(c.box, 993))
			listen(t, netip.AddrPortFrom(c.otherBox, 993))
			var open []net.Conn
			for range 3 {
				open = append(open, dial(t, c.cable, c.box, 993))
			}
			// The kernel forgets one now and then that it has not confirmed yet.
			refused := 0
			for range 5 {
				if !l.opens(c.cable, c.source, 993) {
					refused++
				}
			}
			if refused < 4 {
				t.Errorf("of five further connections %d were refused", refused)
			}
			if conn := dial(t, c.other, c.otherBox, 993); conn == nil {
				t.Error("another source is not spared")
			}
			if n := counted(t, fw, fmt.Sprintf("imaps/over-open/ipv%d", bytesOf(c.source))); n == 0 {
				t.Error("what was above the bound is not counted")
			}
			must(t, open[0].Close())
			netlab.Until(t, "one that ends makes room", func() bool { return l.opens(c.cable, c.source, 993) })
		})
	}
}

func bytesOf(a netip.Addr) int {
	if a.Is4() {
		return 4
	}

	return 6
}

// listen accepts connections at an address of the box and answers what it is
// sent.
func listen(t testing.TB, at netip.AddrPort) {
	t.Helper()
	listener, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at))
	must(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go echo(c)
		}
	}()
}

func echo(c net.Conn) {
	defer c.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		if _, err := c.Write(buf[:n]); err != nil {
			return
		}
	}
}

// dial opens a connection to the box from the host at a cable's end.
func dial(t testing.TB, c *cable, box netip.Addr, port uint16) net.Conn {
	t.Helper()
	var conn net.Conn
	c.host.Do(func() (err error) {
		conn, err = connected(box, port)
		return err
	})
	t.Cleanup(func() { _ = conn.Close() })

	return conn
}

// connected opens a connection from the namespace of the thread that it is
// called on; the net package may use another.
func connected(to netip.Addr, port uint16) (net.Conn, error) {
	s, err := unix.Socket(familyNumber(to), unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(s), "connection")
	defer f.Close()
	var target unix.Sockaddr
	if to.Is4() {
		target = &unix.SockaddrInet4{Port: int(port), Addr: to.As4()}
	} else {
		target = &unix.SockaddrInet6{Port: int(port), Addr: to.As16()}
	}
	if err := unix.Connect(s, target); err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(s, true); err != nil {
		return nil, err
	}

	return net.FileConn(f) // a copy
}

func TestAConnectionOutlivesEveryNewTable(t *testing.T) {
	l := newLab(t)
	fw := open(t)
	apply(t, fw, public(), l.network())
	listen(t, netip.AddrPortFrom(boxWAN4, 993))
	conn := dial(t, l.wan, boxWAN4, 993)
	ended := make(chan error, 1)
	stop := make(chan struct{})
	go func() {
		// What is sent is answered, all the time.
		buf := make([]byte, 4)
		for n := uint32(0); ; n++ {
			select {
			case <-stop:
				ended <- nil
				return
			default:
			}
			_ = conn.SetDeadline(time.Now().Add(time.Minute))
			if _, err := conn.Write([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}); err != nil {
				ended <- err
				return
			}
			if _, err := conn.Read(buf); err != nil {
				ended <- err
				return
			}
		}
	}()
	for i := range 20 {
		p := public()
		p.Services[policy.SMTP] = policy.Rule{From: policy.LAN, Rate: 100 + i}
		if i%2 == 1 {
			// Not even where new ones are not let in any more.
			p.Services[policy.IMAPS] = policy.Rule{From: policy.Nobody}
		}
		if r := apply(t, fw, p, l.network()); !r.Changed {
			t.Error("the table was not replaced")
		}
	}
	must(t, fw.Ban(t.Context(), firewall.Source(remote4), time.Hour))
	close(stop)
	if err := <-ended; err != nil {
		t.Errorf("the connection was cut: %v", err)
	}
	if counted(t, fw, "established") == 0 {
		t.Error("established connections are not counted")
	}
}
