package network

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

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
	t.Cleanup(func() { removeFirewall(t, h) })
	for source, want := range map[string]bool{"192.0.2.1": true, "198.51.100.1": false} {
		p := firewall.Packet{Interface: "eth0", Source: netip.MustParseAddr(source), Protocol: firewall.TCP, Port: 993}
		if got, err := h.firewall().Explain(t.Context(), &p); err != nil || got.Accepted != want {
			t.Errorf("from %s: %+v, %v", source, got, err)
		}
	}
}

// TestRulesThatCouldNotStandAreTriedAgain: here the process has no file
// descriptor left to talk to the kernel by.
func TestRulesThatCouldNotStandAreTriedAgain(t *testing.T) {
	netlab.NewPeer(t).Plug("eth0", "192.0.2.1/24")
	h := newHolder(slog.New(slog.NewTextHandler(t.Output(), nil)), t.TempDir(), provisioned{desired: state.Default()})
	var was, none unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	none.Max = was.Max
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	err := h.raise(t.Context())
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(err, unix.EMFILE) || len(h.trouble()) != 1 {
		t.Fatalf("raise = %v; in trouble: %q", err, h.trouble())
	}
	ctx, stop := context.WithCancel(t.Context())
	var mending sync.WaitGroup
	told := make(chan struct{}, 1)
	mending.Go(func() { _ = h.mend(ctx, true, func() { told <- struct{}{} }) })
	<-told
	stop()
	mending.Wait()
	if problems := h.trouble(); len(problems) > 0 {
		t.Errorf("still in trouble: %q", problems)
	}
	t.Cleanup(func() { removeFirewall(t, h) })
	if s, err := h.firewall().State(t.Context()); err != nil || s.Stands != firewall.PolicyStands {
		t.Errorf("what stands: %+v, %v", s, err)
	}
}

// TestRulesThatSomebodyTakesAwayArePutBack: nothing on the network changes then.
func TestRulesThatSomebodyTakesAwayArePutBack(t *testing.T) {
	netlab.NewPeer(t).Plug("eth0", "192.0.2.1/24")
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	h := newHolder(log, t.TempDir(), provisioned{desired: state.Default()})
	if err := h.raise(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removeFirewall(t, h) })
	other, err := firewall.Open(t.Context(), &firewall.Config{Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s, err := h.firewall().State(t.Context()); err != nil || s.Stands != firewall.NothingStands {
		t.Fatalf("taken away, and there stands: %+v, %v", s, err)
	}
	h.mendOnce(t.Context(), true)
	if s, err := h.firewall().State(t.Context()); err != nil || s.Stands != firewall.PolicyStands || len(h.trouble()) > 0 {
		t.Errorf("what stands: %+v, %v; in trouble: %q", s, err, h.trouble())
	}
}

// TestAnOpeningDoesNotHangOnWhoAsked: half of it would leave nobody knows what.
func TestAnOpeningDoesNotHangOnWhoAsked(t *testing.T) {
	netlab.NewPeer(t).Plug("eth0", "192.0.2.1/24")
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	s := &service{Config: &Config{Logger: log}, holder: newHolder(log, t.TempDir(), provisioned{desired: state.Default()})}
	if err := s.holder.raise(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removeFirewall(t, s.holder) })
	defer s.holder.endOpenings()
	gone, leave := context.WithCancel(t.Context())
	leave()
	for _, seconds := range []string{"60", "0"} {
		if _, err := s.open(gone, strings.NewReader(`{"service":"http","seconds":`+seconds+`}`)); err != nil || len(s.holder.trouble()) > 0 {
			t.Errorf("for %s seconds: %v; in trouble: %q", seconds, err, s.holder.trouble())
		}
	}
}

// removeFirewall takes away what would stand in the way of the next test, which
// has the same kernel.
func removeFirewall(t *testing.T, h *holder) {
	if err := h.firewall().Remove(context.Background()); err != nil {
		t.Error(err)
	}
}
