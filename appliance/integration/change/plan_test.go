package change_test

import (
	"testing"

	"pillarbox/netcfg/netlab"
	"pillarbox/netcfg/policy"
)

// TestAPlanTakesTheFirewallsRuleAlong: with port 990 its rule goes, and comes back
// as it was, also where the network's process was away when its time came.
func TestAPlanTakesTheFirewallsRuleAlong(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for what tries again")
	}
	o := open(t)
	o.startNetwork()
	o.Start(t)
	o.holds(2, ours)
	first := o.newest().Document
	before := first.Firewall.Rule(policy.IMAPSLegacy)
	o.run("plan", "make", "leave-990")
	for range 2 {
		o.run("plan", "next", "leave-990", "--now", "--anyway")
	}
	o.run("firewall", "explain", "192.0.2.1", "990") // which it lets in, as long as the port explains itself

	o.killNetwork()
	if text := o.run("plan", "next", "leave-990", "--now"); text == "" {
		t.Error("nothing is said")
	}
	o.startNetwork()
	netlab.Until(t, "the plan tries again", func() bool { return o.newest().Number == 3 })
	o.holds(3, ours)
	o.fails("the connection is refused", "firewall", "explain", "192.0.2.1", "990")
	if v := o.newest(); v.By != "the plan leave-990" || v.Document.Ports.IMAPSLegacy {
		t.Errorf("version by %q: %+v", v.By, v.Document.Ports)
	}
	o.reached(ours)

	o.run("plan", "rollback", "leave-990")
	o.holds(4, ours)
	o.run("firewall", "explain", "192.0.2.1", "990")
	if d := o.newest().Document; !d.Ports.IMAPSLegacy || d.Firewall.Rule(policy.IMAPSLegacy).From != before.From {
		t.Errorf("taken back: %+v, %+v", d.Ports, d.Firewall.Rule(policy.IMAPSLegacy))
	}
}
