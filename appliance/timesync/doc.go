// Package timesync keeps the machine's clock by network time (NTP, as a simple
// client: RFC 5905, section 14).
//
// Servers are asked in groups, by how far they are trusted: those that the
// settings name, those that DHCP gave, and then the public pool. The first
// group with a usable answer decides. All servers of a group are asked at once,
// and the clock follows only an offset that more than half of those that
// answered agree on, so that one that lies, or is lost, is outvoted; if they
// do not agree, the next group is asked. No server moves the clock to before
// the program was built: that moment has passed for certain.
//
// The first agreed offset sets the clock, at once and however far: certificates
// and log-ins cannot wait. From then on small offsets are slewed, so that time
// does not jump, and a large one is taken for true only when it is seen again.
//
// NTP is not signed here; who can change the packets of a network can change
// its time, forward. What protects mail from that is that nothing is deleted
// because of the clock.
package timesync
