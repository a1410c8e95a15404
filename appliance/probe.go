package appliance

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"sync"
	"syscall"

	"pillarbox/appliance/health"
)

// probe is how the program finds out that a listener accepts: by a connection
// to itself, which Accept recognizes and keeps from the service.
type probe struct {
	mu   sync.Mutex
	from net.Addr // nil while there is none
	seen chan struct{}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			l.rest()
			return nil, err
		}
		if !l.probe.is(c) {
			return c, nil
		}
		_ = c.Close()
	}
}

// is tells whether c is the probe, and notes that it came.
func (p *probe) is(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch from := p.from.(type) {
	case *net.UnixAddr:
		if c.RemoteAddr().String() != from.Name {
			return false
		}
	case *net.TCPAddr:
		// Only this machine has the address on both sides.
		local, ok1 := c.LocalAddr().(*net.TCPAddr)
		remote, ok2 := c.RemoteAddr().(*net.TCPAddr)
		if !ok1 || !ok2 || remote.Port != from.Port || !remote.IP.Equal(local.IP) {
			return false
		}
	default:
		return false
	}
	p.from = nil
	close(p.seen)

	return true
}

// check connects to the listener and waits until Accept has seen it.
func (l *listener) check(ctx context.Context) error {
	var failed error
	for _, to := range probeGoals(l.Addr()) {
		err := l.checkAt(ctx, to)
		if err == nil {
			return nil
		}
		// A machine without IPv6 has no such address; that says nothing.
		if failed == nil || health.IsMendable(err) {
			failed = err
		}
	}

	return failed
}

func (l *listener) checkAt(ctx context.Context, to net.Addr) error {
	from, seen := probeSource(to), make(chan struct{})
	l.probe.expect(from, seen)
	defer l.probe.expect(nil, nil)
	d := net.Dialer{LocalAddr: from}
	conn, err := d.DialContext(ctx, to.Network(), to.String())
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil // of the probe's own side; the next one will tell
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, context.DeadlineExceeded):
		return health.Mendable(fmt.Errorf("%s takes no connections on %s: %w", l.name, l.address(), err))
	case err != nil:
		return fmt.Errorf("%s on %s cannot be reached from this machine: %w", l.name, l.address(), err)
	}
	defer conn.Close()
	select {
	case <-seen:
		return nil
	case <-ctx.Done():
		return health.Mendable(fmt.Errorf("%s does not take the connections on %s", l.name, l.address()))
	}
}

func (p *probe) expect(from net.Addr, seen chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.from, p.seen = from, seen
}

// probeGoals returns where a listener can be reached from this machine.
func probeGoals(listen net.Addr) []net.Addr {
	tcp, ok := listen.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return []net.Addr{listen}
	}
	four := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: tcp.Port}
	if tcp.IP.To4() != nil {
		return []net.Addr{four}
	}

	// A wildcard of IPv6 takes IPv4 too, unless the system is set otherwise.
	return []net.Addr{four, &net.TCPAddr{IP: net.IPv6loopback, Port: tcp.Port}}
}

// probeSource returns where a probe comes from, so that it is known before it
// connects.
func probeSource(to net.Addr) net.Addr {
	if to.Network() == "unix" {
		// An address without a file, as Linux has them.
		return &net.UnixAddr{Name: "@pillarbox-probe-" + rand.Text(), Net: "unix"}
	}

	// Dynamic ports: RFC 6335, section 6. Of itself the system takes the first
	// address of a network, also where the listener has a further one.
	from := &net.TCPAddr{Port: 49152 + mathrand.N(16384)}
	if tcp, ok := to.(*net.TCPAddr); ok {
		from.IP, from.Zone = tcp.IP, tcp.Zone
	}

	return from
}
