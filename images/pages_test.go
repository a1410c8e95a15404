package images_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"pillarbox/images/machine"
)

const adminPassword = "a sentence that nobody knows"

// TestFromPowerOnToMailByThePages claims a fresh box by its web page with the code
// of its screen, found by its name, and lets a person read mail; it looks at the
// pages of what only the firmware has, changes the firewall, and starts the box
// anew and switches it off, all by the pages.
func TestFromPowerOnToMailByThePages(t *testing.T) {
	requireImageTest(t, "qemu-amd64")
	b := newBox(t, "qemu-amd64", machine.Q35)
	w := newWire(t)
	b.config.Wire = w.port()
	b.on()
	since := func(what string) { t.Logf("%s %.1f s after power-on", what, time.Since(b.Started).Seconds()) }
	page := b.read(regexp.MustCompile(`Web page +http://pillarbox\.local/ or http://([0-9.]+)/\s+claim code ([A-Z2-9-]+):`))
	since("the screen shows the address and the claim code")
	if found := w.find("pillarbox.local."); found.String() != page[1] {
		t.Errorf("pillarbox.local is %s, and on the screen %s", found, page[1])
	}
	since("pillarbox.local is found")

	v := b.claim(page[2])
	since("the first steps are done")
	uid := b.append(b.IMAPS)
	b.checkMessage(b.IMAPSLegacy, uid)
	since("a person reads mail")
	if took := time.Since(b.Started); took > 10*time.Minute {
		t.Errorf("it took %s", took)
	}
	// The screen shows anew by itself that nobody needs the code any more.
	b.read(regexp.MustCompile(`Web page [^\r\n]*\r?\nCertificate`))

	b.tour(v)
	b.changeFirewall(v)
	b.restartByPage(v)
	b.checkMessage(b.IMAPS, uid)
	v.open("/firewall?source=192.168.8.5&for=993", "Yes, 192.168.8.5 would get in")
	v.open("/power", "Started anew by admin, web page")

	v.prove("/power/off")
	v.says("Switch the box off?")
	v.send("/power/off")
	v.says("is being switched off")
	ended := time.Now()
	if err := b.WaitEnd(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("off %.1f s after the page was told", time.Since(ended).Seconds())
	checkDisk(t, b.config.Disk)
}

// claim goes the first steps, in which one person gets an account, and returns the
// administrator's window.
func (b *box) claim(code string) *window {
	b.t.Helper()
	v := b.browse("pillarbox.local")
	v.open("/", "Welcome to your Pillarbox")
	v.open("https://pillarbox.local/claim")
	v.send("/claim", "code", code, "password", adminPassword, "again", adminPassword)
	v.send("/first/1", "zone", "Europe/Berlin")
	v.send("/first/2", "name", "The office", "domain", "office.example")
	v.says("10.0.2.15")
	v.send("/first/3")
	v.send("/first/4")
	v.send("/first/5", "people", "Anna, "+account)
	found := regexp.MustCompile(regexp.QuoteMeta(account) + `</td><td><code>([^<]+)<`).FindStringSubmatch(v.text)
	if found == nil {
		b.t.Fatalf("no password is shown:\n%s", v.words())
	}
	b.password = found[1]
	v.open("/first/6")
	v.send("/first/6")
	v.says("That was all", "Mail is flowing")

	return v
}

// tour opens the pages of what there is on the firmware alone.
func (b *box) tour(v *window) {
	b.t.Helper()
	for path, says := range map[string][]string{
		"/":                                    {"Mail is flowing"},
		"/network":                             {"eth0", "10.0.2.15/24", "connected"},
		"/firewall":                            {"Who may reach what", "What they decided", "loopback"},
		"/firewall?source=192.168.8.5&for=993": {"No, 192.168.8.5 would not get in"},
		"/ports":                               {"993", "990", account},
		"/logs":                                {"msg=ready"},
		"/power":                               {"For the first time.", "Box runs since"},
		"/settings":                            {"Version 1"},
		"/bans":                                {"Nobody is kept out"},
	} {
		v.open(path, says...)
	}
}

// changeFirewall makes another network one of the office's, and keeps that.
func (b *box) changeFirewall(v *window) {
	b.t.Helper()
	v.open("/firewall")
	v.send("/firewall", "lan", "192.168.8.0/24", "why", "the other building", "do", "try")
	v.says("A change of the settings is being tried", "Keep it")
	v.send("/change/keep")
	v.says("The change is kept")
	v.open("/settings", "the other building")
}

// prove opens a page that asks for the password again where that was long ago, as
// on a slow machine it is.
func (w *window) prove(path string) {
	w.t.Helper()
	w.open(path)
	if strings.Contains(w.path, "/prove?") {
		w.send("/prove", "password", adminPassword)
	}
}

// restartByPage starts the box anew and waits until its page is there again.
func (b *box) restartByPage(v *window) {
	b.t.Helper()
	v.prove("/power/restart")
	v.says("Start the box anew?")
	run := v.form("/power/restart").Get("run")
	v.send("/power/restart")
	v.says("The box starts anew")
	told := time.Now()
	v.awaitPage("/power/run", func() bool { return v.text != run && v.text != "" })
	b.t.Logf("the page is back %.1f s after a restart was ordered there", time.Since(told).Seconds())
}
