package arp

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"
)

const (
	// probeWait is shorter than in RFC 5227, section 1.1: who answers at all does
	// so within milliseconds, and a person waits.
	probes    = 3
	probeWait = 200 * time.Millisecond

	// packetSize is that of ARP for IPv4 over Ethernet (RFC 826).
	packetSize = 28
)

// Taken asks the hosts on a link whether one of them has an address (RFC 5227,
// section 2.1.1). It may be set on the link already.
func Taken(ctx context.Context, link *net.Interface, a netip.Addr) (bool, error) {
	if !a.Is4() || len(link.HardwareAddr) != 6 {
		return false, fmt.Errorf("ask by ARP on %s for %s: it is not IPv4 over Ethernet", link.Name, a)
	}
	// The kernel answers for all of its addresses on any of its interfaces, two
	// of which may be in the same network.
	ours, err := hardware()
	if err != nil {
		return false, fmt.Errorf("list links: %w", err)
	}
	c, err := packet.Listen(link, packet.Datagram, unix.ETH_P_ARP, nil)
	if err != nil {
		return false, fmt.Errorf("open %s for ARP: %w", link.Name, err)
	}
	defer c.Close()
	everybody := &packet.Addr{HardwareAddr: net.HardwareAddr{255, 255, 255, 255, 255, 255}}
	for range probes {
		if _, err := c.WriteTo(probe(link.HardwareAddr, a), everybody); err != nil {
			return false, fmt.Errorf("ask by ARP on %s: %w", link.Name, err)
		}
		taken, err := awaitClaim(ctx, c, a, ours)
		if taken || err != nil {
			return taken, err
		}
	}

	return false, nil
}

func hardware() ([]string, error) {
	links, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var all []string
	for _, l := range links {
		all = append(all, string(l.HardwareAddr))
	}

	return all, nil
}

// awaitClaim waits for an answer, for a while.
func awaitClaim(ctx context.Context, c net.PacketConn, a netip.Addr, ours []string) (bool, error) {
	if err := c.SetReadDeadline(time.Now().Add(probeWait)); err != nil {
		return false, err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	buf := make([]byte, 64)
	for {
		n, _, err := c.ReadFrom(buf)
		switch {
		case ctx.Err() != nil:
			return false, ctx.Err()
		case os.IsTimeout(err):
			return false, nil
		case err != nil:
			return false, fmt.Errorf("read ARP: %w", err)
		case claims(buf[:n], a, ours):
			return true, nil
		}
	}
}

// probe is a request from nobody for an address.
func probe(mac net.HardwareAddr, a netip.Addr) []byte {
	b := make([]byte, 0, packetSize)
	b = append(b, 0, 1, 8, 0, 6, 4, 0, 1)
	b = append(b, mac...)
	b = append(b, 0, 0, 0, 0)
	b = append(b, 0, 0, 0, 0, 0, 0)

	return append(b, a.AsSlice()...)
}

// claims tells whether a packet says that another host has an address. Another
// one's probe for it claims nothing.
func claims(b []byte, a netip.Addr, ours []string) bool {
	if len(b) < packetSize || binary.BigEndian.Uint32(b) != 0x00010800 || b[4] != 6 || b[5] != 4 {
		return false
	}

	return netip.AddrFrom4([4]byte(b[14:18])) == a && !slices.Contains(ours, string(b[8:14]))
}
