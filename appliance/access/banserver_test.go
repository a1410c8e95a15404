package access_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"pillarbox/appliance/access"
)

// dialFrom connects from an address of 127.0.0.0/8, all of which is local.
func dialFrom(t *testing.T, p *port, from string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.DialContext(t.Context(), "tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(30 * time.Second))
	return c
}

// refused tells whether the port closes a connection before it says anything.
func refused(t *testing.T, p *port, from string) bool {
	t.Helper()
	c := tls.Client(dialFrom(t, p, from), p.client)
	err := c.Handshake()
	var op *net.OpError
	switch {
	case err == nil:
		return false
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return true
	case errors.As(err, &op) && op.Timeout():
		t.Error("the connection hangs")
	}
	t.Errorf("the handshake fails by %v", err)
	return true
}

func TestABannedAddressIsClosedBeforeTheHandshake(t *testing.T) {
	b, err := access.OpenBans(&access.BansConfig{Logger: slog.New(slog.DiscardHandler), Store: newShelf(), Loopback: true})
	if err != nil {
		t.Fatal(err)
	}
	p := serve(t, "tcp", "127.0.0.1:0", access.Config{Bans: b}, echo)
	if refused(t, p, "127.0.0.2") {
		t.Fatal("refused before the ban")
	}
	if _, err := b.Add(t.Context(), prefix("127.0.0.2/32"), "", "", time.Hour); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if !refused(t, p, "127.0.0.2") {
			t.Fatal("not refused")
		}
	}
	if refused(t, p, "127.0.0.3") {
		t.Error("another address is refused")
	}
	if ban := b.List()[0]; ban.Refused != 20 {
		t.Errorf("%d connections were refused, want 20", ban.Refused)
	}
	line := p.log.await(t, "connection refused")
	if line["reason"] != "the address is banned" {
		t.Errorf("the log says %v", line)
	}
	if n := len(p.log.lines(t, "connection refused")); n > 6 {
		t.Errorf("%d lines about 20 connections", n)
	}
	if _, err := b.Lift(t.Context(), prefix("127.0.0.2/32"), ""); err != nil {
		t.Fatal(err)
	}
	if refused(t, p, "127.0.0.2") {
		t.Error("refused after the ban")
	}
}

func TestNewConnectionsOfOneAddressAreBounded(t *testing.T) {
	const burst = 8
	for _, bounded := range []bool{true, false} {
		t.Run(fmt.Sprint("loopback bounded: ", bounded), func(t *testing.T) {
			c := access.Config{Rate: 1, Burst: burst, BoundLoopback: bounded}
			p := serve(t, "tcp", "127.0.0.1:0", c, echo)
			n := 0
			for range burst + 4 {
				if !refused(t, p, "127.0.0.2") {
					n++
				}
			}
			// A slow machine may give one back meanwhile.
			if bounded && (n < burst || n > burst+2) || !bounded && n != burst+4 {
				t.Errorf("%d of %d connections were let in", n, burst+4)
			}
			if refused(t, p, "127.0.0.3") {
				t.Error("another address is refused")
			}
			if bounded {
				if line := p.log.await(t, "connection refused"); line["reason"] != "too many new connections from this address" {
					t.Errorf("the log says %v", line)
				}
			}
		})
	}
}

// quietConn is a connection that ends at once.
type quietConn struct {
	net.Conn
	from net.Addr
}

func (c quietConn) RemoteAddr() net.Addr { return c.from }
func (c quietConn) Close() error         { return nil }
func (quietConn) Read([]byte) (int, error) {
	return 0, io.EOF
}
func (quietConn) SetDeadline(time.Time) error      { return nil }
func (quietConn) SetWriteDeadline(time.Time) error { return nil }
func (quietConn) Write(b []byte) (int, error)      { return len(b), nil }

// scan is a listener to which many addresses connect, each once.
type scan struct {
	n, next int
	over    context.CancelFunc
	ended   chan struct{}
}

func (s *scan) Accept() (net.Conn, error) {
	if s.next == s.n {
		s.over()
		<-s.ended
		return nil, os.ErrClosed
	}
	s.next++
	return quietConn{from: scanner(s.next)}, nil
}

func (s *scan) Close() error {
	select {
	case <-s.ended:
	default:
		close(s.ended)
	}
	return nil
}
func (s *scan) Addr() net.Addr { return &net.TCPAddr{Port: 993} }

// scanner is one of 16 million addresses.
func scanner(i int) net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.AddrFrom4([4]byte{11, byte(i >> 16), byte(i >> 8), byte(i)}), 40000))
}

// BenchmarkScan tells what 1,000,000 addresses cost that connect once each and
// fail to sign in once each, in octets that are held afterwards.
func BenchmarkScan(b *testing.B) {
	const addresses = 1_000_000
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		log := slog.New(slog.DiscardHandler)
		bans := openBans(b, newShelf(), nil)
		throttle := access.NewThrottle(nil)
		l := access.New(&access.Config{Logger: log, Bans: bans, MaxConns: 2 * addresses, MaxHandshakes: 2 * addresses})
		ctx, cancel := context.WithCancel(context.Background())
		s := &scan{n: addresses, over: cancel, ended: make(chan struct{})}
		if err := l.Serve(ctx, s, "imaps", &tls.Config{}, func(context.Context, *access.Conn) {}); err != nil {
			b.Fatal(err)
		}
		for i := range addresses {
			from := scanner(i)
			throttle.Delay(from, "admin", "admin")
			throttle.Failed(from, "admin", "admin")
			bans.Failed(&access.Attempt{Remote: from, Account: "admin", Credential: "admin", Unknown: true})
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(int64(after.HeapAlloc)-int64(before.HeapAlloc)), "held-B")
		b.ReportMetric(float64(bans.Len()+throttle.Len()), "held-addresses")
		runtime.KeepAlive(l)
	}
}

func TestABanClosesConnections(t *testing.T) {
	b, err := access.OpenBans(&access.BansConfig{Logger: slog.New(slog.DiscardHandler), Store: newShelf(), Loopback: true})
	if err != nil {
		t.Fatal(err)
	}
	p := serve(t, "tcp", "127.0.0.1:0", access.Config{Bans: b}, echo)
	open := func(from string) *tls.Conn {
		c := tls.Client(dialFrom(t, p, from), p.client)
		talk(t, c)
		return c
	}
	bad, admin, neighbour := open("127.0.0.2"), open("127.0.0.3"), open("127.0.1.2")
	b.Exempt(netip.MustParseAddr("127.0.0.3"), time.Hour)
	if _, err := b.Add(t.Context(), prefix("127.0.0.0/24"), "", "", time.Hour); err != nil {
		t.Fatal(err)
	}
	if n, err := bad.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("the banned one reads %d octets, %v", n, err)
	}
	talk(t, admin)
	talk(t, neighbour)

	third := open("127.0.1.9") // the box does it, too
	for i := range 12 {        // ten, and what faded meanwhile
		b.Failed(&access.Attempt{Remote: third.LocalAddr(), Account: fmt.Sprint("name", i), Credential: "x", Unknown: true})
	}
	if n, err := third.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("the guesser reads %d octets, %v", n, err)
	}
}

// TestAFloodOfStrangersLeavesRoom is that many addresses together cannot keep
// those busy who signed in before.
func TestAFloodOfStrangersLeavesRoom(t *testing.T) {
	b, err := access.OpenBans(&access.BansConfig{Logger: slog.New(slog.DiscardHandler), Store: newShelf(), Loopback: true})
	if err != nil {
		t.Fatal(err)
	}
	p := serve(t, "tcp", "127.0.0.1:0", access.Config{Bans: b, StrangerRate: 1, StrangerBurst: 5, BoundLoopback: true}, echo)
	b.Passed(addr("127.0.0.1:1"), "anna")
	n := 0
	for host := range 12 {
		if !refused(t, p, fmt.Sprintf("127.0.1.%d", host+1)) {
			n++
		}
	}
	if n < 5 || n > 7 { // a slow machine may give one back meanwhile
		t.Errorf("%d of 12 strangers were let in, want 5", n)
	}
	for range 12 {
		if refused(t, p, "127.0.0.1") {
			t.Fatal("the office is refused")
		}
	}
	if line := p.log.await(t, "connection refused"); line["reason"] != "too many new connections of strangers in all" {
		t.Errorf("the log says %v", line)
	}
}
