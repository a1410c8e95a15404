package firewall

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"pillarbox/netcfg/policy"
)

// Network is the machine's network, as far as the firewall has to know it.
// Apply is called again whenever it changes.
type Network struct {
	// Interfaces are those that are managed, and so the LAN's; packets from any
	// other come from outside.
	Interfaces []Interface

	// Admin is the interface from which the administrator's pages can always be
	// reached, beside the one that the policy names. Without either, or if
	// neither is managed, it is the first of Interfaces.
	Admin string
}

// Interface is an interface of the LAN.
type Interface struct {
	Name string
	// Networks are those that it is connected to. IPv6 link-local addresses
	// need not be among them.
	Networks []netip.Prefix
}

// Bounds of a network.
const (
	maxInterfaces        = 64
	maxInterfaceNetworks = 64
	maxInterfaceName     = 15 // octets: IFNAMSIZ without its NUL
)

// Add adds a managed interface that has some addresses. What is loopback,
// link-local in IPv6, or everybody, is left out, and of what is wider than any
// office's network all but the part around the address.
func (n *Network) Add(name string, addresses ...netip.Prefix) {
	i := Interface{Name: name}
	for _, a := range addresses {
		if a.Bits() > 0 {
			a = policy.Own(a).Masked()
		}
		if !a.IsValid() || a.Bits() == 0 || a.Addr().IsLoopback() || a.Addr().Is6() && a.Addr().IsLinkLocalUnicast() {
			continue
		}
		if !slices.Contains(i.Networks, a) {
			i.Networks = append(i.Networks, a)
		}
	}
	n.Interfaces = append(n.Interfaces, i)
}

// validate returns all that is wrong, joined.
func (n *Network) validate() error {
	var bad []error
	if len(n.Interfaces) > maxInterfaces {
		return fmt.Errorf("interfaces: more than %d", maxInterfaces)
	}
	seen := map[string]bool{}
	for k, i := range n.Interfaces {
		path := fmt.Sprintf("interfaces[%d]", k)
		if i.Name == "" || len(i.Name) > maxInterfaceName || strings.ContainsAny(i.Name, "/ \t\n\x00") {
			bad = append(bad, fmt.Errorf("%s: %q is not the name of an interface", path, i.Name))
		}
		if seen[i.Name] {
			bad = append(bad, fmt.Errorf("%s: %s is there twice", path, i.Name))
		}
		seen[i.Name] = true
		if len(i.Networks) > maxInterfaceNetworks {
			bad = append(bad, fmt.Errorf("%s: more than %d networks", path, maxInterfaceNetworks))
		}
		for _, p := range i.Networks {
			if !p.IsValid() || p != p.Masked() || p.Bits() == 0 {
				bad = append(bad, fmt.Errorf("%s: %s is not a network, such as 192.168.1.0/24", path, p))
			}
		}
	}

	return errors.Join(bad...)
}

// admins returns the interfaces from which the administrator's pages can be
// reached whatever the policy says, which may be nil.
func (n *Network) admins(p *policy.Policy) []string {
	var all []string
	for k := range n.Interfaces {
		name := n.Interfaces[k].Name
		if name == n.Admin || p != nil && name == p.Admin {
			all = append(all, name)
		}
	}
	if len(all) == 0 && len(n.Interfaces) > 0 {
		all = []string{n.Interfaces[0].Name}
	}

	return all
}
