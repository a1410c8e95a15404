package firewall_test

import (
	"slices"
	"testing"

	"pillarbox/netcfg/firewall"
	"pillarbox/netcfg/policy"
)

// TestALeaseForHalfOfTheInternetIsNoLAN: the mask comes from whoever answers
// DHCP first.
func TestALeaseForHalfOfTheInternetIsNoLAN(t *testing.T) {
	var n firewall.Network
	n.Add("eth0", prefix("203.0.113.5/1"), prefix("192.168.1.2/4"), prefix("2001:db8:1::5/3"), prefix("198.51.100.7/24"), prefix("10.1.2.3/8"))
	want := []string{"203.0.0.0/16", "192.168.0.0/16", "2001:db8::/32", "198.51.100.0/24", "10.0.0.0/8"}
	var got []string
	for _, p := range n.Interfaces[0].Networks {
		got = append(got, p.String())
	}
	if !slices.Equal(got, want) {
		t.Fatalf("the LAN is %v, want %v", got, want)
	}
	p := policy.Default()
	r, err := firewall.Compile(&p, &n, firewall.Features{})
	if err != nil {
		t.Fatal(err)
	}
	for source, want := range map[string]bool{"203.0.9.9": true, "203.9.9.9": false, "8.8.8.8": false, "198.51.100.9": true} {
		d := r.Explain(&firewall.Packet{Interface: "eth0", Source: addr(source), Protocol: firewall.TCP, Port: 990}, nil)
		if d.Accepted != want {
			t.Errorf("from %s: %+v", source, d)
		}
	}
}
