// Package dhcp asks a DHCP server for an IPv4 address and keeps it (RFC 2131):
// it takes up the lease of an earlier run (INIT-REBOOT) or looks for a server,
// renews in time, asks any server when its own is silent, and gives the address
// up when its time is over or the server says so. It only tells what it has;
// setting addresses is the matter of others.
//
// The wire format is that of github.com/insomniacslk/dhcp. What the answers say
// is believed within bounds (see Read): everyone on the local network can answer
// first. So an address must be one that a host can have, times and lists are
// bounded, names must be names, and a server that refuses again and again is
// asked ever more slowly.
//
//	Lease   what was given, with its times
//	Read    an answer's options, within bounds
//	Client  the states of RFC 2131, figure 5
//	Conn    the network below: Open uses a packet socket, which works while the
//	        interface has no address
//	Store   the lease on disk
package dhcp
