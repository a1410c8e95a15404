// Package firewall decides which packets reach the machine: it turns a policy
// and the network as it is into one table of the kernel's nftables, and keeps
// the list of banned addresses there.
//
//	Compile  policy and network to a Ruleset, our own small model; pure
//	Explain  which rule of a model decides about a packet, and why; pure
//	Words    the model as a person reads it; pure
//	Firewall the kernel's side: puts a model there whole or not at all
//
// # The threats
//
// Everything that comes from a network is hostile, from the Internet and from
// the LAN alike. The table bounds what one source can ask for (an IPv4 address
// or an IPv6 /64), and every set that packets can fill is bounded in size. A set
// that is full does not lock anybody out: the sources beyond are not bounded by
// the kernel but by the mail server, and State says so.
//
// The LAN is the networks that the managed interfaces are connected to, and
// IPv6's link-local addresses there; these are believed from their interface
// alone. Networks that a policy lists may lie behind any interface, such as a
// tunnel's: who forges their addresses gets no answer.
//
// # What holds whatever a policy says
//
// Loopback and established connections; the ICMP, ICMPv6 (RFC 4890), IGMP and
// DHCP that a host needs; the administrator's pages (80 and 443) from the
// networks of the named LAN interface, before any ban. They come first and a
// policy only adds what follows. The pages are pinned to an interface that is
// managed and to the networks that it is connected to, so that a router that
// forwards a port to the box opens nothing.
//
// A policy that cannot be compiled, or that the kernel refuses, leaves what
// stands, as far as that is for the network as it is now (else the last policy
// is made anew for it); where there is none, the Minimum is put there, which is
// the above and nothing else. The caller is told which of them it is.
//
// # Order of a packet's way
//
// Loopback, established, ICMP and DHCP, invalid, the administrator's pages,
// bans, the services. Bans are for new connections: the mail server, which
// asks for them, closes those that are open, and looking up every packet of
// every connection would cost. Networks of each length have a set of their own,
// so that bans may overlap and each ends by itself.
//
// # The kernel's habits
//
// A table is replaced in one batch with all that lives in it: the bans and
// exemptions with the time that they have left, and the counters. What the
// bounds of single sources have counted begins anew. After every batch the
// table is read back, because an error can come although the batch stands, and
// (seen on Linux 6.12) none although it does not. The revision of the model is
// the comment of the one rule in a chain of its own. Other tables are never
// touched. Features that a kernel lacks are found by trying them in a table
// that nothing uses, and named in the report.
package firewall
