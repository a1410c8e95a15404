package arp

import (
	"net"
	"net/netip"
	"slices"
	"testing"
)

var (
	asked  = netip.MustParseAddr("192.0.2.9")
	own    = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	others = net.HardwareAddr{2, 0, 0, 0, 0, 2}
)

// reply says that somebody has an address.
func reply(mac net.HardwareAddr, a netip.Addr) []byte {
	return slices.Concat([]byte{0, 1, 8, 0, 6, 4, 0, 2}, mac, a.AsSlice(), own, []byte{0, 0, 0, 0})
}

func TestWhatClaimsAnAddress(t *testing.T) {
	announcement := slices.Concat([]byte{0, 1, 8, 0, 6, 4, 0, 1}, others, asked.AsSlice(), make([]byte, 6), asked.AsSlice())
	for name, c := range map[string]struct {
		packet []byte
		want   bool
	}{
		"a reply":            {reply(others, asked), true},
		"an announcement":    {announcement, true},
		"padding behind it":  {append(reply(others, asked), make([]byte, 18)...), true},
		"another address":    {reply(others, asked.Next()), false},
		"ourselves":          {reply(own, asked), false},
		"another's probe":    {probe(others, asked), false},
		"half a packet":      {reply(others, asked)[:27], false},
		"IPv6's protocol":    {slices.Concat([]byte{0, 1, 0x86, 0xdd}, reply(others, asked)[4:]), false},
		"longer addresses":   {slices.Concat([]byte{0, 1, 8, 0, 8, 4}, reply(others, asked)[6:]), false},
		"nothing whatsoever": {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := claims(c.packet, asked, []string{string(own)}); got != c.want {
				t.Errorf("claims = %v", got)
			}
		})
	}
}

func FuzzClaims(f *testing.F) {
	f.Add(reply(others, asked))
	f.Add(probe(others, asked))
	f.Fuzz(func(t *testing.T, b []byte) {
		if claims(b, asked, []string{string(own)}) && (len(b) < packetSize || netip.AddrFrom4([4]byte(b[14:18])) != asked) {
			t.Errorf("% x claims nothing", b)
		}
	})
}
