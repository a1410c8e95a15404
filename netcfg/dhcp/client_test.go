package dhcp_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv4"

	"pillarbox/netcfg/dhcp"
)

var (
	mac    = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	ours   = netip.MustParseAddr("192.0.2.10")
	theirs = netip.MustParseAddr("192.0.2.1")
)

// server answers each message by a function; nil is silence.
type server struct {
	answer func(m *dhcpv4.DHCPv4, unicast bool) *dhcpv4.DHCPv4
	taken  func(netip.Addr) bool
	in     chan []byte
	seen   []string // what was asked, and when
	start  time.Time
}

func newServer(answer func(*dhcpv4.DHCPv4, bool) *dhcpv4.DHCPv4) *server {
	return &server{answer: answer, in: make(chan []byte, 16), start: time.Now()}
}

func (s *server) Broadcast(msg []byte, _ netip.Addr) error  { return s.take(msg, false) }
func (s *server) Unicast(msg []byte, _, _ netip.Addr) error { return s.take(msg, true) }
func (s *server) Close() error                              { return nil }

func (s *server) take(msg []byte, unicast bool) error {
	m, err := dhcpv4.FromBytes(msg)
	if err != nil {
		return err
	}
	how := " to all"
	if unicast {
		how = " to one"
	}
	s.seen = append(s.seen, m.MessageType().String()+how)
	if a := s.answer(m, unicast); a != nil {
		s.in <- a.ToBytes()
	}
	return nil
}

func (s *server) Receive(ctx context.Context, buf []byte) (int, error) {
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case b := <-s.in:
		return copy(buf, b), nil
	}
}

func (s *server) Taken(_ context.Context, a netip.Addr) (bool, error) {
	return s.taken != nil && s.taken(a), nil
}

// reply returns a sound answer of a kind.
func reply(m *dhcpv4.DHCPv4, kind dhcpv4.MessageType, change ...dhcpv4.Modifier) *dhcpv4.DHCPv4 {
	r, err := dhcpv4.NewReplyFromRequest(m, append([]dhcpv4.Modifier{
		dhcpv4.WithMessageType(kind), dhcpv4.WithYourIP(ours.AsSlice()), dhcpv4.WithNetmask(net.CIDRMask(24, 32)),
		dhcpv4.WithOption(dhcpv4.OptServerIdentifier(theirs.AsSlice())), dhcpv4.WithLeaseTime(3600),
	}, change...)...)
	if err != nil {
		panic(err)
	}
	return r
}

// good answers everything.
func good(m *dhcpv4.DHCPv4, _ bool) *dhcpv4.DHCPv4 {
	if m.MessageType() == dhcpv4.MessageTypeDiscover {
		return reply(m, dhcpv4.MessageTypeOffer)
	}
	return reply(m, dhcpv4.MessageTypeAck)
}

// run runs a client for some time and returns what it decided: addresses, and
// "none".
func run(t *testing.T, s *server, previous *dhcp.Lease, limit time.Duration, release bool) []string {
	t.Helper()
	var decided []string
	ctx, stop := context.WithTimeout(t.Context(), limit)
	defer stop()
	err := dhcp.New(&dhcp.Config{
		Conn: s, MAC: mac, ID: dhcp.Identifier("", mac), Logger: slog.New(slog.DiscardHandler), Previous: previous, Release: release,
		Decided: func(l *dhcp.Lease) {
			if l == nil {
				decided = append(decided, "none")
				return
			}
			decided = append(decided, l.Address.String())
		},
	}).Run(ctx)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Run = %v", err)
	}
	return decided
}

func old() *dhcp.Lease {
	return &dhcp.Lease{Address: netip.PrefixFrom(ours, 24), Server: theirs, Expires: time.Now().Add(time.Hour)}
}

func TestStatesOfAClient(t *testing.T) {
	const held = "192.0.2.10/24"
	cases := map[string]struct {
		answer   func(began time.Time) func(*dhcpv4.DHCPv4, bool) *dhcpv4.DHCPv4
		taken    func(netip.Addr) bool
		previous bool
		release  bool
		limit    time.Duration
		seen     []string
		decided  []string
	}{
		"a new client": {
			limit: time.Minute, seen: []string{"DISCOVER to all", "REQUEST to all"}, decided: []string{"none", held},
		},
		"an earlier lease": {
			previous: true, limit: time.Minute, seen: []string{"REQUEST to all"}, decided: []string{held},
		},
		"an earlier lease that is refused": {
			previous: true, limit: time.Minute,
			answer: func(time.Time) func(*dhcpv4.DHCPv4, bool) *dhcpv4.DHCPv4 {
				refused := false
				return func(m *dhcpv4.DHCPv4, u bool) *dhcpv4.DHCPv4 {
					if !refused {
						refused = true
						return reply(m, dhcpv4.MessageTypeNak)
					}
					return good(m, u)
				}
			},
			seen: []string{"REQUEST to all", "DISCOVER to all", "REQUEST to all"}, decided: []string{"none", held},
		},
		"an earlier lease that nobody knows": {
			previous: true, limit: time.Minute,
			answer: func(time.Time) func(*dhcpv4.DHCPv4, bool) *dhcpv4.DHCPv4 {
				discovered := false
				return func(m *dhcpv4.DHCPv4, u bool) *dhcpv4.DHCPv4 {
					discovered = discovered || m.MessageType() == dhcpv4.MessageTypeDiscover
					if !discovered {
						return nil
					}
					return good(m, u)
				}
			},
			seen: []string{"REQUEST to all", "REQUEST to all", "DISCOVER to all", "REQUEST to all"}, decided: []string{held},
		},
		"renewals": {
			limit: 62 * time.Minute,
			seen:  []string{"DISCOVER to all", "REQUEST to all", "REQUEST to one", "REQUEST to one"}, decided: []string{"none", held, held, held},
		},
		"a server that is replaced": {
			limit: 55 * time.Minute,
			answer: func(began time.Time) func(*dhcpv4.DHCPv4, bool) *dhcpv4.DHCPv4 {
				return func(m *dhcpv4.DHCPv4, unicast bool) *dhcpv4.DHCPv4 {
					if unicast {
						return nil
					}
					return good(m, unicast)
				}
			},
			// Half of what is left to T2 each time: 30, 41:15, 46:52, 49:41, 51:05, and the rest.
			seen: []string{
				"DISCOVER to all", "REQUEST to all", "REQUEST to one", "REQUEST to one", "REQUEST to one", "REQUEST to one",
				"REQUEST to one", "REQUEST to one", "REQUEST to all",
			}, decided: []string{"none", held, held},
		},
		"a refused renewal": {
			limit: 31 * time.Minute,
			answer: func(began time.Time) func(*dhcpv4.DHCPv4, bool) *dhcpv4.DHCPv4 {
				return func(m *dhcpv4.DHCPv4, unicast bool) *dhcpv4.DHCPv4 {
					if unicast {
						return reply(m, dhcpv4.MessageTypeNak)
					}
					return good(m, unicast)
				}
			},
			seen:    []string{"DISCOVER to all", "REQUEST to all", "REQUEST to one", "DISCOVER to all", "REQUEST to all"},
			decided: []string{"none", held, "none", held},
		},
		"a taken address": {
			limit: 15 * time.Second,
			taken: func() func(netip.Addr) bool {
				n := 0
				return func(netip.Addr) bool { n++; return n == 1 }
			}(),
			seen:    []string{"DISCOVER to all", "REQUEST to all", "DECLINE to all", "DISCOVER to all", "REQUEST to all"},
			decided: []string{"none", held},
		},
		"a release": {
			limit: time.Minute, release: true,
			seen: []string{"DISCOVER to all", "REQUEST to all", "RELEASE to one"}, decided: []string{"none", held, "none"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				answer := good
				if c.answer != nil {
					answer = c.answer(time.Now())
				}
				s := newServer(answer)
				s.taken = c.taken
				var previous *dhcp.Lease
				if c.previous {
					previous = old()
				}
				decided := run(t, s, previous, c.limit, c.release)
				if diff := cmp.Diff(c.seen, s.seen); diff != "" {
					t.Errorf("messages (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(c.decided, decided); diff != "" {
					t.Errorf("decisions (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestAServerThatRefusesForEverIsAskedEverMoreSlowly would otherwise be a loop
// that a hostile server keeps turning.
func TestAServerThatRefusesForEverIsAskedEverMoreSlowly(t *testing.T) {
	for name, answer := range map[string]func(*dhcpv4.DHCPv4, bool) *dhcpv4.DHCPv4{
		"it refuses what it offered": func(m *dhcpv4.DHCPv4, u bool) *dhcpv4.DHCPv4 {
			if m.MessageType() == dhcpv4.MessageTypeDiscover {
				return good(m, u)
			}
			return reply(m, dhcpv4.MessageTypeNak)
		},
		"it is silent": func(*dhcpv4.DHCPv4, bool) *dhcpv4.DHCPv4 { return nil },
		"its leases are too short": func(m *dhcpv4.DHCPv4, _ bool) *dhcpv4.DHCPv4 {
			return reply(m, dhcpv4.MessageTypeOffer, dhcpv4.WithLeaseTime(1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(answer)
				if got := run(t, s, nil, time.Hour, false); len(got) != 1 {
					t.Errorf("decisions %v", got)
				}
				// Once a minute in the end, with two messages each time.
				if n := len(s.seen); n < 50 || n > 150 {
					t.Errorf("%d messages in an hour", n)
				}
			})
		})
	}
}

func TestAnswersForOthersAreNotTaken(t *testing.T) {
	for name, change := range map[string]dhcpv4.Modifier{
		"another transaction":   dhcpv4.WithTransactionID(dhcpv4.TransactionID{9, 9, 9, 9}),
		"another machine":       dhcpv4.WithHwAddr(net.HardwareAddr{2, 0, 0, 0, 0, 2}),
		"a request":             func(m *dhcpv4.DHCPv4) { m.OpCode = dhcpv4.OpcodeBootRequest },
		"no server":             dhcpv4.WithoutOption(dhcpv4.OptionServerIdentifier),
		"loopback":              dhcpv4.WithYourIP(net.IPv4(127, 0, 0, 1)),
		"the broadcast address": dhcpv4.WithYourIP(net.IPv4(192, 0, 2, 255)),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(func(m *dhcpv4.DHCPv4, _ bool) *dhcpv4.DHCPv4 { return reply(m, dhcpv4.MessageTypeOffer, change) })
				run(t, s, nil, 10*time.Second, false)
				for _, seen := range s.seen {
					if seen != "DISCOVER to all" {
						t.Errorf("it was taken: %v", s.seen)
					}
				}
			})
		})
	}
}

// TestAnotherServerCannotRefuseTheChosenOnesOffer has a second server answer the
// request first.
func TestAnotherServerCannotRefuseTheChosenOnesOffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s *server
		s = newServer(func(m *dhcpv4.DHCPv4, u bool) *dhcpv4.DHCPv4 {
			if m.MessageType() == dhcpv4.MessageTypeRequest {
				s.in <- reply(m, dhcpv4.MessageTypeNak, dhcpv4.WithOption(dhcpv4.OptServerIdentifier(net.IPv4(192, 0, 2, 66)))).ToBytes()
			}
			return good(m, u)
		})
		if diff := cmp.Diff([]string{"none", "192.0.2.10/24"}, run(t, s, nil, time.Minute, false)); diff != "" {
			t.Errorf("decisions (-want +got):\n%s", diff)
		}
	})
}
