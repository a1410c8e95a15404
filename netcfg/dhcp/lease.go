package dhcp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"pillarbox/netcfg/state"
)

// Lease is what a server gave, and for how long.
type Lease struct {
	Address netip.Prefix  `json:"address"`
	Server  netip.Addr    `json:"server"`
	Routes  []state.Route `json:"routes,omitempty"`
	MTU     int           `json:"mtu,omitempty"`
	DNS     []netip.Addr  `json:"dns,omitempty"`
	Search  []string      `json:"search,omitempty"`
	NTP     []netip.Addr  `json:"ntp,omitempty"`

	Acquired time.Time `json:"acquired"`
	Renew    time.Time `json:"renew"`  // T1: the server is asked again
	Rebind   time.Time `json:"rebind"` // T2: any server is asked
	Expires  time.Time `json:"expires"`
}

// Rebased returns the lease with its times by the clock as it is now: it may
// have been set since.
func (l *Lease) Rebased() *Lease {
	out, now := *l, time.Now()
	for _, t := range []*time.Time{&out.Acquired, &out.Renew, &out.Rebind, &out.Expires} {
		*t = now.Add(t.Sub(now)).Round(time.Second)
	}

	return &out
}

// Bounds on what is believed.
const (
	// minLease is the shortest lease that is taken: a shorter one would have
	// us ask without end.
	minLease = 30 * time.Second

	// DefaultMaxLease is how long a lease is believed at most. A server that
	// gives addresses for ever may yet be replaced.
	DefaultMaxLease = 7 * 24 * time.Hour

	maxList   = 4  // name servers, time servers, routers
	maxSearch = 6  // what resolvers read
	maxRoutes = 32 // classless routes

	minMTU = 1280 // IPv6 needs it, RFC 8200, section 5
	maxMTU = 9216 // larger frames than these exist on no Ethernet
)

// Read returns the lease that an OFFER or ACK says, begun at a moment. What is
// needed must be sound; what is not is left out.
func Read(m *dhcpv4.DHCPv4, now time.Time, longest time.Duration) (*Lease, error) {
	l := &Lease{Acquired: now}
	ip, ok := address(m.YourIPAddr)
	if !ok {
		return nil, errors.New("it has no address")
	}
	l.Address = netip.PrefixFrom(ip, prefixLength(m, ip))
	if !l.Address.IsValid() || !state.ValidHost(l.Address) || ip.IsLinkLocalUnicast() {
		return nil, fmt.Errorf("a host cannot have the address %s", l.Address)
	}
	if l.Server, ok = address(m.ServerIdentifier()); !ok || !unicast(l.Server) {
		return nil, errors.New("it does not say which server it is from")
	}
	if err := l.setTimes(m, longest); err != nil {
		return nil, err
	}
	l.Routes = routes(m, l.Address)
	l.DNS = addresses(m.DNS())
	l.NTP = addresses(m.NTPServers())
	l.Search = search(m)
	if mtu, err := dhcpv4.GetUint16(dhcpv4.OptionInterfaceMTU, m.Options); err == nil && mtu >= minMTU && mtu <= maxMTU {
		l.MTU = int(mtu)
	}

	return l, nil
}

// prefixLength is what the mask says; that of the address's class where none
// or nonsense is given.
func prefixLength(m *dhcpv4.DHCPv4, ip netip.Addr) int {
	mask := m.SubnetMask()
	if ones, bits := mask.Size(); bits == 32 && ones > 0 {
		return ones
	}
	ones, _ := net.IP(ip.AsSlice()).DefaultMask().Size()

	return ones
}

// setTimes reads the times of RFC 2131, section 4.4.5. T1 and T2 are the
// server's where they make sense.
func (l *Lease) setTimes(m *dhcpv4.DHCPv4, longest time.Duration) error {
	total := m.IPAddressLeaseTime(0)
	if total < minLease {
		return fmt.Errorf("the lease lasts only %s", total)
	}
	// A bound that is put upon the lease holds for its parts.
	limited := total > longest
	total = min(total, longest)
	t1, t2 := m.IPAddressRenewalTime(0), m.IPAddressRebindingTime(0)
	if limited || t1 < minLease/3 || t1 >= t2 || t2 >= total {
		t1, t2 = total/2, total/8*7
	}
	l.Renew, l.Rebind, l.Expires = l.Acquired.Add(t1), l.Acquired.Add(t2), l.Acquired.Add(total)

	return nil
}

// routes returns the classless routes, or else the default route: RFC 3442 says
// that a client that knows the former ignores the router option.
func routes(m *dhcpv4.DHCPv4, own netip.Prefix) []state.Route {
	var all []state.Route
	add := func(to netip.Prefix, gateway netip.Addr) {
		r := state.Route{To: to.Masked(), Gateway: gateway, OnLink: gateway.IsValid() && !own.Contains(gateway)}
		// The same destination twice would be two changes that fight.
		if !slices.ContainsFunc(all, func(o state.Route) bool { return o.To == r.To }) && gateway != own.Addr() {
			all = append(all, r)
		}
	}
	given := m.ClasslessStaticRoute()
	for _, r := range given[:min(len(given), maxRoutes)] {
		if r == nil || r.Dest == nil {
			continue
		}
		to, ok := address(r.Dest.IP)
		ones, bits := r.Dest.Mask.Size()
		if !ok || bits != 32 || !routable(netip.PrefixFrom(to, ones)) {
			continue
		}
		gateway, ok := address(r.Router)
		switch {
		case ok && gateway.IsUnspecified():
			add(netip.PrefixFrom(to, ones), netip.Addr{})
		case ok && unicast(gateway):
			add(netip.PrefixFrom(to, ones), gateway)
		}
	}
	if len(given) > 0 {
		return all
	}
	for _, gateway := range addresses(m.Router()) {
		add(netip.PrefixFrom(netip.IPv4Unspecified(), 0), gateway)
	}

	return all
}

// routable tells whether a route may lead there: not to this host or to groups.
func routable(to netip.Prefix) bool {
	a := to.Masked().Addr()
	first := a.As4()[0]

	return to.Bits() == 0 || first != 0 && !a.IsLoopback() && first < 224
}

func unicast(a netip.Addr) bool {
	return a.Is4() && a.As4()[0] != 0 && a.As4()[0] < 224 && !a.IsLoopback()
}

func address(ip net.IP) (netip.Addr, bool) {
	a, ok := netip.AddrFromSlice(ip)
	a = a.Unmap()

	return a, ok && a.Is4()
}

// addresses returns the first few servers of a list.
func addresses(list []net.IP) []netip.Addr {
	var all []netip.Addr
	for _, ip := range list {
		a, ok := address(ip)
		if ok && unicast(a) && !slices.Contains(all, a) && len(all) < maxList {
			all = append(all, a)
		}
	}

	return all
}

// search returns the domains of the search option (RFC 3397), or else the one
// of the domain option.
func search(m *dhcpv4.DHCPv4) []string {
	var given []string
	if labels := m.DomainSearch(); labels != nil {
		given = labels.Labels
	}
	if len(given) == 0 {
		// Some servers end the string with a zero octet, and some list several.
		text := strings.TrimRight(m.DomainName(), "\x00")
		if strings.ContainsFunc(text, unicode.IsControl) {
			return nil // it is meant for the file that it is written into
		}
		given = strings.Split(text, " ")
	}
	var all []string
	for _, name := range given {
		name = strings.TrimSuffix(name, ".")
		if state.ValidDomain(name) && !slices.Contains(all, name) && len(all) < maxSearch {
			all = append(all, name)
		}
	}

	return all
}
