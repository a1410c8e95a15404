// Package sockets tells what on this machine can be reached from the network:
// which program listens on which port, as the kernel sees it and not as
// somebody's settings say, so that nothing listens that nobody knows of.
//
// It reads /proc/net of IPv4 and IPv6, for TCP and UDP. A socket that listens
// on loopback alone is left out, and so is a UDP socket that is connected. What
// takes packets below IP, as a DHCP client may, is not seen.
package sockets
