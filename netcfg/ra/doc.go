// Package ra learns what routers advertise beside addresses: name servers and
// search domains (RFC 8106). Addresses and routes the kernel takes by itself;
// these options it only hands on, and only those that came in an advertisement
// that it has found sound (hop limit 255, from the link itself; RFC 4861,
// section 6.1.2).
//
//	Parse    one of the kernel's messages, within bounds; pure
//	Table    what holds now, with its ends; pure
//	Listen   the kernel's messages
//	Solicit  asks routers to advertise at once
//
// Everyone on the local network can advertise. So an address must be one that a
// server can have, a name must be a name, lists and times are bounded, and what
// is known keeps its place before what is new: a flood displaces nothing.
package ra
