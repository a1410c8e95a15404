// Package netcfg makes the machine reachable: it brings the network into the
// state that is desired and keeps it there.
//
// It is the only room that speaks to the kernel about the network, and it calls
// no other program. It knows nothing of mail; it runs in a process of its own
// (the mail server needs none of its rights), and only where the machine is
// ours: in the firmware. Elsewhere Observe is all that is used of it.
//
//	netcfg           Manager: observes, plans, applies, follows events
//	netcfg/state     what is desired, what is, and the steps between; pure
//	netcfg/link      the kernel's side
//	netcfg/dhcp      the DHCP client
//	netcfg/arp       whether another host has an IPv4 address
//	netcfg/ra        what routers say beside addresses
//	netcfg/mdns      the box's name and services by multicast DNS
//	netcfg/resolv    the resolver's configuration
//	netcfg/policy    who may reach which service; pure
//	netcfg/firewall  the kernel's nftables, as a policy says
//	netcfg/netlab    networks of virtual cables, for tests
//
// A pass of the Manager is idempotent: it compares the whole state with what is
// desired and does what is missing, so that it does not matter which event
// caused it, how many were lost, or whether an earlier run was killed half-way.
// Settings are handed in by Set; whoever wants to try, confirm and take back
// settings does so with Plan, Set and Settle.
package netcfg
