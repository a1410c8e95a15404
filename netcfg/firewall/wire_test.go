package firewall_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// marker is the type of a frame that no protocol takes (IEEE 802, local
// experiments).
const marker = 0x88b5

const (
	// atOnce bounds the packets between two markers: the sniffer's buffer holds
	// them and what is answered.
	atOnce = 50

	// sendTries bounds how often packets are sent again that were lost: the
	// kernel's queue of a processor is shared with all that the machine does.
	sendTries = 20
)

// answers sends packets from a cable, one after the other, and tells how many
// the box has answered, by its TCP or ICMP. The kernel answers a packet before
// it looks at the next one from the same cable: markers come first and last.
func (l *lab) answers(c *cable, packets ...[]byte) int {
	l.t.Helper()
	n := 0
	for some := range slices.Chunk(packets, atOnce) {
		n += l.exchange(c, some)
	}

	return n
}

func (l *lab) exchange(c *cable, packets [][]byte) int {
	l.t.Helper()
	n := 0
	for range sendTries {
		l.markers += 2
		c.send(append([][]byte{c.marker(l.markers)}, packets...)...)
		c.send(c.marker(l.markers + 1))
		missing := map[string]int{}
		for _, p := range packets {
			missing[string(p)]++
		}
		answered, whole := l.watch(c, missing)
		n += answered
		if whole {
			return n
		}
	}
	l.t.Fatal("packets are lost all the time")

	return n
}

// watch counts what the box answers between two markers, and tells whether it
// has seen all that was sent.
func (l *lab) watch(c *cable, missing map[string]int) (n int, whole bool) {
	l.t.Helper()
	begun := false
	buf := make([]byte, 2048)
	for waits := 0; ; {
		size, from, err := unix.Recvfrom(l.sniffer, buf, 0)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN) && waits < sendTries:
			waits++
			c.send(c.marker(l.markers + 1)) // the last one was lost
			continue
		case err != nil:
			l.t.Fatalf("wait for the marker: %v", err)
		case size < 18:
			continue
		}
		frame := buf[:size]
		outgoing := from.(*unix.SockaddrLinklayer).Pkttype == unix.PACKET_OUTGOING
		isMarker := !outgoing && binary.BigEndian.Uint16(frame[12:]) == marker
		switch id := binary.BigEndian.Uint32(frame[14:]); {
		case isMarker && id == l.markers:
			begun = true
		case isMarker && id == l.markers+1:
			for _, count := range missing {
				if count > 0 {
					return n, false
				}
			}
			return n, begun
		case !begun || isMarker:
		case outgoing && isAnswer(frame[14:]):
			n++
		case !outgoing:
			missing[string(unpadded(frame[14:]))]--
		}
	}
}

// marker returns a frame with a number.
func (c *cable) marker(id uint32) []byte {
	return binary.BigEndian.AppendUint32(c.frame(marker), id)
}

// frame returns the head of one to the box.
func (c *cable) frame(protocol uint16) []byte {
	return append(slices.Concat(c.box, c.far), byte(protocol>>8), byte(protocol))
}

// send sends IP packets and whole markers.
func (c *cable) send(packets ...[]byte) {
	c.host.Do(func() error {
		for _, p := range packets {
			frame, protocol := p, uint16(marker)
			if !bytes.HasPrefix(p, c.frame(marker)) {
				protocol = etherType(p)
				frame = append(c.frame(protocol), p...)
			}
			for len(frame) < 60 {
				frame = append(frame, 0)
			}
			if err := unix.Sendto(c.socket, frame, 0, &unix.SockaddrLinklayer{Ifindex: c.index, Protocol: swap(protocol)}); err != nil {
				return err
			}
		}
		return nil
	})
}

// unpadded returns an IP packet without what makes its frame long enough.
func unpadded(p []byte) []byte {
	size := 0
	switch {
	case len(p) >= 20 && p[0]>>4 == 4:
		size = int(binary.BigEndian.Uint16(p[2:]))
	case len(p) >= 40 && p[0]>>4 == 6:
		size = 40 + int(binary.BigEndian.Uint16(p[4:]))
	}

	return p[:min(size, len(p))]
}

func etherType(packet []byte) uint16 {
	if packet[0]>>4 == 4 {
		return unix.ETH_P_IP
	}

	return unix.ETH_P_IPV6
}

// isAnswer tells whether a packet is a TCP segment (a reset, mostly: nothing
// listens) or an echo reply.
func isAnswer(p []byte) bool {
	switch {
	case len(p) >= 28 && p[0]>>4 == 4:
		return p[9] == 6 || p[9] == 1 && p[20] == 0
	case len(p) >= 48 && p[0]>>4 == 6:
		return p[6] == 6 || p[6] == 58 && p[40] == 129
	}

	return false
}

// ip returns a packet whose payload has its checksum at some place; below 0 it
// has none. IGMP's and ICMP's have no pseudo-header.
func ip(source, to netip.Addr, protocol, hops byte, payload []byte, sum int) []byte {
	var head []byte
	pseudo := append(append([]byte{}, source.AsSlice()...), to.AsSlice()...)
	pseudo = append(pseudo, 0, protocol, byte(len(payload)>>8), byte(len(payload)))
	if source.Is4() {
		size := 20 + len(payload)
		head = []byte{0x45, 0, byte(size >> 8), byte(size), 0, 0, 0x40, 0, hops, protocol, 0, 0}
		head = append(append(head, source.AsSlice()...), to.AsSlice()...)
		binary.BigEndian.PutUint16(head[10:], checksum(head))
		if protocol == 1 || protocol == 2 {
			pseudo = nil
		}
	} else {
		head = []byte{0x60, 0, 0, 0, byte(len(payload) >> 8), byte(len(payload)), protocol, hops}
		head = append(append(head, source.AsSlice()...), to.AsSlice()...)
	}
	if sum >= 0 {
		binary.BigEndian.PutUint16(payload[sum:], checksum(append(pseudo, payload...)))
	}

	return append(head, payload...)
}

// checksum is RFC 1071's, of an even number of octets.
func checksum(b []byte) uint16 {
	if len(b)%2 == 1 {
		b = append(b, 0)
	}
	n := uint32(0)
	for i := 0; i < len(b); i += 2 {
		n += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for n>>16 != 0 {
		n = n&0xffff + n>>16
	}

	return ^uint16(n)
}
