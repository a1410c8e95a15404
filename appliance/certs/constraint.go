package certs

import (
	"crypto/x509"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// privateRanges are the addresses that a constrained CA certifies at all times:
// those of offices, of this machine and of links.
func privateRanges() []string {
	return []string{
		"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16", "fc00::/7", "fe80::/10", "::1/128",
	}
}

// constrain limits what a new CA can certify to the office's domains, the box's
// names, those of local networks, and private addresses (RFC 5280, section
// 4.2.1.10). A domain that comes later needs another CA; until then devices
// reach the box by the others.
func constrain(t *x509.Certificate, domains, names []string) {
	permitted := slices.DeleteFunc(slices.Clone(domains), func(d string) bool { return !isHost(d) })
	permitted = append(permitted, localDomains()...)
	for _, h := range sift(names).hosts {
		permitted = append(permitted, strings.TrimPrefix(h, "*."))
	}
	slices.Sort(permitted)
	t.PermittedDNSDomainsCritical = true
	t.PermittedDNSDomains = slices.Compact(permitted)
	for _, r := range privateRanges() {
		p := netip.MustParsePrefix(r)
		t.PermittedIPRanges = append(t.PermittedIPRanges, &net.IPNet{
			IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen()),
		})
	}
	// A box with a public IPv4 address keeps it; those of IPv6 come and go.
	for _, ip := range sift(names).ips {
		if v4 := ip.To4(); v4 != nil && !within(v4, t.PermittedIPRanges) {
			t.PermittedIPRanges = append(t.PermittedIPRanges, &net.IPNet{IP: v4, Mask: net.CIDRMask(32, 32)})
		}
	}
}

// permit splits names into those that a CA may certify and those that it may
// not: one of those in a leaf would make all of it invalid.
func permit(ca *x509.Certificate, n names) (ok names, left []string) {
	if len(ca.PermittedDNSDomains) == 0 && len(ca.PermittedIPRanges) == 0 {
		return n, nil
	}
	for _, h := range n.hosts {
		name := strings.TrimPrefix(h, "*.")
		if slices.ContainsFunc(ca.PermittedDNSDomains, func(d string) bool { return name == d || strings.HasSuffix(name, "."+d) }) {
			ok.hosts = append(ok.hosts, h)
		} else {
			left = append(left, h)
		}
	}
	for _, ip := range n.ips {
		if within(ip, ca.PermittedIPRanges) {
			ok.ips = append(ok.ips, ip)
		}
	}
	return ok, left
}

func within(ip net.IP, ranges []*net.IPNet) bool {
	return slices.ContainsFunc(ranges, func(r *net.IPNet) bool { return r.Contains(ip) })
}

// permitted returns the names for a leaf of our CA. The caller holds m.mu.
func (m *Manager) permitted() names {
	ok, _ := permit(m.ca.cert, sift(m.names()))
	return ok
}

// Constrained lists the domains that the CA is limited to; none means that it
// has no limits.
func (m *Manager) Constrained() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.ca.cert.PermittedDNSDomains)
}
