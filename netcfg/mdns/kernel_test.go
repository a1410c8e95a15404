package mdns_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	"github.com/vishvananda/netlink"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"pillarbox/netcfg/mdns"
	"pillarbox/netcfg/netlab"
)

// machine is a real host: the namespace of the test, or a peer's.
type machine struct {
	t    *testing.T
	peer *netlab.Peer // nil for that of the test
	link string       // its interface
}

// do calls f in the machine's namespace, from whatever goroutine.
func (m *machine) do(f func() error) (err error) {
	if m.peer == nil {
		return f()
	}
	m.peer.Do(func() error {
		err = f()
		return nil
	})
	return err
}

// office is a switch with machines, of which the test's own is none.
func office(t *testing.T, number int) []*machine {
	t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "office"
	bridge := &netlink.Bridge{LinkAttrs: attrs}
	if err := netlink.LinkAdd(bridge); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { netlab.Unplug(t, "office") })
	if err := netlink.LinkSetUp(bridge); err != nil {
		t.Fatal(err)
	}
	var all []*machine
	for i := range number {
		p := netlab.NewPeer(t)
		socket := fmt.Sprintf("socket%d", i)
		p.Plug(socket, fmt.Sprintf("192.0.2.%d/24", i+1))
		l, err := netlink.LinkByName(socket)
		if err == nil {
			err = netlink.LinkSetMaster(l, bridge)
		}
		if err == nil {
			err = netlink.LinkSetUp(l)
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, &machine{t: t, peer: p, link: netlab.Cable})
	}
	return all
}

// now is the machine's interface as it is, once all its addresses are usable.
func (m *machine) now() mdns.Interface {
	m.t.Helper()
	i := mdns.Interface{Name: m.link}
	netlab.Until(m.t, "the addresses are usable", func() bool {
		i.Addresses = nil
		v6 := false
		err := m.do(func() error {
			l, err := netlink.LinkByName(m.link)
			if err != nil {
				return err
			}
			i.Index = l.Attrs().Index
			list, err := netlink.AddrList(l, netlink.FAMILY_ALL)
			for _, a := range list {
				if a.Flags&unix.IFA_F_TENTATIVE == 0 {
					i.Addresses = append(i.Addresses, netip.MustParsePrefix(a.IPNet.String()))
					v6 = v6 || a.IP.To4() == nil
				}
			}
			return err
		})
		return err == nil && v6
	})
	return i
}

// linkLocal returns the address that the kernel has made.
func (m *machine) linkLocal() netip.Addr {
	m.t.Helper()
	for _, p := range m.now().Addresses {
		if p.Addr().Is6() && p.Addr().IsLinkLocalUnicast() {
			return p.Addr()
		}
	}
	m.t.Fatal("no link-local address")
	return netip.Addr{}
}

// readdress replaces the machine's IPv4 address.
func (m *machine) readdress(from, to string) {
	m.t.Helper()
	err := m.do(func() error {
		l, err := netlink.LinkByName(m.link)
		if err != nil {
			return err
		}
		old, err := netlink.ParseAddr(from)
		if err != nil {
			return err
		}
		fresh, err := netlink.ParseAddr(to)
		if err != nil {
			return err
		}
		if err := netlink.AddrDel(l, old); err != nil {
			return err
		}
		return netlink.AddrAdd(l, fresh)
	})
	if err != nil {
		m.t.Fatal(err)
	}
}

// responder is one that runs on a machine.
type responder struct {
	*mdns.Responder
	stop func()
}

// respond starts a responder on the machine's interface.
func (m *machine) respond() *responder {
	m.t.Helper()
	r, err := mdns.New(&mdns.Config{
		Logger: slog.New(slog.NewTextHandler(m.t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
		Host:   "pillarbox", Services: services(),
		Open: func(v6 bool) (c mdns.Conn, err error) {
			err = m.do(func() error {
				c, err = mdns.Open(v6)
				return err
			})
			return c, err
		},
	})
	if err != nil {
		m.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(m.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = r.Run(ctx)
	}()
	out := &responder{Responder: r, stop: sync.OnceFunc(func() {
		cancel()
		<-done
	})}
	m.t.Cleanup(out.stop)
	r.Set(network(m.now()))
	return out
}

func (r *responder) untilNamed(t *testing.T, name string) {
	t.Helper()
	netlab.Until(t, "the name is "+name, func() bool { return r.Name() == name })
}

// avahi is Debian's responder and resolver on a machine.
type avahi struct {
	*machine
	bus    string
	daemon *netlab.Program
}

func (m *machine) avahi(host string) *avahi {
	m.t.Helper()
	for _, name := range []string{"avahi-daemon", "avahi-browse", "avahi-resolve", "dbus-daemon", "unshare"} {
		netlab.Require(m.t, name)
	}
	dir := m.t.TempDir()
	a := &avahi{machine: m, bus: filepath.Join(dir, "bus")}
	conf := filepath.Join(dir, "bus.conf")
	write(m.t, conf, `<busconfig><type>system</type><listen>unix:path=`+a.bus+`</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy></busconfig>`)
	m.peer.Start("dbus-daemon", "--config-file="+conf, "--nofork", "--nopidfile")
	// Its file is there a moment before anybody is answered.
	netlab.Until(m.t, "the bus is there", func() bool {
		bus, err := net.DialTimeout("unix", a.bus, time.Second)
		return err == nil && bus.Close() == nil
	})
	conf = filepath.Join(dir, "avahi.conf")
	write(m.t, conf, "[server]\nhost-name="+host+"\nallow-interfaces="+netlab.Cable+"\nuse-ipv4=yes\nuse-ipv6=yes\nratelimit-interval-usec=0\n"+
		"[publish]\npublish-hinfo=no\npublish-workstation=no\n")
	// Its process number lies in a folder that all of them would share.
	a.daemon = m.peer.Start("unshare", "--mount", "sh", "-c", "mount -t tmpfs tmpfs /run && mkdir /run/avahi-daemon && exec env DBUS_SYSTEM_BUS_ADDRESS=unix:path="+
		a.bus+" avahi-daemon --no-drop-root --no-chroot --no-rlimits --no-proc-title -f "+conf)
	netlab.Until(m.t, "avahi has its name", func() bool { return strings.Contains(a.daemon.Said(), "Server startup complete") })
	return a
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// command returns one of avahi's programs and its arguments.
func (a *avahi) command(args ...string) []string {
	return append([]string{"DBUS_SYSTEM_BUS_ADDRESS=unix:path=" + a.bus}, args...)
}

// run returns what one of avahi's programs says.
func (a *avahi) run(args ...string) string {
	a.t.Helper()
	var out []byte
	_ = a.do(func() (err error) {
		out, err = exec.Command("env", a.command(args...)...).CombinedOutput()
		return err
	})
	return string(out)
}

// resolved waits until a name or address is resolved as wanted; "" means not at
// all.
func (a *avahi) resolved(want string, args ...string) {
	a.t.Helper()
	got := ""
	netlab.Until(a.t, fmt.Sprintf("%v is resolved to %q", args, want), func() bool {
		fields := strings.Fields(a.run(append([]string{"avahi-resolve"}, args...)...))
		got = ""
		if len(fields) == 2 {
			got = fields[1]
		}
		return got == want
	})
}

func TestAvahiFindsTheBoxAndLosesIt(t *testing.T) {
	all := office(t, 2)
	client := all[1].avahi("client")
	watching := all[1].peer.Start("env", client.command("avahi-browse", "--parsable", "_imaps._tcp")...)
	box := all[0].respond()
	box.untilNamed(t, "pillarbox.local")
	client.resolved("192.0.2.1", "-4", "-n", "pillarbox.local")
	client.resolved(all[0].linkLocal().String(), "-6", "-n", "pillarbox.local")
	client.resolved("pillarbox.local", "-a", "192.0.2.1")
	client.resolved("pillarbox.local", "-a", all[0].linkLocal().String())
	for _, family := range []string{"IPv4", "IPv6"} {
		for _, want := range []string{
			";" + family + `;Pillarbox;_imaps._tcp;local;pillarbox.local;`, `;993;"d" "a=b c"`,
			";" + family + `;Pillarbox;_http._tcp;local;pillarbox.local;`, `;80;`,
		} {
			netlab.Until(t, "avahi lists "+want, func() bool {
				// All there is: the types are found by their enumeration.
				text := client.run("avahi-browse", "--all", "--no-db-lookup", "--parsable", "--resolve", "--terminate")
				return slices.ContainsFunc(strings.Split(text, "\n"), func(line string) bool {
					return strings.HasPrefix(line, "=;") && strings.Contains(line, want)
				})
			})
		}
	}
	netlab.Until(t, "the watcher has seen it come", func() bool { return strings.Count(watching.Said(), "+;lan0") == 2 })
	box.stop()
	netlab.Until(t, "the watcher has seen it go", func() bool { return strings.Count(watching.Said(), "-;lan0") == 2 })
	client.resolved("", "-4", "-n", "pillarbox.local")
}

func TestAnotherBoxHasTheName(t *testing.T) {
	all := office(t, 3)
	first := all[0].respond()
	first.untilNamed(t, "pillarbox.local")
	second := all[1].respond()
	second.untilNamed(t, "pillarbox-2.local")
	client := all[2].avahi("client")
	client.resolved("192.0.2.1", "-4", "-n", "pillarbox.local")
	client.resolved("192.0.2.2", "-4", "-n", "pillarbox-2.local")
	netlab.Until(t, "both services are listed", func() bool {
		text := client.run("avahi-browse", "--parsable", "--resolve", "--terminate", "_imaps._tcp")
		return strings.Contains(text, `=;lan0;IPv4;Pillarbox;_imaps._tcp;local;pillarbox.local;192.0.2.1;993;`) &&
			strings.Contains(text, `=;lan0;IPv4;Pillarbox\032\0402\041;_imaps._tcp;local;pillarbox-2.local;192.0.2.2;993;`)
	})
	if first.Name() != "pillarbox.local" {
		t.Errorf("the first box is %q now", first.Name())
	}
}

func TestAvahiHasTheNamesFirst(t *testing.T) {
	all := office(t, 2)
	other := all[1].avahi("pillarbox")
	published := all[1].peer.Start("env", other.command("avahi-publish", "-s", "Pillarbox", "_imaps._tcp", "143")...)
	netlab.Until(t, "avahi has the service's name", func() bool { return strings.Contains(published.Said(), "Established") })
	box := all[0].respond()
	box.untilNamed(t, "pillarbox-2.local")
	other.resolved("192.0.2.1", "-4", "-n", "pillarbox-2.local")
	netlab.Until(t, "both services are listed", func() bool {
		text := other.run("avahi-browse", "--parsable", "--resolve", "--terminate", "_imaps._tcp")
		return strings.Contains(text, `;IPv4;Pillarbox;_imaps._tcp;local;pillarbox.local;`) &&
			strings.Contains(text, `=;lan0;IPv4;Pillarbox\032\0402\041;_imaps._tcp;local;pillarbox-2.local;192.0.2.1;993;`)
	})
}

func TestAvahiComesLaterAndYields(t *testing.T) {
	all := office(t, 2)
	box := all[0].respond()
	box.untilNamed(t, "pillarbox.local")
	other := all[1].avahi("pillarbox")
	netlab.Until(t, "avahi takes another name", func() bool {
		return strings.Contains(other.daemon.Said(), "Server startup complete. Host name is pillarbox-2.local")
	})
	if box.Name() != "pillarbox.local" {
		t.Errorf("the box is %q now", box.Name())
	}
}

func TestAvahiOnTheSameMachine(t *testing.T) {
	all := office(t, 2)
	neighbour := all[0].avahi("neighbour")
	box := all[0].respond()
	box.untilNamed(t, "pillarbox.local")
	client := all[1].avahi("client")
	client.resolved("192.0.2.1", "-4", "-n", "pillarbox.local")
	client.resolved("192.0.2.1", "-4", "-n", "neighbour.local")
	if text := neighbour.daemon.Said(); strings.Contains(text, "conflict") {
		t.Errorf("avahi says:\n%s", text)
	}
}

func TestAnAddressThatChangesIsFollowed(t *testing.T) {
	all := office(t, 2)
	box := all[0].respond()
	box.untilNamed(t, "pillarbox.local")
	client := all[1].avahi("client")
	client.resolved("192.0.2.1", "-4", "-n", "pillarbox.local")
	all[0].readdress("192.0.2.1/24", "192.0.2.77/24")
	box.Set(network(all[0].now()))
	client.resolved("192.0.2.77", "-4", "-n", "pillarbox.local")
	client.resolved("pillarbox.local", "-a", "192.0.2.77")
	client.resolved("", "-a", "192.0.2.1")
}

func TestAnInterfaceThatWasNotChosenHearsNothing(t *testing.T) {
	chosen, other := netlab.NewPeer(t), netlab.NewPeer(t)
	chosen.Plug("eth0", "192.0.2.9/24")
	other.Plug("eth1", "198.51.100.9/24")
	for name, address := range map[string]string{"eth0": "192.0.2.1/24", "eth1": "198.51.100.1/24"} {
		l, err := netlink.LinkByName(name)
		if err == nil {
			err = netlink.LinkSetUp(l)
		}
		a, wrong := netlink.ParseAddr(address)
		if err == nil && wrong == nil {
			err = netlink.AddrAdd(l, a)
		}
		if err != nil || wrong != nil {
			t.Fatal(err, wrong)
		}
	}
	// A listener that has joined the group hears all that is said there.
	var silent net.PacketConn
	other.Do(func() error {
		i, err := net.InterfaceByName(netlab.Cable)
		if err != nil {
			return err
		}
		silent, err = net.ListenMulticastUDP("udp4", i, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(groupAddress)))
		return err
	})
	defer silent.Close()
	here := &machine{t: t, link: "eth0"}
	box := here.respond()
	box.untilNamed(t, "pillarbox.local")
	good, bad := (&machine{t: t, peer: chosen, link: netlab.Cable}).avahi("good"), (&machine{t: t, peer: other, link: netlab.Cable}).avahi("bad")
	good.resolved("192.0.2.1", "-4", "-n", "pillarbox.local")
	if got := bad.run("avahi-resolve", "-4", "-n", "pillarbox.local"); !strings.Contains(got, "Failed to resolve") {
		t.Errorf("on the other interface: %s", got)
	}
	box.stop()
	if err := silent.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 9000)
	for {
		_, from, err := silent.ReadFrom(buf)
		if err != nil {
			break
		}
		if strings.HasPrefix(from.String(), "198.51.100.1:") {
			t.Errorf("%v spoke there", from)
		}
	}
}

// TestPacketsAsTheRFCWantsThem looks at ports and times to live, and asks as
// plain DNS does.
func TestPacketsAsTheRFCWantsThem(t *testing.T) {
	all := office(t, 2)
	var four *ipv4.PacketConn
	var six *ipv6.PacketConn
	err := all[1].do(func() error {
		i, err := net.InterfaceByName(netlab.Cable)
		if err != nil {
			return err
		}
		c, err := net.ListenMulticastUDP("udp4", i, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(groupAddress)))
		if err != nil {
			return err
		}
		four = ipv4.NewPacketConn(c)
		if c, err = net.ListenMulticastUDP("udp6", i, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(groupAddress6))); err != nil {
			return err
		}
		six = ipv6.NewPacketConn(c)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer four.Close()
	defer six.Close()
	if err := four.SetControlMessage(ipv4.FlagTTL, true); err != nil {
		t.Fatal(err)
	}
	if err := six.SetControlMessage(ipv6.FlagHopLimit, true); err != nil {
		t.Fatal(err)
	}
	box := all[0].respond()
	box.untilNamed(t, "pillarbox.local")
	late := time.Now().Add(time.Minute)
	if err := errors.Join(four.SetReadDeadline(late), six.SetReadDeadline(late)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 9000)
	_, cm, from, err := four.ReadFrom(buf)
	if err != nil || cm == nil || cm.TTL != 255 || from.String() != "192.0.2.1:5353" {
		t.Errorf("a packet of %v, %v, %v", from, cm, err)
	}
	_, cm6, from, err := six.ReadFrom(buf)
	if err != nil || cm6 == nil || cm6.HopLimit != 255 || !strings.HasPrefix(from.String(), "["+all[0].linkLocal().String()) {
		t.Errorf("a packet of %v, %v, %v", from, cm6, err)
	}
	for _, to := range []string{"192.0.2.1:5353", groupAddress, "[" + all[0].linkLocal().String() + "%" + netlab.Cable + "]:5353"} {
		var got *dns.Msg
		if err := all[1].do(func() (err error) {
			got, err = ask(to)
			return err
		}); err != nil {
			t.Errorf("ask %s: %v", to, err)
			continue
		}
		if diff := cmp.Diff([]string{"pillarbox.local. 10 IN A 192.0.2.1"}, texts(got.Answer)); diff != "" || got.Id != 7 || len(got.Question) != 1 {
			t.Errorf("the answer of %s (-want +got):\n%s", to, diff)
		}
	}
}

// ask asks as plain DNS does.
func ask(to string) (*dns.Msg, error) {
	addr, err := net.ResolveUDPAddr("udp", to)
	if err != nil {
		return nil, err
	}
	i, err := net.InterfaceByName(netlab.Cable)
	if err != nil {
		return nil, err
	}
	network := "udp4"
	if addr.IP.To4() == nil {
		network = "udp6"
	}
	c, err := net.ListenPacket(network, ":0")
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if addr.IP.IsMulticast() {
		if err := ipv4.NewPacketConn(c).SetMulticastInterface(i); err != nil {
			return nil, err
		}
	}
	m := question("pillarbox.local.", dns.TypeA)
	m.Id = 7
	b, err := m.Pack()
	if err != nil {
		return nil, err
	}
	if _, err := c.WriteTo(b, addr); err != nil {
		return nil, err
	}
	if err := c.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return nil, err
	}
	buf := make([]byte, 9000)
	n, _, err := c.ReadFrom(buf)
	if err != nil {
		return nil, err
	}
	var got dns.Msg
	return &got, got.Unpack(buf[:n])
}
