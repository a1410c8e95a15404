package access

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// ErrNetwork says that a text is neither an address nor a network.
var ErrNetwork = errors.New("neither an address nor a network such as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32")

// maxNetwork is the longest text that can be one, in octets.
const maxNetwork = 64

// ParseNetwork reads an address or a network as people write it: bits behind
// the network's part do not matter, and an IPv4 address may be mapped into
// IPv6. The error is ErrNetwork.
func ParseNetwork(s string) (netip.Prefix, error) {
	text := strings.TrimSpace(s)
	if len(text) > maxNetwork {
		return netip.Prefix{}, fmt.Errorf("a text of %d octets is %w", len(text), ErrNetwork)
	}
	wrong := fmt.Errorf("%q is %w", text, ErrNetwork)
	if inner, ok := strings.CutPrefix(text, "["); ok {
		if text, ok = strings.CutSuffix(inner, "]"); !ok {
			return netip.Prefix{}, wrong
		}
	}
	if strings.Contains(text, "/") {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return netip.Prefix{}, wrong
		}
		if p.Addr().Is4In6() {
			if p.Bits() < 96 {
				return netip.Prefix{}, wrong
			}
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, wrong
	}
	a = a.Unmap()
	return netip.PrefixFrom(a, a.BitLen()), nil
}

// addressOf returns an IP address without port and zone; the zero Addr if there is none.
func addressOf(a net.Addr) netip.Addr {
	if t, ok := a.(*net.TCPAddr); ok {
		ip, _ := netip.AddrFromSlice(t.IP)
		return ip.Unmap()
	}
	if a == nil {
		return netip.Addr{}
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

// sourceNetwork is the network that an address is counted by: an IPv6 network
// is at least a /64, what one customer gets.
func sourceNetwork(p netip.Prefix) netip.Prefix {
	if p.Addr().Is6() && p.Bits() > 64 && !p.Addr().IsLoopback() {
		p = netip.PrefixFrom(p.Addr(), 64)
	}
	return p.Masked()
}

// banNetwork is the network that a ban of p is about. Within private networks
// an IPv6 address stands for itself: the /64 there is the whole office.
func banNetwork(p netip.Prefix) netip.Prefix {
	if private(p.Addr()) {
		return p.Masked()
	}
	return sourceNetwork(p)
}

// suspectOf is what failed sign-ins from an address are counted by.
func suspectOf(a netip.Addr) source { return source{banNetwork(netip.PrefixFrom(a, a.BitLen()))} }

func private(a netip.Addr) bool { return a.IsPrivate() || a.IsLinkLocalUnicast() }
