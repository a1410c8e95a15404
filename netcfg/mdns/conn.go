package mdns

import (
	"fmt"
	"net/netip"
)

// Link is an interface with one family of addresses.
type Link struct {
	Index int // the kernel's
	IPv6  bool
}

func (l Link) String() string {
	if l.IPv6 {
		return fmt.Sprintf("%d/IPv6", l.Index)
	}

	return fmt.Sprintf("%d/IPv4", l.Index)
}

// Packet is a datagram that came or goes.
type Packet struct {
	Link Link
	// Peer is who sent it or who shall have it.
	Peer netip.AddrPort
	// Multicast says of one that came that it came to the group. One that goes
	// does so if its peer is the group.
	Multicast bool
	Payload   []byte
}

// Conn carries packets of one family between the group's port on chosen links
// and the responder.
type Conn interface {
	// Join begins to hear the group on a link, Leave ends that.
	Join(Link) error
	Leave(Link) error

	Send(Packet) error

	// Receive returns the next packet, of whatever link; its payload lies in
	// buf. It fails with net.ErrClosed when the Conn is closed.
	Receive(buf []byte) (Packet, error)

	Close() error
}

// port is that of multicast DNS.
const port = 5353

// group is where everybody on a link listens (RFC 6762, section 3).
func group(l Link) netip.AddrPort {
	if l.IPv6 {
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 15: 0xfb}), port)
	}

	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{224, 0, 0, 251}), port)
}
