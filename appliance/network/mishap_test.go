package network_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pillarbox/appliance/network"
	"pillarbox/netcfg/netlab"
	"pillarbox/netcfg/policy"
)

// TestASecondProcessLeavesTheNetworkAlone, says why, and can take over when the
// first has ended, however that was.
func TestASecondProcessLeavesTheNetworkAlone(t *testing.T) {
	netlab.NewPeer(t).Plug("eth0", "192.0.2.1/24")
	dir := t.TempDir()
	first, c := startBox(t, dir, provisioned)
	has := func(address string) bool { return fmt.Sprint(netlab.Addresses(t, "eth0")) == "["+address+"]" }
	netlab.Until(t, "the first has set the address", func() bool { return has("192.0.2.2/24") })

	second := prepare(t, strings.ReplaceAll(provisioned, "192.0.2.2", "192.0.2.9"))
	second.config.StateDir, second.config.Socket, second.config.Firewall = t.TempDir(), first.config.Socket, true
	err := network.Run(t.Context(), &second.config)
	if !errors.Is(err, network.ErrRunning) || !strings.Contains(err.Error(), fmt.Sprint("process ", os.Getpid())) {
		t.Errorf("the second process: %v", err)
	}
	if !has("192.0.2.2/24") {
		t.Errorf("it has set %v", netlab.Addresses(t, "eth0"))
	}
	if _, err := c.State(t.Context()); err != nil {
		t.Errorf("the first takes no more orders: %v", err)
	}

	first.stop()
	second.run(t)
	netlab.Until(t, "the second takes over", func() bool { return has("192.0.2.9/24") })
}

// TestConfirmedSettingsHoldWhileTheyCannotBeWritten: the trial does not run out
// under who has confirmed it. They are written as soon as that can be.
func TestConfirmedSettingsHoldWhileTheyCannotBeWritten(t *testing.T) {
	netlab.NewPeer(t).Plug("eth0", "192.0.2.1/24")
	dir := t.TempDir()
	s := prepare(t, provisioned)
	s.config.StateDir, s.config.Socket, s.config.Provisioned = filepath.Join(dir, "state"), filepath.Join(dir, "socket"), mark(provisioned)
	s.run(t)
	c := network.NewClient(s.config.Socket)
	netlab.Until(t, "the service answers", func() bool {
		_, err := c.State(t.Context())
		return err == nil
	})
	if err := os.WriteFile(s.config.StateDir, nil, 0o600); err != nil { // where its folder would be
		t.Fatal(err)
	}
	want := settings("192.0.2.3/24", policy.LAN)
	if _, err := c.Try(t.Context(), "one", want, time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := c.Hold(t.Context(), want, mark(provisioned)); err == nil || !strings.Contains(err.Error(), "write the confirmed settings") {
		t.Errorf("held without a folder: %v", err)
	}
	st, err := c.State(t.Context())
	if err != nil || st.Trial != "" || !strings.Contains(st.Problem, "not after a restart") {
		t.Errorf("state: %+v, %v", st, err)
	}
	if got := fmt.Sprint(netlab.Addresses(t, "eth0")); got != "[192.0.2.3/24]" {
		t.Errorf("the address is %s", got)
	}
	told := func(s *network.Status) bool {
		return slices.ContainsFunc(s.Network.Problems, func(p string) bool { return strings.Contains(p, "not after a restart") })
	}
	s.until(t, "the status tells of it", told)
	if err := os.Remove(s.config.StateDir); err != nil {
		t.Fatal(err)
	}
	s.until(t, "it is written, and no problem any more", func(s *network.Status) bool { return !told(s) })
	if text, err := os.ReadFile(filepath.Join(s.config.StateDir, "confirmed.json")); err != nil || !strings.Contains(string(text), "192.0.2.3/24") {
		t.Errorf("written: %s, %v", text, err)
	}
	if st, err := c.State(t.Context()); err != nil || st.Problem != "" {
		t.Errorf("state: %+v, %v", st, err)
	}
}
