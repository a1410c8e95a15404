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
