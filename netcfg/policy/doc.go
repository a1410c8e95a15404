// Package policy says who may reach which service of the box. It is data and
// arithmetic alone, like package state: it knows neither the kernel nor what a
// rule looks like there, so that configurations can be kept, compared and
// checked by programs that have no right to change a network.
//
//	Policy   what a person wants, service by service
//	Default  everything for the office's own network only
//
// What is true whatever a policy says (loopback, established connections, the
// ICMP and DHCP that a host needs, the administrator's pages from the named
// LAN interface) is not in it and cannot be taken away by it: that is the matter
// of package firewall.
package policy
