package change_test

import (
	"strings"
	"testing"

	"pillarbox/appliance/config"
	"pillarbox/netcfg/netlab"
	"pillarbox/netcfg/policy"
)

// away is an address at which the administrator does not find the box.
const away = "198.51.100.2/24"

// TestWhateverIsKilledWhatWasConfirmedHolds goes from one change to the next on
// one box.
func TestWhateverIsKilledWhatWasConfirmedHolds(t *testing.T) {
	o := open(t)
	o.startNetwork()
	o.Start(t)
	// What was provisioned is the first that was confirmed.
	o.holds(2, ours)

	t.Log("the network's process is killed in the middle of a change")
	o.apply(move(away))
	if o.reaches(ours) {
		t.Error("the change is not applied")
	}
	o.killNetwork()
	o.startNetwork()
	o.reached(ours)
	o.fails("taken itself back", "net", "confirm")
	o.holds(2, ours)

	t.Log("the mail server is killed in the middle of a change")
	o.apply(move(away))
	o.Kill(t)
	if o.reaches(ours) {
		t.Error("the change is not applied")
	}
	o.Start(t)
	o.holds(2, ours)
	if text := o.run("audit", "list"); !strings.Contains(text, "config.reverted") {
		t.Errorf("the record does not tell:\n%s", text)
	}

	t.Log("both are killed in the middle of a change")
	o.apply(move(away))
	o.Kill(t)
	o.killNetwork()
	o.startNetwork()
	o.Start(t)
	o.holds(2, ours)

	t.Log("both are killed after a change was confirmed")
	o.apply(move("192.0.2.3/24"))
	o.run("net", "confirm")
	o.Kill(t)
	o.killNetwork()
	o.startNetwork()
	netlab.Until(t, "the address is there without a mail server", func() bool {
		all := netlab.Addresses(t, "eth0")
		return len(all) == 1 && all[0].String() == "192.0.2.3/24"
	})
	o.Start(t)
	o.holds(3, "192.0.2.3")

	t.Log("the network's process is away when a change is to be confirmed")
	o.apply(move("192.0.2.4/24"))
	o.killNetwork()
	o.fails("cannot be found out whether the change still holds", "net", "confirm")
	o.startNetwork()
	o.fails("taken itself back", "net", "confirm")
	o.holds(3, "192.0.2.3")

	t.Log("ports are changed although the network's process is away")
	o.killNetwork()
	o.apply(func(d *config.Document) { d.Ports.IMAPSLegacy = false })
	o.run("net", "confirm")
	if text := o.run("status"); strings.Contains(text, "imaps-legacy") {
		t.Errorf("port 990 is open:\n%s", text)
	}
	o.startNetwork()
	o.holds(4, "192.0.2.3")

	t.Log("what the network's process has kept is lost")
	o.Kill(t)
	o.killNetwork()
	o.lose()
	o.startNetwork()
	o.Start(t)
	o.holds(4, "192.0.2.3")

	t.Log("somebody who is locked out changes the provisioning file")
	o.apply(move(away))
	o.run("net", "confirm")
	o.Kill(t)
	o.killNetwork()
	o.provision("192.0.2.9", "second")
	o.startNetwork()
	o.Start(t)
	o.holds(6, "192.0.2.9")
	if v := o.newest(); v.By != "the provisioning file" {
		t.Errorf("the version is by %q", v.By)
	}
}

func TestTheFirewallIsChangedAndExplained(t *testing.T) {
	o := open(t)
	o.startNetwork()
	o.Start(t)
	o.holds(2, ours)
	if text := o.run("firewall", "show"); !strings.Contains(text, "993") {
		t.Errorf("show:\n%s", text)
	}
	if text := o.run("firewall", "explain", "192.0.2.1", "993"); !strings.Contains(text, "let in by the rule") {
		t.Errorf("explain: %s", text)
	}
	o.fails("the connection is refused", "firewall", "explain", "203.0.113.5", "993")
	if text := o.run("firewall", "explain", "--json", "203.0.113.5", "993"); !strings.Contains(text, `"accepted": false`) {
		t.Errorf("explain: %s", text)
	}

	o.apply(func(d *config.Document) { d.Firewall.Services[policy.IMAPS] = policy.Rule{From: policy.Nobody} })
	if o.reaches(ours) {
		t.Error("a service for nobody is reached")
	}
	o.fails("is to be confirmed until", "net", "restore", "--yes", "1")
	o.run("net", "revert")
	o.holds(2, ours)
}
