// Package mdns makes the machine known on its links by multicast DNS (RFC 6762)
// and DNS-based service discovery (RFC 6763): it claims a name in .local,
// defends it, and answers for it and for the services that the caller names.
// It asks nothing and resolves nothing.
//
//	Responder  owns the sockets and the time: Set, Run, Name
//	engine     the protocol: a packet or a moment in, packets out; it knows
//	           neither sockets nor clocks
//	Conn       carries packets; Open returns the kernel's
//
// The caller's view:
//
//	r, err := mdns.New(&mdns.Config{…})  // *Responder
//	err = r.Run(ctx)                     // until the context ends; says goodbye
//	r.Set(mdns.Network{…})               // at any time; does not block
//	err = r.Announce([]mdns.Service{…})  // the same
//	r.Name()                             // "pillarbox.local"; "" while none is held
//
// A link is an interface with one family of addresses. Each link is told the
// addresses of its own interface only, of both families. Unique names (the host
// and each service's instance) are probed on each link before anything is said
// of them there; a conflict on any link changes the name on all of them.
//
//	name                           type     unique  TTL
//	HOST.local                     A, AAAA  yes     120 s
//	…in-addr.arpa, …ip6.arpa       PTR      yes     120 s
//	INSTANCE.TYPE.local            SRV      yes     120 s
//	INSTANCE.TYPE.local            TXT      yes     4500 s
//	TYPE.local                     PTR      no      4500 s
//	_services._dns-sd._udp.local   PTR      no      4500 s
//
// # Threats
//
// Everybody on a link may send anything, with any source address that fits the
// link. Packets from elsewhere are dropped unread. What is left is bounded:
// the size of a packet and the number of its records, packets and answers per
// source and in all, answers that wait, sources that are remembered. Nothing
// that a packet holds is kept but the time when it came. What multicast DNS
// cannot prevent is that a neighbour claims our name over and over again; that
// costs us the name, a packet every five seconds, and nothing else.
package mdns
