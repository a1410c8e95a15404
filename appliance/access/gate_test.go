package access

import (
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSourceOf(t *testing.T) {
	tests := []struct {
		name string
		addr string
		want string
	}{
		{"IPv4 address", "192.0.2.1:1", "192.0.2.1/32"},
		{"IPv4 mapped into IPv6", "[::ffff:192.0.2.1]:1", "192.0.2.1/32"},
		{"IPv6 network", "[2001:db8:1:2:3:4:5:6]:1", "2001:db8:1:2::/64"},
		{"link-local with zone", "[fe80::1%lo]:1", "fe80::/64"},
		{"loopback", "[::1]:1", "::1/128"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := sourceOf(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(tt.addr)))
			if diff := cmp.Diff(tt.want, got.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if got := sourceOf(&net.UnixAddr{Name: "x", Net: "unix"}); got != (source{}) {
		t.Errorf("of a unix socket: %v", got)
	}
}

func TestGateBoundsEachAddress(t *testing.T) {
	a := source{netip.MustParsePrefix("192.0.2.1/32")}
	b := source{netip.MustParsePrefix("192.0.2.2/32")}
	loop := source{netip.MustParsePrefix("127.0.0.1/32")}
	g := &gate{all: bound{open: 7, shaking: 6}, each: bound{open: 3, shaking: 2}, use: map[source]*usage{}}
	step := func(what, want, got string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	step("first", "", g.enter(a))
	step("second", "", g.enter(a))
	step("third while two shake hands", "too many handshakes from this address", g.enter(a))
	g.shaken(a)
	step("third", "", g.enter(a))
	step("fourth", "too many connections from this address", g.enter(a))
	step("other address", "", g.enter(b))
	for range 3 {
		step("loopback", "", g.enter(loop))
	}
	step("one more in all", "too many connections in all", g.enter(b))
	if g.open() != 7 {
		t.Errorf("open() = %d", g.open())
	}
	g.leave(a, false)
	g.leave(a, true)
	g.leave(a, true)
	g.leave(b, true)
	for range 3 {
		g.leave(loop, true)
	}
	if len(g.use) != 0 || g.sum != (usage{}) {
		t.Errorf("after all left: %d addresses, %+v", len(g.use), g.sum)
	}
}
