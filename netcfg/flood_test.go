package netcfg_test

import (
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"pillarbox/netcfg"
	"pillarbox/netcfg/netlab"
)

// TestAFloodOfChangesIsLookedAtNowAndThen has an address come and go without
// end, as a hostile router can have it. What comes last is seen all the same.
func TestAFloodOfChangesIsLookedAtNowAndThen(t *testing.T) {
	netlab.NewPeer(t).Plug("eth0")
	netlab.Loop(t, "eth1", "eth2") // nobody's
	var passes atomic.Int64
	b := newBox(t)
	began := time.Now()
	b.run(*parse(t, `{"version":1,"interfaces":[{"name":"eth0"}]}`), func(c *netcfg.Config) {
		changed := c.Changed
		c.Changed = func(s netcfg.Status) {
			passes.Add(1)
			changed(s)
		}
	})
	flap := netip.MustParsePrefix("192.0.2.9/24")
	for time.Since(began) < 4*time.Second {
		netlab.Flap(t, "eth1", flap)
		time.Sleep(5 * time.Millisecond)
	}
	// 40 at once and then two a second, and one more that was on its way.
	if most := 42 + int64(time.Since(began)/(500*time.Millisecond)); passes.Load() > most {
		t.Errorf("%d passes in %s, at most %d are worth it", passes.Load(), time.Since(began), most)
	}
	netlab.Unplug(t, "eth1")
	netlab.Until(t, "the last change is seen", func() bool { return b.find("eth1").Name == "" && b.find("eth0").Carrier })
}
