package mdns_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"pillarbox/netcfg/mdns"
)

func TestANameIsProbedForAndThenAnnounced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newLAN(t)
		b := n.box([]mdns.Service{imaps()}, iface(1, boxAddress))
		if b.Name() != "" {
			t.Errorf("before anybody was asked the name is %q", b.Name())
		}
		all := n.since(time.Minute)
		if len(all) != 6 {
			t.Fatalf("%d messages, want three probes and three announcements: %v", len(all), all)
		}
		first := all[0].after
		if first >= 250*time.Millisecond {
			t.Errorf("the first probe came after %v", first)
		}
		for i, want := range []time.Duration{0, 250, 500, 750, 1750, 3750} {
			if got := all[i].after - first; got != want*time.Millisecond {
				t.Errorf("message %d came %v after the first, want %v", i, got, want*time.Millisecond)
			}
			if all[i].to != netip.MustParseAddrPort(groupAddress) || all[i].Id != 0 {
				t.Errorf("message %d went to %v with number %d", i, all[i].to, all[i].Id)
			}
		}
		for _, m := range all[:3] {
			var questions []string
			for _, q := range m.Question {
				questions = append(questions, fmt.Sprintf("%s %d %#x", q.Name, q.Qtype, q.Qclass))
			}
			if diff := cmp.Diff([]string{"pillarbox.local. 255 0x8001", "Pillarbox._imaps._tcp.local. 255 0x8001"}, questions); diff != "" {
				t.Errorf("the questions of a probe (-want +got):\n%s", diff)
			}
			want := []string{
				`Pillarbox._imaps._tcp.local. 120 IN SRV 0 0 993 pillarbox.local.`, `Pillarbox._imaps._tcp.local. 4500 IN TXT ""`,
				`pillarbox.local. 120 IN A 192.0.2.2`,
			}
			if diff := cmp.Diff(want, texts(m.Ns)); diff != "" || m.Response {
				t.Errorf("what a probe would tell (-want +got):\n%s", diff)
			}
		}
		for _, m := range all[3:] {
			want := []string{
				`2.2.0.192.in-addr.arpa. 120 IN PTR pillarbox.local. flush`,
				`Pillarbox._imaps._tcp.local. 120 IN SRV 0 0 993 pillarbox.local. flush`,
				`Pillarbox._imaps._tcp.local. 4500 IN TXT "" flush`,
				`_imaps._tcp.local. 4500 IN PTR Pillarbox._imaps._tcp.local.`,
				`_services._dns-sd._udp.local. 4500 IN PTR _imaps._tcp.local.`,
				`pillarbox.local. 120 IN A 192.0.2.2 flush`,
			}
			if diff := cmp.Diff(want, texts(m.Answer)); diff != "" || !m.Response || !m.Authoritative || len(m.Question) > 0 {
				t.Errorf("an announcement (-want +got):\n%s", diff)
			}
		}
		if diff := cmp.Diff([]string{"pillarbox.local"}, b.held); diff != "" || b.Name() != "pillarbox.local" {
			t.Errorf("the names that were told (-want +got):\n%s", diff)
		}
	})
}

func TestBeforeANameIsWonNothingIsSaidOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newLAN(t)
		n.box([]mdns.Service{imaps()}, iface(1, boxAddress))
		for range 6 {
			n.say(friend, question("pillarbox.local.", dns.TypeA))
			n.say(friend, question("_imaps._tcp.local.", dns.TypePTR))
			if got := answers(n.since(100 * time.Millisecond)); len(got) > 0 {
				t.Errorf("answers: %q", got)
			}
		}
	})
}

// defend plays, for a while, another host that has names and defends them.
func (n *lan) defend(names map[string]string) {
	for range 500 {
		for _, m := range n.since(10 * time.Millisecond) {
			for _, q := range m.Question {
				if record, ok := names[q.Name]; ok && !m.Response {
					n.say(friend, response(n.t, record))
				}
			}
		}
	}
}

func TestATakenHostNameGetsANumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newLAN(t)
		b := n.box([]mdns.Service{imaps()}, iface(1, boxAddress))
		n.defend(map[string]string{
			"pillarbox.local.":   "PillarBox.local. 120 IN A 192.0.2.9",
			"pillarbox-2.local.": "pillarbox-2.local. 120 IN AAAA fe80::9",
		})
		n.since(10 * time.Second)
		if b.Name() != "pillarbox-3.local" {
			t.Errorf("the name is %q", b.Name())
		}
		if diff := cmp.Diff([]string{"pillarbox-2.local", "pillarbox-3.local"}, b.conflicts); diff != "" {
			t.Errorf("conflicts (-want +got):\n%s", diff)
		}
		n.say(friend, question("Pillarbox._imaps._tcp.local.", dns.TypeSRV))
		want := []string{`Pillarbox._imaps._tcp.local. 120 IN SRV 0 0 993 pillarbox-3.local. flush`}
		if diff := cmp.Diff(want, answers(n.since(time.Second))); diff != "" {
			t.Errorf("the service's host (-want +got):\n%s", diff)
		}
	})
}

func TestATakenServiceNameGetsANumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newLAN(t)
		b := n.box([]mdns.Service{imaps()}, iface(1, boxAddress))
		time.Sleep(500 * time.Millisecond)
		n.say(friend, response(t, "Pillarbox._imaps._tcp.local. 120 IN SRV 0 0 993 other.local."))
		n.since(10 * time.Second)
		n.say(friend, question("_imaps._tcp.local.", dns.TypePTR))
		want := []string{`_imaps._tcp.local. 4500 IN PTR Pillarbox\032\(2\)._imaps._tcp.local.`}
		got := answers(n.since(time.Second))
		for i := range got {
			got[i] = strings.ReplaceAll(got[i], `\ `, `\032`)
		}
		if diff := cmp.Diff(want, got); diff != "" || b.Name() != "pillarbox.local" {
			t.Errorf("the service (-want +got):\n%s", diff)
		}
	})
}

func TestWhatIsNoConflict(t *testing.T) {
	own := "pillarbox.local. 120 IN A 192.0.2.2"
	for name, say := range map[string]func(n *lan){
		"the same record":      func(n *lan) { n.say(friend, response(t, own)) },
		"a goodbye":            func(n *lan) { n.say(friend, response(t, "pillarbox.local. 0 IN A 192.0.2.9")) },
		"another name":         func(n *lan) { n.say(friend, response(t, "pillarbox-2.local. 120 IN A 192.0.2.9")) },
		"another class":        func(n *lan) { n.say(friend, response(t, "pillarbox.local. 120 CH A 192.0.2.9")) },
		"from another port":    func(n *lan) { n.say(program, response(t, "pillarbox.local. 120 IN A 192.0.2.9")) },
		"from afar":            func(n *lan) { n.say("203.0.113.9:5353", response(t, "pillarbox.local. 120 IN A 192.0.2.9")) },
		"our own, by a bridge": func(n *lan) { n.say("192.0.2.2:5353", response(t, "pillarbox.local. 120 IN A 192.0.2.9")) },
		"what a reflector brings of another link": func(n *lan) {
			n.say(friend, response(t, "pillarbox.local. 120 IN A 198.51.100.2"))
		},
		"that others have the same service": func(n *lan) {
			n.say(friend, response(t, "_imaps._tcp.local. 120 IN PTR other._imaps._tcp.local."))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newLAN(t)
				b := n.box([]mdns.Service{imaps()}, iface(1, boxAddress), iface(2, "198.51.100.2/24"))
				for range 50 {
					say(n)
					time.Sleep(100 * time.Millisecond)
				}
				probes := 0
				for _, m := range n.since(0) {
					if !m.Response {
						probes++
					}
				}
				if probes != 6 || b.Name() != "pillarbox.local" || len(b.conflicts) > 0 {
					t.Errorf("%d probes on two links, the name is %q", probes, b.Name())
				}
			})
		})
	}
}

func TestTwoThatProbeAtOnceAreCompared(t *testing.T) {
	for _, test := range []struct {
		name   string
		theirs []string
		wins   bool // the box
	}{
		{"a higher address", []string{"pillarbox.local. 120 IN A 192.0.2.9"}, false},
		{"a lower address", []string{"pillarbox.local. 120 IN A 192.0.2.1"}, true},
		{"a higher type", []string{"pillarbox.local. 120 IN AAAA fe80::1"}, false},
		{"the same and more", []string{"pillarbox.local. 120 IN AAAA fe80::1", "pillarbox.local. 120 IN A 192.0.2.2"}, false},
		{"the same", []string{"pillarbox.local. 120 IN A 192.0.2.2"}, true},
		{"the octets are compared without a sign", []string{"pillarbox.local. 120 IN A 200.0.2.1"}, false},
		{"another name", []string{"pillar.local. 120 IN A 192.0.2.9"}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newLAN(t)
				n.box(nil, iface(1, boxAddress))
				time.Sleep(400 * time.Millisecond) // within the second or third interval
				n.since(0)
				at := time.Since(n.start)
				n.say(friend, probe(t, "pillarbox.local.", test.theirs...))
				all := n.since(10 * time.Second)
				if len(all) == 0 {
					t.Fatal("nothing was said any more")
				}
				waited := all[0].after - at
				if test.wins && waited > 250*time.Millisecond || !test.wins && waited != time.Second {
					t.Errorf("the box went on after %v", waited)
				}
				probes := 0
				for _, m := range all {
					if !m.Response {
						probes++
					}
				}
				if !test.wins && probes != 3 {
					t.Errorf("the box probed %d times more", probes)
				}
			})
		})
	}
}

func TestTwoBoxesThatAreSwitchedOnTogetherShareNoName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newLAN(t)
		first := n.box([]mdns.Service{imaps()}, iface(1, "192.0.2.2/24", boxAddress6))
		second := n.box([]mdns.Service{imaps()}, iface(1, "192.0.2.3/24", "fe80::3/64"))
		n.since(time.Minute)
		got := []string{first.Name(), second.Name()}
		slices.Sort(got)
		if diff := cmp.Diff([]string{"pillarbox-2.local", "pillarbox.local"}, got); diff != "" {
			t.Errorf("the names (-want +got):\n%s", diff)
		}
		n.say(friend, question("_imaps._tcp.local.", dns.TypePTR))
		if got := answers(n.since(time.Second)); len(got) != 2 {
			t.Errorf("the services: %q", got)
		}
	})
}

func TestAHeldNameIsDefendedAgainstAProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newLAN(t)
		n.settled(nil, iface(1, boxAddress))
		n.since(time.Hour)
		for i := range 3 {
			n.say(friend, probe(t, "pillarbox.local.", "pillarbox.local. 120 IN A 192.0.2.9"))
			all := n.since(0)
			if diff := cmp.Diff([]string{"pillarbox.local. 120 IN A 192.0.2.2 flush"}, answers(all)); diff != "" {
				t.Errorf("the answer to probe %d (-want +got):\n%s", i, diff)
			}
			n.since(250 * time.Millisecond)
		}
	})
}

func TestWhoSpeaksForAHeldNameMustAnswerAProbe(t *testing.T) {
	claim := "pillarbox.local. 120 IN A 192.0.2.9"
	t.Run("and does not", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n := newLAN(t)
			b := n.settled([]mdns.Service{imaps()}, iface(1, boxAddress))
			n.say(friend, response(t, claim))
			if b.Name() != "" {
				t.Errorf("the name in dispute is told: %q", b.Name())
			}
			all := n.since(10 * time.Second)
			if len(all) != 6 || b.Name() != "pillarbox.local" || len(b.conflicts) > 0 {
				t.Errorf("%d messages instead of probes and announcements; the name is %q", len(all), b.Name())
			}
		})
	})
	t.Run("and does", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n := newLAN(t)
			b := n.settled([]mdns.Service{imaps()}, iface(1, boxAddress))
			n.say(friend, response(t, claim))
			n.defend(map[string]string{"pillarbox.local.": claim})
			n.since(10 * time.Second)
			if b.Name() != "pillarbox-2.local" || !slices.Equal(b.held, []string{"pillarbox.local", "", "pillarbox-2.local"}) {
				t.Errorf("the name is %q, the names were %q", b.Name(), b.held)
			}
		})
	})
}

func TestEndlessConflictsSlowDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newLAN(t)
		b := n.box(nil, iface(1, boxAddress))
		probes := 0
		for range 6000 { // ten minutes
			for _, m := range n.since(100 * time.Millisecond) {
				if !m.Response {
					probes++
					n.say(friend, response(t, m.Question[0].Name+" 120 IN A 192.0.2.9"))
				}
			}
		}
		if got := len(b.conflicts); got < 100 || got > 140 || probes > 140 {
			t.Errorf("%d conflicts and %d probes in ten minutes, want one in five seconds", got, probes)
		}
		n.since(time.Minute) // the enemy has gone
		if want := b.conflicts[len(b.conflicts)-1]; b.Name() != want {
			t.Errorf("the name is %q, want %q", b.Name(), want)
		}
	})
}

func TestALongNameIsShortenedForItsNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newLAN(t)
		long := mdns.Service{Instance: strings.Repeat("ä", 31) + "x", Type: "_imaps._tcp", Port: 993}
		n.box([]mdns.Service{long}, iface(1, boxAddress))
		time.Sleep(500 * time.Millisecond)
		for _, m := range n.since(0) {
			n.say(friend, response(t, m.Question[1].Name+" 120 IN SRV 0 0 993 other.local."))
			break
		}
		n.since(10 * time.Second)
		n.say(friend, question("_imaps._tcp.local.", dns.TypePTR))
		all := n.since(time.Second)
		if len(all) != 1 {
			t.Fatalf("answers: %v", all)
		}
		name := all[0].Answer[0].(*dns.PTR).Ptr
		buf := make([]byte, 256)
		if _, err := dns.PackDomainName(name, buf, 0, nil, false); err != nil {
			t.Fatal(err)
		}
		if label, want := string(buf[1:1+buf[0]]), strings.Repeat("ä", 29)+" (2)"; label != want {
			t.Errorf("the name is %q, want %q", label, want)
		}
	})
}

func TestAServiceWaitsForItsHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newLAN(t)
		n.box([]mdns.Service{imaps()}, iface(1, boxAddress))
		time.Sleep(400 * time.Millisecond)
		n.since(0)
		lost := time.Since(n.start)
		n.say(friend, probe(t, "pillarbox.local.", "pillarbox.local. 120 IN A 192.0.2.9"))
		announced := 0
		for _, m := range n.since(10 * time.Second) {
			if !m.Response {
				continue
			}
			if since := m.after - lost; since < 1750*time.Millisecond {
				t.Errorf("%v after the host lost a comparison there was %v", since, texts(m.Answer))
			}
			if slices.Contains(texts(m.Answer), "_imaps._tcp.local. 4500 IN PTR Pillarbox._imaps._tcp.local.") {
				announced++
			}
		}
		if announced != 3 {
			t.Errorf("the service was announced %d times", announced)
		}
	})
}

func TestANameInDisputeIsNotTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newLAN(t)
		b := n.settled([]mdns.Service{imaps()}, iface(1, boxAddress))
		n.say(friend, response(t, "pillarbox.local. 120 IN A 192.0.2.9"))
		n.since(100 * time.Millisecond)
		b.stop()
		if got := answers(n.since(0)); len(got) > 0 {
			t.Errorf("goodbyes: %q", got)
		}
	})
}
