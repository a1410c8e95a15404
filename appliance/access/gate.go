package access

import (
	"net"
	"net/netip"
	"sync"
)

// source is what connections are counted by: an IPv4 address or an IPv6 /64.
// The zero value is an address that is not known.
type source struct{ netip.Prefix }

func sourceOf(a net.Addr) source { return sourceOfAddr(addressOf(a)) }

func sourceOfAddr(a netip.Addr) source {
	if !a.IsValid() {
		return source{}
	}
	return source{sourceNetwork(netip.PrefixFrom(a, a.BitLen()))}
}

// usage counts connections; shaking are those of open whose handshake is not done.
type usage struct{ open, shaking int }

// bound is the most that is allowed.
type bound usage

func (u usage) within(b bound) bool { return u.open < b.open && u.shaking < b.shaking }

// gate counts connections and refuses what is above its bounds.
type gate struct {
	all  bound
	each bound // not of loopback, but where loopback is set

	loopback bool

	mu  sync.Mutex
	sum usage
	use map[source]*usage // only those with open connections
}

// enter counts a connection whose handshake begins. If it returns a reason the
// connection was not counted.
func (g *gate) enter(from source) (reason string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.sum.open >= g.all.open:
		return "too many connections in all"
	case g.sum.shaking >= g.all.shaking:
		return "too many handshakes in all"
	}
	u := g.use[from]
	if u == nil {
		u = &usage{}
	}
	if (g.loopback || !from.Addr().IsLoopback()) && !u.within(g.each) {
		if u.open >= g.each.open {
			return "too many connections from this address"
		}
		return "too many handshakes from this address"
	}
	g.use[from] = u
	u.open++
	u.shaking++
	g.sum.open++
	g.sum.shaking++
	return ""
}

// shaken counts a connection's handshake as done.
func (g *gate) shaken(from source) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.use[from].shaking--
	g.sum.shaking--
}

// leave takes a connection out of the count.
func (g *gate) leave(from source, shaking bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	u := g.use[from]
	u.open--
	g.sum.open--
	if shaking {
		u.shaking--
		g.sum.shaking--
	}
	if u.open == 0 {
		delete(g.use, from)
	}
}

func (g *gate) open() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.sum.open
}
