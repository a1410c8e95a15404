package access

import (
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"
)

// What failed sign-ins weigh, and how fast that fades. A dictionary of names
// finds an account that exists seldom; a person mistypes a password.
const (
	weighPassword = 1
	weighUnknown  = 3
	banHalfLife   = time.Hour
	// trustTime is how long an address counts as somebody's after a right
	// sign-in: a weekend and some.
	trustTime = 96 * time.Hour
	// stepTime is how long after a ban's end the next one is a step shorter
	// again.
	stepTime = 7 * 24 * time.Hour
)

// measure says when something is banned, and for how long. Sums are of
// weights, each of a different credential.
type measure struct {
	address   float64 // of an address
	account   float64 // of an account from one address
	strangers float64 // different names without an account, which make even a trusted address hostile
	steps     []time.Duration
}

// measureFor is milder with the office's own network: who is locked out there
// has no other way in, and somebody can walk over to the machine.
func measureFor(from netip.Prefix) measure {
	if private(from.Addr()) {
		return measure{
			address: 90, account: 10, strangers: 60,
			steps: []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour},
		}
	}
	return measure{
		address: 30, account: 10, strangers: 20,
		steps: []time.Duration{10 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour},
	}
}

// Ban is an address or network that may not connect, or, with an account, that
// may not sign in to it.
type Ban struct {
	Network  netip.Prefix `json:"network"`
	Account  string       `json:"account,omitempty"`
	Reason   string       `json:"reason"`
	Since    time.Time    `json:"since"`
	Until    time.Time    `json:"until"`
	Times    int          `json:"times"`              // how often it was banned, this time counted
	Manual   bool         `json:"manual,omitempty"`   // an administrator did it
	Attempts int          `json:"attempts,omitempty"` // failed sign-ins before it
	Tried    []string     `json:"tried,omitempty"`    // the newest names that they were for
	Refused  int64        `json:"refused"`            // connections and sign-ins since it began
}

// Allowed is a network that is never banned.
type Allowed struct {
	Network netip.Prefix `json:"network"`
	Note    string       `json:"note,omitempty"`
	Since   time.Time    `json:"since"`
}

// banKey is what a record is found by.
type banKey struct {
	network netip.Prefix
	account string // "" means the whole address
}

func (k banKey) String() string { return k.network.String() + " " + k.account }

// banRecord is a ban, and afterwards the memory of it, as it is stored.
type banRecord struct {
	Ban

	Level int `json:"level"` // steps of the measure, as they were at Until

	stored bool // some form of it is, or is just being
}

func (r *banRecord) key() banKey { return banKey{r.Network, r.Account} }

func (r *banRecord) active(now time.Time) bool { return now.Before(r.Until) }

// level returns how many steps are remembered.
func (r *banRecord) level(now time.Time) int {
	quiet := now.Sub(r.Until)
	if quiet <= 0 {
		return r.Level
	}
	return max(0, r.Level-int(quiet/stepTime))
}

// forgotten tells whether nothing follows from the record any more.
func (r *banRecord) forgotten(now time.Time) bool { return !r.active(now) && r.level(now) == 0 }

// extend bans by the measure, a step longer than the last time.
func (r *banRecord) extend(now time.Time, steps []time.Duration) {
	r.Level = min(r.level(now)+1, len(steps))
	if until := now.Add(steps[r.Level-1]); until.After(r.Until) {
		r.Until = until
		r.Manual = false
	}
	r.Since = now
	r.Times++
	r.Refused = 0
}

// Bounds of what is kept of a suspect: 1 KB at most.
const (
	maxCredentials = 64
	maxStrangers   = 32
	maxTried       = 5
	maxTriedName   = 48  // octets
	maxAccountName = 320 // octets: a local part of 64 and a domain
)

// suspect is a source from which sign-ins failed.
type suspect struct {
	score     fading
	strangers fading
	attempts  int
	// counted are hashes of the credentials that counted, the newest first: a
	// telephone that repeats one for weeks does not count again.
	counted []uint64
	names   []uint64 // the same of names without an account
	tried   []string
}

// first puts a hash in front and tells whether it was not there yet.
func first(list *[]uint64, h uint64, bound int) bool {
	l := *list
	i := slices.Index(l, h)
	fresh := i < 0
	if fresh {
		if len(l) < bound {
			l = append(l, 0)
		}
		i = len(l) - 1
	}
	copy(l[1:i+1], l[:i])
	l[0] = h
	*list = l
	return fresh
}

// note remembers a name for the list of bans.
func (s *suspect) note(name string) {
	s.attempts++
	name = cleanText(name, maxTriedName)
	if i := slices.Index(s.tried, name); i >= 0 {
		s.tried = slices.Delete(s.tried, i, i+1)
	}
	s.tried = slices.Insert(s.tried, 0, strings.Clone(name))
	s.tried = s.tried[:min(len(s.tried), maxTried)]
}

// cleanText makes what a stranger sent safe to print and bounds it.
func cleanText(s string, most int) string {
	s = strings.ToValidUTF8(s[:min(len(s), most)], string(unicode.ReplacementChar))
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}
