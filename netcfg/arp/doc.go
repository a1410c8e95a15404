// Package arp asks whether another host has an IPv4 address (RFC 5227): before
// one that DHCP gave is used, and while one is set by hand.
package arp
