package state_test

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pillarbox/netcfg/state"
)

var samePlaces = []cmp.Option{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

const full = `{"version":1,"interfaces":[
	{"first_wired":true,"ipv4":{"method":"dhcp"}},
	{"mac":"02:00:00:00:00:07","mtu":9000,"ipv4":{"method":"static","addresses":["192.0.2.2/24"],"gateway":"192.0.2.1"},
	 "ipv6":{"method":"static","addresses":["2001:db8::2/64"],"gateway":"fe80::1"}},
	{"name":"br0","bridge":{"ports":["eth1","eth2"]},"ipv6":{"addresses":["fd00::2/64"]}},
	{"name":"guests","vlan":{"parent":"br0","id":7},"ipv6":{"method":"off"}}],
	"dns":["192.0.2.1","2001:db8::1"],"search":["office.example"],"ntp":["time.example","192.0.2.1:1123"]}`

func TestSettingsAreReadAsTheyAreWritten(t *testing.T) {
	for name, text := range map[string]string{"all": full, "nothing": `{"version":1,"interfaces":[]}`} {
		t.Run(name, func(t *testing.T) {
			want, err := state.Parse(strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			written, err := json.Marshal(want)
			if err != nil {
				t.Fatal(err)
			}
			got, err := state.Parse(strings.NewReader(string(written)))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, samePlaces...); diff != "" {
				t.Errorf("settings (-want +got):\n%s", diff)
			}
		})
	}
	d := state.Default()
	if err := d.Validate(); err != nil {
		t.Errorf("the default is not valid: %v", err)
	}
}

func TestWhatIsWrongIsNamedWithItsPlace(t *testing.T) {
	one := func(fields string) string { return `{"version":1,"interfaces":[{` + fields + `}]}` }
	for name, c := range map[string]struct{ text, want string }{
		"not JSON":              {"version = 1", "invalid character"},
		"unknown field":         {`{"version":1,"interfaces":[],"colour":"blue"}`, "colour"},
		"two documents":         {`{"version":1,"interfaces":[]} {}`, "after their end"},
		"later version":         {`{"version":2,"interfaces":[]}`, "version: 2 is not known"},
		"no interface is meant": {one(`"mtu":1500`), "interfaces[0]: exactly one"},
		"two are meant":         {one(`"name":"eth0","first_wired":true`), "interfaces[0]: exactly one"},
		"a name that climbs":    {one(`"name":"../../kernel"`), "interfaces[0].name"},
		"all interfaces":        {one(`"name":"all"`), "interfaces[0].name"},
		"loopback":              {one(`"name":"lo"`), "loopback"},
		"bad hardware address":  {one(`"mac":"02:00"`), "interfaces[0].mac"},
		"tiny MTU":              {one(`"name":"eth0","mtu":68`), "interfaces[0].mtu"},
		"unknown method":        {one(`"name":"eth0","ipv4":{"method":"magic"}`), "interfaces[0].ipv4.method"},
		"static without any":    {one(`"name":"eth0","ipv4":{"method":"static"}`), "interfaces[0].ipv4.addresses"},
		"DHCP with an address":  {one(`"name":"eth0","ipv4":{"method":"dhcp","addresses":["192.0.2.2/24"]}`), "belong to the method static"},
		"the network's address": {one(`"name":"eth0","ipv4":{"method":"static","addresses":["192.0.2.0/24"]}`), "interfaces[0].ipv4.addresses[0]"},
		"IPv6 among IPv4":       {one(`"name":"eth0","ipv4":{"method":"static","addresses":["2001:db8::1/64"]}`), "interfaces[0].ipv4.addresses[0]"},
		"gateway far away": {
			one(`"name":"eth0","ipv4":{"method":"static","addresses":["192.0.2.2/24"],"gateway":"198.51.100.1"}`), "interfaces[0].ipv4.gateway",
		},
		"itself as gateway": {
			one(`"name":"eth0","ipv4":{"method":"static","addresses":["192.0.2.2/24"],"gateway":"192.0.2.2"}`), "interfaces[0].ipv4.gateway",
		},
		"bridge without ports":   {one(`"name":"br0","bridge":{"ports":[]}`), "interfaces[0].bridge.ports"},
		"bridge without a name":  {one(`"first_wired":true,"bridge":{"ports":["eth0"]}`), "has a name"},
		"VLAN 0":                 {one(`"name":"v","vlan":{"parent":"eth0","id":0}`), "interfaces[0].vlan.id"},
		"the same twice":         {`{"version":1,"interfaces":[{"name":"eth0"},{"name":"eth0"}]}`, "interfaces[1]: eth0 is there twice"},
		"a domain with a line":   {`{"version":1,"interfaces":[],"search":["a\nnameserver 192.0.2.66"]}`, "search[0]"},
		"a name server for none": {`{"version":1,"interfaces":[],"dns":["0.0.0.0"]}`, "dns[0]"},
		"a time server's option": {`{"version":1,"interfaces":[],"ntp":["-x"]}`, "ntp[0]"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := state.Parse(strings.NewReader(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Parse = %v, want %q in it", err, c.want)
			}
		})
	}
	if _, err := state.Parse(strings.NewReader(strings.Repeat(" ", state.MaxSize+1))); err == nil {
		t.Error("an endless file is read")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(full)
	f.Add(`{"version":1,"interfaces":[{"name":"eth0","ipv4":{"method":"static","addresses":["192.0.2.2/31"]}}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		d, err := state.Parse(strings.NewReader(text))
		if err != nil {
			return
		}
		o := state.Observed{Links: []state.Link{{Index: 2, Name: "eth0", Wired: true}, {Index: 3, Name: "eth1", Wired: true}}}
		target, _ := state.Resolve(&d, &o, nil, nil)
		for _, s := range state.Diff(&target, &o) {
			if s.String() == "" || s.Link == "" {
				t.Errorf("an empty step: %+v", s)
			}
		}
	})
}
