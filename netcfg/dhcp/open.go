package dhcp

import (
	"context"
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

	"pillarbox/netcfg/arp"
)

const (
	clientPort = 68
	serverPort = 67
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

func (w *wire) Taken(ctx context.Context, a netip.Addr) (bool, error) {
	return arp.Taken(ctx, w.link, a)
}

func (w *wire) Close() error {
	err := w.raw.Close()
	if w.unicast != nil {
		err = errors.Join(err, w.unicast.Close())
	}

	return err
}
