package images_test

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// wire is another machine in the box's network, which speaks Ethernet.
type wire struct {
	t    *testing.T
	conn *net.UDPConn
	box  net.Addr // by which frames enter the network
}

var (
	ourMAC   = []byte{0x02, 0, 0, 0, 0, 0x4d}
	mdnsMAC  = []byte{0x01, 0, 0x5e, 0, 0, 0xfb}
	ourAddr  = netip.MustParseAddr("10.0.2.77")
	mdnsAddr = netip.MustParseAddr("224.0.0.251")
)

const mdnsPort = 5353

func newWire(t *testing.T) *wire {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })

	return &wire{t: t, conn: conn}
}

func (w *wire) port() int { return w.conn.LocalAddr().(*net.UDPAddr).Port }

// find asks by multicast DNS for the IPv4 address of a name until it is told.
func (w *wire) find(name string) netip.Addr {
	w.t.Helper()
	frame := make([]byte, 64<<10)
	for begin := time.Now(); time.Since(begin) < bootTime; {
		if w.box != nil {
			if _, err := w.conn.WriteTo(w.question(name), w.box); err != nil {
				w.t.Fatal(err)
			}
		}
		_ = w.conn.SetReadDeadline(time.Now().Add(2 * time.Second))
		for {
			n, from, err := w.conn.ReadFrom(frame)
			if err != nil {
				break // nobody says anything: ask again
			}
			asked := w.box != nil
			w.box = from
			if a := addressIn(frame[:n], name); asked && a.IsValid() {
				return a
			}
		}
	}
	w.t.Fatalf("nobody answers for %s", name)

	return netip.Addr{}
}

// question returns a frame that asks for a name.
func (w *wire) question(name string) []byte {
	w.t.Helper()
	msg := dnsmessage.Message{Questions: []dnsmessage.Question{{
		Name: dnsmessage.MustNewName(name), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET,
	}}}
	text, err := msg.Pack()
	if err != nil {
		w.t.Fatal(err)
	}
	udp := binary.BigEndian.AppendUint16(nil, mdnsPort)
	udp = binary.BigEndian.AppendUint16(udp, mdnsPort)
	udp = binary.BigEndian.AppendUint16(udp, uint16(8+len(text)))
	udp = append(append(udp, 0, 0), text...) // without a checksum, as IPv4 allows
	ip := []byte{0x45, 0, 0, 0, 0, 0, 0, 0, 255, 17, 0, 0}
	binary.BigEndian.PutUint16(ip[2:], uint16(20+len(udp)))
	ip = append(append(ip, ourAddr.AsSlice()...), mdnsAddr.AsSlice()...)
	binary.BigEndian.PutUint16(ip[10:], checksum(ip))

	return slices.Concat(mdnsMAC, ourMAC, []byte{0x08, 0x00}, ip, udp)
}

// checksum is that of a header (RFC 1071).
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		sum += uint32(b[i])<<8 | uint32(b[i+1])
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}

	return ^uint16(sum)
}

// addressIn returns the address that a frame tells for a name, if it is an answer
// by multicast DNS over IPv4 from somebody else.
func addressIn(frame []byte, name string) netip.Addr {
	const ethernet, ip, udp = 14, 20, 8
	if len(frame) < ethernet+ip+udp || !bytes.Equal(frame[12:15], []byte{0x08, 0x00, 0x45}) || frame[ethernet+9] != 17 ||
		bytes.Equal(frame[6:12], ourMAC) || binary.BigEndian.Uint16(frame[ethernet+ip:]) != mdnsPort {
		return netip.Addr{}
	}
	var msg dnsmessage.Message
	if msg.Unpack(frame[ethernet+ip+udp:]) != nil || !msg.Response {
		return netip.Addr{}
	}
	for _, r := range msg.Answers {
		if a, ok := r.Body.(*dnsmessage.AResource); ok && r.Header.Name.String() == name {
			return netip.AddrFrom4(a.A)
		}
	}

	return netip.Addr{}
}
