package network

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"pillarbox/netcfg/policy"
	"pillarbox/netcfg/state"
)

// TestWhatIsProvisionedIsNotTakenForConfirmed where the disk had no room for
// what was confirmed before: that is what comes onto it.
func TestWhatIsProvisionedIsNotTakenForConfirmed(t *testing.T) {
	desired := func(ntp string) state.Desired {
		d := state.Default()
		d.NTP = []string{ntp}
		return d
	}
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.WriteFile(dir, nil, 0o600); err != nil { // where the folder would be
		t.Fatal(err)
	}
	h := newHolder(slog.New(slog.NewTextHandler(t.Output(), nil)), dir, provisioned{desired: state.Default(), mark: "first"})
	if err := h.hold(t.Context(), &Settings{Network: desired("confirmed.example"), Firewall: policy.Default()}, "first"); err == nil {
		t.Fatal("held without a folder")
	}
	if err := h.provision(t.Context(), provisioned{desired: desired("provisioned.example"), mark: "second"}); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if h.mendOnce(t.Context(), false); len(h.trouble()) > 0 {
		t.Errorf("in trouble: %q", h.trouble())
	}
	c, err := readConfirmed(dir)
	if err != nil || c == nil || c.Settings.Network.NTP[0] != "confirmed.example" || c.Provisioned != "first" {
		t.Errorf("on the disk: %+v, %v", c, err)
	}
	if s := h.active(); s.Network.NTP[0] != "provisioned.example" {
		t.Errorf("what holds: %+v", s)
	}
}
