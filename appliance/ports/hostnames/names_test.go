package hostnames_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"pillarbox/appliance/ports/hostnames"
	"pillarbox/netcfg/netlab"
)

func TestMain(m *testing.M) { netlab.Main(m) }

// neighbour is a machine beside that of the test, which is 192.0.2.1.
func neighbour(t *testing.T) *netlab.Peer {
	t.Helper()
	p := netlab.NewPeer(t)
	p.Plug("eth0", "192.0.2.9/24")
	netlab.Require(t, "ip")
	for _, args := range []string{"link set eth0 up", "addr add 192.0.2.1/24 dev eth0"} {
		if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v\n%s", args, err, out)
		}
	}
	return p
}

// dnsmasq is a router's name server on a neighbour.
func dnsmasq(t *testing.T, args ...string) *net.Resolver {
	t.Helper()
	netlab.Require(t, "dnsmasq")
	p := neighbour(t)
	server := p.Start("dnsmasq", append([]string{
		"--no-daemon", "--conf-file=/dev/null", "--log-facility=-", "--user=root", "--interface=" + netlab.Cable, "--bind-interfaces",
		"--pid-file=", "--no-hosts", "--no-resolv",
	}, args...)...)
	netlab.Until(t, "the name server is there", func() bool { return strings.Contains(server.Said(), "started, version") })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, "192.0.2.9:53")
	}}
}

func TestARouterKnowsTheName(t *testing.T) {
	names := hostnames.New(&hostnames.Config{Resolver: dnsmasq(t,
		"--host-record=scanner.office.lan,192.0.2.20,fd00::20",
		"--host-record=mx.elsewhere.example,203.0.113.7",
		"--ptr-record=8.113.0.203.in-addr.arpa,scanner.office.lan",
		"--ptr-record=21.2.0.192.in-addr.arpa,only-here.office.lan",
	)})
	for _, tt := range []struct {
		addr  string
		local bool
		want  string
	}{
		{"192.0.2.20", true, "scanner.office.lan"},
		{"fd00::20", true, "scanner.office.lan"},
		{"192.0.2.21", true, "only-here.office.lan"},
		{"203.0.113.7", false, "mx.elsewhere.example"},
		{"203.0.113.8", false, ""}, // it calls itself like a machine of the office
		{"203.0.113.9", false, ""},
	} {
		name, by := names.Find(t.Context(), netip.MustParseAddr(tt.addr), tt.local)
		if name != tt.want || name != "" && by != "dns" {
			t.Errorf("%s is %q by %q, want %q", tt.addr, name, by, tt.want)
		}
	}
}

// TestAMachineTellsItsName asks avahi, as Linux machines and many printers have it.
func TestAMachineTellsItsName(t *testing.T) {
	for _, name := range []string{"avahi-daemon", "dbus-daemon", "unshare"} {
		netlab.Require(t, name)
	}
	p := neighbour(t)
	dir := t.TempDir()
	bus := filepath.Join(dir, "bus")
	write(t, filepath.Join(dir, "bus.conf"), `<busconfig><type>system</type><listen>unix:path=`+bus+`</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy></busconfig>`)
	p.Start("dbus-daemon", "--config-file="+filepath.Join(dir, "bus.conf"), "--nofork", "--nopidfile")
	netlab.Until(t, "the bus takes connections", func() bool {
		conn, err := net.Dial("unix", bus)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	write(t, filepath.Join(dir, "avahi.conf"), "[server]\nhost-name=printer\nallow-interfaces="+netlab.Cable+"\n[publish]\npublish-hinfo=no\npublish-workstation=no\n")
	daemon := p.Start("unshare", "--mount", "sh", "-c", "mount -t tmpfs tmpfs /run && mkdir /run/avahi-daemon && exec env DBUS_SYSTEM_BUS_ADDRESS=unix:path="+
		bus+" avahi-daemon --no-drop-root --no-chroot --no-rlimits --no-proc-title -f "+filepath.Join(dir, "avahi.conf"))
	netlab.Until(t, "avahi has its name", func() bool { return strings.Contains(daemon.Said(), "Server startup complete") })

	names := hostnames.New(&hostnames.Config{Resolver: silent()})
	addr := netip.MustParseAddr("192.0.2.9")
	if name, by := names.Find(t.Context(), addr, true); name != "printer.local" || by != "mdns" {
		t.Errorf("it is %q by %q", name, by)
	}
	if name, _ := names.Find(t.Context(), addr, false); name != "" {
		t.Errorf("a machine elsewhere was asked: %q", name)
	}
}

// TestWhoDoesNotAnswerIsNotWaitedForLong asks a machine that is not there.
func TestWhoDoesNotAnswerIsNotWaitedForLong(t *testing.T) {
	neighbour(t)
	names := hostnames.New(&hostnames.Config{Resolver: silent()})
	begun := time.Now()
	if name, by := names.Find(t.Context(), netip.MustParseAddr("192.0.2.99"), true); name != "" || by != "" {
		t.Errorf("it is %q by %q", name, by)
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}

// silent is a resolver that finds nobody to ask.
func silent() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, fmt.Errorf("no name server")
	}}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// FuzzParse reads answers of whoever answers.
func FuzzParse(f *testing.F) {
	question := dnsmessage.Question{Name: dnsmessage.MustNewName("9.2.0.192.in-addr.arpa."), Type: dnsmessage.TypePTR, Class: dnsmessage.ClassINET}
	answer := func(owner, name string) []byte {
		m := dnsmessage.Message{
			Header: dnsmessage.Header{ID: 7, Response: true}, Questions: []dnsmessage.Question{question},
			Answers: []dnsmessage.Resource{
				{Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName("other."), Class: dnsmessage.ClassINET}, Body: &dnsmessage.AResource{}},
				{Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(owner), Class: dnsmessage.ClassINET}, Body: &dnsmessage.PTRResource{PTR: dnsmessage.MustNewName(name)}},
			},
		}
		packet, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		return packet
	}
	good := answer("9.2.0.192.IN-ADDR.arpa.", "printer.local.")
	for _, tt := range []struct {
		packet []byte
		id     uint16
		want   string
	}{{good, 7, "printer.local"}, {good, 8, ""}, {answer("8.2.0.192.in-addr.arpa.", "printer.local."), 7, ""}, {nil, 7, ""}, {good[:len(good)-4], 7, ""}} {
		f.Add(tt.packet, tt.id)
		if name, err := hostnames.Parse(tt.packet, tt.id, question); name != tt.want || (err == nil) != (tt.want != "") {
			f.Errorf("%x: %q, %v, want %q", tt.packet, name, err, tt.want)
		}
	}
	f.Fuzz(func(t *testing.T, packet []byte, id uint16) {
		name, err := hostnames.Parse(packet, id, question)
		if len(name) > 255 || err != nil && name != "" {
			t.Fatalf("%q, %v", name, err)
		}
	})
}
