package main

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/firmware/provision"
	"pillarbox/netcfg/state"
)

func TestTheProvisioningFileDecidesTheNetwork(t *testing.T) {
	static := state.Default()
	static.DNS = []netip.Addr{netip.MustParseAddr("192.0.2.3")}
	static.NTP = []string{"192.0.2.4"}
	static.Interfaces[0].IPv4 = state.IPv4{
		Method: state.MethodStatic, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.2/24")},
		Gateway: netip.MustParseAddr("192.0.2.1"),
	}
	times := state.Default()
	times.NTP = []string{"time.example"}
	for name, c := range map[string]struct {
		file string
		want state.Desired
	}{
		"empty":        {want: state.Default()},
		"time servers": {file: `ntp = ["time.example"]`, want: times},
		"DHCP":         {file: "[network]\naddress = \"dhcp\"\n", want: state.Default()},
		"static": {want: static, file: `ntp = ["192.0.2.4"]
[network]
address = "192.0.2.2/24"
gateway = "192.0.2.1"
dns = ["192.0.2.3"]`},
	} {
		t.Run(name, func(t *testing.T) {
			settings, problems := provision.Parse([]byte(c.file))
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			got, err := desiredNetwork(&settings)
			if err != nil {
				t.Fatal(err)
			}
			equal := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
			if diff := cmp.Diff(c.want, got, equal, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
				t.Errorf("settings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOnlyWhatTheFileSaysOfTheNetworkMarksIt(t *testing.T) {
	mark := func(file string) string {
		t.Helper()
		settings, problems := provision.Parse([]byte(file))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		return networkMark(&settings)
	}
	static := "[network]\naddress = \"192.0.2.2/24\"\n"
	if a, b := mark(static), mark("host = \"mail\"\n# words\n"+static); a == "" || a != b {
		t.Errorf("the host's name changes the mark from %q to %q", a, b)
	}
	for _, other := range []string{"[network]\naddress = \"192.0.2.3/24\"\n", "[network]\naddress = \"dhcp\"\n", "ntp = [\"192.0.2.1\"]\n"} {
		if a, b := mark(static), mark(other); b == "" || a == b {
			t.Errorf("%q has the mark %q, as has %q", other, b, static)
		}
	}
	if a := mark("host = \"mail\"\n"); a != "" {
		t.Errorf("a file that says nothing of the network has the mark %q", a)
	}
}
