package appliance

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pillarbox/appliance/access"
	"pillarbox/appliance/config"
	"pillarbox/appliance/directory"
	"pillarbox/appliance/imap"
	"pillarbox/netcfg/policy"
	"pillarbox/webui"
)

// TestTheWebPageSharesTheDoorWithMail signs in by both.
func TestTheWebPageSharesTheDoorWithMail(t *testing.T) {
	o := testOffice(t)
	ctx, anna := t.Context(), "anna@office.example"
	if _, err := o.directory.Add(ctx, directory.NewAccount{Address: anna, Name: "Anna", Password: "long enough"}); err != nil {
		t.Fatal(err)
	}
	_, device, err := o.directory.AddDevice(ctx, anna, directory.NewDevice{Name: "telephone"})
	if err != nil {
		t.Fatal(err)
	}
	mail := testSignIn(o, slog.New(slog.DiscardHandler))
	g := &webGate{in: mail, dir: o.directory, bans: o.bans, zone: func() *time.Location { return time.UTC }}
	from := func(host byte) net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, host), Port: 4711} }
	refusal := func(what string, err error, words string) {
		t.Helper()
		var r *webui.Refusal
		if !errors.As(err, &r) || !strings.Contains(r.Text, words) {
			t.Errorf("%s: %v, want one with %q", what, err, words)
		}
	}
	if k, err := g.Person(ctx, "anna", "long enough", from(1)); err != nil || k.Address != anna || k.Name != "Anna" {
		t.Errorf("Anna signs in as %+v: %v", k, err)
	}
	_, err = g.Person(ctx, anna, string(device), from(1))
	refusal("a device's password", err, "password of a device")
	if _, err := g.Person(ctx, anna, "wrong", from(1)); !errors.Is(err, webui.ErrWrong) {
		t.Errorf("a wrong password: %v", err)
	}
	if err := g.Administrator(ctx, "any", from(1)); !errors.Is(err, webui.ErrWrong) {
		t.Errorf("an administrator of a box that has none: %v", err)
	}

	// Claiming is done once.
	if err := g.Claim(ctx, "short"); !errors.As(err, new(*webui.Refusal)) {
		t.Errorf("a password that is too short: %v", err)
	}
	for i, want := range []error{nil, webui.ErrClaimed} {
		if err := g.Claim(ctx, fmt.Sprintf("the administrator's, %d", i)); !errors.Is(err, want) {
			t.Errorf("claim %d: %v, want %v", i, err, want)
		}
	}
	if err := g.Administrator(ctx, "the administrator's, 0", from(1)); err != nil {
		t.Errorf("the administrator: %v", err)
	}

	// Who is suspended signs in nowhere, and gets no hint before the password is right.
	if err := o.directory.Suspend(ctx, anna, true); err != nil {
		t.Fatal(err)
	}
	_, err = g.Person(ctx, anna, "long enough", from(1))
	refusal("suspended", err, "suspended")
	if _, err := g.Person(ctx, anna, "wrong", from(1)); !errors.Is(err, webui.ErrWrong) {
		t.Errorf("a wrong password of a suspended account: %v", err)
	}
	for _, password := range []string{"long enough", string(device)} {
		if _, err := mail.Authenticate(ctx, anna, password, from(1)); !errors.Is(err, imap.ErrCredentials) {
			t.Errorf("mail of a suspended account: %v", err)
		}
	}
	if err := o.directory.Suspend(ctx, anna, false); err != nil {
		t.Fatal(err)
	}
	if _, err := mail.Authenticate(ctx, anna, "long enough", from(1)); err != nil {
		t.Errorf("mail when it is over: %v", err)
	}

	// Codes that somebody guesses on the page keep their address from mail.
	for i := range 60 {
		o.bans.Failed(&access.Attempt{Remote: from(9), Account: "web token", Credential: fmt.Sprint(i)})
	}
	if o.bans.Connects(from(9)) {
		t.Error("who guesses tokens is not banned")
	}
	refusal("a ban", g.Weigh(ctx, "token", "x", from(9), func() bool { return true }), "Too many wrong passwords")
	g.Exempt(netip.MustParseAddr("192.0.2.9"))
	if !o.bans.Connects(from(9)) {
		t.Error("the administrator's address is not spared")
	}
}

func TestFromWhereThePagesAreOpened(t *testing.T) {
	d := config.Default()
	r := &webReach{
		more:    []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")},
		current: func() config.Version { return config.Version{Document: d} },
	}
	is := func(want bool, addrs ...string) {
		t.Helper()
		for _, a := range addrs {
			if got := r.inside(netip.MustParseAddr(a)); got != want {
				t.Errorf("%s: %v, want %v", a, got, want)
			}
		}
	}
	is(true, "127.0.0.1", "::1", "10.1.2.3", "192.168.7.7", "fd00::7", "fe80::1", "169.254.1.1", "198.51.100.9")
	is(false, "203.0.113.9", "2001:db8::1", "8.8.8.8")
	rule := d.Firewall.Services[policy.HTTPS]
	rule.From, rule.Networks = policy.Networks, []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}
	d.Firewall.Services[policy.HTTPS] = rule
	is(true, "203.0.113.9")
	is(false, "8.8.8.8")
	rule.From, rule.Networks = policy.Anyone, nil
	d.Firewall.Services[policy.HTTPS] = rule
	is(true, "8.8.8.8")
	if r.inside(netip.Addr{}) {
		t.Error("an address that is none is inside")
	}
}
