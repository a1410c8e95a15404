package ports_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pillarbox/appliance/ports"
)

// showable fails where a text could steer a terminal or forge a line.
func showable(t interface{ Fatalf(string, ...any) }, s string) {
	if !utf8.ValidString(s) || len(s) > 254 {
		t.Fatalf("%q is not short UTF-8", s)
	}
	for _, r := range s {
		if !unicode.IsGraphic(r) || unicode.IsSpace(r) && r != ' ' {
			t.Fatalf("%q holds %U", s, r)
		}
	}
}

// FuzzStored reads whatever may be on a disk: it is left out, or can be shown,
// and is stored as it was read.
func FuzzStored(f *testing.F) {
	o := newOffice(f)
	month(o)
	o.flush()
	for section, of := range o.disk.all {
		for key, value := range of {
			f.Add(section, key, value)
		}
	}
	f.Add("ports/clients", "a", `{"address":"x","clients":[{"kind":"password","first":-1}]}`)
	f.Add("ports/days", "imaps", `{"days":[{"Day":1},{"Day":1}]}`)
	f.Fuzz(func(t *testing.T, section, key, value string) {
		o := newOffice(t)
		o.disk.all[section] = map[string]string{key: value}
		inv, err := ports.Open(&o.conf)
		if err != nil {
			if section != "ports" {
				t.Fatal(err)
			}
			return
		}
		o.inv = inv
		clients, strangers, all := inv.Clients(ports.Query{}), inv.Strangers(ports.Query{}), inv.Ports()
		if _, err := json.Marshal([]any{clients, strangers, all}); err != nil {
			t.Fatal(err)
		}
		for _, c := range clients {
			showable(t, c.Account)
			showable(t, c.Program)
			showable(t, c.Credential.Device)
			showable(t, c.Name())
			if c.Sessions < 0 || len(c.Addresses) == 0 || len(c.Uses) == 0 {
				t.Fatalf("client %+v", c)
			}
		}
		for _, s := range []ports.Scenario{{Change: ports.Close, Port: ports.Legacy}, {Change: ports.TLS13}, {Change: ports.NoPlain}} {
			if _, err := inv.Simulate(s); err != nil {
				t.Fatal(err)
			}
		}
		// What was read can be added to and stored.
		o.comes(visit{account: "c", from: "192.168.7.20"})
		o.connect(visit{from: "203.0.113.7"}).End()
		o.flush()
		o.open()
		if len(o.inv.Clients(ports.Query{Account: people["c"]})) == 0 {
			t.Fatal("nothing can be stored beside it")
		}
	})
}

// FuzzNames tells it whatever programs and clients may say of themselves.
func FuzzNames(f *testing.F) {
	f.Add("Thunderbird", "140.1", "Linux", "mail.office.example", "ada@office.example", "telephone")
	f.Add("\x1b]0;owned\a\x1b[2J", "\r\nHTTP/1.1", "\u202egpj", "..", "\x00", strings.Repeat("ä", 5000))
	f.Add("a b　c d", "\xff\xfe", "\u0085", "xn--pfad-", "%s%n", "\"")
	f.Fuzz(func(t *testing.T, name, version, system, server, login, device string) {
		o := newOffice(t)
		o.comes(visit{
			account: "a", from: "192.168.7.20", id: ports.ID{Name: name, Version: version, OS: system},
			serverName: server, device: device, kind: ports.AppPassword, mechanism: login,
		})
		c := o.connect(visit{from: "203.0.113.7", serverName: server})
		c.Refused(login, name)
		c.End()
		client := o.only()
		s := o.inv.Strangers(ports.Query{})[0]
		for _, text := range append([]string{
			client.Program, client.Credential.Device, client.Name(), client.Uses[0].ServerName, client.Uses[0].Mechanism,
			s.Uses[0].Refusal, s.Uses[0].ServerName,
		}, s.Uses[0].Tried...) {
			showable(t, text)
		}
		o.flush()
		o.open()
		if again := o.only(); again.ID != client.ID || again.Program != client.Program {
			t.Fatalf("after a restart %+v, before %+v", again, client)
		}
	})
}
