package rehearsal_test

import (
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/nftables"

	"pillarbox/netcfg/link"
	"pillarbox/netcfg/netlab"
	"pillarbox/netcfg/policy"
	"pillarbox/netcfg/rehearsal"
	"pillarbox/netcfg/state"
)

func static(name, address string) state.Desired {
	return state.Desired{Version: state.Version, Interfaces: []state.Interface{{
		Name: name, IPv4: state.IPv4{Method: state.MethodStatic, Addresses: []netip.Prefix{netip.MustParsePrefix(address)}},
	}}}
}

// names are what is left of the real network: links and tables.
func names(t *testing.T) (all []string) {
	t.Helper()
	o, err := link.Observe()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range o.Links {
		all = append(all, l.Name)
		for _, a := range l.Addresses {
			if !a.Prefix.Addr().IsLinkLocalUnicast() {
				all = append(all, a.Prefix.String())
			}
		}
	}
	c, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	tables, err := c.ListTables()
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		all = append(all, table.Name)
	}
	return all
}

func run(t *testing.T, d state.Desired, p policy.Policy) (string, error) {
	t.Helper()
	now := static("eth0", "192.0.2.99/24")
	return runFrom(t, now, d, p)
}

func runFrom(t *testing.T, now, d state.Desired, p policy.Policy) (string, error) {
	t.Helper()
	before := names(t)
	notes, err := rehearsal.Run(t.Context(), slog.New(slog.NewTextHandler(t.Output(), nil)), &now, &d, &p)
	if diff := cmp.Diff(before, names(t)); diff != "" {
		t.Errorf("the real network was touched (-before +after):\n%s", diff)
	}
	return strings.Join(notes, "\n"), err
}

func TestSettingsAreTriedOnACopy(t *testing.T) {
	netlab.NewPeer(t).Plug("eth0")
	netlab.NewPeer(t).Plug("eth1")
	d := static("eth0", "192.0.2.7/24")
	d.Interfaces = append(d.Interfaces, state.Interface{
		Name: "br0", Bridge: &state.Bridge{Ports: []string{"eth1"}}, IPv4: state.IPv4{Method: state.MethodDHCP},
	})
	notes, err := run(t, d, policy.Default())
	if err != nil || !strings.Contains(notes, "steps went well") || !strings.Contains(notes, "read back") {
		t.Errorf("notes %q, error %v", notes, err)
	}
}

// TestTheWayBackFromABridgeIsTriedToo: the steps are those from what holds now.
func TestTheWayBackFromABridgeIsTriedToo(t *testing.T) {
	netlab.NewPeer(t).Plug("eth0")
	bridged := state.Desired{Version: state.Version, Interfaces: []state.Interface{{
		Name: "br0", Bridge: &state.Bridge{Ports: []string{"eth0"}},
		IPv4: state.IPv4{Method: state.MethodStatic, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.7/24")}},
	}}}
	plain := static("eth0", "192.0.2.7/24")
	for name, c := range map[string][2]state.Desired{"to": {plain, bridged}, "from": {bridged, plain}, "the same": {bridged, bridged}} {
		notes, err := runFrom(t, c[0], c[1], policy.Default())
		if err != nil || strings.Contains(notes, "could not be") {
			t.Errorf("%s: notes %q, error %v", name, notes, err)
		}
		if same := strings.Contains(notes, " 0 steps went well"); same != (name == "the same") {
			t.Errorf("%s: notes %q", name, notes)
		}
	}
}

func TestWhatTheKernelRefusesIsFoundOutBefore(t *testing.T) {
	netlab.NewPeer(t).Plug("eth0")
	p := policy.Default()
	p.Services[policy.IMAPSLegacy] = policy.Rule{From: policy.Anyone} // without a reason
	if notes, err := run(t, static("eth0", "192.0.2.7/24"), p); err == nil {
		t.Errorf("a policy that cannot be compiled passes: %s", notes)
	}
}

func TestAnInterfaceThatIsNotThereHindersNothing(t *testing.T) {
	netlab.NewPeer(t).Plug("eth0")
	d := static("eth0", "192.0.2.7/24")
	d.Interfaces = append(d.Interfaces, state.Interface{Name: "eth9", IPv4: state.IPv4{Method: state.MethodDHCP}})
	if _, err := run(t, d, policy.Default()); err != nil {
		t.Error(err)
	}
	if !slices.Contains(names(t), "eth0") {
		t.Error("eth0 is gone")
	}
}
