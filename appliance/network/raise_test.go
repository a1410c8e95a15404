package network

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"testing"

	"pillarbox/netcfg"
	"pillarbox/netcfg/firewall"
	"pillarbox/netcfg/netlab"
	"pillarbox/netcfg/state"
)

// TestARestartCutsTheOfficeOffForNoMoment: the first rules are for the network
// that the process before has left.
func TestARestartCutsTheOfficeOffForNoMoment(t *testing.T) {
	lan := netlab.NewPeer(t)
	lan.Plug("eth0", "192.0.2.1/24")
	d := state.Desired{Version: state.Version, Interfaces: []state.Interface{{Name: "eth0", IPv4: state.IPv4{
		Method: state.MethodStatic, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.2/24")},
	}}}}
	before, stop := context.WithCancel(t.Context())
	m := netcfg.New(&netcfg.Config{Logger: slog.New(slog.DiscardHandler)})
	m.Set(d)
	var process sync.WaitGroup
	process.Go(func() { _ = m.Run(before) })
	if problems, err := m.Settle(t.Context()); err != nil || len(problems) > 0 {
		t.Fatal(problems, err)
	}
	stop()
	process.Wait()

	h := newHolder(slog.New(slog.NewTextHandler(t.Output(), nil)), t.TempDir(), provisioned{desired: d})
	if err := h.raise(t.Context()); err != nil {
		t.Fatal(err)
	}
	for source, want := range map[string]bool{"192.0.2.1": true, "198.51.100.1": false} {
		p := firewall.Packet{Interface: "eth0", Source: netip.MustParseAddr(source), Protocol: firewall.TCP, Port: 993}
		if got, err := h.wall.Explain(t.Context(), &p); err != nil || got.Accepted != want {
			t.Errorf("from %s: %+v, %v", source, got, err)
		}
	}
}
