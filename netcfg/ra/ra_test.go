package ra_test

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"pillarbox/netcfg/ra"
	"pillarbox/netcfg/state"
)

const forEver = 1<<32 - 1

// message is one of the kernel's, with one option of a router.
func message(link int32, option []byte) []byte {
	b := make([]byte, 16)
	b[0], b[8] = unix.AF_INET6, 134
	binary.NativeEndian.PutUint16(b[2:], uint16(len(option)))
	binary.NativeEndian.PutUint32(b[4:], uint32(link))
	b = append(b, option...)
	// NDUSEROPT_SRCADDR
	b = append(b, 20, 0, 1, 0)

	return append(b, netip.MustParseAddr("fe80::1").AsSlice()...)
}

func option(kind byte, lifetime uint32, body []byte) []byte {
	body = append(body, make([]byte, (8-len(body)%8)%8)...)
	b := []byte{kind, byte(1 + len(body)/8), 0, 0}
	b = binary.BigEndian.AppendUint32(b, lifetime)

	return append(b, body...)
}

func servers(lifetime uint32, all ...string) []byte {
	var body []byte
	for _, a := range all {
		body = append(body, netip.MustParseAddr(a).AsSlice()...)
	}

	return option(25, lifetime, body)
}

func domains(lifetime uint32, all ...string) []byte {
	var body []byte
	for _, name := range all {
		for label := range strings.SplitSeq(name, "|") {
			body = append(body, byte(len(label)))
			body = append(body, label...)
		}
		body = append(body, 0)
	}

	return option(31, lifetime, body)
}

var samePlaces = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

func TestWhatIsBelievedOfAnAdvertisement(t *testing.T) {
	addr := netip.MustParseAddr
	for name, c := range map[string]struct {
		option []byte
		want   ra.Option
	}{
		"servers": {servers(60, "2001:db8::1", "fe80::1"), ra.Option{
			Link: 3, Lifetime: time.Minute, Servers: []netip.Addr{addr("2001:db8::1"), addr("fe80::1")},
		}},
		"servers that are none":    {servers(60, "::", "::1", "ff02::1", "::ffff:192.0.2.1", "fd00::1"), ra.Option{Link: 3, Lifetime: time.Minute, Servers: []netip.Addr{addr("fd00::1")}}},
		"servers that go":          {servers(0, "fd00::1"), ra.Option{Link: 3, Servers: []netip.Addr{addr("fd00::1")}}},
		"for ever":                 {servers(forEver, "fd00::1"), ra.Option{Link: 3, Lifetime: 9000 * time.Second, Servers: []netip.Addr{addr("fd00::1")}}},
		"domains":                  {domains(60, "office|example", "EXAMPLE"), ra.Option{Link: 3, Lifetime: time.Minute, Domains: []string{"office.example", "example"}}},
		"domains that are none":    {domains(60, "a\nnameserver ::66", "a.b|example", "x y", "-|example", "office|example"), ra.Option{Link: 3, Lifetime: time.Minute, Domains: []string{"office.example"}}},
		"a domain with a pointer":  {option(31, 60, []byte{1, 'a', 0, 0xc0, 0x08}), ra.Option{Link: 3, Lifetime: time.Minute, Domains: []string{"a"}}},
		"a domain that is cut off": {option(31, 60, []byte{1, 'a', 0, 7, 'o', 'f', 'f', 'i'}), ra.Option{Link: 3, Lifetime: time.Minute, Domains: []string{"a"}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ra.Parse(message(3, c.option))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got, samePlaces); diff != "" {
				t.Errorf("option (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatIsNoneOfOurOptionsIsRefused(t *testing.T) {
	sound := message(3, servers(60, "fd00::1"))
	change := func(at int, to ...byte) []byte {
		b := slices.Clone(sound)
		copy(b[at:], to)
		return b
	}
	for name, b := range map[string][]byte{
		"nothing":           nil,
		"a header":          sound[:16],
		"half an option":    sound[:30],
		"IPv4":              change(0, unix.AF_INET),
		"no link":           change(4, 0, 0, 0, 0),
		"a neighbour":       change(8, 136),
		"another option":    change(16, 38),
		"a longer option":   change(17, 5),
		"an option of none": change(17, 0),
		"an empty one":      message(3, option(25, 60, nil)),
	} {
		t.Run(name, func(t *testing.T) {
			if o, err := ra.Parse(b); err == nil {
				t.Errorf("it was taken as %+v", o)
			}
		})
	}
}

func TestWhatHolds(t *testing.T) {
	now := time.Now()
	one, two := netip.MustParseAddr("fd00::1"), netip.MustParseAddr("fd00::2")
	var table ra.Table
	learn := func(after, lifetime time.Duration, all ...netip.Addr) bool {
		return table.Learn(&ra.Option{Link: 3, Lifetime: lifetime, Servers: all, Domains: []string{"example"}}, now.Add(after))
	}
	holds := func(what string, after time.Duration, want ...netip.Addr) {
		t.Helper()
		got, search := table.Of(3, now.Add(after))
		if !slices.Equal(want, got) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
		if (len(want) > 0) != (len(search) == 1) {
			t.Errorf("%s: domains %v", what, search)
		}
	}
	if !learn(0, time.Minute, one) || learn(time.Second, time.Minute, one) {
		t.Error("only what is new is a change")
	}
	if !learn(2*time.Second, 2*time.Minute, two) {
		t.Error("a second server is no change")
	}
	holds("both", 3*time.Second, one, two)
	if next, ok := table.Next(now); !ok || next != now.Add(time.Minute+time.Second) {
		t.Errorf("the next end is %v, %v", next, ok)
	}
	holds("the first has ended", time.Minute+time.Second, two)
	if !learn(time.Minute+2*time.Second, 0, two) {
		t.Error("what is taken back is no change")
	}
	holds("it was taken back", time.Minute+2*time.Second)
	if _, ok := table.Next(now.Add(time.Hour)); ok {
		t.Error("something is said to end")
	}
	if learn(time.Hour, 0, one) {
		t.Error("what never was is taken back")
	}
	learn(time.Hour, time.Minute, one)
	table.Forget(3)
	holds("it was forgotten", time.Hour)
	if links := table.Links(); len(links) > 0 {
		t.Errorf("links %v", links)
	}
}

// TestAFloodDisplacesNothing has a host advertise without end.
func TestAFloodDisplacesNothing(t *testing.T) {
	now := time.Now()
	first := netip.MustParseAddr("fd00::1")
	var table ra.Table
	table.Learn(&ra.Option{Link: 3, Lifetime: time.Minute, Servers: []netip.Addr{first}, Domains: []string{"example"}}, now)
	a := netip.MustParseAddr("fd00:66::")
	for range 1000 {
		a = a.Next()
		name := strings.ReplaceAll(a.String(), ":", "-") + ".example"
		table.Learn(&ra.Option{Link: 3, Lifetime: time.Hour, Servers: []netip.Addr{a}, Domains: []string{name}}, now)
	}
	servers, domains := table.Of(3, now)
	if len(servers) > 4 || servers[0] != first || len(domains) > 6 || domains[0] != "example" {
		t.Errorf("servers %v, domains %v", servers, domains)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(message(3, servers(60, "2001:db8::1", "fe80::1")))
	f.Add(message(3, domains(forEver, "office|example", "a\n|b")))
	f.Add(message(3, option(31, 60, []byte{63, 'a', 0xc0, 0x08})))
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := ra.Parse(b)
		if err != nil {
			return
		}
		if o.Link <= 0 || o.Lifetime < 0 || o.Lifetime > 9000*time.Second || len(o.Servers) > 8 || len(o.Domains) > 8 {
			t.Errorf("beyond the bounds: %+v", o)
		}
		for _, a := range o.Servers {
			if a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() || !a.Is6() || a.Zone() != "" {
				t.Errorf("server %s", a)
			}
		}
		for _, name := range o.Domains {
			if !state.ValidDomain(name) {
				t.Errorf("domain %q", name)
			}
		}
		var table ra.Table
		now := time.Now()
		table.Learn(&o, now)
		if servers, domains := table.Of(o.Link, now); len(servers) > 4 || len(domains) > 6 {
			t.Errorf("%d servers and %d domains are kept", len(servers), len(domains))
		}
	})
}
