package importer

import (
	"net"

	"golang.org/x/sys/unix"
)

// quickConn acknowledges at once what comes. Cyrus writes the answer to one message
// and the continuation for the next as two small packets, and the second waits for
// the first to be acknowledged (RFC 896), which Linux puts off (RFC 1122, section
// 4.2.3.2): without this each message takes 20 to 40 ms.
type quickConn struct{ *net.TCPConn }

// quick wraps a connection; one that is no TCP comes back as it is.
func quick(c net.Conn) net.Conn {
	if tcp, ok := c.(*net.TCPConn); ok {
		return quickConn{tcp}
	}

	return c
}

// Read implements net.Conn.
func (c quickConn) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	if err != nil {
		return n, err
	}
	// The kernel forgets it by and by. Where it cannot be set, it is only slower.
	if raw, err := c.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1) })
	}

	return n, nil
}
