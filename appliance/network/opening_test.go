package network_test

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pillarbox/netcfg/netlab"
	"pillarbox/netcfg/policy"
)

// TestAPortIsOpenToACAForAMomentAlone: it is closed by who has opened it, by the
// end of its time, and by the end of the process.
func TestAPortIsOpenToACAForAMomentAlone(t *testing.T) {
	world := netlab.NewPeer(t) // not of the office's network
	world.Plug("eth0", "192.0.2.1/24", "198.51.100.1/24")
	ln, err := net.Listen("tcp4", ":80")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	dir := t.TempDir()
	s, c := startBox(t, dir, provisioned)
	opened := func() bool {
		d, err := c.Explain(t.Context(), netip.MustParseAddr("198.51.100.1"), 80)
		return err == nil && d.Accepted
	}
	said := func() bool {
		st, err := c.State(t.Context())
		return err == nil && strings.Contains(st.Words, "http is open to everybody until") && !st.Opened[policy.HTTP].IsZero()
	}
	netlab.Until(t, "the rules stand", func() bool {
		d, err := c.Explain(t.Context(), netip.MustParseAddr("192.0.2.1"), 80)
		return err == nil && d.Accepted
	})
	if opened() || said() {
		t.Fatal("the port is open to everybody from the start")
	}
	open := func(d time.Duration) {
		t.Helper()
		if err := c.Open(t.Context(), 80, d); err != nil {
			t.Fatal(err)
		}
	}
	open(time.Minute)
	if !opened() || !said() {
		t.Error("the port is not open")
	}
	// Another change of the firewall leaves it open.
	if _, err := c.Try(t.Context(), "other", settings("192.0.2.2/24", policy.Nobody), time.Hour); err != nil {
		t.Fatal(err)
	}
	if !opened() {
		t.Error("the port was closed by another change")
	}
	open(0)
	if opened() || said() {
		t.Error("the port is still open")
	}
	open(time.Second)
	netlab.Until(t, "the port closes by itself", func() bool { return !opened() && !said() })

	open(time.Minute)
	s.stop()
	_, c = startBox(t, dir, provisioned)
	netlab.Until(t, "a restart closes it", func() bool {
		st, err := c.State(t.Context())
		return err == nil && !st.Open() && !opened()
	})
	for port, d := range map[uint16]time.Duration{990: time.Minute, 443: time.Hour, 80: -time.Second, 81: time.Minute} {
		if err := c.Open(t.Context(), port, d); err == nil {
			t.Errorf("port %d is opened for %v", port, d)
		}
	}
}
