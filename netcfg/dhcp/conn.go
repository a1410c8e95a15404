package dhcp

import (
	"context"
	"net/netip"
)

// Conn carries messages to and from servers on one interface.
type Conn interface {
	// Broadcast sends to all servers on the link; from is the address that the
	// interface has, or the zero address.
	Broadcast(msg []byte, from netip.Addr) error

	// Unicast sends from the interface's address to a server.
	Unicast(msg []byte, from, to netip.Addr) error

	// Receive returns the next message; the error is the context's when that
	// ends.
	Receive(ctx context.Context, buf []byte) (int, error)

	// Taken tells whether another host says that it has an address.
	Taken(ctx context.Context, a netip.Addr) (bool, error)

	Close() error
}
