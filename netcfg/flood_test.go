package netcfg_test

import (
	"context"
	"errors"
	"log/slog"
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

// TestWhatIsSetBeforeTheStartIsDoneAtOnce has settings come before the first
// look at the network.
func TestWhatIsSetBeforeTheStartIsDoneAtOnce(t *testing.T) {
	netlab.NewPeer(t).Plug("eth0")
	looked := make(chan struct{}, 1)
	m := netcfg.New(&netcfg.Config{
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)), Desired: *parse(t, `{"version":1,"interfaces":[]}`),
		Changed: func(netcfg.Status) {
			select {
			case looked <- struct{}{}:
			default:
			}
		},
	})
	m.Set(*parse(t, `{"version":1,"interfaces":[{"name":"eth0","ipv4":{"method":"static","addresses":["192.0.2.2/24"]}}]}`))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	netlab.Until(t, "it was looked at", func() bool { return len(looked) > 0 })
	netlab.Until(t, "the address is there", has(t, "eth0", "192.0.2.2/24"))
	stop()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Run = %v", err)
	}
}
