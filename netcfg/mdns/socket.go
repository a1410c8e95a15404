package mdns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// hops is the time to live of all that is sent (RFC 6762, section 11).
const hops = 255

// Open opens the port of multicast DNS on all addresses of a family. Other
// programs may have it, too.
func Open(v6 bool) (Conn, error) {
	network := "udp4"
	if v6 {
		network = "udp6"
	}
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) { failed = share(int(fd), v6) })
		return errors.Join(err, failed)
	}}
	c, err := config.ListenPacket(context.Background(), network, ":"+strconv.Itoa(port))
	if err != nil {
		return nil, fmt.Errorf("open port %d for multicast DNS: %w", port, err)
	}
	var conn Conn
	if v6 {
		conn, err = newSocket6(c)
	} else {
		conn, err = newSocket4(c)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("prepare a socket for multicast DNS: %w", err), c.Close())
	}

	return conn, nil
}

// share lets others have the port (section 15.1), and keeps away what only they
// have asked the kernel for.
func share(fd int, v6 bool) error {
	level, option := unix.IPPROTO_IP, unix.IP_MULTICAST_ALL
	if v6 {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_ALL
	}

	return errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1),
		unix.SetsockoptInt(fd, level, option, 0),
	)
}

// socket4 is a Conn of IPv4.
type socket4 struct {
	conn  net.PacketConn
	inner *ipv4.PacketConn
}

func newSocket4(c net.PacketConn) (*socket4, error) {
	p := ipv4.NewPacketConn(c)

	return &socket4{conn: c, inner: p}, errors.Join(
		p.SetControlMessage(ipv4.FlagInterface|ipv4.FlagDst, true),
		p.SetMulticastTTL(hops), p.SetTTL(hops), p.SetMulticastLoopback(false),
	)
}

func (s *socket4) Join(l Link) error {
	return s.inner.JoinGroup(&net.Interface{Index: l.Index}, net.UDPAddrFromAddrPort(group(l)))
}

func (s *socket4) Leave(l Link) error {
	return s.inner.LeaveGroup(&net.Interface{Index: l.Index}, net.UDPAddrFromAddrPort(group(l)))
}

func (s *socket4) Send(p Packet) error {
	_, err := s.inner.WriteTo(p.Payload, &ipv4.ControlMessage{IfIndex: p.Link.Index}, net.UDPAddrFromAddrPort(p.Peer))

	return err
}

func (s *socket4) Receive(buf []byte) (Packet, error) {
	n, cm, from, err := s.inner.ReadFrom(buf)
	if err != nil {
		return Packet{}, err
	}
	p := Packet{Peer: addrPort(from), Payload: buf[:n]}
	if cm != nil { // else it belongs to no link, and is dropped
		p.Link.Index, p.Multicast = cm.IfIndex, cm.Dst.IsMulticast()
	}

	return p, nil
}

func (s *socket4) Close() error { return s.conn.Close() }

// socket6 is a Conn of IPv6.
type socket6 struct {
	conn  net.PacketConn
	inner *ipv6.PacketConn
}

func newSocket6(c net.PacketConn) (*socket6, error) {
	p := ipv6.NewPacketConn(c)

	return &socket6{conn: c, inner: p}, errors.Join(
		p.SetControlMessage(ipv6.FlagInterface|ipv6.FlagDst, true),
		p.SetMulticastHopLimit(hops), p.SetHopLimit(hops), p.SetMulticastLoopback(false),
	)
}

func (s *socket6) Join(l Link) error {
	return s.inner.JoinGroup(&net.Interface{Index: l.Index}, net.UDPAddrFromAddrPort(group(l)))
}

func (s *socket6) Leave(l Link) error {
	return s.inner.LeaveGroup(&net.Interface{Index: l.Index}, net.UDPAddrFromAddrPort(group(l)))
}

func (s *socket6) Send(p Packet) error {
	to := p.Peer
	if a := to.Addr(); a.IsLinkLocalUnicast() {
		to = netip.AddrPortFrom(a.WithZone(strconv.Itoa(p.Link.Index)), to.Port())
	}
	_, err := s.inner.WriteTo(p.Payload, &ipv6.ControlMessage{IfIndex: p.Link.Index}, net.UDPAddrFromAddrPort(to))

	return err
}

func (s *socket6) Receive(buf []byte) (Packet, error) {
	n, cm, from, err := s.inner.ReadFrom(buf)
	if err != nil {
		return Packet{}, err
	}
	p := Packet{Link: Link{IPv6: true}, Peer: addrPort(from), Payload: buf[:n]}
	if cm != nil { // else it belongs to no link, and is dropped
		p.Link.Index, p.Multicast = cm.IfIndex, cm.Dst.IsMulticast()
	}

	return p, nil
}

func (s *socket6) Close() error { return s.conn.Close() }

// addrPort returns an address without its zone: the link says that.
func addrPort(a net.Addr) netip.AddrPort {
	u, ok := a.(*net.UDPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	p := u.AddrPort()

	return netip.AddrPortFrom(p.Addr().Unmap().WithZone(""), p.Port())
}
