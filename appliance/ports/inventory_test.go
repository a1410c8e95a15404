package ports_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/ports"
)

func TestAClientIsKnownByWhatItIs(t *testing.T) {
	thunderbird := ports.ID{Name: "Thunderbird", Version: "128.4"}
	newer := ports.ID{Name: "Thunderbird", Version: "140.1"}
	mail := ports.ID{Name: "iPhone Mail", Version: "22A", OS: "iOS"}
	for _, tt := range []struct {
		name   string
		visits []visit
		want   int
	}{
		{"the same again", []visit{{from: "192.168.7.20"}, {from: "192.168.7.20"}}, 1},
		{"two machines with one password", []visit{{from: "192.168.7.20"}, {from: "192.168.7.21"}}, 2},
		{"one machine on both ports", []visit{{from: "192.168.7.20"}, {from: "192.168.7.20", port: ports.Legacy}}, 1},
		{"a new version of a program", []visit{{from: "192.168.7.20", id: thunderbird}, {from: "192.168.7.20", id: newer}}, 1},
		{"two programs of one machine", []visit{{from: "192.168.7.20", id: thunderbird}, {from: "192.168.7.20", id: mail}}, 2},
		{"a telephone on its way", []visit{{from: "203.0.113.7", id: mail}, {from: "198.51.100.9", id: mail}}, 1},
		{
			"a device with a password of its own that moves about",
			[]visit{{from: "192.168.7.20", device: "telephone", kind: ports.AppPassword}, {from: "192.168.7.99", device: "telephone", kind: ports.AppPassword}},
			1,
		},
		{"IPv6 addresses that change by the day", []visit{{from: "fd00::1:2:3:4"}, {from: "fd00::5:6:7:8"}}, 1},
		{"two people at one machine", []visit{{from: "192.168.7.20"}, {account: "b", from: "192.168.7.20"}}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := newOffice(t)
			for _, v := range tt.visits {
				if v.account == "" {
					v.account = "a"
				}
				o.comes(v)
			}
			if got := o.inv.Clients(ports.Query{}); len(got) != tt.want {
				t.Errorf("%d clients, want %d: %+v", len(got), tt.want, got)
			}
		})
	}
}

func TestWhatIsToldOfAClient(t *testing.T) {
	o := newOffice(t)
	o.comes(visit{account: "a", from: "192.168.7.20", port: ports.Legacy, version: tls.VersionTLS12, serverName: "Mail.Office.Example"})
	o.pass(day)
	o.comes(visit{account: "a", from: "::ffff:192.168.7.20", resumed: true, mechanism: "SCRAM-SHA-256"})
	o.comes(visit{account: "a", from: "192.168.7.20", resumed: true, mechanism: "SCRAM-SHA-256"})
	got := o.only()
	today, yesterday := begin.Add(day), begin
	date := func(t time.Time) time.Time { return t.Truncate(day) }
	want := ports.Client{
		ID: got.ID, AccountID: "a", Account: "ada@office.example", Credential: ports.Credential{Kind: ports.Password},
		Addresses: []ports.Address{{Addr: netip.MustParseAddr("192.168.7.20"), Local: true, First: yesterday, Last: today}},
		Uses: []ports.Use{
			{
				Port: ports.IMAPS, Number: 993, TLS: "TLS 1.3", From: netip.MustParseAddr("192.168.7.20"), Cipher: "TLS_AES_128_GCM_SHA256", Mechanism: "SCRAM-SHA-256",
				First: today, Last: today, Sessions: 2, Resumed: 2, Days: []ports.Day{{Date: date(today), Sessions: 2}},
			},
			{
				Port: ports.Legacy, Number: 990, TLS: "TLS 1.2", From: netip.MustParseAddr("192.168.7.20"), Cipher: "TLS_AES_128_GCM_SHA256", Mechanism: "PLAIN", ServerName: "mail.office.example",
				First: yesterday, Last: yesterday, Sessions: 1, Days: []ports.Day{{Date: date(yesterday), Sessions: 1}},
			},
		},
		First: yesterday, Last: today, Sessions: 3, Risks: got.Risks,
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	if again, err := o.inv.Client(got.ID); err != nil || again.Sessions != 3 {
		t.Errorf("by its ID: %+v, %v", again, err)
	}
	if _, err := o.inv.Client("00"); !errors.Is(err, ports.ErrUnknown) {
		t.Errorf("by another ID: %v", err)
	}
}

func TestTheNameOfAProgramMayComeAfterTheSignIn(t *testing.T) {
	o := newOffice(t)
	c := o.connect(visit{from: "192.168.7.20"})
	c.SignedIn(&ports.SignIn{AccountID: "a", Account: "ada@office.example", Kind: ports.Password, Mechanism: "PLAIN"})
	c.Named(ports.ID{Name: "Thunderbird", Version: "140.1", OS: "Linux"})
	if got := o.only(); got.Program != "Thunderbird 140.1 Linux" || got.Connected != 1 || got.Sessions != 1 {
		t.Errorf("client %+v", got)
	}
	c.Named(ports.ID{Name: "Somebody else"})
	c.End()
	if got := o.only(); got.Program != "Thunderbird 140.1 Linux" || got.Connected != 0 || got.Sessions != 1 {
		t.Errorf("client %+v", got)
	}
}

func TestQueries(t *testing.T) {
	o := newOffice(t)
	o.comes(visit{account: "a", from: "192.168.7.20", port: ports.Legacy})
	o.pass(day)
	o.comes(visit{account: "b", from: "192.168.7.30"})
	for name, tt := range map[string]struct {
		q    ports.Query
		want []string
	}{
		"all, the last first": {ports.Query{}, []string{"bob@office.example", "ada@office.example"}},
		"a port":              {ports.Query{Port: ports.Legacy}, []string{"ada@office.example"}},
		"an account":          {ports.Query{Account: "Bob@Office.Example"}, []string{"bob@office.example"}},
		"lately":              {ports.Query{Since: begin.Add(time.Hour)}, []string{"bob@office.example"}},
		"an address":          {ports.Query{Address: netip.MustParseAddr("::ffff:192.168.7.20")}, []string{"ada@office.example"}},
		"nobody":              {ports.Query{Account: "carla@office.example"}, nil},
	} {
		var got []string
		for _, c := range o.inv.Clients(tt.q) {
			got = append(got, c.Account)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestStrangersAreKeptByAddress(t *testing.T) {
	o := newOffice(t)
	o.comes(visit{account: "a", from: "192.168.7.20"})
	o.inv.HandshakeFailed(&ports.FailedHandshake{
		Remote: netip.MustParseAddr("192.168.7.20"), Port: ports.Legacy, Number: 990, Reason: "too\told\x1b[31m", Offered: tls.VersionTLS10,
	})
	o.connect(visit{from: "2001:db8::1"}).End()
	o.connect(visit{from: "2001:db8::2"}).End()
	c := o.connect(visit{from: "203.0.113.7"})
	c.Refused("Bob@office.example", "wrong password")
	c.Refused("my-secret-password", "wrong password")
	c.End()
	all := o.inv.Strangers(ports.Query{})
	by := map[string]ports.Stranger{}
	for _, s := range all {
		by[s.Network.String()] = s
	}
	if len(by) != 3 {
		t.Fatalf("strangers %+v", all)
	}
	if s := by["192.168.7.20/32"]; !s.Local || s.Uses[0].Failed != 1 || s.Uses[0].Reason != "too old[31m" || s.Uses[0].Offered != "TLS 1.0" ||
		len(s.Accounts) != 1 || s.Accounts[0] != "ada@office.example" {
		t.Errorf("of the office: %+v", s)
	}
	if s := by["2001:db8::/64"]; s.Local || s.Uses[0].Silent != 2 || s.Uses[0].LastDays != 1 {
		t.Errorf("silent: %+v", s)
	}
	if s := by["203.0.113.7/32"]; s.Uses[0].Refused != 2 || s.Uses[0].Silent != 0 || len(s.Uses[0].Tried) != 1 || s.Uses[0].Tried[0] != "bob@office.example" {
		t.Errorf("guessing: %+v", s)
	}
	o.flush()
	for section, of := range o.disk.all {
		for key, value := range of {
			if strings.Contains(value, "secret") {
				t.Errorf("%s %s holds what may be a password: %s", section, key, value)
			}
		}
	}
}

func TestAWrongPasswordIsCountedWithTheClientThatWasThere(t *testing.T) {
	o := newOffice(t)
	o.comes(visit{account: "a", from: "192.168.7.20", port: ports.Legacy})
	for range 3 {
		c := o.connect(visit{from: "192.168.7.20", port: ports.Legacy})
		c.Refused("ada@office.example", "wrong name or password")
		c.End()
	}
	if got := o.only(); got.Failures != 3 || got.Uses[0].Days[0].Failures != 3 {
		t.Errorf("client %+v", got)
	}
	if s := o.inv.Strangers(ports.Query{}); len(s) != 0 {
		t.Errorf("strangers %+v", s)
	}
	c := o.connect(visit{from: "198.51.100.1"})
	c.Refused("ada@office.example", "wrong name or password")
	c.End()
	if got := o.only(); got.Failures != 3 {
		t.Errorf("who guesses from elsewhere is taken for the client: %+v", got)
	}
}

func TestWhoIsTurnedAwayHasNoWrongPassword(t *testing.T) {
	o := newOffice(t)
	v := visit{account: "a", from: "192.168.7.20", port: ports.Legacy}
	o.comes(v)
	for range 9 {
		c := o.connect(v)
		c.TurnedAway("ada@office.example")
		c.End()
	}
	got := o.only()
	if got.Failures != 0 || got.Uses[0].TurnedAway != 9 || len(o.inv.Strangers(ports.Query{})) != 0 {
		t.Errorf("client %+v", got)
	}
	for _, r := range got.Risks {
		if r.Name == ports.RiskFailing {
			t.Errorf("risk %+v", r)
		}
	}
	if n := o.inv.Traffic(ports.Legacy, begin, begin); n.TurnedAway != 9 || n.FailedSignIns != 0 || n.SilentSessions != 0 {
		t.Errorf("traffic %+v", n)
	}
}

func TestARestartKeepsEverything(t *testing.T) {
	o := newOffice(t)
	for i := range 40 {
		o.comes(visit{account: "a", from: "192.168.7.20", port: ports.Legacy, version: tls.VersionTLS12, id: ports.ID{Name: "Scan “Süd”"}})
		o.comes(visit{account: "b", from: "203.0.113.7", device: "telephone", kind: ports.Certificate, mechanism: "EXTERNAL"})
		o.connect(visit{from: fmt.Sprintf("10.1.1.%d", i)}).End()
		o.pass(day)
	}
	o.flush()
	clients, strangers, all := o.inv.Clients(ports.Query{}), o.inv.Strangers(ports.Query{}), o.inv.Ports()
	o.open()
	compare := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	prefix := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
	if diff := cmp.Diff(clients, o.inv.Clients(ports.Query{}), compare); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(strangers, o.inv.Strangers(ports.Query{}), prefix); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(all, o.inv.Ports()); diff != "" {
		t.Error(diff)
	}
	if got := o.inv.Since(); !got.Equal(begin) {
		t.Errorf("records since %v", got)
	}
}

// TestSinceWhenOutlivesARestart: also where nobody has come yet.
func TestSinceWhenOutlivesARestart(t *testing.T) {
	o := newOffice(t)
	o.flush()
	o.pass(day)
	o.open()
	if got := o.inv.Since(); !got.Equal(begin) {
		t.Errorf("records since %v", got)
	}
	writes := o.disk.written()
	if o.flush(); o.disk.written() != writes {
		t.Error("it is written again and again")
	}
}

func TestWhatIsOldIsForgotten(t *testing.T) {
	o := newOffice(t, func(c *ports.Config) { c.Keep = 30 })
	o.comes(visit{account: "a", from: "192.168.7.20", port: ports.Legacy})
	o.comes(visit{account: "b", from: "192.168.7.30"})
	o.connect(visit{from: "203.0.113.7"}).End()
	o.flush()
	for range 35 {
		o.pass(day)
		o.comes(visit{account: "b", from: "192.168.7.30"})
		o.flush()
	}
	got := o.only()
	if n := len(got.Uses[0].Days); got.Account != "bob@office.example" || n != 30 {
		t.Errorf("%d days of %s", n, got.Account)
	}
	if s := o.inv.Strangers(ports.Query{}); len(s) != 0 {
		t.Errorf("strangers %+v", s)
	}
	if n := len(o.disk.all["ports/clients"]); n != 1 {
		t.Errorf("%d accounts are stored", n)
	}
	for _, value := range o.disk.all["ports/others"] {
		t.Errorf("stored of strangers: %s", value)
	}
	if days := o.inv.Ports()[0].Days; len(days) != 30 {
		t.Errorf("%d days of totals", len(days))
	}
	for days, ok := range map[int]bool{29: false, 30: true, 400: true, 401: false} {
		if err := o.inv.SetKeep(days); (err == nil) != ok {
			t.Errorf("keep %d days: %v", days, err)
		}
	}
}

func TestAnAccountThatIsRemovedTakesItsClientsAlong(t *testing.T) {
	o := newOffice(t)
	o.comes(visit{account: "a", from: "192.168.7.20"})
	o.comes(visit{account: "b", from: "192.168.7.30", device: "telephone", kind: ports.AppPassword})
	o.comes(visit{account: "b", from: "192.168.7.30"})
	late := o.connect(visit{from: "192.168.7.20"})
	late.SignedIn(&ports.SignIn{AccountID: "a", Account: "ada@office.example", Kind: ports.Password})
	o.flush()
	o.inv.ForgetAccount("a")
	o.inv.ForgetCredential("b", "telephone")
	late.End()
	o.flush()
	for range 2 {
		if got := o.only(); got.Account != "bob@office.example" || got.Credential.Device != "" {
			t.Errorf("left: %+v", got)
		}
		o.open()
	}
}

func TestADiskThatIsFullLosesNothing(t *testing.T) {
	o := newOffice(t)
	o.disk.broken = true
	o.comes(visit{account: "a", from: "192.168.7.20"})
	o.connect(visit{from: "192.168.7.99"}).End()
	o.comes(visit{account: "b", from: "192.168.7.20"})
	o.inv.ForgetAccount("b")
	if err := o.inv.Flush(t.Context()); !errors.Is(err, errDisk) || !errors.Is(o.inv.Health(), errDisk) {
		t.Fatalf("error %v, health %v", err, o.inv.Health())
	}
	o.disk.broken = false
	o.flush()
	if err := o.inv.Health(); err != nil {
		t.Errorf("health %v", err)
	}
	o.open()
	o.only()
	if n := len(o.inv.Strangers(ports.Query{})); n != 1 {
		t.Errorf("%d strangers", n)
	}
}

func TestANewerFormatIsRefused(t *testing.T) {
	o := newOffice(t)
	o.disk.all["ports"] = map[string]string{"format": "2"}
	if _, err := ports.Open(&o.conf); !errors.Is(err, ports.ErrFormat) {
		t.Errorf("error %v", err)
	}
}

func TestWhatIsDamagedIsLeftOut(t *testing.T) {
	o := newOffice(t)
	o.comes(visit{account: "a", from: "192.168.7.20"})
	o.comes(visit{account: "b", from: "192.168.7.30"})
	o.flush()
	o.disk.all["ports/clients"]["b"] = "{"
	o.disk.all["ports/days"]["imaps"] = "[]"
	o.disk.all["ports/others"] = map[string]string{"in00": "[{}]"}
	o.open()
	o.only()
}

// TestItIsWrittenInTime: a new client within a minute, what changed in a quarter
// of an hour, and all at the end.
func TestItIsWrittenInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, func(c *ports.Config) { c.Now = nil })
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- o.inv.Run(ctx) }()
		stored := func() int {
			before := o.inv
			defer func() { o.inv = before }()
			o.open()
			n := 0
			for _, c := range o.inv.Clients(ports.Query{}) {
				n += c.Sessions
			}
			return n
		}
		o.comes(visit{account: "a", from: "192.168.7.20"})
		time.Sleep(time.Minute + time.Second)
		if n := stored(); n != 1 {
			t.Errorf("%d sessions are stored after a minute, want 1", n)
		}
		writes := o.disk.written()
		for range 10 {
			o.comes(visit{account: "a", from: "192.168.7.20"})
			time.Sleep(time.Minute)
		}
		if n := o.disk.written() - writes; n != 0 {
			t.Errorf("%d writes in the first ten minutes", n)
		}
		time.Sleep(5 * time.Minute)
		if n := stored(); n != 11 {
			t.Errorf("%d sessions are stored after 16 minutes, want 11", n)
		}
		waiting := o.connect(visit{from: "192.168.7.21"})
		waiting.SignedIn(&ports.SignIn{AccountID: "a", Account: "ada@office.example", Kind: ports.Password})
		if n := len(o.inv.Clients(ports.Query{})); n != 1 {
			t.Errorf("%d clients before the name may have come", n)
		}
		time.Sleep(4 * time.Second)
		if n := len(o.inv.Clients(ports.Query{})); n != 2 {
			t.Errorf("%d clients after", n)
		}
		o.comes(visit{account: "a", from: "192.168.7.20"})
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if n := stored(); n != 13 {
			t.Errorf("%d sessions are stored at the end, want 13", n)
		}
	})
}

func TestTrafficIsKnownToTheMinute(t *testing.T) {
	o := newOffice(t)
	o.comes(visit{account: "a", from: "192.168.7.20", port: ports.Legacy})
	o.pass(10 * time.Minute)
	o.inv.HandshakeFailed(&ports.FailedHandshake{Remote: netip.MustParseAddr("192.168.7.20"), Port: ports.Legacy})
	o.connect(visit{from: "192.168.7.20", port: ports.Legacy}).End()
	now := o.clock()
	if diff := cmp.Diff(ports.Totals{Handshakes: 1, FailedShakes: 1, SilentSessions: 1}, o.inv.Traffic(ports.Legacy, now.Add(-9*time.Minute), now)); diff != "" {
		t.Error(diff)
	}
	want := ports.Totals{Handshakes: 2, FailedShakes: 1, SilentSessions: 1, SignIns: 1}
	if diff := cmp.Diff(want, o.inv.Traffic(ports.Legacy, now.Add(-time.Hour), now)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]ports.PortDay{{Date: begin.Truncate(day), Totals: want}}, o.inv.Ports()[0].Days); diff != "" {
		t.Error(diff)
	}
	o.pass(25 * time.Hour)
	o.comes(visit{account: "a", from: "192.168.7.20", port: ports.Legacy})
	now = o.clock()
	if diff := cmp.Diff(ports.Totals{Handshakes: 1, SignIns: 1}, o.inv.Traffic(ports.Legacy, now.Add(-48*time.Hour), now)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(ports.Totals{Handshakes: 1, SignIns: 1}, o.inv.Traffic("", now, now)); diff != "" {
		t.Error(diff)
	}
	if got := o.inv.Traffic("nothing", begin, now); got != (ports.Totals{}) {
		t.Errorf("of no port: %+v", got)
	}
}
