package ports_test

import (
	"crypto/tls"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pillarbox/appliance/ports"
)

// month has an office live for 40 days: Ada's scanner comes by 990 alone, every
// third day; her desk by 993; Bob's telephone by both; Carla's old laptop by 990
// with TLS 1.2 until the 20th day, and by 993 since.
func month(o *office) {
	scanner := visit{account: "a", from: "192.168.7.20", port: ports.Legacy}
	desk := visit{account: "a", from: "192.168.7.21", id: ports.ID{Name: "Thunderbird", Version: "140"}, mechanism: "SCRAM-SHA-256"}
	telephone := visit{account: "b", from: "203.0.113.7", device: "telephone", kind: ports.AppPassword, better: true}
	laptop := visit{account: "c", from: "192.168.7.40", port: ports.Legacy, version: tls.VersionTLS12}
	for i := range 40 {
		if i%3 == 0 {
			o.comes(scanner)
		}
		o.comes(desk)
		telephone.port = []string{ports.IMAPS, ports.Legacy}[i%2]
		o.comes(telephone)
		if i == 20 {
			laptop.port, laptop.version = ports.IMAPS, tls.VersionTLS13
		}
		o.comes(laptop)
		o.pass(day)
	}
	o.connect(visit{from: "192.168.7.77", port: ports.Legacy}).End()
	o.connect(visit{from: "198.51.100.1", port: ports.Legacy}).End()
	o.inv.HandshakeFailed(&ports.FailedHandshake{Remote: netip.MustParseAddr("192.168.7.78"), Port: ports.IMAPS, Offered: tls.VersionTLS12, Reason: "it does not trust us"})
}

func TestWhatWouldBreak(t *testing.T) {
	o := newOffice(t)
	month(o)
	type row struct {
		who       string
		sessions  int
		days      int
		elsewhere ports.Elsewhere
	}
	rows := func(all []ports.Affected) (got []row) {
		for _, a := range all {
			got = append(got, row{a.Client.Account + " " + a.Client.Name(), a.Sessions, a.Days, a.Elsewhere})
		}
		return got
	}
	for _, tt := range []struct {
		name                      string
		s                         ports.Scenario
		affected, moved           []row
		people, cutOff, otherwise int
		strangers                 []string
		summary                   string
	}{
		{
			name:     "990 is closed",
			s:        ports.Scenario{Change: ports.Close, Port: ports.Legacy},
			affected: []row{{"ada@office.example 192.168.7.20", 10, 10, ports.Person}, {"bob@office.example telephone", 15, 15, ports.Both}},
			moved:    []row{{"carla@office.example 192.168.7.40", 9, 9, ports.Moved}},
			people:   2, otherwise: 1, strangers: []string{"192.168.7.77/32"},
			summary: "Closing port 990 would have cut off 2 clients of 2 people since 2026-11-13. 1 client moved already.",
		},
		{
			name: "993 is closed",
			s:    ports.Scenario{Change: ports.Close, Port: ports.IMAPS},
			affected: []row{
				{"ada@office.example Thunderbird 140", 29, 29, ports.Person},
				{"carla@office.example 192.168.7.40", 20, 20, ports.Both},
				{"bob@office.example telephone", 14, 14, ports.Both},
			},
			people: 3, otherwise: 1, strangers: []string{"192.168.7.78/32"},
			summary: "Closing port 993 would have cut off 3 clients of 3 people since 2026-11-13.",
		},
		{
			name:   "TLS 1.3 alone",
			s:      ports.Scenario{Change: ports.TLS13},
			moved:  []row{{"carla@office.example 192.168.7.40", 9, 9, ports.Moved}},
			people: 0, otherwise: 3, strangers: []string{"192.168.7.78/32"},
			summary: "TLS 1.3 alone would have cut off nobody who was seen since 2026-11-13. 1 client moved before.",
		},
		{
			name: "no passwords are sent",
			s:    ports.Scenario{Change: ports.NoPlain},
			affected: []row{
				{"bob@office.example telephone", 29, 29, ports.Nowhere},
				{"carla@office.example 192.168.7.40", 29, 29, ports.Nowhere},
				{"ada@office.example 192.168.7.20", 10, 10, ports.Person},
			},
			people: 3, cutOff: 2, otherwise: 1,
			summary: "Closing PLAIN and LOGIN would have cut off 3 clients of 3 people since 2026-11-13; 2 of them had no other way in.",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, err := o.inv.Simulate(tt.s)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.affected, rows(f.Affected), cmp.AllowUnexported(row{})); diff != "" {
				t.Errorf("affected: %s", diff)
			}
			if diff := cmp.Diff(tt.moved, rows(f.Moved), cmp.AllowUnexported(row{})); diff != "" {
				t.Errorf("moved: %s", diff)
			}
			var strangers []string
			for _, s := range f.Strangers {
				strangers = append(strangers, s.Network.String())
			}
			if diff := cmp.Diff(tt.strangers, strangers); diff != "" {
				t.Errorf("strangers: %s", diff)
			}
			if f.People != tt.people || f.CutOff != tt.cutOff || f.OtherWise != tt.otherwise || f.AllPeople != 3 {
				t.Errorf("people %d, cut off %d, otherwise %d, all %d", f.People, f.CutOff, f.OtherWise, f.AllPeople)
			}
			if f.Summary != tt.summary {
				t.Errorf("summary %q", f.Summary)
			}
			for _, a := range append(f.Affected, f.Moved...) {
				if a.Do == "" || len(a.Ways) == 0 || a.Last.IsZero() {
					t.Errorf("nothing to do about %+v", a)
				}
			}
			if len(f.Unknown) < 4 {
				t.Errorf("unknown %q", f.Unknown)
			}
		})
	}
	for _, s := range []ports.Scenario{{}, {Change: ports.Close}, {Change: "everything"}} {
		if _, err := o.inv.Simulate(s); !errors.Is(err, ports.ErrScenario) {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

func TestAForecastSaysHowLittleIsKnown(t *testing.T) {
	o := newOffice(t)
	o.pass(50 * time.Hour)
	f, err := o.inv.Simulate(ports.Scenario{Change: ports.Close, Port: ports.Legacy})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(strings.Join(f.Unknown, "\n"), "On 1 day of these nobody came by any port") {
		t.Errorf("unknown %q", f.Unknown)
	}
	if !f.From.Equal(begin) || !strings.Contains(strings.Join(f.Unknown, "\n"), "There are records of 3 days only, from 2026-11-02 09:00 UTC on.") {
		t.Errorf("from %v, unknown %q", f.From, f.Unknown)
	}
}

func TestWhoIsForgottenForLackOfRoomIsToldOf(t *testing.T) {
	o := newOffice(t)
	o.pass(40 * day)
	for i := range 33 {
		o.comes(visit{account: "a", from: netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}).String()})
	}
	f, err := o.inv.Simulate(ports.Scenario{Change: ports.Close, Port: ports.IMAPS})
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Affected) != 32 || !strings.Contains(strings.Join(f.Unknown, "\n"), "There were more clients than are kept") {
		t.Errorf("%d affected, unknown %q", len(f.Affected), f.Unknown)
	}
}

func TestRisks(t *testing.T) {
	for _, tt := range []struct {
		name   string
		visits []visit
		then   time.Duration
		want   []string
	}{
		{"a telephone as it should be", []visit{{from: "192.168.7.20", device: "telephone", kind: ports.AppPassword, mechanism: "SCRAM-SHA-256"}}, 0, nil},
		{"a program that says what it is", []visit{{from: "192.168.7.20", id: ports.ID{Name: "Thunderbird"}}}, 0, nil},
		{"one that does not", []visit{{from: "192.168.7.20"}}, 0, []string{ports.RiskUnknown}},
		{"old TLS", []visit{{from: "192.168.7.20", id: ports.ID{Name: "Outlook"}, version: tls.VersionTLS12}}, 0, []string{ports.RiskTLS12}},
		{"990 alone", []visit{{from: "192.168.7.20", id: ports.ID{Name: "Outlook"}, port: ports.Legacy}}, 0, []string{ports.RiskLegacy}},
		{
			"990 and 993",
			[]visit{{from: "192.168.7.20", id: ports.ID{Name: "Outlook"}, port: ports.Legacy}, {from: "192.168.7.20", id: ports.ID{Name: "Outlook"}}},
			0, nil,
		},
		{"from elsewhere", []visit{{from: "203.0.113.7", id: ports.ID{Name: "Outlook"}}}, 0, []string{ports.RiskOutside}},
		{"a password in two places", []visit{{from: "192.168.7.20", id: ports.ID{Name: "A"}}, {from: "192.168.7.20", id: ports.ID{Name: "B"}}}, 0, []string{ports.RiskShared}},
		{
			"a device's password in two programs",
			[]visit{{from: "192.168.7.20", device: "d", kind: ports.AppPassword, id: ports.ID{Name: "A"}}, {from: "192.168.7.20", device: "d", kind: ports.AppPassword, id: ports.ID{Name: "B"}}},
			0, []string{ports.RiskShared},
		},
		{"tokens", []visit{{from: "192.168.7.20", kind: ports.Token, id: ports.ID{Name: "A"}}, {from: "192.168.7.20", kind: ports.Token, id: ports.ID{Name: "B"}}}, 0, nil},
		{"a password sent", []visit{{from: "192.168.7.20", id: ports.ID{Name: "A"}, better: true, mechanism: "LOGIN (SASL)"}}, 0, []string{ports.RiskPlain}},
		{"not seen for long", []visit{{from: "203.0.113.7", port: ports.Legacy}}, 31 * day, []string{ports.RiskNotSeen}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := newOffice(t)
			for _, v := range tt.visits {
				v.account = "a"
				o.comes(v)
			}
			o.pass(tt.then)
			for _, c := range o.inv.Clients(ports.Query{}) {
				var got []string
				for _, r := range c.Risks {
					if got = append(got, r.Name); r.Text == "" || r.Do == "" {
						t.Errorf("no words: %+v", r)
					}
				}
				if !slices.Equal(got, tt.want) {
					t.Errorf("%s: risks %q, want %q", c.Name(), got, tt.want)
				}
			}
		})
	}
}

func TestAnOldPasswordIsARisk(t *testing.T) {
	o := newOffice(t)
	v := visit{account: "a", from: "192.168.7.20", id: ports.ID{Name: "Outlook"}}
	o.comes(v)
	o.pass(day)
	for range 5 {
		c := o.connect(v)
		c.Refused("ada@office.example", "wrong")
		c.End()
	}
	if got := o.only(); len(got.Risks) != 1 || got.Risks[0].Name != ports.RiskFailing {
		t.Errorf("risks %+v", got.Risks)
	}
}
