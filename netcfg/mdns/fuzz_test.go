package mdns

import (
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// FuzzPacket gives the engine one packet in each of its states: while it
// probes, when it has its names, and again at once.
func FuzzPacket(f *testing.F) {
	seeds := []*dns.Msg{{}, {MsgHdr: dns.MsgHdr{Response: true}}}
	for _, name := range []string{"pillarbox.local.", "_imaps._tcp.local.", "_services._dns-sd._udp.local.", `Pillar\032box._imaps._tcp.local.`} {
		for _, kind := range []uint16{dns.TypeA, dns.TypePTR, dns.TypeSRV, dns.TypeANY} {
			seeds = append(seeds, &dns.Msg{Question: []dns.Question{{Name: name, Qtype: kind, Qclass: 1 | unicastBit}}})
		}
	}
	host, service := &claim{base: "pillarbox"}, &claim{service: &Service{Instance: "Pillar box", Type: "_imaps._tcp", Port: 993}}
	host.next()
	service.next()
	probing, knowing := &dns.Msg{}, &dns.Msg{MsgHdr: dns.MsgHdr{Truncated: true}, Compress: true}
	for _, r := range records(host, []*claim{service}, []netip.Prefix{netip.MustParsePrefix("192.0.2.9/24")}) {
		said := &dns.Msg{MsgHdr: dns.MsgHdr{Response: true}, Answer: []dns.RR{r.rr}}
		forgotten := said.Copy()
		forgotten.Answer[0].Header().Ttl = 0
		seeds = append(seeds, said, forgotten)
		probing.Question = append(probing.Question, dns.Question{Name: r.rr.Header().Name, Qtype: dns.TypeANY, Qclass: 1})
		probing.Ns = append(probing.Ns, r.rr)
		knowing.Answer = append(knowing.Answer, r.rr)
	}
	knowing.Question = probing.Question
	for _, m := range append(seeds, probing, knowing) {
		b, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, uint16(port))
	}
	f.Add([]byte(strings.Repeat("\xc0\x0c", 4000)), uint16(1))
	f.Fuzz(func(t *testing.T, payload []byte, from uint16) {
		e := newEngine(&Config{Logger: slog.New(slog.DiscardHandler), Host: "pillarbox"})
		now := time.Unix(1_800_000_000, 0)
		e.offer(now, []Service{*service.service})
		i := Interface{Index: 1, Name: "eth0", Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.2/24"), netip.MustParsePrefix("fe80::2/64")}}
		e.set(now, linksOf(&Network{Interfaces: []Interface{i}}))
		for step := range 12 { // seconds
			for _, l := range []Link{{Index: 1}, {Index: 1, IPv6: true}} {
				peer := netip.MustParseAddr("192.0.2.9")
				if l.IPv6 {
					peer = netip.MustParseAddr("fe80::9")
				}
				e.receive(now, &Packet{Link: l, Peer: netip.AddrPortFrom(peer, from), Multicast: step%3 != 0, Payload: payload})
			}
			end := now.Add(time.Second)
			for range 100 {
				at, ok := e.due()
				if !ok || at.After(end) {
					break
				}
				now = at
				e.wake(now)
			}
			if at, ok := e.due(); ok && !at.After(end) {
				t.Fatalf("there is no end of what is due: %v", at)
			}
			now = end
			check(t, e)
		}
		e.stop()
		check(t, e)
	})
}

// check looks at what the engine has to say.
func check(t *testing.T, e *engine) {
	t.Helper()
	if len(e.out) > 40 {
		t.Errorf("one packet has caused %d in a second", len(e.out))
	}
	for _, p := range e.out {
		var m dns.Msg
		if err := m.Unpack(p.Payload); err != nil {
			t.Errorf("a packet of ours cannot be read: %v", err)
		}
		if len(p.Payload) > maxMessage {
			t.Errorf("a packet of ours has %d octets", len(p.Payload))
		}
	}
	e.out = nil
	for _, l := range e.links {
		if len(l.waiting) > maxWaiting || len(l.multicast) > len(l.records) {
			t.Errorf("%d answers wait, %d records are remembered", len(l.waiting), len(l.multicast))
		}
	}
}
