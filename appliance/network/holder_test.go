package network_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pillarbox/appliance/network"
	"pillarbox/netcfg/netlab"
	"pillarbox/netcfg/policy"
	"pillarbox/netcfg/state"
)

// settings have an address and a port that the LAN may reach.
func settings(address string, from policy.From) *network.Settings {
	p := policy.Default()
	p.Services[policy.IMAPS] = policy.Rule{From: from}
	return &network.Settings{
		Network: state.Desired{Version: state.Version, Interfaces: []state.Interface{{
			Name: "eth0", IPv4: state.IPv4{Method: state.MethodStatic, Addresses: []netip.Prefix{netip.MustParsePrefix(address)}},
		}}},
		Firewall: p,
	}
}

// startBox starts a service that takes orders, in a folder that may be an
// earlier one's.
func startBox(t *testing.T, dir, provisioned string) (*service, *network.Client) {
	t.Helper()
	s := prepare(t, provisioned)
	s.config.StateDir, s.config.Socket, s.config.Firewall = dir, filepath.Join(dir, "socket"), true
	s.config.Provisioned = mark(provisioned)
	s.run(t)
	c := network.NewClient(s.config.Socket)
	netlab.Until(t, "the service answers", func() bool {
		_, err := c.State(t.Context())
		return err == nil
	})
	return s, c
}

// mark is what an image's init would give.
func mark(provisioned string) string { return fmt.Sprint(len(provisioned), provisioned) }

// listen lets the box listen where IMAP does.
func listen(t *testing.T) {
	t.Helper()
	ln, err := net.Listen("tcp4", ":993")
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
}

// reaches tells whether a peer gets a connection.
func reaches(p *netlab.Peer, address string) bool {
	ok := false
	p.Do(func() error {
		d := net.Dialer{Timeout: 2 * time.Second}
		c, err := d.Dial("tcp4", address)
		if err == nil {
			ok = true
			c.Close()
		}
		return nil
	})
	return ok
}

const provisioned = `{"version":1,"interfaces":[{"name":"eth0","ipv4":{"method":"static","addresses":["192.0.2.2/24"]}}]}`

// TestAChangeThatCutsTheAdministratorOffTakesItselfBack: nobody has to be left
// for that, neither the mail server nor the administrator.
func TestAChangeThatCutsTheAdministratorOffTakesItselfBack(t *testing.T) {
	admin := netlab.NewPeer(t)
	admin.Plug("eth0", "192.0.2.1/24")
	listen(t)
	_, c := startBox(t, t.TempDir(), provisioned)
	netlab.Until(t, "the administrator reaches the box", func() bool { return reaches(admin, "192.0.2.2:993") })
	if _, err := c.Try(t.Context(), "away", settings("198.51.100.2/24", policy.LAN), 4*time.Second); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(netlab.Addresses(t, "eth0")); got != "[198.51.100.2/24]" {
		t.Errorf("it is tried with the address %s", got)
	}
	netlab.Until(t, "the administrator is cut off", func() bool { return !reaches(admin, "192.0.2.2:993") })
	netlab.Until(t, "the change has taken itself back", func() bool { return reaches(admin, "192.0.2.2:993") })

	if _, err := c.Try(t.Context(), "closed", settings("192.0.2.2/24", policy.Nobody), time.Hour); err != nil {
		t.Fatal(err)
	}
	if reaches(admin, "192.0.2.2:993") {
		t.Error("the port is open")
	}
	if _, err := c.Try(t.Context(), "another", settings("192.0.2.2/24", policy.LAN), time.Hour); err == nil {
		t.Error("a second trial begins beside the first")
	}
	if err := c.Hold(t.Context(), settings("192.0.2.2/24", policy.LAN), mark(provisioned)); err != nil {
		t.Fatal(err)
	}
	netlab.Until(t, "the port is open again", func() bool { return reaches(admin, "192.0.2.2:993") })
}

// TestWhatWasConfirmedOutlivesAPowerCut and what was only tried does not.
func TestWhatWasConfirmedOutlivesAPowerCut(t *testing.T) {
	admin := netlab.NewPeer(t)
	admin.Plug("eth0", "192.0.2.1/24")
	dir := t.TempDir()
	s, c := startBox(t, dir, provisioned)
	st, err := c.State(t.Context())
	if err != nil || !st.Fresh || st.Open() {
		t.Fatalf("a fresh box: %+v, %v", st, err)
	}
	if err := c.Hold(t.Context(), settings("192.0.2.3/24", policy.LAN), mark(provisioned)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Try(t.Context(), "tried", settings("192.0.2.4/24", policy.LAN), time.Hour); err != nil {
		t.Fatal(err)
	}
	s.stop()
	s, c = startBox(t, dir, provisioned)
	if st, err = c.State(t.Context()); err != nil || st.Fresh || st.Trial != "" || st.Confirmed.Network.Interfaces[0].IPv4.Addresses[0].String() != "192.0.2.3/24" {
		t.Errorf("after a power cut: %+v, %v", st, err)
	}
	s.stop()

	// Somebody who is locked out changes the provisioning file.
	_, c = startBox(t, dir, strings.ReplaceAll(provisioned, "192.0.2.2", "192.0.2.9"))
	if st, err = c.State(t.Context()); err != nil || !st.Fresh || st.Confirmed.Network.Interfaces[0].IPv4.Addresses[0].String() != "192.0.2.9/24" {
		t.Errorf("after the provisioning file was changed: %+v, %v", st, err)
	}
}

func TestProvisionedSettingsGiveWayToWhoKnowsThem(t *testing.T) {
	netlab.NewPeer(t).Plug("eth0", "192.0.2.1/24")
	dir := t.TempDir()
	s, c := startBox(t, dir, provisioned)
	want := settings("192.0.2.3/24", policy.LAN)
	if err := c.Hold(t.Context(), want, mark("other")); err == nil || !strings.Contains(err.Error(), "put onto the disk since") {
		t.Errorf("held by who does not know them: %v", err)
	}
	has := func(address string) {
		t.Helper()
		netlab.Until(t, "the address is "+address, func() bool { return fmt.Sprint(netlab.Addresses(t, "eth0")) == "["+address+"]" })
	}
	has("192.0.2.2/24")
	st, err := c.State(t.Context())
	if err != nil || st.Provisioned != mark(provisioned) || len(st.Found.Interfaces) != 1 {
		t.Fatalf("state: %+v, %v", st, err)
	}
	if err := c.Hold(t.Context(), want, st.Provisioned); err != nil {
		t.Fatal(err)
	}
	has("192.0.2.3/24")

	// They are read again while the service runs; a mistake in them is told.
	s.write(t, strings.ReplaceAll(provisioned, "192.0.2.2", "192.0.2.9"))
	s.reload <- syscall.SIGHUP
	has("192.0.2.9/24")
	if err := c.Hold(t.Context(), want, st.Provisioned); err == nil {
		t.Error("held by who has not seen them")
	}
	s.write(t, "{")
	s.reload <- syscall.SIGHUP
	s.until(t, "the mistake is told", func(s *network.Status) bool { return strings.Contains(fmt.Sprint(s.Network.Problems), "not used") })
	has("192.0.2.9/24")
}

// TestABadProvisioningFileChangesNothing that was confirmed.
func TestABadProvisioningFileChangesNothing(t *testing.T) {
	netlab.NewPeer(t).Plug("eth0", "192.0.2.1/24")
	dir := t.TempDir()
	s, c := startBox(t, dir, provisioned)
	if err := c.Hold(t.Context(), settings("192.0.2.3/24", policy.LAN), mark(provisioned)); err != nil {
		t.Fatal(err)
	}
	s.stop()
	_, c = startBox(t, dir, "{")
	if st, err := c.State(t.Context()); err != nil || st.Fresh || st.Confirmed.Network.Interfaces[0].IPv4.Addresses[0].String() != "192.0.2.3/24" {
		t.Errorf("%+v, %v", st, err)
	}
}

// TestWhatTheKernelWillNotDoIsNotTriedOn: who applies it is told at once.
func TestWhatTheKernelWillNotDoIsNotTriedOn(t *testing.T) {
	netlab.NewPeer(t).Plug("eth0", "192.0.2.1/24")
	_, c := startBox(t, t.TempDir(), provisioned)
	with := func(i state.Interface) *network.Settings {
		s := settings("192.0.2.7/24", policy.LAN)
		s.Network.Interfaces = append(s.Network.Interfaces, i)
		return s
	}
	// What is not there may come; it is only told of.
	notes, err := c.Try(t.Context(), "absent", with(state.Interface{Name: "eth9"}), time.Hour)
	if err != nil || !strings.Contains(fmt.Sprint(notes), "eth9") {
		t.Errorf("notes %q, %v", notes, err)
	}
	if err := c.Hold(t.Context(), settings("192.0.2.2/24", policy.LAN), mark(provisioned)); err != nil {
		t.Fatal(err)
	}
	_, err = c.Try(t.Context(), "impossible", with(state.Interface{Name: "office", VLAN: &state.VLAN{Parent: "eth0", ID: 7}}), time.Hour)
	if err == nil {
		return // this kernel has VLANs
	}
	st, failed := c.State(t.Context())
	if !strings.Contains(err.Error(), "no VLANs") || failed != nil || st.Trial != "" {
		t.Errorf("%v; then %+v, %v", err, st, failed)
	}
	if got := fmt.Sprint(netlab.Addresses(t, "eth0")); got != "[192.0.2.2/24]" {
		t.Errorf("the box has the address %s", got)
	}
}

func TestDamagedConfirmedSettingsAreNotUsed(t *testing.T) {
	netlab.NewPeer(t).Plug("eth0", "192.0.2.1/24")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "confirmed.json"), []byte(`{"settings":{`), 0o600); err != nil {
		t.Fatal(err)
	}
	_, c := startBox(t, dir, provisioned)
	if st, err := c.State(t.Context()); err != nil || !st.Fresh || st.Open() || !strings.Contains(st.Problem, "confirmed last do not hold") {
		t.Errorf("%+v, %v", st, err)
	}
	if err := c.Hold(t.Context(), settings("192.0.2.3/24", policy.LAN), mark(provisioned)); err != nil {
		t.Fatal(err)
	}
	if st, err := c.State(t.Context()); err != nil || st.Problem != "" {
		t.Errorf("given again, %+v, %v", st, err)
	}
}

func TestTheServiceChecksBansAndExplains(t *testing.T) {
	lan := netlab.NewPeer(t)
	lan.Plug("eth0", "192.0.2.1/24")
	listen(t)
	_, c := startBox(t, t.TempDir(), provisioned)
	r, err := c.Check(t.Context(), settings("192.0.2.7/24", policy.LAN))
	if err != nil || len(r.Steps) == 0 || len(r.Rehearsal) == 0 {
		t.Errorf("check: %+v, %v", r, err)
	}
	if _, err := c.Check(t.Context(), settings("0.0.0.0/0", policy.LAN)); err == nil {
		t.Error("an impossible address passes the check")
	}
	source := netip.MustParseAddr("192.0.2.1")
	netlab.Until(t, "the LAN reaches the box", func() bool { return reaches(lan, "192.0.2.2:993") })
	if d, err := c.Explain(t.Context(), source, 993); err != nil || !d.Accepted {
		t.Errorf("explain: %+v, %v", d, err)
	}
	if err := c.Ban(t.Context(), netip.PrefixFrom(source, 32), time.Hour); err != nil {
		t.Fatal(err)
	}
	if d, err := c.Explain(t.Context(), source, 993); err != nil || d.Accepted || reaches(lan, "192.0.2.2:993") {
		t.Errorf("banned, and yet: %+v, %v", d, err)
	}
	if all, err := c.Bans(t.Context()); err != nil || len(all) != 1 || all[0].Source.Addr() != source {
		t.Errorf("bans: %+v, %v", all, err)
	}
	if err := c.Exempt(t.Context(), source, time.Hour); err != nil {
		t.Fatal(err)
	}
	if !reaches(lan, "192.0.2.2:993") {
		t.Error("who is exempt does not get in")
	}
	if err := c.Unban(t.Context(), netip.PrefixFrom(source, 32)); err != nil {
		t.Error(err)
	}
}
