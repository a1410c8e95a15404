package ports

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// maxPorts bounds the listeners that there can be.
const maxPorts = 16

// minutes is how long totals are kept to the minute, in memory alone.
const minutes = 24 * 60

// traffic counts what happens at a port.
type traffic struct {
	number  int
	last    int64 // Unix time
	days    []dayTotals
	changed bool

	ring [minutes]Totals
	at   int64 // the minute that was counted last, since 1970
}

// dayTotals is a day, as it is stored.
type dayTotals struct {
	Day int `json:"day"`
	Totals
}

// storedTraffic is the form in which a port's totals are stored.
type storedTraffic struct {
	Number int         `json:"number"`
	Last   int64       `json:"last"`
	Days   []dayTotals `json:"days"`
}

// count adds to the day and the minute.
func (t *traffic) count(now time.Time, add func(*Totals)) {
	t.changed = true
	day := dayOf(now)
	i, found := slices.BinarySearchFunc(t.days, day, func(d dayTotals, day int) int { return d.Day - day })
	switch { // as days.at does it
	case found:
	case len(t.days) < maxKeep:
		t.days = slices.Insert(t.days, i, dayTotals{Day: day})
	case i > 0:
		i--
		copy(t.days[:i], t.days[1:i+1])
		t.days[i] = dayTotals{Day: day}
	}
	add(&t.days[i].Totals)
	minute := now.Unix() / 60
	switch {
	case minute > t.at:
		for m := max(t.at+1, minute-minutes+1); m <= minute; m++ {
			t.ring[m%minutes] = Totals{}
		}
		t.at = minute
	case minute <= t.at-minutes:
		return // the clock was set back
	}
	add(&t.ring[minute%minutes])
}

// between sums up the minutes of which any part is within the times.
func (t *traffic) between(from, to time.Time) (sum Totals) {
	first, last := max(from.Unix()/60, t.at-minutes+1), min(to.Unix()/60, t.at)
	for m := first; m <= last; m++ {
		sum.add(t.ring[m%minutes])
	}
	return sum
}

func (t *Totals) add(o Totals) {
	t.Handshakes += o.Handshakes
	t.FailedShakes += o.FailedShakes
	t.SignIns += o.SignIns
	t.FailedSignIns += o.FailedSignIns
	t.Guesses += o.Guesses
	t.TurnedAway += o.TurnedAway
	t.SilentSessions += o.SilentSessions
}

func (t *traffic) forget(day int) {
	t.days = slices.DeleteFunc(t.days, func(d dayTotals) bool { return d.Day < day })
}

func (t *traffic) shown(name string) Port {
	p := Port{Name: name, Number: t.number, Days: make([]PortDay, len(t.days))}
	if t.last != 0 {
		p.Last = time.Unix(t.last, 0).UTC()
	}
	for i, d := range t.days {
		p.Days[i] = PortDay{Date: dateOf(d.Day), Totals: d.Totals}
	}
	return p
}

func (t *traffic) marshal() ([]byte, error) {
	return json.Marshal(storedTraffic{t.number, t.last, t.days})
}

// readTraffic reads what marshal wrote.
func readTraffic(value []byte) (*traffic, error) {
	if len(value) > maxStored {
		return nil, errRecord
	}
	var s storedTraffic
	if err := json.Unmarshal(value, &s); err != nil {
		return nil, fmt.Errorf("%w: %w", errRecord, err)
	}
	if s.Number < 0 || s.Number > 65535 || len(s.Days) > maxKeep || !within(s.Last) {
		return nil, errRecord
	}
	last := -1
	for _, d := range s.Days {
		if d.Day <= last || d.Day > maxDay || min(d.Handshakes, d.FailedShakes, d.SignIns, d.FailedSignIns, d.Guesses, d.TurnedAway, d.SilentSessions) < 0 {
			return nil, errRecord
		}
		last = d.Day
	}
	return &traffic{number: s.Number, last: s.Last, days: s.Days}, nil
}
