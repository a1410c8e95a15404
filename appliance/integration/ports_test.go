package integration_test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/integration/rig"
	"pillarbox/appliance/ports"
)

// seen returns what the box knows of a client of Ada's or Bob's at an address.
func seen(t *testing.T, box *rig.Box, from string) (c ports.Client) {
	t.Helper()
	var all []ports.Client
	asked(t, box, &all, "port", "list", "--from", from)
	if len(all) != 1 {
		t.Fatalf("%d clients come from %s: %+v", len(all), from, all)
	}
	return all[0]
}

// asked runs a command and reads its JSON.
func asked(t *testing.T, box *rig.Box, into any, args ...string) {
	t.Helper()
	if err := json.Unmarshal(box.Command(nil, append(args, "--json")...).MustRun(t).Stdout, into); err != nil {
		t.Fatal(err)
	}
}

// from dials from an address of this machine.
func from(t *testing.T, box *rig.Box, addr, local string) *tls.Conn {
	t.Helper()
	d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(local)}}
	conn, err := tls.DialWithDialer(d, "tcp", addr, box.TLS(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// TestWhoUsesWhichPort has curl come by 990, openssl by 990 with TLS 1.2, mbsync by
// 993, and go-imap, which says what it is, by both.
func TestWhoUsesWhichPort(t *testing.T) {
	box := openOffice(t)
	device := strings.Fields(string(box.Command(nil, "account", "device", "add", bob, "laptop").MustRun(t).Stdout))
	laptop := device[slices.Index(device, "password")+1]

	_, legacy, _ := strings.Cut(box.Legacy(t, "tcp4"), ":")
	for range 2 {
		(&rig.Command{Path: rig.Tool(t, "curl", "curl"), Args: []string{
			"--silent", "--show-error", "--cacert", box.CAFile(), "--interface", "127.0.0.21",
			"--user", ada + ":" + adaPassword, "imaps://localhost:" + legacy + "/", "--ipv4",
		}}).MustRun(t)
	}
	out := sClient(t, box.Legacy(t, "tcp4"), fmt.Sprintf("a1 LOGIN %s \"%s\"\na2 LOGOUT\n", ada, adaPassword),
		"-tls1_2", "-bind", "127.0.0.22:0", "-CAfile", box.CAFile(), "-servername", "localhost", "-quiet")
	if !strings.Contains(out.All(), "a2 OK") {
		t.Fatalf("openssl: %s", out.All())
	}
	newReplica(t, box).syncOnly(t, "INBOX")
	for i, addr := range []string{box.IMAPS(t, "tcp4"), box.Legacy(t, "tcp4")} {
		c := imapclient.New(from(t, box, addr, fmt.Sprintf("127.0.0.%d", 31+i)), nil)
		if err := c.Login(bob, laptop).Wait(); err != nil {
			t.Fatal(err)
		}
		if _, err := c.ID(&imap.IDData{Name: "Pine\x1b[31m Needle", Version: "1.0", OS: "Linux"}).Wait(); err != nil {
			t.Fatal(err)
		}
		if err := c.Logout().Wait(); err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	for _, name := range []string{ada, "one that nobody has"} {
		c := imapclient.New(from(t, box, box.Legacy(t, "tcp4"), "127.0.0.41"), nil)
		if err := c.Login(name, "wrong").Wait(); err == nil {
			t.Fatal("a wrong password was taken")
		}
		c.Close()
	}
	from(t, box, box.IMAPS(t, "tcp4"), "127.0.0.42").Close()

	type way struct {
		Port, TLS, Mechanism string
		Sessions             int
	}
	type client struct {
		Account, Program string
		Kind             ports.Kind
		Ways             []way
	}
	whoIs := func(from string) client {
		c := seen(t, box, from)
		got := client{c.Account, c.Program, c.Credential.Kind, nil}
		for _, u := range c.Uses {
			got.Ways = append(got.Ways, way{u.Port, u.TLS, u.Mechanism, u.Sessions})
		}
		return got
	}
	check := func(t *testing.T) {
		t.Helper()
		for from, want := range map[string]client{
			"127.0.0.21": {ada, "", ports.Password, []way{{ports.Legacy, "TLS 1.3", "PLAIN", 2}}},
			"127.0.0.22": {ada, "", ports.Password, []way{{ports.Legacy, "TLS 1.2", "LOGIN", 1}}},
			"127.0.0.31": {bob, "Pine[31m Needle 1.0 Linux", ports.AppPassword, []way{{ports.Legacy, "TLS 1.3", "LOGIN", 1}, {ports.IMAPS, "TLS 1.3", "LOGIN", 1}}},
		} {
			if diff := cmp.Diff(want, whoIs(from)); diff != "" {
				t.Errorf("%s: %s", from, diff)
			}
		}
		if got := whoIs("127.0.0.1"); got.Account != ada || got.Ways[0].Port != ports.IMAPS { // mbsync takes what SASL has
			t.Errorf("mbsync: %+v", got)
		}
		if a, b := seen(t, box, "127.0.0.31"), seen(t, box, "127.0.0.32"); a.ID != b.ID || a.Credential.Device != "laptop" {
			t.Errorf("one device at two addresses: %+v, %+v", a, b)
		}
		var strangers []ports.Stranger
		asked(t, box, &strangers, "port", "strangers")
		knocks := map[netip.Addr]ports.Knock{}
		for _, s := range strangers {
			knocks[s.Network.Addr()] = s.Uses[0]
		}
		if k := knocks[netip.MustParseAddr("127.0.0.41")]; k.Refused != 2 || !slices.Equal(k.Tried, []string{ada}) {
			t.Errorf("wrong passwords: %+v", k)
		}
		if k := knocks[netip.MustParseAddr("127.0.0.42")]; k.Silent != 1 || k.Port != ports.IMAPS || len(knocks) != 2 {
			t.Errorf("a handshake alone: %+v", strangers)
		}
		var f ports.Forecast
		asked(t, box, &f, "port", "simulate", "close", "990")
		var cut []string
		for _, a := range f.Affected {
			cut = append(cut, a.From.Addr.String()+" "+string(a.Elsewhere))
		}
		slices.Sort(cut)
		if diff := cmp.Diff([]string{"127.0.0.21 person", "127.0.0.22 person", "127.0.0.32 both"}, cut); diff != "" || f.CutOff != 0 {
			t.Errorf("closing 990: %s (%d cut off)", diff, f.CutOff)
		}
		asked(t, box, &f, "port", "simulate", "tls13")
		if len(f.Affected) != 1 || f.Affected[0].From.Addr.String() != "127.0.0.22" {
			t.Errorf("TLS 1.3 alone: %+v", f.Affected)
		}
	}
	check(t)
	if text := string(box.Command(nil, "port", "list").MustRun(t).Stdout); strings.ContainsRune(text, 0x1b) {
		t.Errorf("the terminal can be steered: %q", text)
	}

	box.Stop(t)
	box.Start(t)
	check(t)
	box.Kill(t)
	box.Start(t)
	check(t)

	box.Command(nil, "account", "device", "revoke", bob, "laptop").MustRun(t)
	var left []ports.Client
	if asked(t, box, &left, "port", "list", "--account", bob); len(left) != 0 {
		t.Errorf("of a device that was revoked: %+v", left)
	}
}
