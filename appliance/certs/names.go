package certs

import (
	"crypto/x509"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// maxNames bounds a certificate's names, so that a handshake stays small.
const maxNames = 100

// SystemNames returns the names and addresses that this machine knows itself
// by: its host name, also within .local, localhost, and the addresses of its
// interfaces.
func SystemNames() []string {
	var all []string
	if h, err := os.Hostname(); err == nil && h != "" {
		all = append(all, h)
		if host, _, _ := strings.Cut(h, "."); host != "localhost" {
			all = append(all, host, host+".local")
		}
	}
	all = append(all, "localhost", "127.0.0.1", "::1")
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return all
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			all = append(all, p.Addr().String())
		}
	}
	return all
}

// names are what a certificate holds.
type names struct {
	hosts []string
	ips   []net.IP
}

// sift sorts names into hosts and addresses, each once, and leaves out what a
// certificate cannot hold: what is no host name, and link-local addresses,
// which mean nothing without an interface.
func sift(all []string) (n names) {
	seen := map[string]bool{}
	for _, s := range all {
		s = strings.ToLower(strings.TrimSuffix(s, "."))
		ip, err := netip.ParseAddr(s)
		if err == nil {
			ip = ip.Unmap()
			s = ip.String()
		}
		switch {
		case seen[s] || len(seen) >= maxNames:
		case err == nil && (ip.IsLinkLocalUnicast() || ip.IsUnspecified() || ip.IsMulticast() || ip.Zone() != ""):
		case err == nil:
			seen[s] = true
			n.ips = append(n.ips, ip.AsSlice())
		case isHost(s):
			seen[s] = true
			n.hosts = append(n.hosts, s)
		}
	}
	return n
}

// first returns the name for the subject. RFC 5280 bounds it to 64 characters.
func (n names) first() string {
	for _, h := range n.hosts {
		if len(h) <= 64 {
			return h
		}
	}
	return "pillarbox"
}

// missing returns a name that a certificate lacks, "" if it has all. That it
// has more is no matter: an address that went away may come back.
func (n names) missing(c *x509.Certificate) string {
	for _, h := range n.hosts {
		if !slices.Contains(c.DNSNames, h) {
			return h
		}
	}
	for _, ip := range n.ips {
		if !slices.ContainsFunc(c.IPAddresses, ip.Equal) {
			return ip.String()
		}
	}
	return ""
}

// sans lists a certificate's names for the log.
func sans(c *x509.Certificate) []string {
	all := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	return all
}

// isHost tells whether s is a host name in lower-case ASCII (RFC 1123, section
// 2.1), a wildcard as its first label allowed.
func isHost(s string) bool {
	if len(s) == 0 || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimPrefix(s, "*."), ".") {
		if len(label) == 0 || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}
