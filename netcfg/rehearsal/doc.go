// Package rehearsal tries settings on a copy of the network before they touch
// the real one: in a network namespace of its own, where virtual cables stand in
// for the machine's interfaces, with their names, hardware addresses and sizes.
// There what holds now is set up, then the same plan is made and carried out and
// the same firewall is put up, and both are read back.
//
// What depends on the world outside (DHCP, routers, other hosts) is not there,
// and neither is what a device cannot do, such as a larger MTU.
package rehearsal
