package mdns_test

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"pillarbox/netcfg/mdns"
)

// The addresses of the tests' network.
const (
	boxAddress    = "192.0.2.2/24"
	boxAddress6   = "fe80::2/64"
	friend        = "192.0.2.9:5353"
	friend6       = "[fe80::9]:5353"
	program       = "192.0.2.9:40000" // that does not take part
	groupAddress  = "224.0.0.251:5353"
	groupAddress6 = "[ff02::fb]:5353"
)

// lan is a network in memory, of one segment. It keeps all that was said.
type lan struct {
	t     *testing.T
	start time.Time

	mu    sync.Mutex
	conns []*conn
	heard []heard
}

// heard is a message on the network.
type heard struct {
	after    time.Duration // since the network was made
	link     mdns.Link     // of the sender
	from, to netip.AddrPort
	*dns.Msg
}

func newLAN(t *testing.T) *lan { return &lan{t: t, start: time.Now()} }

// conn is a host's socket.
type conn struct {
	lan    *lan
	v6     bool
	own    map[mdns.Link]netip.Addr // what packets come from
	packet chan mdns.Packet
	closed chan struct{}

	mu     sync.Mutex
	joined map[mdns.Link]bool
}

func (c *conn) Join(l mdns.Link) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.joined[l] = true
	return nil
}

func (c *conn) Leave(l mdns.Link) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.joined, l)
	return nil
}

func (c *conn) Send(p mdns.Packet) error {
	c.lan.send(c, p.Link, netip.AddrPortFrom(c.own[p.Link], 5353), p.Peer, p.Payload)
	return nil
}

func (c *conn) Receive(buf []byte) (mdns.Packet, error) {
	select {
	case p := <-c.packet:
		p.Payload = buf[:copy(buf, p.Payload)]
		return p, nil
	case <-c.closed:
		return mdns.Packet{}, net.ErrClosed
	}
}

func (c *conn) Close() error {
	close(c.closed)
	c.lan.mu.Lock()
	defer c.lan.mu.Unlock()
	c.lan.conns = slices.DeleteFunc(c.lan.conns, func(o *conn) bool { return o == c })
	return nil
}

// send carries a packet to all of a family but its sender.
func (n *lan) send(sender *conn, link mdns.Link, from, to netip.AddrPort, payload []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if sender != nil {
		msg := &dns.Msg{}
		if err := msg.Unpack(payload); err != nil {
			n.t.Errorf("a packet of ours cannot be read: %v", err)
		}
		n.heard = append(n.heard, heard{after: time.Since(n.start), link: link, from: from, to: to, Msg: msg})
	}
	for _, c := range n.conns {
		if c == sender || c.v6 != from.Addr().Is6() {
			continue
		}
		for l, own := range c.own {
			c.mu.Lock()
			joined := c.joined[l]
			c.mu.Unlock()
			if joined && (to.Addr().IsMulticast() || to.Addr() == own) {
				select {
				case c.packet <- mdns.Packet{Link: l, Peer: from, Multicast: to.Addr().IsMulticast(), Payload: payload}:
				default:
					n.t.Errorf("a packet too many for the test's network")
				}
			}
		}
	}
}

// say sends a message of a host that is played.
func (n *lan) say(from string, msg *dns.Msg) {
	n.t.Helper()
	to := groupAddress
	if netip.MustParseAddrPort(from).Addr().Is6() {
		to = groupAddress6
	}
	n.sayTo(from, to, msg)
}

func (n *lan) sayTo(from, to string, msg *dns.Msg) {
	n.t.Helper()
	payload, err := msg.Pack()
	if err != nil {
		n.t.Fatal(err)
	}
	n.send(nil, mdns.Link{}, netip.MustParseAddrPort(from), netip.MustParseAddrPort(to), payload)
	synctest.Wait()
}

// since returns what was said after the last call, once a time has passed.
func (n *lan) since(d time.Duration) []heard {
	time.Sleep(d)
	synctest.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	all := n.heard
	n.heard = nil
	return all
}

// box is a responder that runs.
type box struct {
	*mdns.Responder
	stop      func()
	conflicts []string
	held      []string
}

func imaps() mdns.Service {
	return mdns.Service{Instance: "Pillarbox", Type: "_imaps._tcp", Port: 993}
}

func iface(index int, addresses ...string) mdns.Interface {
	i := mdns.Interface{Index: index, Name: "eth0"}
	for _, a := range addresses {
		i.Addresses = append(i.Addresses, netip.MustParsePrefix(a))
	}
	return i
}

func network(all ...mdns.Interface) mdns.Network { return mdns.Network{Interfaces: all} }

// box starts a responder on the network with an interface.
func (n *lan) box(services []mdns.Service, interfaces ...mdns.Interface) *box {
	n.t.Helper()
	b := &box{}
	own := map[mdns.Link]netip.Addr{}
	for _, i := range interfaces {
		for _, a := range i.Addresses {
			own[mdns.Link{Index: i.Index, IPv6: a.Addr().Is6()}] = a.Addr()
		}
	}
	var err error
	b.Responder, err = mdns.New(&mdns.Config{
		Logger: slog.New(slog.NewTextHandler(n.t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
		Host:   "pillarbox", Services: services,
		Conflict: func(name string) { b.conflicts = append(b.conflicts, name) },
		Held:     func(name string) { b.held = append(b.held, name) },
		Open: func(v6 bool) (mdns.Conn, error) {
			c := &conn{
				lan: n, v6: v6, own: map[mdns.Link]netip.Addr{}, joined: map[mdns.Link]bool{},
				packet: make(chan mdns.Packet, 10_000), closed: make(chan struct{}),
			}
			for l, a := range own {
				if l.IPv6 == v6 {
					c.own[l] = a
				}
			}
			n.mu.Lock()
			n.conns = append(n.conns, c)
			n.mu.Unlock()
			return c, nil
		},
	})
	if err != nil {
		n.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(n.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := b.Run(ctx); err != context.Canceled {
			n.t.Errorf("Run = %v", err)
		}
	}()
	b.stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	n.t.Cleanup(b.stop)
	b.Set(network(interfaces...))
	synctest.Wait()
	return b
}

// settled is a box whose names are won and whose announcements are over.
func (n *lan) settled(services []mdns.Service, interfaces ...mdns.Interface) *box {
	n.t.Helper()
	b := n.box(services, interfaces...)
	n.since(10 * time.Second)
	if b.Name() != "pillarbox.local" {
		n.t.Fatalf("the box has the name %q", b.Name())
	}
	return b
}

// question is one as a host of multicast DNS asks it.
func question(name string, kind uint16) *dns.Msg {
	return &dns.Msg{Question: []dns.Question{{Name: name, Qtype: kind, Qclass: dns.ClassINET}}}
}

// unicast is a question whose answer may go to the asker alone.
func unicast(name string, kind uint16) *dns.Msg {
	m := question(name, kind)
	m.Question[0].Qclass |= 1 << 15
	return m
}

func rr(t *testing.T, text string) dns.RR {
	t.Helper()
	r, err := dns.NewRR(text)
	if err != nil || r == nil {
		t.Fatalf("%s: %v", text, err)
	}
	return r
}

// response is what another host says.
func response(t *testing.T, records ...string) *dns.Msg {
	t.Helper()
	m := &dns.Msg{MsgHdr: dns.MsgHdr{Response: true, Authoritative: true}}
	for _, text := range records {
		m.Answer = append(m.Answer, rr(t, text))
	}
	return m
}

// probe is what another host asks that wants a name.
func probe(t *testing.T, name string, records ...string) *dns.Msg {
	t.Helper()
	m := question(name, dns.TypeANY)
	m.Question[0].Qclass |= 1 << 15
	for _, text := range records {
		m.Ns = append(m.Ns, rr(t, text))
	}
	return m
}

// texts returns records in words, in order: "flush" stands for the cache-flush
// bit.
func texts(list []dns.RR) []string {
	var all []string
	for _, r := range list {
		r = dns.Copy(r)
		h := r.Header()
		flush := h.Class&(1<<15) != 0
		h.Class &^= 1 << 15
		text := strings.Join(strings.Fields(r.String()), " ")
		if flush {
			text += " flush"
		}
		all = append(all, text)
	}
	slices.Sort(all)
	return all
}

// answers returns the records of the answers among messages.
func answers(list []heard) []string {
	var all []dns.RR
	for _, m := range list {
		if m.Response {
			all = append(all, m.Answer...)
		}
	}
	return texts(all)
}
