package state_test

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pillarbox/netcfg/state"
)

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// observed is a machine with two network cards and a radio.
func observed() state.Observed {
	return state.Observed{Links: []state.Link{
		{Index: 1, Name: "lo", Up: true, Addresses: []state.Address{{Prefix: prefix("127.0.0.1/8")}}},
		{Index: 4, Name: "eth1", Wired: true, MAC: "02:00:00:00:00:04", MTU: 1500},
		{Index: 2, Name: "wlan0", MAC: "02:00:00:00:00:02", MTU: 1500},
		{Index: 3, Name: "eth0", Wired: true, MAC: "02:00:00:00:00:03", MTU: 1500, Up: true},
	}}
}

func resolve(t *testing.T, text string, o *state.Observed, acquired map[string]state.Acquired) (state.Target, []error) {
	t.Helper()
	d, err := state.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return state.Resolve(&d, o, acquired, nil)
}

func TestWhichInterfaceIsMeant(t *testing.T) {
	for name, c := range map[string]struct {
		interfaces string
		want       []string
		problems   []string
	}{
		"the first wired one":            {`{"first_wired":true}`, []string{"eth0"}, nil},
		"the first that is not named":    {`{"first_wired":true},{"name":"eth0"}`, []string{"eth1", "eth0"}, nil},
		"the first that is in no bridge": {`{"first_wired":true},{"name":"br0","bridge":{"ports":["eth0"]}}`, []string{"eth1", "br0", "eth0"}, nil},
		"by hardware address":            {`{"mac":"02:00:00:00:00:04"}`, []string{"eth1"}, nil},
		"a radio by name":                {`{"name":"wlan0"}`, []string{"wlan0"}, nil},
		"one that is not there":          {`{"name":"usb0"},{"name":"eth0"}`, []string{"eth0"}, []string{"usb0: no such interface is there"}},
		"a port that is not there": {
			`{"name":"br0","bridge":{"ports":["usb0","eth0"]}}`, []string{"br0", "eth0"}, []string{"usb0, port of br0: no such interface is there"},
		},
		"a VLAN on what is not there": {`{"name":"v","vlan":{"parent":"usb0","id":1}}`, nil, []string{"v: its parent usb0: no such interface is there"}},
		"one by two ways": {
			`{"name":"eth0"},{"mac":"02:00:00:00:00:03"}`, []string{"eth0"}, []string{"02:00:00:00:00:03: no such interface is there"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := observed()
			target, problems := resolve(t, `{"version":1,"interfaces":[`+c.interfaces+`]}`, &o, nil)
			var got, said []string
			for _, l := range target.Links {
				got = append(got, l.Name)
			}
			for _, p := range problems {
				said = append(said, p.Error())
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("links (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.problems, said); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAPlanReadsWell(t *testing.T) {
	o := observed()
	o.Find("eth0").Addresses = []state.Address{{Prefix: prefix("192.0.2.9/24")}, {Prefix: prefix("fe80::3/64"), Dynamic: false}}
	o.Find("eth0").Settings = map[string]string{"accept_ra": "1", "autoconf": "1", "disable_ipv6": "0"}
	o.Routes = []state.Route{{Link: "eth0", To: prefix("0.0.0.0/0"), Gateway: netip.MustParseAddr("192.0.2.1"), Protocol: 3}}
	target, problems := resolve(t, `{"version":1,"interfaces":[
		{"name":"eth0","mtu":9000,"ipv4":{"method":"static","addresses":["192.0.2.10/24"],"gateway":"192.0.2.1"},
		 "ipv6":{"method":"static","addresses":["2001:db8::2/64"],"gateway":"2001:db8::1"}},
		{"name":"br0","bridge":{"ports":["eth1"]},"ipv4":{"method":"dhcp"}},
		{"name":"office","vlan":{"parent":"eth0","id":7},"ipv6":{"method":"off"}}]}`, &o, nil)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	plan := state.Diff(&target, &o)
	want := `br0
  + bridge
  ~ disable_ipv6 none -> 0
  ~ accept_ra none -> 1
  ~ autoconf none -> 1
  ~ ra_defrtr_metric none -> 110
  ~ ignore_routes_with_linkdown none -> 1
  ~ state down -> up
office
  + vlan 7 on eth0
  ~ disable_ipv6 none -> 1
  ~ ignore_routes_with_linkdown none -> 1
  ~ state down -> up
eth0
  ~ accept_ra 1 -> 0
  ~ autoconf 1 -> 0
  ~ mtu 1500 -> 9000
  - address 192.0.2.9/24
  + address 192.0.2.10/24
  + address 2001:db8::2/64
  - route default via 192.0.2.1
  + route default via 192.0.2.1 metric 100
  + route default (IPv6) via 2001:db8::1 metric 100
eth1
  ~ master none -> br0
  ~ state down -> up
`
	if diff := cmp.Diff(want, plan.String()); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
	wantWords := `the bridge br0 is made
the VLAN office is made: number 7 on eth0
on br0 IPv6 is switched on
on office IPv6 is switched off
on eth0 the MTU becomes 9000; it is 1500
the interface eth1 becomes a part of br0
the interface br0 is switched on
the interface eth1 is switched on
the interface office is switched on
on eth0 the address 192.0.2.9/24 is removed
on eth0 the address 192.0.2.10/24 is added
on eth0 the address 2001:db8::2/64 is added
on eth0 the route default via 192.0.2.1 is removed
on eth0 the route default via 192.0.2.1 metric 100 is added
on eth0 the route default (IPv6) via 2001:db8::1 metric 100 is added
`
	words := ""
	for _, step := range plan {
		if text := step.Words(); text != "" {
			words += text + "\n"
		}
	}
	if diff := cmp.Diff(wantWords, words); diff != "" {
		t.Errorf("in words (-want +got):\n%s", diff)
	}
	text, err := json.Marshal(plan[len(plan)-1])
	if err != nil {
		t.Fatal(err)
	}
	wantJSON := `{"do":"add","what":"route","link":"eth0","route":{"link":"eth0","to":"::/0","gateway":"2001:db8::1","metric":100,"protocol":4}}`
	if diff := cmp.Diff(wantJSON, string(text)); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
	if got := (state.Plan{}).String(); got != "Nothing to change.\n" {
		t.Errorf("an empty plan says %q", got)
	}
}

const dhcp = `{"version":1,"interfaces":[{"name":"eth0","ipv4":{"method":"dhcp"}}]}`

// TestAnAddressByDHCP goes through what happens to one: it is there from an
// earlier run, given, extended, taken away.
func TestAnAddressByDHCP(t *testing.T) {
	now := time.Now()
	end := now.Add(time.Hour)
	address := state.Address{Prefix: prefix("192.0.2.9/24"), Dynamic: true, Expires: end}
	route := state.Route{Link: "eth0", To: prefix("0.0.0.0/0"), Gateway: netip.MustParseAddr("192.0.2.1"), Metric: 100, Protocol: state.ProtocolDHCP}
	given := state.Acquired{Address: address.Prefix, Expires: end, Routes: []state.Route{{To: route.To, Gateway: route.Gateway}}}
	later := given
	later.Expires = end.Add(time.Hour)
	other := given
	other.Address = prefix("192.0.2.77/24")
	for name, c := range map[string]struct {
		there    bool
		acquired map[string]state.Acquired
		want     string
	}{
		"nothing yet":                {want: "Nothing to change.\n"},
		"of an earlier run":          {there: true, want: "Nothing to change.\n"},
		"given":                      {acquired: map[string]state.Acquired{"eth0": given}, want: "eth0\n  + address 192.0.2.9/24\n  + route default via 192.0.2.1 metric 100\n"},
		"there and given":            {there: true, acquired: map[string]state.Acquired{"eth0": given}, want: "Nothing to change.\n"},
		"extended":                   {there: true, acquired: map[string]state.Acquired{"eth0": later}, want: "eth0\n  ~ address 192.0.2.9/24 stays until " + later.Expires.UTC().Format(time.RFC3339) + "\n"},
		"replaced":                   {there: true, acquired: map[string]state.Acquired{"eth0": other}, want: "eth0\n  - address 192.0.2.9/24\n  + address 192.0.2.77/24\n"},
		"taken away":                 {there: true, acquired: map[string]state.Acquired{"eth0": {}}, want: "eth0\n  - address 192.0.2.9/24\n  - route default via 192.0.2.1 metric 100\n"},
		"given to another interface": {there: true, acquired: map[string]state.Acquired{"eth1": given}, want: "Nothing to change.\n"},
	} {
		t.Run(name, func(t *testing.T) {
			o := observed()
			if c.there {
				o.Find("eth0").Addresses = []state.Address{address}
				o.Routes = []state.Route{route}
			}
			target, problems := resolve(t, dhcp, &o, c.acquired)
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			if diff := cmp.Diff(c.want, state.Diff(&target, &o).String()); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheKernelsOwnIsLeftAlone(t *testing.T) {
	o := observed()
	eth0 := o.Find("eth0")
	eth0.Addresses = []state.Address{{Prefix: prefix("fe80::3/64")}, {Prefix: prefix("2001:db8::77/64"), Dynamic: true}}
	o.Routes = []state.Route{
		{Link: "eth0", To: prefix("fe80::/64"), Protocol: state.ProtocolKernel},
		{Link: "eth0", To: prefix("::/0"), Gateway: netip.MustParseAddr("fe80::1"), Protocol: state.ProtocolRA},
		{Link: "eth1", To: prefix("0.0.0.0/0"), Gateway: netip.MustParseAddr("192.0.2.1"), Protocol: state.ProtocolStatic},
	}
	target, _ := resolve(t, dhcp, &o, nil)
	if plan := state.Diff(&target, &o); len(plan) > 0 {
		t.Errorf("with SLAAC:\n%s", plan)
	}
	target, _ = resolve(t, `{"version":1,"interfaces":[{"name":"eth0","ipv6":{"method":"off"}}]}`, &o, nil)
	want := "eth0\n  - address 2001:db8::77/64\n  - route default (IPv6) via fe80::1\n"
	if diff := cmp.Diff(want, state.Diff(&target, &o).String()); diff != "" {
		t.Errorf("without SLAAC (-want +got):\n%s", diff)
	}
}

func TestChangesAreTold(t *testing.T) {
	before, after := observed(), observed()
	before.Find("eth0").Carrier = true
	before.Find("eth0").Addresses = []state.Address{{Prefix: prefix("192.0.2.9/24")}, {Prefix: prefix("fe80::3/64")}}
	after.Find("eth0").Addresses = []state.Address{{Prefix: prefix("192.0.2.10/24")}, {Prefix: prefix("fe80::3/64"), Conflict: true}}
	after.Find("eth1").Carrier = true
	after.Find("wlan0").Index = 9 // taken out and put in again
	after.Links = append(after.Links, state.Link{Index: 8, Name: "usb0", Carrier: true})
	var got []string
	for _, e := range state.Changes(&before, &after) {
		got = append(got, e.String())
	}
	want := []string{
		"eth0 address-clashes fe80::3/64", "eth0 address-came 192.0.2.10/24", "eth0 address-went 192.0.2.9/24", "eth0 carrier-went",
		"eth1 carrier-came", "usb0 carrier-came", "usb0 link-came", "wlan0 link-came", "wlan0 link-went",
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if again := state.Changes(&after, &after); len(again) > 0 {
		t.Errorf("nothing changed, and told is %v", again)
	}
}

// TestNameServersComeInOrder has two interfaces with DHCP, of which the second
// is not to listen to routers.
func TestNameServersComeInOrder(t *testing.T) {
	addr := netip.MustParseAddr
	acquired := map[string]state.Acquired{
		"eth0": {DNS: []netip.Addr{addr("192.0.2.1")}, Search: []string{"office.example"}},
		"eth1": {DNS: []netip.Addr{addr("198.51.100.1"), addr("192.0.2.1")}},
	}
	advertised := map[string]state.Advertised{
		"eth0":  {DNS: []netip.Addr{addr("fe80::1"), addr("2001:db8::1")}, Search: []string{"lan.example", "office.example"}},
		"eth1":  {DNS: []netip.Addr{addr("2001:db8::66")}, Search: []string{"elsewhere.example"}},
		"wlan0": {DNS: []netip.Addr{addr("2001:db8::67")}},
	}
	for name, c := range map[string]struct {
		more   string
		dns    []netip.Addr
		search []string
	}{
		"DHCP's before the routers'": {
			dns:    []netip.Addr{addr("192.0.2.1"), addr("198.51.100.1"), addr("fe80::1%eth0"), addr("2001:db8::1")},
			search: []string{"office.example", "lan.example"},
		},
		"a person's alone": {
			more: `,"dns":["192.0.2.53"],"search":["example"]`, dns: []netip.Addr{addr("192.0.2.53")}, search: []string{"example"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := observed()
			d, err := state.Parse(strings.NewReader(`{"version":1,"interfaces":[{"name":"eth0","ipv4":{"method":"dhcp"}},
				{"name":"eth1","ipv4":{"method":"dhcp"},"ipv6":{"method":"off"}}]` + c.more + `}`))
			if err != nil {
				t.Fatal(err)
			}
			target, _ := state.Resolve(&d, &o, acquired, advertised)
			if !slices.Equal(c.dns, target.DNS) {
				t.Errorf("name servers %v, want %v", target.DNS, c.dns)
			}
			if !slices.Equal(c.search, target.Search) {
				t.Errorf("search %v, want %v", target.Search, c.search)
			}
		})
	}
}
