package state

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Target is Desired made concrete for the interfaces that are there.
type Target struct {
	Links []LinkTarget `json:"links"`

	DNS    []netip.Addr `json:"dns,omitempty"`
	Search []string     `json:"search,omitempty"`
	NTP    []string     `json:"ntp,omitempty"` // what DHCP gave; those that Desired names are not a matter of addresses
}

// LinkTarget is how one link should be.
type LinkTarget struct {
	Name   string `json:"name"`
	Kind   string `json:"kind,omitempty"` // made by us if it is not there
	Parent string `json:"parent,omitempty"`
	VLANID int    `json:"vlan_id,omitempty"`
	MAC    string `json:"mac,omitempty"` // when it is made; "" leaves it to the kernel
	Master string `json:"master,omitempty"`
	MTU    int    `json:"mtu,omitempty"` // 0 leaves it
	DHCP   bool   `json:"dhcp,omitempty"`

	// Undecided says that DHCP has not yet spoken: an address that an earlier
	// run of this program asked for stays until then, so that a restart cuts
	// no connection.
	Undecided bool `json:"-"`

	Addresses []Address         `json:"addresses,omitempty"`
	Routes    []Route           `json:"routes,omitempty"`
	Settings  map[string]string `json:"settings,omitempty"`

	SLAAC bool `json:"-"` // routers decide about addresses, too
}

// The settings of the kernel that are managed, below net/ipv6/conf/LINK; the
// last one below net/ipv4/conf/LINK as well.
const (
	SettingDisableIPv6 = "disable_ipv6"
	SettingAcceptRA    = "accept_ra"
	SettingAutoConf    = "autoconf"
	// SettingMetric is the metric of routers' routes; older kernels have none.
	SettingMetric = "ra_defrtr_metric"
	// SettingSkipDown keeps the kernel from sending into a pulled cable while
	// another interface has a route.
	SettingSkipDown = "ignore_routes_with_linkdown"
)

// Settings are all of them, in the order in which they are set.
func Settings() []string {
	return []string{SettingDisableIPv6, SettingAcceptRA, SettingAutoConf, SettingMetric, SettingSkipDown}
}

// The first interface's routes are preferred, then the second's. The steps
// leave room for others.
const (
	firstMetric = 100
	metricStep  = 10
)

// Find returns the target of a link, or nil.
func (t *Target) Find(name string) *LinkTarget {
	for i := range t.Links {
		if t.Links[i].Name == name {
			return &t.Links[i]
		}
	}

	return nil
}

// ErrAbsent says that an interface is not there; it may be plugged in later.
var ErrAbsent = errors.New("no such interface is there")

// Resolve makes Desired concrete. acquired has an entry, by the link's name, as
// soon as DHCP has decided something; advertised has one where a router says
// more than addresses. Problems concern single interfaces; the target holds for
// the others.
func Resolve(d *Desired, o *Observed, acquired map[string]Acquired, advertised map[string]Advertised) (Target, []error) {
	var (
		t        Target
		problems []error
	)
	chosen := map[string]bool{}
	names := make([]string, len(d.Interfaces))
	// The first wired interface is chosen last: not one that has an entry.
	for _, wired := range []bool{false, true} {
		for n := range d.Interfaces {
			i := &d.Interfaces[n]
			if i.FirstWired != wired {
				continue
			}
			name, err := choose(i, o, chosen)
			if err != nil {
				problems = append(problems, fmt.Errorf("%s: %w", i.Label(), err))
				continue
			}
			names[n], chosen[name] = name, true
			if i.Bridge != nil {
				for _, port := range i.Bridge.Ports {
					chosen[port] = true
				}
			}
		}
	}
	for n := range d.Interfaces {
		if names[n] == "" {
			continue
		}
		i := &d.Interfaces[n]
		a, decided := acquired[names[n]]
		l := i.target(names[n], firstMetric+n*metricStep, a, decided)
		if i.Bridge != nil {
			l.MAC = i.bridgeMAC(o)
			t.Links = append(t.Links, l)
			for _, port := range i.Bridge.Ports {
				if o.Find(port) == nil {
					problems = append(problems, fmt.Errorf("%s, port of %s: %w", port, l.Name, ErrAbsent))
					continue
				}
				t.Links = append(t.Links, LinkTarget{Name: port, Master: l.Name, Settings: map[string]string{SettingDisableIPv6: "1"}})
			}
		} else {
			t.Links = append(t.Links, l)
		}
		t.DNS = appendNew(t.DNS, a.DNS)
		t.Search = appendNew(t.Search, a.Search)
		t.NTP = appendNew(t.NTP, a.NTP)
	}
	// Resolvers read only the first few: DHCP's are the network's own in most
	// offices, and a router's may be the Internet provider's.
	for n := range d.Interfaces {
		if a, ok := advertised[names[n]]; ok && d.Interfaces[n].IPv6.wantsSLAAC() {
			t.DNS = appendNew(t.DNS, zoned(a.DNS, names[n]))
			t.Search = appendNew(t.Search, a.Search)
		}
	}
	if len(d.DNS) > 0 {
		t.DNS = d.DNS
	}
	if len(d.Search) > 0 {
		t.Search = d.Search
	}

	return t, problems
}

// choose returns the name of the link that an entry means.
func choose(i *Interface, o *Observed, chosen map[string]bool) (string, error) {
	if i.Bridge != nil {
		return i.Name, nil
	}
	if i.VLAN != nil {
		// Its parent may be a bridge that is still to be made; making the VLAN
		// then waits for the next time.
		if o.Find(i.VLAN.Parent) == nil {
			return "", fmt.Errorf("its parent %s: %w", i.VLAN.Parent, ErrAbsent)
		}
		return i.Name, nil
	}
	links := slices.SortedFunc(slices.Values(o.Links), func(a, b Link) int { return cmp.Compare(a.Index, b.Index) })
	for _, l := range links {
		switch {
		case chosen[l.Name]:
			continue
		case i.Name != "" && l.Name == i.Name,
			// A bridge has the hardware address of one of its ports.
			i.MAC != "" && strings.EqualFold(l.MAC, i.MAC) && l.Kind != KindBridge && l.Kind != KindVLAN,
			i.FirstWired && l.Wired:
			return l.Name, nil
		}
	}
	if i.Name != "" && chosen[i.Name] {
		return "", errors.New("it is already managed by another entry")
	}

	return "", ErrAbsent
}

// target returns what an entry asks of a link.
func (i *Interface) target(name string, metric int, a Acquired, decided bool) LinkTarget {
	l := LinkTarget{Name: name, MTU: i.MTU, Settings: i.IPv6.settings(metric), SLAAC: i.IPv6.wantsSLAAC()}
	if i.Bridge != nil {
		l.Kind = KindBridge
	}
	if i.VLAN != nil {
		l.Kind, l.Parent, l.VLANID = KindVLAN, i.VLAN.Parent, i.VLAN.ID
	}
	route := func(r Route, protocol int) {
		r.Link, r.Metric, r.Protocol = name, metric, protocol
		l.Routes = append(l.Routes, r)
	}
	for _, p := range slices.Concat(i.IPv4.Addresses, i.IPv6.Addresses) {
		l.Addresses = append(l.Addresses, Address{Prefix: p})
	}
	if g := i.IPv4.Gateway; g.IsValid() {
		route(Route{To: netip.PrefixFrom(netip.IPv4Unspecified(), 0), Gateway: g}, ProtocolStatic)
	}
	if g := i.IPv6.Gateway; g.IsValid() {
		route(Route{To: netip.PrefixFrom(netip.IPv6Unspecified(), 0), Gateway: g}, ProtocolStatic)
	}
	if i.IPv4.Method != MethodDHCP {
		return l
	}
	l.DHCP, l.Undecided = true, !decided
	if a.Address.IsValid() {
		l.Addresses = append(l.Addresses, Address{Prefix: a.Address, Dynamic: true, Expires: a.Expires})
		for _, r := range a.Routes {
			route(r, ProtocolDHCP)
		}
	}
	if l.MTU == 0 {
		l.MTU = a.MTU
	}

	return l
}

// bridgeMAC returns the hardware address that a bridge is made with: its own, and
// the same at each start while its first port is there. The kernel would take
// the least of the ports', and DHCP servers would take it for another machine
// whenever a port comes or goes.
func (i *Interface) bridgeMAC(o *Observed) string {
	for _, port := range i.Bridge.Ports {
		if l := o.Find(port); l != nil && l.MAC != "" {
			sum := sha256.Sum256([]byte("pillarbox bridge " + i.Name + " " + l.MAC))
			sum[0] = sum[0]&^1 | 2 // of one machine, and given by hand

			return net.HardwareAddr(sum[:6]).String()
		}
	}

	return ""
}

// zoned gives link-local addresses the link that they are on.
func zoned(all []netip.Addr, link string) []netip.Addr {
	var out []netip.Addr
	for _, a := range all {
		if a.IsLinkLocalUnicast() {
			a = a.WithZone(link)
		}
		out = append(out, a)
	}

	return out
}

func (v *IPv6) wantsSLAAC() bool { return v.Method == "" || v.Method == MethodSLAAC }

func (v *IPv6) settings(metric int) map[string]string {
	all := map[string]string{SettingDisableIPv6: "0", SettingAcceptRA: "0", SettingAutoConf: "0", SettingSkipDown: "1"}
	switch {
	case v.Method == MethodOff:
		return map[string]string{SettingDisableIPv6: "1", SettingSkipDown: "1"}
	case v.wantsSLAAC():
		all[SettingAcceptRA], all[SettingAutoConf], all[SettingMetric] = "1", "1", strconv.Itoa(metric)
	}

	return all
}

// appendNew appends what is not yet there: the first interface's come first.
func appendNew[T comparable](all, more []T) []T {
	for _, m := range more {
		if !slices.Contains(all, m) {
			all = append(all, m)
		}
	}

	return all
}
