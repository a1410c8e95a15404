package netcfg

import "pillarbox/netcfg/link"

// Neighbour is a host on a link.
type Neighbour = link.Neighbour

// Neighbours returns the hosts that the kernel knows of on the links; a device
// of the LAN that has spoken to the machine lately is among them.
func Neighbours() ([]Neighbour, error) { return link.Neighbours() }
