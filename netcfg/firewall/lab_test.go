package firewall_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"pillarbox/netcfg/firewall"
	"pillarbox/netcfg/netlab"
	"pillarbox/netcfg/policy"
)

// The box's addresses. Every other address lies behind its default route on
// eth0, so that packets with any source can be sent from either cable, and what
// the box answers leaves it at once.
var (
	boxLAN4, boxWAN4 = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("203.0.113.1")
	boxLAN6, boxWAN6 = netip.MustParseAddr("2001:db8:a::1"), netip.MustParseAddr("2001:db8:f::1")
	boxLink          = netip.MustParseAddr("fe80::1")

	peer4, peer6     = netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:db8:a::2")
	remote4          = netip.MustParseAddr("203.0.113.2")
	remote6          = netip.MustParseAddr("2001:db8:f::2")
	peerLink         = netip.MustParseAddr("fe80::2")
	closedPort       = uint16(12345)
	lanName, wanName = "eth0", "wan0"
)

// lab is the box between a host of the LAN and one of the Internet.
type lab struct {
	t        testing.TB
	lan, wan *cable
	sniffer  int    // sees what comes in and goes out, in order
	port     uint16 // of the last connection
	markers  uint32 // the number of the last one
}

// cable is one of the box's interfaces with the host at its other end.
type cable struct {
	name     string
	host     *netlab.Peer
	socket   int // sends frames into the cable
	index    int // of the far end
	far, box net.HardwareAddr
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{t: t, port: 20_000}
	l.lan = l.newCable(t, lanName, []netip.Addr{boxLAN4, boxLAN6, boxLink}, []netip.Addr{peer4, peer6, peerLink})
	l.wan = l.newCable(t, wanName, []netip.Addr{boxWAN4, boxWAN6, boxLink}, []netip.Addr{remote4, remote6, peerLink})
	for _, gateway := range []netip.Addr{peer4, peerLink} {
		bits := 0
		everything := &net.IPNet{IP: make(net.IP, gateway.BitLen()/8), Mask: net.CIDRMask(bits, gateway.BitLen())}
		must(t, netlink.RouteAdd(&netlink.Route{
			LinkIndex: boxIndex(t, lanName), Dst: everything, Gw: gateway.AsSlice(), Flags: int(netlink.FLAG_ONLINK),
		}))
	}
	l.sniffer = packetSocket(t, unix.ETH_P_ALL)
	must(t, unix.SetsockoptTimeval(l.sniffer, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}))

	return l
}

func (l *lab) newCable(t *testing.T, name string, box, far []netip.Addr) *cable {
	t.Helper()
	c := &cable{name: name, host: netlab.NewPeer(t)}
	var texts []string
	for _, a := range far {
		texts = append(texts, netip.PrefixFrom(a, wire(a)).String())
	}
	c.host.Plug(name, texts...)
	c.host.Do(func() error {
		// Frames that one processor sends stay in order.
		var one unix.CPUSet
		if err := unix.SchedGetaffinity(0, &one); err != nil {
			return err
		}
		for cpu, found := 0, false; cpu < 1024; cpu++ {
			if one.IsSet(cpu) && found {
				one.Clear(cpu)
			}
			found = found || one.IsSet(cpu)
		}
		if err := unix.SchedSetaffinity(0, &one); err != nil {
			return err
		}
		i, err := net.InterfaceByName(netlab.Cable)
		if err != nil {
			return err
		}
		c.index, c.far = i.Index, i.HardwareAddr
		c.socket, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		return err
	})
	t.Cleanup(func() { _ = unix.Close(c.socket) })
	link, err := netlink.LinkByName(name)
	must(t, err)
	c.box = link.Attrs().HardwareAddr
	for _, key := range []string{"ipv4/conf/" + name + "/rp_filter", "ipv4/conf/all/rp_filter", "ipv6/conf/" + name + "/accept_ra"} {
		must(t, os.WriteFile(filepath.Join("/proc/sys/net", key), []byte("0"), 0))
	}
	must(t, netlink.LinkSetUp(link))
	for _, a := range box {
		must(t, netlink.AddrAdd(link, &netlink.Addr{
			IPNet: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(wire(a), a.BitLen())}, Flags: unix.IFA_F_NODAD,
		}))
	}
	// What the box answers shall not wait until it has found its neighbour.
	for _, a := range far {
		must(t, netlink.NeighSet(&netlink.Neigh{
			LinkIndex: link.Attrs().Index, IP: a.AsSlice(), HardwareAddr: c.far, State: netlink.NUD_PERMANENT, Family: familyNumber(a),
		}))
	}

	return c
}

// wire returns the length of the network that an address is in.
func wire(a netip.Addr) int {
	if a.Is4() {
		return 24
	}

	return 64
}

func familyNumber(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}

	return unix.AF_INET6
}

func boxIndex(t *testing.T, name string) int {
	i, err := net.InterfaceByName(name)
	must(t, err)
	return i.Index
}

func packetSocket(t *testing.T, protocol uint16) int {
	s, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(swap(protocol)))
	must(t, err)
	t.Cleanup(func() { _ = unix.Close(s) })
	return s
}

func swap(n uint16) uint16 { return n<<8 | n>>8 }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// opens tells whether the box answers to a connection that is opened.
func (l *lab) opens(c *cable, source netip.Addr, port uint16) bool {
	l.t.Helper()
	return l.answers(c, l.syn(c, source, port)) > 0
}

// syn returns the first segment of a connection, of a new one each time.
func (l *lab) syn(c *cable, source netip.Addr, port uint16) []byte {
	return l.segment(c, source, port, 0x02)
}

// segment returns a segment with some flags, of a new connection each time.
func (l *lab) segment(c *cable, source netip.Addr, port uint16, flags byte) []byte {
	l.port++
	if l.port < 20_000 {
		l.port = 20_000
	}
	tcp := make([]byte, 20)
	binary.BigEndian.PutUint16(tcp, l.port)
	binary.BigEndian.PutUint16(tcp[2:], port)
	binary.BigEndian.PutUint32(tcp[4:], uint32(l.port)*7919)
	tcp[12], tcp[13] = 5<<4, flags
	binary.BigEndian.PutUint16(tcp[14:], 65535)

	return ip(source, l.address(c, source), 6, 64, tcp, 16)
}

// address is the box's on a cable that a source would speak to.
func (l *lab) address(c *cable, source netip.Addr) netip.Addr {
	switch {
	case source.Is4() && c == l.lan:
		return boxLAN4
	case source.Is4():
		return boxWAN4
	case source.IsLinkLocalUnicast():
		return boxLink
	case c == l.lan:
		return boxLAN6
	}

	return boxWAN6
}

// network is what the firewall is told of the lab.
func (l *lab) network() firewall.Network {
	var n firewall.Network
	n.Add(lanName, netip.PrefixFrom(boxLAN4, 24), netip.PrefixFrom(boxLAN6, 64), netip.PrefixFrom(boxLink, 64))
	return n
}

func open(t testing.TB) *firewall.Firewall {
	t.Helper()
	fw, err := firewall.Open(t.Context(), &firewall.Config{
		Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	must(t, err)
	t.Cleanup(func() {
		if err := fw.Remove(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})

	return fw
}

// apply makes a policy stand.
func apply(t testing.TB, fw *firewall.Firewall, p *policy.Policy, n firewall.Network) firewall.Report {
	t.Helper()
	r, err := fw.Apply(t.Context(), p, n)
	must(t, err)
	if r.Stands != firewall.PolicyStands || r.Revision == "" {
		t.Fatalf("%+v", r)
	}

	return r
}

// counted returns what a rule has counted.
func counted(t testing.TB, fw *firewall.Firewall, rule string) uint64 {
	t.Helper()
	s, err := fw.State(t.Context())
	must(t, err)
	for _, c := range s.Counters {
		if c.Name == rule {
			return c.Packets
		}
	}
	t.Fatalf("no rule is called %s", rule)

	return 0
}

func prefix(text string) netip.Prefix { return netip.MustParsePrefix(text) }

func addr(text string) netip.Addr { return netip.MustParseAddr(text) }

func label(c *cable, source netip.Addr, port uint16) string {
	return fmt.Sprintf("from %s on %s to port %d", source, c.name, port)
}
