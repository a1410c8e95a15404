package netcfg

import (
	"net/netip"
	"slices"
	"time"

	"pillarbox/netcfg/dhcp"
	"pillarbox/netcfg/link"
	"pillarbox/netcfg/state"
)

// Status is how the network is, and where that comes from.
type Status struct {
	Interfaces []Interface   `json:"interfaces"`
	Routes     []state.Route `json:"routes,omitempty"`
	DNS        []netip.Addr  `json:"dns,omitempty"`
	Search     []string      `json:"search,omitempty"`
	NTP        []string      `json:"ntp,omitempty"` // what DHCP gave
	Problems   []string      `json:"problems,omitempty"`
}

// Interface is one interface of the machine.
type Interface struct {
	Index     int       `json:"index"` // the kernel's
	Name      string    `json:"name"`
	Kind      string    `json:"kind,omitempty"`
	MAC       string    `json:"mac,omitempty"`
	MTU       int       `json:"mtu"`
	Up        bool      `json:"up"`
	Carrier   bool      `json:"carrier"`
	Managed   bool      `json:"managed"`
	Addresses []Address `json:"addresses,omitempty"`
	// Lease is what DHCP gave; absent where it is not asked or has not answered.
	Lease *dhcp.Lease `json:"lease,omitempty"`
}

// Origin says where an address comes from.
type Origin string

// Origins.
const (
	FromDHCP     Origin = "dhcp"
	FromSettings Origin = "settings"
	FromRouter   Origin = "router"     // SLAAC
	FromKernel   Origin = "link-local" // made by the kernel, and loopback
	FromOthers   Origin = "others"     // set by somebody else
)

// Address is an address of an interface.
type Address struct {
	Prefix  netip.Prefix `json:"prefix"`
	Origin  Origin       `json:"origin"`
	Expires time.Time    `json:"expires,omitzero"`
	Clashes bool         `json:"clashes,omitempty"` // another host has it
	// Deprecated says that its network is being given up.
	Deprecated bool `json:"deprecated,omitempty"`
	// Tentative says that the kernel still asks whether another host has it.
	Tentative bool `json:"tentative,omitempty"`
}

// Managed returns the interfaces that are managed.
func (s *Status) Managed() []Interface {
	var all []Interface
	for _, i := range s.Interfaces {
		if i.Managed {
			all = append(all, i)
		}
	}

	return all
}

// Connected returns the networks that the managed interfaces are connected to,
// in order, without IPv6's link-local one, which is on every link.
func (s *Status) Connected() []netip.Prefix {
	var all []netip.Prefix
	for _, i := range s.Managed() {
		for _, a := range i.Addresses {
			if a.Prefix.Addr().Is4() || !a.Prefix.Addr().IsLinkLocalUnicast() {
				all = append(all, a.Prefix.Masked())
			}
		}
	}
	slices.SortFunc(all, netip.Prefix.Compare)

	return slices.Compact(all)
}

// Observe returns what can be known of the network without managing it.
func Observe() (Status, error) {
	o, err := link.Observe()
	if err != nil {
		return Status{}, err
	}

	return status(&state.Target{}, &o, nil, nil), nil
}

// ObserveFor returns what can be known of the network before it is managed as
// some settings say: what they would manage, and its addresses as they are.
func ObserveFor(d *state.Desired) (Status, error) {
	o, err := link.Observe()
	if err != nil {
		return Status{}, err
	}
	target, problems := state.Resolve(d, &o, nil, nil)

	return status(&target, &o, nil, problems), nil
}

// Plan returns what would be done for some settings, and what stands in their
// way.
func Plan(d *state.Desired) (state.Plan, []error, error) {
	o, err := link.Observe()
	if err != nil {
		return nil, nil, err
	}
	target, problems := state.Resolve(d, &o, nil, nil)

	return state.Diff(&target, &o), problems, nil
}

func status(t *state.Target, o *state.Observed, leases map[string]*dhcp.Lease, problems []error) Status {
	s := Status{Routes: o.Routes, DNS: t.DNS, Search: t.Search, NTP: t.NTP}
	for _, err := range problems {
		s.Problems = append(s.Problems, err.Error())
	}
	for _, l := range o.Links {
		want := t.Find(l.Name)
		i := Interface{
			Index: l.Index, Name: l.Name, Kind: l.Kind, MAC: l.MAC, MTU: l.MTU, Up: l.Up, Carrier: l.Carrier,
			Managed: want != nil,
		}
		lease := leases[l.Name]
		if lease != nil {
			i.Lease = lease.Rebased()
		}
		for _, a := range l.Addresses {
			i.Addresses = append(i.Addresses, Address{
				Prefix: a.Prefix, Origin: origin(a, want, lease), Expires: a.Expires, Clashes: a.Conflict, Deprecated: a.Deprecated,
				Tentative: a.Tentative,
			})
		}
		s.Interfaces = append(s.Interfaces, i)
	}

	return s
}

func origin(a state.Address, want *state.LinkTarget, lease *dhcp.Lease) Origin {
	ip := a.Prefix.Addr()
	switch {
	case lease != nil && lease.Address == a.Prefix:
		return FromDHCP
	case ip.IsLoopback() || ip.Is6() && ip.IsLinkLocalUnicast():
		return FromKernel
	case ip.Is6() && a.Dynamic:
		return FromRouter
	}
	if want != nil {
		for _, w := range want.Addresses {
			if w.Prefix == a.Prefix {
				return FromSettings
			}
		}
		if want.Undecided && a.Dynamic {
			return FromDHCP // of an earlier run
		}
	}

	return FromOthers
}
