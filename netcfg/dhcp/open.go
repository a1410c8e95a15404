package dhcp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

const (
	clientPort = 68
	serverPort = 67

	// probes and probeWait are fewer and shorter than RFC 5227 has them: who
	// answers at all does so within milliseconds, and a person waits.
	probes    = 2
	probeWait = 200 * time.Millisecond
)

// wire is a Conn on an interface.
type wire struct {
	link *net.Interface
	raw  *packet.Conn
	in   net.PacketConn // takes IP and UDP headers off

	own     netip.Addr // that unicast is bound to
	unicast net.PacketConn
}

// Open returns a Conn on an interface, which needs no address.
func Open(name string) (Conn, error) {
	link, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("open %s for DHCP: %w", name, err)
	}
	filter, err := bpf.Assemble(toClientPort())
	if err != nil {
		return nil, fmt.Errorf("open %s for DHCP: %w", name, err)
	}
	raw, err := packet.Listen(link, packet.Datagram, unix.ETH_P_IP, &packet.Config{Filter: filter})
	if err != nil {
		return nil, fmt.Errorf("open %s for DHCP: %w", name, err)
	}

	return &wire{link: link, raw: raw, in: nclient4.NewBroadcastUDPConn(raw, &net.UDPAddr{Port: clientPort})}, nil
}

// toClientPort keeps all packets in the kernel but those for our port: the
// machine's whole traffic passes here.
func toClientPort() []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: 9, Size: 1}, // the protocol
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_UDP, SkipFalse: 5},
		bpf.LoadAbsolute{Off: 6, Size: 2}, // the fragment's offset
		bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 0x1fff, SkipTrue: 3},
		bpf.LoadMemShift{Off: 0}, // the IP header's length
		bpf.LoadIndirect{Off: 2, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: clientPort, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.RetConstant{Val: 1 << 16},
	}
}

func (w *wire) Broadcast(msg []byte, from netip.Addr) error {
	source := &net.UDPAddr{Port: clientPort}
	if from.IsValid() {
		source.IP = from.AsSlice()
	}
	out := nclient4.NewBroadcastUDPConn(w.raw, source)
	_, err := out.WriteTo(msg, &net.UDPAddr{IP: net.IPv4bcast, Port: serverPort})

	return err
}

func (w *wire) Unicast(msg []byte, from, to netip.Addr) error {
	if w.unicast == nil || w.own != from {
		if err := w.bind(from); err != nil {
			return err
		}
	}
	_, err := w.unicast.WriteTo(msg, net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, serverPort)))

	return err
}

// bind opens the port, which also keeps the kernel from telling servers that
// nobody listens there. Answers are read from the packet socket all the same.
func (w *wire) bind(from netip.Addr) error {
	if w.unicast != nil {
		_ = w.unicast.Close() // nothing is ever read from it
		w.unicast = nil
	}
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) {
			failed = errors.Join(
				unix.BindToDevice(int(fd), w.link.Name),
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 1),
			)
		})
		return errors.Join(err, failed)
	}}
	var err error
	w.unicast, err = config.ListenPacket(context.Background(), "udp4", netip.AddrPortFrom(from, clientPort).String())
	w.own = from

	return err
}

func (w *wire) Receive(ctx context.Context, buf []byte) (int, error) {
	stop, err := deadline(ctx, w.raw)
	if err != nil {
		return 0, err
	}
	defer stop()
	n, _, err := w.in.ReadFrom(buf)
	if ctx.Err() != nil {
		err = ctx.Err()
	}

	return n, err
}

// deadline ends reads of c when the context ends.
func deadline(ctx context.Context, c net.PacketConn) (stop func(), err error) {
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		defer close(ended)
		_ = c.SetReadDeadline(time.Unix(1, 0))
	})

	return func() {
		// A late deadline would end the next read.
		if !cancel() {
			<-ended
		}
	}, nil
}

// Taken asks by ARP whether somebody has the address (RFC 5227, section 2.1.1).
func (w *wire) Taken(ctx context.Context, a netip.Addr) (bool, error) {
	c, err := packet.Listen(w.link, packet.Datagram, unix.ETH_P_ARP, nil)
	if err != nil {
		return false, fmt.Errorf("open %s for ARP: %w", w.link.Name, err)
	}
	defer c.Close()
	buf := make([]byte, 64)
	for range probes {
		to := &packet.Addr{HardwareAddr: net.HardwareAddr{255, 255, 255, 255, 255, 255}}
		if _, err := c.WriteTo(probe(w.link.HardwareAddr, a), to); err != nil {
			return false, fmt.Errorf("ask by ARP: %w", err)
		}
		within, cancel := context.WithTimeout(ctx, probeWait)
		taken, err := w.awaitClaim(within, c, buf, a)
		cancel()
		if taken || err != nil {
			return taken, err
		}
	}

	return false, nil
}

func (w *wire) awaitClaim(ctx context.Context, c net.PacketConn, buf []byte, a netip.Addr) (bool, error) {
	stop, err := deadline(ctx, c)
	if err != nil {
		return false, err
	}
	defer stop()
	for {
		n, _, err := c.ReadFrom(buf)
		switch {
		case ctx.Err() != nil:
			return false, nil
		case err != nil:
			return false, fmt.Errorf("read ARP: %w", err)
		case claims(buf[:n], a, w.link.HardwareAddr):
			return true, nil
		}
	}
}

// probe is an ARP request (RFC 826) from nobody for an address.
func probe(mac net.HardwareAddr, a netip.Addr) []byte {
	b := []byte{0, 1, 8, 0, 6, 4, 0, 1}
	b = append(b, mac...)
	b = append(b, 0, 0, 0, 0)
	b = append(b, 0, 0, 0, 0, 0, 0)

	return append(b, a.AsSlice()...)
}

// claims tells whether an ARP packet says that another host has an address.
func claims(b []byte, a netip.Addr, own net.HardwareAddr) bool {
	if len(b) < 28 || binary.BigEndian.Uint32(b) != 0x00010800 || b[4] != 6 || b[5] != 4 {
		return false
	}
	sender, ok := netip.AddrFromSlice(b[14:18])

	return ok && sender == a && string(b[8:14]) != string(own)
}

func (w *wire) Close() error {
	err := w.raw.Close()
	if w.unicast != nil {
		err = errors.Join(err, w.unicast.Close())
	}

	return err
}
