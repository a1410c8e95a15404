package ports

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// What is a change of which one may ask what it would break.
type What string

// The changes that can be simulated.
const (
	Close   What = "close"    // a port
	TLS13   What = "tls13"    // nothing older than TLS 1.3 is spoken
	NoPlain What = "no-plain" // PLAIN and LOGIN are offered no more
)

// Scenario is a change that somebody thinks of.
type Scenario struct {
	Change What `json:"change"`
	// Port is which one is closed, or the only one that the change is about;
	// "" with TLS13 and NoPlain means all.
	Port string `json:"port,omitempty"`
}

// ErrScenario says that there is no such change.
var ErrScenario = errors.New("what can be simulated is close with a port, tls13 and no-plain")

// Elsewhere says whether somebody is seen on the side that stays open.
type Elsewhere string

// What is known of the other side, from the best to the worst.
const (
	Moved   Elsewhere = "moved"   // the client itself, and lately nowhere else
	Both    Elsewhere = "both"    // the client itself, as well
	Person  Elsewhere = "person"  // another client of the same account
	Nowhere Elsewhere = "nowhere" // nobody of the account
)

// Affected is a client that came in a way that a Scenario closes.
type Affected struct {
	Client    Client    `json:"client"`
	Ways      []string  `json:"ways"` // that would be closed, in words
	From      Address   `json:"from"` // from where it came so last
	Sessions  int       `json:"sessions"`
	Days      int       `json:"days"` // on which there were any
	Last      time.Time `json:"last"`
	Elsewhere Elsewhere `json:"elsewhere"`
	OtherLast time.Time `json:"other_last,omitzero"` // when it, or the other client, came the other way
	Others    []string  `json:"others,omitempty"`    // names of the account's clients that come the other way
	Do        string    `json:"do"`
}

// Forecast is what a Scenario would break, had it been so in the last days.
type Forecast struct {
	Scenario Scenario  `json:"scenario"`
	From     time.Time `json:"from"` // what was seen since is counted
	To       time.Time `json:"to"`
	Summary  string    `json:"summary"`

	Affected []Affected `json:"affected"` // those who would be cut off: the worst first
	Moved    []Affected `json:"moved"`    // those who were seen in that way, but no longer are

	People    int `json:"people"`     // accounts with an affected client
	CutOff    int `json:"cut_off"`    // of them, that would have no way in that was seen
	OtherWise int `json:"otherwise"`  // clients that would notice nothing
	AllPeople int `json:"all_people"` // accounts of which anything was seen

	// Strangers cannot sign in as it is; so they lose nothing but the chance.
	Strangers []Stranger `json:"strangers"`
	Unknown   []string   `json:"unknown"` // what cannot be known, in words
}

// Simulate counts what a change would have broken in the last 30 days.
func (inv *Inventory) Simulate(s Scenario) (Forecast, error) {
	if s.Change != TLS13 && s.Change != NoPlain && (s.Change != Close || s.Port == "") {
		return Forecast{}, fmt.Errorf("%q: %w", clean(string(s.Change), maxReason), ErrScenario)
	}
	now := inv.now()
	f := Forecast{
		Scenario: s, From: dateOf(dayOf(now) - window + 1), To: now.UTC(),
		Affected: []Affected{}, Moved: []Affected{}, Strangers: []Stranger{},
	}
	if since := inv.Since(); since.After(f.From) {
		f.From = since
	}
	clients := inv.Clients(Query{Since: dateOf(dayOf(f.From))})
	of := map[string][]*Client{}
	for i := range clients {
		of[clients[i].AccountID] = append(of[clients[i].AccountID], &clients[i])
	}
	f.AllPeople = len(of)
	for _, all := range of {
		f.count(all)
	}
	worst := []Elsewhere{Nowhere, Person, Both, Moved}
	order := func(a, b Affected) int {
		return cmp.Or(cmp.Compare(slices.Index(worst, a.Elsewhere), slices.Index(worst, b.Elsewhere)),
			cmp.Compare(b.Sessions, a.Sessions), cmp.Compare(a.Client.ID, b.Client.ID))
	}
	slices.SortFunc(f.Affected, order)
	slices.SortFunc(f.Moved, order)
	f.Strangers = slices.DeleteFunc(inv.Strangers(Query{Port: s.Port, Since: f.From}), func(v Stranger) bool { return !s.concerns(&v) })
	f.Summary = f.summarize()
	f.Unknown = f.unknown(inv)
	return f, nil
}

// closes tells whether a way is one that the change closes.
func (s *Scenario) closes(u *Use) bool {
	switch {
	case s.Port != "" && u.Port != s.Port:
		return false
	case s.Change == TLS13:
		return u.TLS != tls13
	case s.Change == NoPlain:
		return isPlain(u.Mechanism)
	}
	return true
}

// concerns tells whether a stranger may have to do with the change: one in the
// office, or where somebody is known.
func (s *Scenario) concerns(v *Stranger) bool {
	switch {
	case !v.Local && len(v.Accounts) == 0 || s.Change == NoPlain:
		return false
	case s.Change == TLS13:
		return slices.ContainsFunc(v.Uses, func(k Knock) bool { return k.Offered != "" && k.Offered != tls13 })
	}
	return true
}

// side sums up the ways of a client that a change closes, or those that it leaves.
type side struct {
	sessions    int
	days        map[time.Time]bool
	first, last time.Time
	from        netip.Addr // at the last time
	ways        []string
	better      bool
}

func (f *Forecast) side(c *Client, closed bool) side {
	s := side{days: map[time.Time]bool{}}
	from := dateOf(dayOf(f.From))
	for i := range c.Uses {
		u := &c.Uses[i]
		if f.Scenario.closes(u) != closed || u.Last.Before(from) {
			continue
		}
		for _, d := range u.Days {
			if !d.Date.Before(from) && d.Sessions > 0 {
				s.sessions += d.Sessions
				s.days[d.Date] = true
			}
		}
		if s.first.IsZero() || u.First.Before(s.first) {
			s.first = u.First
		}
		if u.Last.After(s.last) {
			s.last, s.from = u.Last, u.From
		}
		s.better = s.better || u.Better
		if way := f.Scenario.way(u); !slices.Contains(s.ways, way) {
			s.ways = append(s.ways, way)
		}
	}
	return s
}

// way names what would be closed.
func (s *Scenario) way(u *Use) string {
	port := "port " + strconv.Itoa(u.Number)
	switch s.Change {
	case TLS13:
		return u.TLS + " on " + port
	case NoPlain:
		return u.Mechanism + " on " + port
	}
	return port
}

// count adds the clients of one account.
func (f *Forecast) count(all []*Client) {
	open := map[*Client]side{} // that come the other way
	for _, c := range all {
		if s := f.side(c, false); s.sessions > 0 {
			open[c] = s
		}
	}
	hit := false
	for _, c := range all {
		closed := f.side(c, true)
		if closed.sessions == 0 {
			f.OtherWise++
			continue
		}
		a := Affected{
			Client: *c, Ways: closed.ways, From: c.at(closed.from), Sessions: closed.sessions, Days: len(closed.days), Last: closed.last,
			Elsewhere: Nowhere, Do: f.advice(c, &closed),
		}
		if s, ok := open[c]; ok {
			a.Elsewhere, a.OtherLast = Both, s.last
			if hasMoved(&closed, &s) {
				a.Elsewhere = Moved
				a.Do = "Nothing, unless it still has the old setting beside the new one."
				f.Moved = append(f.Moved, a)
				continue
			}
		} else {
			for _, other := range all {
				s, ok := open[other]
				if !ok {
					continue
				}
				a.Elsewhere = Person
				a.Others = append(a.Others, other.Name())
				if s.last.After(a.OtherLast) {
					a.OtherLast = s.last
				}
			}
		}
		hit = true
		f.Affected = append(f.Affected, a)
	}
	if hit {
		f.People++
		if len(open) == 0 {
			f.CutOff++
		}
	}
}

// hasMoved tells whether a client went over: it has come the other way alone since
// it did for the first time, or for days.
func hasMoved(closed, open *side) bool {
	const enough = 3 // days
	if open.first.After(closed.last) {
		return true
	}
	since := 0
	for day := range open.days {
		if day.After(closed.last) {
			since++
		}
	}
	return since >= enough
}
