package dhcp_test

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv4"

	"pillarbox/netcfg/dhcp"
	"pillarbox/netcfg/state"
)

var samePlaces = []cmp.Option{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

// ack returns an ACK with options on top of what is needed.
func ack(change ...dhcpv4.Modifier) *dhcpv4.DHCPv4 {
	m, err := dhcpv4.NewRequestFromOffer(&dhcpv4.DHCPv4{Options: dhcpv4.Options{}, ClientHWAddr: mac})
	if err != nil {
		panic(err)
	}
	return reply(m, dhcpv4.MessageTypeAck, change...)
}

func raw(code uint8, b ...byte) dhcpv4.Modifier {
	return dhcpv4.WithOption(dhcpv4.OptGeneric(dhcpv4.GenericOptionCode(code), b))
}

func TestWhatIsBelievedOfAnAnswer(t *testing.T) {
	now := time.Now()
	addr := netip.MustParseAddr
	many := make([]net.IP, 60)
	for i := range many {
		many[i] = net.IPv4(192, 0, 2, byte(100+i))
	}
	via := func(a string) []state.Route {
		return []state.Route{{To: netip.MustParsePrefix("0.0.0.0/0"), Gateway: addr(a)}}
	}
	cases := map[string]struct {
		change []dhcpv4.Modifier
		want   func(l *dhcp.Lease) // what differs from the plain lease
	}{
		"nothing more": {want: func(*dhcp.Lease) {}},
		"no mask":      {change: []dhcpv4.Modifier{dhcpv4.WithoutOption(dhcpv4.OptionSubnetMask)}, want: func(*dhcp.Lease) {}},
		"mask with a hole": {
			change: []dhcpv4.Modifier{dhcpv4.WithNetmask(net.IPMask{255, 0, 255, 0})}, want: func(*dhcp.Lease) {},
		},
		"times of the server": {
			change: []dhcpv4.Modifier{raw(58, 0, 0, 0, 100), raw(59, 0, 0, 0, 200)},
			want:   func(l *dhcp.Lease) { l.Renew, l.Rebind = now.Add(100*time.Second), now.Add(200*time.Second) },
		},
		"times in the wrong order": {change: []dhcpv4.Modifier{raw(58, 0, 0, 0, 200), raw(59, 0, 0, 0, 100)}, want: func(*dhcp.Lease) {}},
		"renewal without end":      {change: []dhcpv4.Modifier{raw(58, 0, 0, 0, 0), raw(59, 0, 0, 0, 1)}, want: func(*dhcp.Lease) {}},
		"a lease for ever is a day": {change: []dhcpv4.Modifier{raw(51, 255, 255, 255, 255)}, want: func(l *dhcp.Lease) {
			l.Renew, l.Rebind, l.Expires = now.Add(12*time.Hour), now.Add(21*time.Hour), now.Add(24*time.Hour)
		}},
		"a router": {change: []dhcpv4.Modifier{dhcpv4.WithRouter(net.IPv4(192, 0, 2, 1))}, want: func(l *dhcp.Lease) { l.Routes = via("192.0.2.1") }},
		"a router elsewhere": {change: []dhcpv4.Modifier{dhcpv4.WithRouter(net.IPv4(10, 0, 0, 1))}, want: func(l *dhcp.Lease) {
			l.Routes = via("10.0.0.1")
			l.Routes[0].OnLink = true
		}},
		"two routers: the first": {
			change: []dhcpv4.Modifier{dhcpv4.WithRouter(net.IPv4(192, 0, 2, 1), net.IPv4(192, 0, 2, 2))},
			want:   func(l *dhcp.Lease) { l.Routes = via("192.0.2.1") },
		},
		"itself as router": {change: []dhcpv4.Modifier{dhcpv4.WithRouter(ours.AsSlice())}, want: func(*dhcp.Lease) {}},
		"classless routes": {
			change: []dhcpv4.Modifier{
				dhcpv4.WithRouter(net.IPv4(192, 0, 2, 1)),
				// 10/8 via 192.0.2.2, the same again, 192.0.2.0/24 on the link, 127/8, 224/4.
				raw(121, 8, 10, 192, 0, 2, 2, 8, 10, 192, 0, 2, 3, 24, 198, 51, 100, 0, 0, 0, 0, 8, 127, 192, 0, 2, 2, 4, 224, 192, 0, 2, 2),
			},
			want: func(l *dhcp.Lease) {
				l.Routes = []state.Route{
					{To: netip.MustParsePrefix("10.0.0.0/8"), Gateway: addr("192.0.2.2")}, {To: netip.MustParsePrefix("198.51.100.0/24")},
				}
			},
		},
		"servers, a few of many": {
			change: []dhcpv4.Modifier{dhcpv4.WithDNS(many...), dhcpv4.WithOption(dhcpv4.OptNTPServers(many...))},
			want: func(l *dhcp.Lease) {
				l.DNS = []netip.Addr{addr("192.0.2.100"), addr("192.0.2.101"), addr("192.0.2.102"), addr("192.0.2.103")}
				l.NTP = slices.Clone(l.DNS)
			},
		},
		"servers that are none": {
			change: []dhcpv4.Modifier{dhcpv4.WithDNS(net.IPv4zero, net.IPv4(127, 0, 0, 1), net.IPv4bcast, net.IPv4(224, 0, 0, 1))}, want: func(*dhcp.Lease) {},
		},
		"a domain":            {change: []dhcpv4.Modifier{raw(15, []byte("office.example\x00")...)}, want: func(l *dhcp.Lease) { l.Search = []string{"office.example"} }},
		"a domain with lines": {change: []dhcpv4.Modifier{raw(15, []byte("office\nnameserver 192.0.2.66")...)}, want: func(*dhcp.Lease) {}},
		"search before the domain": {
			change: []dhcpv4.Modifier{raw(15, []byte("office.example")...), dhcpv4.WithDomainSearchList("a.example", "b.example")},
			want:   func(l *dhcp.Lease) { l.Search = []string{"a.example", "b.example"} },
		},
		"a large MTU": {change: []dhcpv4.Modifier{raw(26, 35, 40)}, want: func(l *dhcp.Lease) { l.MTU = 9000 }},
		"a tiny MTU":  {change: []dhcpv4.Modifier{raw(26, 0, 68)}, want: func(*dhcp.Lease) {}},
		"half an MTU": {change: []dhcpv4.Modifier{raw(26, 5)}, want: func(*dhcp.Lease) {}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			want := &dhcp.Lease{
				Address: netip.PrefixFrom(ours, 24), Server: theirs, Acquired: now,
				Renew: now.Add(30 * time.Minute), Rebind: now.Add(52*time.Minute + 30*time.Second), Expires: now.Add(time.Hour),
			}
			c.want(want)
			got, err := dhcp.Read(ack(c.change...), now, 24*time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, samePlaces...); diff != "" {
				t.Errorf("lease (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnswersThatAreRefused(t *testing.T) {
	for name, change := range map[string]dhcpv4.Modifier{
		"no time":               dhcpv4.WithoutOption(dhcpv4.OptionIPAddressLeaseTime),
		"a second":              dhcpv4.WithLeaseTime(1),
		"no address":            dhcpv4.WithYourIP(net.IPv4zero),
		"a group's address":     dhcpv4.WithYourIP(net.IPv4(224, 0, 0, 1)),
		"a link-local address":  dhcpv4.WithYourIP(net.IPv4(169, 254, 1, 1)),
		"the network's address": dhcpv4.WithYourIP(net.IPv4(192, 0, 2, 0)),
		"a server that is none": dhcpv4.WithOption(dhcpv4.OptServerIdentifier(net.IPv4bcast)),
	} {
		t.Run(name, func(t *testing.T) {
			if l, err := dhcp.Read(ack(change), time.Now(), time.Hour); err == nil {
				t.Errorf("it was taken as %+v", l)
			}
		})
	}
}

func TestAKeptLeaseIsFoundAgain(t *testing.T) {
	s := &dhcp.Store{Dir: filepath.Join(t.TempDir(), "leases")}
	if l, err := s.Load(mac); l != nil || err != nil {
		t.Errorf("Load of nothing = %v, %v", l, err)
	}
	want, err := dhcp.Read(ack(dhcpv4.WithRouter(net.IPv4(192, 0, 2, 1))), time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Save(mac, want); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.Load(mac)
	if err != nil {
		t.Fatal(err)
	}
	if got.Address != want.Address || got.Server != want.Server || got.Expires.Sub(want.Expires).Abs() > time.Second {
		t.Errorf("Load = %+v, want %+v", got, want)
	}
	files, err := filepath.Glob(filepath.Join(s.Dir, "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files %v, %v", files, err)
	}
	for _, text := range []string{"", "{", `{"address":"127.0.0.1/8"}`, `{"address":"2001:db8::1/64"}`, `{}`} {
		if err := os.WriteFile(files[0], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if l, err := s.Load(mac); err == nil {
			t.Errorf("Load of %q = %+v", text, l)
		}
	}
	for range 2 {
		if err := s.Forget(mac); err != nil {
			t.Error(err)
		}
	}
	if l, err := s.Load(mac); l != nil || err != nil {
		t.Errorf("Load of what was forgotten = %v, %v", l, err)
	}
}

func TestIdentifiers(t *testing.T) {
	const id = "0123456789abcdef0123456789abcdef\n"
	a, b := dhcp.Identifier(id, mac), dhcp.Identifier(id, net.HardwareAddr{2, 0, 0, 0, 0, 2})
	if len(a) != 23 || a[0] != 255 || a[5] != 0 || a[6] != 4 {
		t.Errorf("identifier % x", a)
	}
	if slices.Equal(a, b) || !slices.Equal(a[5:], b[5:]) {
		t.Errorf("two interfaces of one machine have % x and % x", a, b)
	}
	if strings.Contains(string(a), "\x01\x23\x45\x67") {
		t.Error("the machine's identity is told to the network")
	}
	for _, none := range []string{"", "x", id[:10]} {
		if got := dhcp.Identifier(none, mac); !slices.Equal(got, append([]byte{1}, mac...)) {
			t.Errorf("identifier without an identity % x", got)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(ack().ToBytes())
	f.Add(ack(dhcpv4.WithRouter(net.IPv4(192, 0, 2, 1)), dhcpv4.WithDNS(net.IPv4(192, 0, 2, 1)),
		dhcpv4.WithDomainSearchList("a.example", "b.example"), raw(121, 8, 10, 192, 0, 2, 2), raw(26, 5, 220)).ToBytes())
	f.Add(ack(raw(121, 33, 1, 2), raw(119, 0xc0, 0, 3, 'a', 0xc0), raw(15, '\n'), raw(58, 1)).ToBytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := dhcpv4.FromBytes(b)
		if err != nil {
			return
		}
		now := time.Now()
		l, err := dhcp.Read(m, now, time.Hour)
		if err != nil {
			return
		}
		if !state.ValidHost(l.Address) || !l.Server.Is4() {
			t.Errorf("address %s of server %s", l.Address, l.Server)
		}
		if !(now.Before(l.Renew) && l.Renew.Before(l.Rebind) && l.Rebind.Before(l.Expires)) || l.Expires.After(now.Add(time.Hour)) {
			t.Errorf("times %v %v %v", l.Renew.Sub(now), l.Rebind.Sub(now), l.Expires.Sub(now))
		}
		if len(l.Routes) > 32 || len(l.DNS) > 4 || len(l.NTP) > 4 || len(l.Search) > 6 {
			t.Errorf("too much was taken: %+v", l)
		}
		for _, name := range l.Search {
			if !state.ValidDomain(name) {
				t.Errorf("domain %q", name)
			}
		}
	})
}
