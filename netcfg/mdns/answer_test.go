package mdns_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"pillarbox/netcfg/mdns"
)

// The records of the box, as they are told.
const (
	hostA     = `pillarbox.local. 120 IN A 192.0.2.2 flush`
	hostAAAA  = `pillarbox.local. 120 IN AAAA fe80::2 flush`
	hostNSEC  = `pillarbox.local. 120 IN NSEC pillarbox.local. A flush`
	reverse   = `2.2.0.192.in-addr.arpa. 120 IN PTR pillarbox.local. flush`
	mailSRV   = `Pillarbox._imaps._tcp.local. 120 IN SRV 0 0 993 pillarbox.local. flush`
	mailTXT   = `Pillarbox._imaps._tcp.local. 4500 IN TXT "a=b c" "d" flush`
	mailPTR   = `_imaps._tcp.local. 4500 IN PTR Pillarbox._imaps._tcp.local.`
	webPTR    = `_http._tcp.local. 4500 IN PTR Pillarbox._http._tcp.local.`
	mailType  = `_services._dns-sd._udp.local. 4500 IN PTR _imaps._tcp.local.`
	webType   = `_services._dns-sd._udp.local. 4500 IN PTR _http._tcp.local.`
	pillarbox = "Pillarbox"
)

func services() []mdns.Service {
	return []mdns.Service{
		{Instance: pillarbox, Type: "_imaps._tcp", Port: 993, TXT: []string{"a=b c", "d"}},
		{Instance: pillarbox, Type: "_http._tcp", Port: 80},
	}
}

func TestQuestionsAndTheirAnswers(t *testing.T) {
	both := []string{boxAddress, boxAddress6}
	for _, test := range []struct {
		name      string
		addresses []string
		ask       string
		kind      uint16
		answer    []string
		extra     []string
	}{
		{"an address", both, "pillarbox.local.", dns.TypeA, []string{hostA}, []string{hostAAAA}},
		{"in capitals", both, "PillarBox.LOCAL.", dns.TypeA, []string{hostA}, []string{hostAAAA}},
		{"an address of IPv6", both, "pillarbox.local.", dns.TypeAAAA, []string{hostAAAA}, []string{hostA}},
		{"of one family only", both[:1], "pillarbox.local.", dns.TypeA, []string{hostA}, []string{hostNSEC}},
		{"one that there is not", both[:1], "pillarbox.local.", dns.TypeAAAA, []string{hostNSEC}, nil},
		{"anything", both, "pillarbox.local.", dns.TypeANY, []string{hostA, hostAAAA}, nil},
		{"another type", both[:1], "pillarbox.local.", dns.TypeHINFO, []string{hostNSEC}, nil},
		{"a type that the service has not", both[:1], "pillarbox._imaps._tcp.local.", dns.TypeA, []string{
			`Pillarbox._imaps._tcp.local. 120 IN NSEC Pillarbox._imaps._tcp.local. TXT SRV flush`,
		}, nil},
		{"whose address it is", both[:1], "2.2.0.192.in-addr.arpa.", dns.TypePTR, []string{reverse}, nil},
		{"whose address of IPv6 it is", both, "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.e.f.ip6.arpa.", dns.TypePTR, []string{
			`2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.e.f.ip6.arpa. 120 IN PTR pillarbox.local. flush`,
		}, nil},
		{"who serves mail", both[:1], "_imaps._tcp.local.", dns.TypePTR, []string{mailPTR}, []string{mailSRV, mailTXT, hostA, hostNSEC}},
		{"where the service is", both[:1], "Pillarbox._imaps._tcp.local.", dns.TypeSRV, []string{mailSRV}, []string{hostA, hostNSEC}},
		{"what the service says", both[:1], "Pillarbox._imaps._tcp.local.", dns.TypeTXT, []string{mailTXT}, nil},
		{"all of the service", both[:1], "Pillarbox._imaps._tcp.local.", dns.TypeANY, []string{mailSRV, mailTXT}, []string{hostA, hostNSEC}},
		{"what services there are", both[:1], "_services._dns-sd._udp.local.", dns.TypePTR, []string{webType, mailType}, nil},
		{"a type of services that is absent", both, "_ipp._tcp.local.", dns.TypePTR, nil, nil},
		{"another type of a shared name", both, "_imaps._tcp.local.", dns.TypeTXT, nil, nil},
		{"another host", both, "pillarbox-2.local.", dns.TypeA, nil, nil},
		{"another domain", both, "pillarbox.example.", dns.TypeA, nil, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newLAN(t)
				n.settled(services(), iface(1, test.addresses...))
				n.say(friend, question(test.ask, test.kind))
				all := n.since(time.Second)
				if test.answer == nil {
					if len(all) > 0 {
						t.Errorf("answers: %v", all)
					}
					return
				}
				if len(all) != 1 {
					t.Fatalf("%d answers: %v", len(all), all)
				}
				m := all[0]
				slices.Sort(test.answer)
				slices.Sort(test.extra)
				if diff := cmp.Diff(test.answer, texts(m.Answer)); diff != "" {
					t.Errorf("the answer (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(test.extra, texts(m.Extra)); diff != "" {
					t.Errorf("what goes along (-want +got):\n%s", diff)
				}
				if !m.Response || !m.Authoritative || m.Rcode != 0 || m.Id != 0 || len(m.Question) > 0 || m.to.String() != groupAddress {
					t.Errorf("its form: %v", m)
				}
			})
		})
	}
}

func TestAnAnswerIsWithheld(t *testing.T) {
	chaos := question("pillarbox.local.", dns.TypeA)
	chaos.Question[0].Qclass = dns.ClassCHAOS
	opcode := question("pillarbox.local.", dns.TypeA)
	opcode.Opcode = dns.OpcodeNotify
	failed := question("pillarbox.local.", dns.TypeA)
	failed.Rcode = dns.RcodeRefused
	many := question("pillarbox.local.", dns.TypeA)
	for range 100 {
		many.Question = append(many.Question, many.Question[0])
	}
	known := question("pillarbox.local.", dns.TypeA)
	known.Answer = []dns.RR{rr(t, "PILLARBOX.local. 60 IN A 192.0.2.2")}
	knownPTR := question("_imaps._tcp.local.", dns.TypePTR)
	knownPTR.Answer = []dns.RR{rr(t, "_imaps._tcp.local. 2250 IN PTR PILLARBOX._imaps._tcp.local.")}
	two := question("pillarbox.local.", dns.TypeA)
	two.Question = append(two.Question, two.Question[0])
	for name, test := range map[string]struct {
		from, to string
		msg      *dns.Msg
	}{
		"from another network":                {"203.0.113.9:5353", groupAddress, question("pillarbox.local.", dns.TypeA)},
		"from another network, straight":      {"203.0.113.9:40000", "192.0.2.2:5353", question("pillarbox.local.", dns.TypeA)},
		"from an address of another family":   {"[2001:db8::9]:5353", groupAddress6, question("pillarbox.local.", dns.TypeA)},
		"from ourselves":                      {"192.0.2.2:5353", groupAddress, question("pillarbox.local.", dns.TypeA)},
		"from a port that there cannot be":    {"192.0.2.9:0", groupAddress, question("pillarbox.local.", dns.TypeA)},
		"in another class":                    {friend, groupAddress, chaos},
		"no question":                         {friend, groupAddress, &dns.Msg{}},
		"with another opcode":                 {friend, groupAddress, opcode},
		"with an error":                       {friend, groupAddress, failed},
		"too many questions":                  {friend, groupAddress, many},
		"of what is known":                    {friend, groupAddress, known},
		"of a service that is known":          {friend, groupAddress, knownPTR},
		"of what is known, for one":           {friend, "192.0.2.2:5353", known},
		"of what a program knows":             {program, groupAddress, known},
		"two of a program":                    {program, groupAddress, two},
		"of what others have said, as answer": {friend, groupAddress, response(t, "other.local. 120 IN A 192.0.2.8")},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newLAN(t)
				n.settled(services(), iface(1, boxAddress, boxAddress6))
				n.sayTo(test.from, test.to, test.msg)
				if all := n.since(time.Minute); len(all) > 0 {
					t.Errorf("answers: %v", all)
				}
			})
		})
	}
}

func TestWhatIsKnownForAShortTimeOnlyIsToldAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newLAN(t)
		n.settled(services(), iface(1, boxAddress, "192.0.2.3/24"))
		m := question("pillarbox.local.", dns.TypeA)
		m.Answer = []dns.RR{rr(t, "pillarbox.local. 59 IN A 192.0.2.2"), rr(t, "pillarbox.local. 120 IN A 192.0.2.3")}
		n.say(friend, m)
		// The second goes along: the flush bit would throw it out.
		want := []string{hostA, `pillarbox.local. 120 IN A 192.0.2.3 flush`}
		if diff := cmp.Diff(want, answers(n.since(time.Second))); diff != "" {
			t.Errorf("the answer (-want +got):\n%s", diff)
		}
	})
}

func TestWhatIsSharedWaitsForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newLAN(t)
		n.settled(services(), iface(1, boxAddress))
		different := map[time.Duration]bool{}
		for range 50 {
			for kind, unique := range map[*dns.Msg]bool{
				question("_imaps._tcp.local.", dns.TypePTR): false,
				question("pillarbox.local.", dns.TypeA):     true,
			} {
				n.since(2 * time.Second)
				asked := time.Since(n.start)
				n.say(friend, kind)
				all := n.since(time.Second)
				if len(all) != 1 {
					t.Fatalf("answers: %v", all)
				}
				waited := all[0].after - asked
				if unique && waited != 0 || !unique && (waited < 20*time.Millisecond || waited > 120*time.Millisecond) {
					t.Errorf("an answer waited %v", waited)
				}
				different[waited] = true
			}
		}
		if len(different) < 10 {
			t.Errorf("only %d different delays", len(different))
		}
	})
}

func TestMoreKnownAnswersAreWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newLAN(t)
		n.settled(services(), iface(1, boxAddress))
		ask := func(truncated bool) *dns.Msg {
			m := question("_services._dns-sd._udp.local.", dns.TypePTR)
			m.Truncated = truncated
			m.Answer = []dns.RR{rr(t, "_services._dns-sd._udp.local. 4500 IN PTR _ssh._tcp.local.")}
			return m
		}
		more := func(truncated bool) *dns.Msg {
			return &dns.Msg{MsgHdr: dns.MsgHdr{Truncated: truncated}, Answer: []dns.RR{rr(t, "_services._dns-sd._udp.local. 4500 IN PTR _imaps._tcp.local.")}}
		}
		began := time.Since(n.start)
		n.say(friend, ask(true))
		n.since(300 * time.Millisecond)
		n.say("192.0.2.8:5353", more(false)) // somebody else
		all := n.since(time.Second)
		if len(all) != 1 || all[0].after-began < 400*time.Millisecond || all[0].after-began > 500*time.Millisecond {
			t.Fatalf("an answer that nothing more was said to: %v", all)
		}
		if diff := cmp.Diff([]string{webType, mailType}, answers(all)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		n.since(2 * time.Second)
		began = time.Since(n.start)
		n.say(friend, ask(true))
		n.since(300 * time.Millisecond)
		n.say(friend, more(true)) // and still more
		all = n.since(2 * time.Second)
		if len(all) != 1 || all[0].after-began < 700*time.Millisecond {
			t.Fatalf("an answer that more was said to: %v", all)
		}
		if diff := cmp.Diff([]string{webType}, answers(all)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		began = time.Since(n.start)
		n.say(friend, ask(true)) // and never an end
		for range 100 {
			n.say(friend, &dns.Msg{MsgHdr: dns.MsgHdr{Truncated: true}})
			time.Sleep(100 * time.Millisecond)
		}
		if all = n.since(0); len(all) != 1 || all[0].after-began > 3*time.Second {
			t.Errorf("an answer that endlessly more was promised to: %v", all)
		}
	})
}

func TestAnAnswerForOneGoesToOneWhereCachesAreFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newLAN(t)
		n.settled(services(), iface(1, boxAddress, boxAddress6))
		ask := func(from, to string, m *dns.Msg) string {
			n.sayTo(from, to, m)
			all := n.since(2 * time.Second)
			if len(all) != 1 {
				t.Fatalf("answers: %v", all)
			}
			return all[0].to.String()
		}
		if to := ask(friend, groupAddress, unicast("pillarbox.local.", dns.TypeA)); to != friend {
			t.Errorf("the answer went to %s", to)
		}
		if to := ask(friend6, groupAddress6, unicast("pillarbox.local.", dns.TypeA)); to != friend6 {
			t.Errorf("the answer went to %s", to)
		}
		if to := ask(friend, "192.0.2.2:5353", question("pillarbox.local.", dns.TypeA)); to != friend {
			t.Errorf("the answer to a packet for the box alone went to %s", to)
		}
		n.since(30 * time.Second) // a quarter of the record's time
		if to := ask(friend, groupAddress, unicast("pillarbox.local.", dns.TypeA)); to != groupAddress {
			t.Errorf("when caches grow old the answer went to %s", to)
		}
		if to := ask(friend, groupAddress, unicast("pillarbox.local.", dns.TypeA)); to != friend {
			t.Errorf("after that the answer went to %s", to)
		}
	})
}

func TestAProgramThatDoesNotTakePart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newLAN(t)
		n.settled(services(), iface(1, boxAddress))
		m := question("_imaps._tcp.local.", dns.TypePTR)
		m.Id, m.RecursionDesired = 4711, true
		n.say(program, m)
		all := n.since(time.Second)
		if len(all) != 1 || all[0].to.String() != program {
			t.Fatalf("answers: %v", all)
		}
		got := all[0]
		if got.Id != 4711 || len(got.Question) != 1 || got.Question[0] != m.Question[0] {
			t.Errorf("number and question are not repeated: %v", got)
		}
		want := []string{`_imaps._tcp.local. 10 IN PTR Pillarbox._imaps._tcp.local.`}
		if diff := cmp.Diff(want, texts(got.Answer)); diff != "" {
			t.Errorf("the answer (-want +got):\n%s", diff)
		}
		want = []string{
			`Pillarbox._imaps._tcp.local. 10 IN SRV 0 0 993 pillarbox.local.`, `Pillarbox._imaps._tcp.local. 10 IN TXT "a=b c" "d"`,
			`pillarbox.local. 10 IN A 192.0.2.2`, `pillarbox.local. 10 IN NSEC pillarbox.local. A`,
		}
		if diff := cmp.Diff(want, texts(got.Extra)); diff != "" {
			t.Errorf("what goes along (-want +got):\n%s", diff)
		}
	})
}

func TestARecordIsToldToAllOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newLAN(t)
		n.settled(services(), iface(1, boxAddress))
		var times []time.Duration
		for range 100 {
			n.say(friend, question("pillarbox.local.", dns.TypeA))
			for _, m := range n.since(100 * time.Millisecond) {
				times = append(times, m.after)
			}
		}
		if len(times) != 10 {
			t.Errorf("%d answers in ten seconds", len(times))
		}
		for i := 1; i < len(times); i++ {
			if times[i]-times[i-1] < time.Second {
				t.Errorf("two answers within %v", times[i]-times[i-1])
			}
		}
		times = nil
		for range 90 { // a name has to be defended sooner
			m := probe(t, "pillarbox.local.", "pillarbox.local. 120 IN A 192.0.2.9")
			m.Question[0].Qclass = dns.ClassINET // to all
			n.say(friend, m)
			for _, m := range n.since(100 * time.Millisecond) {
				times = append(times, m.after)
			}
		}
		if len(times) != 30 {
			t.Errorf("%d answers to probes in nine seconds", len(times))
		}
	})
}

func TestOurOwnRecordsInAnothersMouth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newLAN(t)
		n.settled(services(), iface(1, boxAddress))
		for text, want := range map[string][]string{
			"pillarbox.local. 0 IN A 192.0.2.2":                                      {hostA}, // section 10.1
			"pillarbox.local. 59 IN A 192.0.2.2":                                     {hostA}, // section 6.6
			"pillarbox.local. 60 IN A 192.0.2.2":                                     nil,
			"_imaps._tcp.local. 0 IN PTR Pillarbox._imaps._tcp.local.":               {mailPTR},
			"_services._dns-sd._udp.local. 4500 IN PTR _imaps._tcp.local.":           nil,
			"_services._dns-sd._udp.local. 0 IN PTR _imaps._tcp.local.":              {mailType},
			"pillarbox.local. 0 IN A 192.0.2.9":                                      nil,
			"pillarbox.local. 120 IN NSEC pillarbox.local. A AAAA":                   nil,
			"Pillarbox._imaps._tcp.local. 1 IN SRV 0 0 993 PILLARBOX.local.":         {mailSRV},
			"2.2.0.192.in-addr.arpa. 120 IN PTR other.local.":                        nil,
			"Pillarbox._imaps._tcp.local. 4500 IN SRV 0 0 993 pillarbox.local.":      nil,
			"Pillarbox._imaps._tcp.local. 4500 IN TYPE65000 \\# 4 01020304":          nil,
			"Pillarbox._http._tcp.local. 120 IN SRV 0 0 80 pillarbox.local.":         nil,
			"_http._tcp.local. 120 IN PTR another._http._tcp.local.":                 nil,
			"b._dns-sd._udp.local. 120 IN PTR local.":                                nil,
			"pillarbox.local. 120 IN HINFO \"CPU\" \"OS\"":                           nil,
			"_services._dns-sd._udp.local. 2249 IN PTR _http._tcp.local.":            {webType},
			"2.2.0.192.in-addr.arpa. 3 IN PTR pillarbox.local.":                      {reverse},
			"Pillarbox._imaps._tcp.local. 10 IN TXT \"a=b c\" \"d\"":                 {mailTXT},
			"Pillarbox._imaps._tcp.local. 10 IN NSEC Pillarbox._imaps._tcp.local. A": nil,
		} {
			n.since(2 * time.Second)
			n.say(friend, response(t, text))
			if diff := cmp.Diff(want, answers(n.since(10*time.Second))); diff != "" {
				t.Errorf("what was said to %q (-want +got):\n%s", text, diff)
			}
		}
	})
}

func TestWhatAnotherHasJustAnsweredIsNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newLAN(t)
		n.settled(services(), iface(1, boxAddress))
		for range 20 {
			n.say(friend, question("_services._dns-sd._udp.local.", dns.TypePTR))
			n.say("192.0.2.8:5353", response(t, "_services._dns-sd._udp.local. 4500 IN PTR _http._tcp.local."))
			if diff := cmp.Diff([]string{mailType}, answers(n.since(2*time.Second))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		}
	})
}

func TestAFloodIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newLAN(t)
		n.settled(services(), iface(1, "192.0.2.2/16"))
		for i := range 5000 { // programs are answered each for itself
			n.say(fmt.Sprintf("192.0.2.9:%d", 10_000+i), question("pillarbox.local.", dns.TypeA))
		}
		if got := len(n.since(time.Second)); got != 60 {
			t.Errorf("one source got %d answers at once", got)
		}
		for i := range 5000 {
			from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 3 + byte(i>>8), byte(i)}), 40_000)
			n.say(from.String(), question("pillarbox.local.", dns.TypeA))
		}
		if got := len(n.since(time.Second)); got > 400 || got < 300 {
			t.Errorf("five thousand sources got %d answers at once", got)
		}
		n.since(time.Minute)
		n.say(program, question("pillarbox.local.", dns.TypeA))
		if got := len(n.since(time.Second)); got != 1 {
			t.Errorf("after the flood a question has %d answers", got)
		}
	})
}
