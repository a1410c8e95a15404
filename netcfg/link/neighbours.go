package link

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
)

// Neighbour is a host on a link.
type Neighbour struct {
	Link string     `json:"link"`
	IP   netip.Addr `json:"ip"`
	MAC  string     `json:"mac"`
	// Fresh says that it has been heard of lately.
	Fresh bool `json:"fresh"`
}

// Neighbours returns the hosts that the kernel knows of, by ARP and IPv6's
// neighbour discovery, in order of links and addresses. It knows those that it
// has had to do with lately, and bounds their number by itself.
func Neighbours() ([]Neighbour, error) {
	links, err := dump(netlink.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	names := map[int]string{}
	for _, l := range links {
		names[l.Attrs().Index] = l.Attrs().Name
	}
	list, err := dump(func() ([]netlink.Neigh, error) { return netlink.NeighList(0, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("list neighbours: %w", err)
	}
	var all []Neighbour
	for _, n := range list {
		ip, ok := netip.AddrFromSlice(n.IP)
		// Without a hardware address it has not answered; those of groups are
		// computed and say nothing.
		if !ok || len(n.HardwareAddr) != 6 || ip.IsMulticast() || names[n.LinkIndex] == "" ||
			n.State&(netlink.NUD_FAILED|netlink.NUD_INCOMPLETE|netlink.NUD_NOARP) != 0 {
			continue
		}
		all = append(all, Neighbour{
			Link: names[n.LinkIndex], IP: ip.Unmap(), MAC: n.HardwareAddr.String(),
			Fresh: n.State&(netlink.NUD_REACHABLE|netlink.NUD_DELAY|netlink.NUD_PROBE|netlink.NUD_PERMANENT) != 0,
		})
	}
	slices.SortFunc(all, func(a, b Neighbour) int {
		return cmp.Or(cmp.Compare(a.Link, b.Link), a.IP.Compare(b.IP))
	})

	return all, nil
}
