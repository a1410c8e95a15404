package mdns_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"pillarbox/netcfg/mdns"
)

func TestWhoStopsSaysGoodbye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newLAN(t)
		b := n.settled(services()[:1], iface(1, boxAddress, boxAddress6))
		b.stop()
		var four []heard
		for _, m := range n.since(0) {
			if !m.link.IPv6 {
				four = append(four, m)
			}
		}
		var want []string
		for _, text := range []string{hostA, hostAAAA, reverse, mailSRV, mailTXT, mailPTR, mailType} {
			fields := strings.Fields(strings.TrimSuffix(text, " flush"))
			fields[1] = "0"
			want = append(want, strings.Join(fields, " "))
		}
		got := slices.DeleteFunc(answers(four), func(s string) bool {
			return strings.Contains(s, "NSEC") || strings.Contains(s, "ip6.arpa")
		})
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("what was taken back (-want +got):\n%s", diff)
		}
		if b.Name() != "" {
			t.Errorf("the name is still %q", b.Name())
		}
	})
}

func TestWhatWasNeverSaidIsNotTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newLAN(t)
		b := n.box(services(), iface(1, boxAddress))
		time.Sleep(500 * time.Millisecond)
		b.stop()
		if got := answers(n.since(0)); len(got) > 0 {
			t.Errorf("goodbyes: %q", got)
		}
	})
}

func TestAnotherAddressIsToldAndTheOldOneTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newLAN(t)
		b := n.settled(nil, iface(1, boxAddress))
		b.Set(network(iface(1, "192.0.2.3/24", "192.0.2.4/24")))
		all := n.since(10 * time.Second)
		if len(all) != 4 {
			t.Fatalf("%d messages instead of a goodbye and three announcements: %v", len(all), all)
		}
		want := []string{"2.2.0.192.in-addr.arpa. 0 IN PTR pillarbox.local.", "pillarbox.local. 0 IN A 192.0.2.2"}
		got := slices.DeleteFunc(texts(all[0].Answer), func(s string) bool { return strings.Contains(s, "NSEC") })
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the goodbye (-want +got):\n%s", diff)
		}
		want = []string{
			"3.2.0.192.in-addr.arpa. 120 IN PTR pillarbox.local. flush", "4.2.0.192.in-addr.arpa. 120 IN PTR pillarbox.local. flush",
			"pillarbox.local. 120 IN A 192.0.2.3 flush", "pillarbox.local. 120 IN A 192.0.2.4 flush",
		}
		if diff := cmp.Diff(want, texts(all[1].Answer)); diff != "" {
			t.Errorf("the announcement (-want +got):\n%s", diff)
		}
		b.Set(network(iface(1, "192.0.2.4/24", "192.0.2.3/24")))
		if all := n.since(10 * time.Second); len(all) > 0 {
			t.Errorf("for the same addresses in another order there was %v", all)
		}
	})
}

func TestALinkThatComesBackIsProbedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newLAN(t)
		b := n.settled(nil, iface(1, boxAddress))
		b.Set(network())
		if got := answers(n.since(time.Second)); !slices.Contains(got, "pillarbox.local. 0 IN A 192.0.2.2") {
			t.Errorf("the goodbye: %q", got)
		}
		n.say(friend, question("pillarbox.local.", dns.TypeA))
		if all := n.since(time.Second); len(all) > 0 || b.Name() != "" {
			t.Errorf("without a link the box is %q and says %v", b.Name(), all)
		}
		b.Set(network(iface(1, boxAddress)))
		if all := n.since(10 * time.Second); len(all) != 6 || b.Name() != "pillarbox.local" {
			t.Errorf("with a link again the box is %q and says %v", b.Name(), all)
		}
	})
}

func TestEachLinkIsToldItsOwnAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newLAN(t)
		n.settled(nil, iface(1, boxAddress), iface(2, "198.51.100.2/24", boxAddress6))
		for from, want := range map[string][]string{
			friend:              {hostA},
			"198.51.100.9:5353": {"pillarbox.local. 120 IN A 198.51.100.2 flush", hostAAAA},
			friend6:             {"pillarbox.local. 120 IN A 198.51.100.2 flush", hostAAAA},
		} {
			n.say(from, question("pillarbox.local.", dns.TypeANY))
			if diff := cmp.Diff(want, answers(n.since(time.Second))); diff != "" {
				t.Errorf("what %s was told (-want +got):\n%s", from, diff)
			}
		}
	})
}

func TestWhatIsNoAddressToReachTheBoxByIsNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newLAN(t)
		addresses := []string{boxAddress, boxAddress, "127.0.0.1/8", "0.0.0.0/0", "224.0.0.1/4", "::1/128", "::ffff:192.0.2.7/128"}
		for i := range 30 {
			addresses = append(addresses, fmt.Sprintf("192.0.2.%d/24", 100+i))
		}
		n.settled(nil, iface(1, addresses...), iface(0, "198.51.100.2/24"))
		n.say(friend, question("pillarbox.local.", dns.TypeANY))
		got := answers(n.since(time.Second))
		if len(got) != 16 || !slices.Contains(got, hostA) {
			t.Errorf("%d records: %q", len(got), got)
		}
		for _, text := range got {
			if !strings.Contains(text, " A 192.0.2.") {
				t.Errorf("told: %s", text)
			}
		}
	})
}

func TestManyServicesGoInPacketsThatFit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newLAN(t)
		var all []mdns.Service
		for i := range 32 {
			all = append(all, mdns.Service{Instance: strings.Repeat("ü", 31), Type: fmt.Sprintf("_s%d._tcp", i), Port: 1, TXT: []string{strings.Repeat("x", 255)}})
		}
		n.box(all, iface(1, boxAddress))
		said := n.since(time.Minute)
		announced, asked := map[string]int{}, map[string]int{}
		for _, m := range said {
			if b, err := m.Pack(); err != nil || len(b) > 9000 {
				t.Errorf("a packet of %d octets, %v", len(b), err)
			}
			m.Compress = true
			if m.Len() > 1440 {
				t.Errorf("a packet of %d octets", m.Len())
			}
			for _, r := range m.Answer {
				announced[r.String()]++
			}
			for _, q := range m.Question {
				asked[q.Name]++
			}
		}
		if len(announced) != 2+4*32 || len(asked) != 1+32 {
			t.Errorf("%d records were announced and %d names probed", len(announced), len(asked))
		}
		for text, times := range announced {
			if times != 3 {
				t.Errorf("%s was announced %d times", text, times)
			}
		}
	})
}

// failing is a socket that fails at first, and when it hears of it.
type failing struct {
	mdns.Conn
	joins int
}

func (f *failing) Receive(buf []byte) (mdns.Packet, error) {
	p, err := f.Conn.Receive(buf)
	if err == nil && string(p.Payload) == "fail" {
		return p, errors.New("the socket is broken")
	}
	return p, err
}

func (f *failing) Join(l mdns.Link) error {
	if f.joins--; f.joins >= 0 {
		return fmt.Errorf("link %s is not ready", l)
	}
	return f.Conn.Join(l)
}

func TestWhatFailsIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newLAN(t)
		var opened atomic.Int32
		r, err := mdns.New(&mdns.Config{
			Logger: slog.New(slog.NewTextHandler(t.Output(), nil)), Host: "pillarbox",
			Open: func(v6 bool) (mdns.Conn, error) {
				if n := opened.Add(1); v6 || n < 4 { // both families fail at first
					return nil, fmt.Errorf("no sockets today")
				}
				c := &conn{
					lan: n, own: map[mdns.Link]netip.Addr{{Index: 1}: netip.MustParseAddr("192.0.2.2")}, joined: map[mdns.Link]bool{},
					packet: make(chan mdns.Packet, 10), closed: make(chan struct{}),
				}
				n.mu.Lock()
				defer n.mu.Unlock()
				n.conns = append(n.conns, c)
				return &failing{Conn: c, joins: 2}, nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		r.Set(network(iface(1, boxAddress)))
		go func() { _ = r.Run(t.Context()) }()
		for range 2 {
			before := opened.Load()
			n.since(time.Minute)
			if r.Name() != "pillarbox.local" || opened.Load() == before {
				t.Errorf("the name is %q after the sockets were opened %d times", r.Name(), opened.Load())
			}
			n.send(nil, mdns.Link{}, netip.MustParseAddrPort(friend), netip.MustParseAddrPort(groupAddress), []byte("fail"))
		}
	})
}

func TestSettingsThatCannotBe(t *testing.T) {
	good := func() *mdns.Config { return &mdns.Config{Host: "pillarbox", Services: services()} }
	if _, err := mdns.New(good()); err != nil {
		t.Errorf("good settings: %v", err)
	}
	for want, change := range map[string]func(*mdns.Config){
		"host":                 func(c *mdns.Config) { c.Host = "" },
		"of letters":           func(c *mdns.Config) { c.Host = "box.office" },
		"digits and hyphens":   func(c *mdns.Config) { c.Host = strings.Repeat("x", 64) },
		"host: \"-x\"":         func(c *mdns.Config) { c.Host = "-x" },
		"services[1]: instanc": func(c *mdns.Config) { c.Services[1].Instance = "" },
		"1 to 63 octets":       func(c *mdns.Config) { c.Services[0].Instance = strings.Repeat("x", 64) },
		"type: \"imaps\"":      func(c *mdns.Config) { c.Services[0].Type = "imaps" },
		"_name._tcp":           func(c *mdns.Config) { c.Services[0].Type = "_a-much-too-long-name._tcp" },
		"port":                 func(c *mdns.Config) { c.Services[0].Port = 0 },
		"key=value":            func(c *mdns.Config) { c.Services[0].TXT = []string{"=x"} },
		"more than 1000":       func(c *mdns.Config) { c.Services[0].TXT = slices.Repeat([]string{strings.Repeat("x", 250)}, 4) },
		"is there already": func(c *mdns.Config) {
			c.Services = append(c.Services, mdns.Service{Instance: "PILLARBOX", Type: "_imaps._tcp", Port: 1})
		},
		"more than 32": func(c *mdns.Config) { c.Services = slices.Repeat(c.Services, 17) },
	} {
		c := good()
		change(c)
		if _, err := mdns.New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New = %v, want something of %q", err, want)
		}
	}
}

func TestServicesComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newLAN(t)
		b := n.settled(services(), iface(1, boxAddress))
		announce := func(all ...mdns.Service) []heard {
			if err := b.Announce(all); err != nil {
				t.Fatal(err)
			}
			return n.since(10 * time.Second)
		}
		mail, web := services()[0], services()[1]
		if all := announce(mail, web); len(all) > 0 {
			t.Errorf("for the same services there was %v", all)
		}
		want := []string{
			"Pillarbox._http._tcp.local. 0 IN NSEC Pillarbox._http._tcp.local. TXT SRV", "Pillarbox._http._tcp.local. 0 IN SRV 0 0 80 pillarbox.local.",
			`Pillarbox._http._tcp.local. 0 IN TXT ""`, "_http._tcp.local. 0 IN PTR Pillarbox._http._tcp.local.",
			"_services._dns-sd._udp.local. 0 IN PTR _http._tcp.local.",
		}
		if diff := cmp.Diff(want, answers(announce(mail))); diff != "" {
			t.Errorf("a service that went (-want +got):\n%s", diff)
		}
		mail.Port = 9993
		all := announce(mail)
		want = []string{
			"Pillarbox._imaps._tcp.local. 120 IN SRV 0 0 9993 pillarbox.local. flush", mailTXT, mailPTR, mailType,
		}
		slices.Sort(want)
		if len(all) != 4 || !cmp.Equal(texts(all[0].Answer), []string{"Pillarbox._imaps._tcp.local. 0 IN SRV 0 0 993 pillarbox.local."}) {
			t.Errorf("a service that has moved: %v", all)
		} else if diff := cmp.Diff(want, texts(all[1].Answer)); diff != "" {
			t.Errorf("a service that has moved (-want +got):\n%s", diff)
		}
		all = announce(mail, web)
		if len(all) != 6 || len(all[0].Question) != 1 || all[0].Question[0].Name != "Pillarbox._http._tcp.local." || len(all[3].Answer) != 4 {
			t.Errorf("a service that came: %v", all)
		}
		if err := b.Announce([]mdns.Service{{}}); err == nil {
			t.Error("a service without a name is announced")
		}
	})
}
