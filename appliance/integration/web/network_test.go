package web_test

import (
	"bytes"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"pillarbox/appliance/integration/rig"
	"pillarbox/netcfg/netlab"
)

// newNetworkOffice starts a box that keeps its network, as on its firmware: the
// namespace's.
func newNetworkOffice(t *testing.T) *office {
	t.Helper()
	o := &office{Box: rig.NewBox(t, binary)}
	in := func(name string) string { return filepath.Join(filepath.Dir(o.Dir), name) }
	cmd := exec.Command(binary, "network", "run", "--anywhere", "--firewall", "--socket", in("network.sock"), "--state", in("network"),
		"--leases", in("leases"), "--status", in("status.json"), "--resolv", in("resolv.conf"))
	log := &bytes.Buffer{}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("the network's process said:\n%s", log)
		}
	})
	netlab.Until(t, "the network's process answers", func() bool {
		c, err := net.Dial("unix", in("network.sock"))
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	o.Args = []string{"--network-socket", in("network.sock"), "--network-status", in("status.json")}
	o.open(t)
	o.Command([]byte(adminPassword+"\n"), "admin", "passwd", "--password-stdin").MustRun(t)

	return o
}

// pick chooses in a list by its name.
func pick(name, value string) act {
	return chromedp.SetValue(chromedp.CSS(`main select[name="`+name+`"]`), value)
}

// TestTheNetworkIsChangedByAPage makes a bridge by the forms, keeps it, removes it
// and takes that back, in a network of its own; and looks at the pages on the way.
func TestTheNetworkIsChangedByAPage(t *testing.T) {
	long(t)
	if !netlab.Inside() {
		netlab.Again(t, builtFor+"="+binary, "PILLARBOX_AXE="+axeCore.path(t, "PILLARBOX_AXE"), "PILLARBOX_VNU="+checker.path(t, "PILLARBOX_VNU"))
		return
	}
	for _, name := range []string{"eth0", "eth1"} {
		netlab.NewPeer(t).Plug(name, "192.0.2.1/24")
	}
	e, o := newEyes(t), newNetworkOffice(t)
	b := o.browse(t)
	look := func(name string) {
		t.Helper()
		if full() || name == "network-bridge-wrong" { // CI has time for this one
			e.look(b, name)
		}
	}
	if full() {
		defer e.close()
	}
	b.open("/")
	b.do("sign in", fill("login", "admin", "password", adminPassword), press("Sign in", "Overview"))
	check, bar, gone := chromedp.Click(chromedp.CSS("button[value=check]")), chromedp.WaitVisible(chromedp.CSS(".change")), chromedp.WaitNotPresent(chromedp.CSS(".change"))
	checked, wrong := chromedp.WaitVisible(chromedp.CSS("button[value=try]")), chromedp.WaitVisible(chromedp.CSS(fault))
	card := func(title string) act {
		return chromedp.WaitVisible(chromedp.Search(`//h2[contains(., "` + title + `")]`))
	}
	// is tells whether br0 is there, with eth1 as its port.
	is := func(want bool) {
		t.Helper()
		netlab.Until(t, "br0 is as the settings say", func() bool { return (netlab.Master(t, "eth1") == "br0") == want })
	}

	b.do("see the network", b.at("/network"))
	look("network-of-the-box")
	b.do("add a bridge", click("Add a bridge"), card("A new bridge"))
	if text := b.text("main"); !strings.Contains(text, "eth1") || !strings.Contains(text, "The first interface with a socket for a cable") {
		t.Errorf("the page says\n%s", text)
	}
	b.do("leave out of what", fill("which-1", "br0", "search", "office.example"), pick("method-1", "static"), fill("address-1", "198.51.100.2/24"), check, wrong)
	look("network-bridge-wrong")
	b.do("say of what", choose("port-1", "eth1"), check, checked)
	look("network-bridge-checked")
	b.do("try it", click("Try it"), bar)
	look("network-tried")
	is(true)
	b.do("keep it", click("Keep it"), gone, card("Bridge br0"))
	b.do("remove it", b.at("/network"), choose("remove-1", "yes"), check, checked, click("Try it"), bar)
	is(false)
	b.do("take that back", click("Take it back"), gone)
	is(true)
	if !full() {
		return
	}
	b.do("put a VLAN on it with a wrong number", b.at("/network"), click("Add a VLAN"), card("A new VLAN"), fill("which-2", "guests", "parent-2", "br0", "id-2", "5000"), check,
		chromedp.WaitVisible(chromedp.CSS("#id-2-problem")))
	look("network-vlan-wrong")
	b.do("number it right", fill("id-2", "7"), check, chromedp.WaitVisible(chromedp.Search(`//main//*[contains(., "What it would change") or @id="wrong"]`)))
	// As the kernel of the tests may have none.
	if text := b.text("main"); !strings.Contains(text, "The VLAN guests is made: number 7 on br0.") && !strings.Contains(text, "kernel has no VLANs") {
		t.Errorf("the page says\n%s", text)
	}
	look("network-vlan-checked")
	b.do("say something wrong of the firewall", b.at("/firewall"), click("How often one address may come"), fill("rate-imaps", "often"), check, chromedp.WaitVisible(chromedp.CSS("#rate-imaps-problem")))
	look("firewall-wrong")
	b.do("set it right", fill("rate-imaps", "60"), pick("admin", "br0"), choose("log", "yes"), check, checked)
	look("firewall-checked")
}
