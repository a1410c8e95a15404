package audit

import (
	"errors"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Bounds of what is summarised.
const (
	// firstAfter is how long the first of its kind may wait to be written.
	firstAfter = time.Minute

	// How many different ones of a kind are told apart at a time. Each takes
	// some 900 octets of memory and, if it is written, some 200 of the disk.
	maxStrange = 1024 // of what strangers can make happen
	maxKnown   = 4096

	// What a kind may write in a day, in octets: a flood that lasts for weeks
	// does not push out what else the book keeps.
	dailyStrange = 1 << 20
	dailyKnown   = 8 << 20

	// maxTogether is how many are written by one write.
	maxTogether = 1000

	// maxPart bounds one value of what is summarised, in octets.
	maxPart = 128
)

// othersName is the value of a record that counts what was not told apart.
const othersName = "others"

// summary counts events that are alike, until they are written.
type summary struct {
	mu    sync.Mutex
	kinds map[Kind]*counts
}

// counts are those of one kind.
type counts struct {
	spec   Spec
	most   int     // alike has no more
	daily  float64 // octets
	alike  map[string]*alike
	others alike
	budget float64 // octets that may be written
	filled time.Time
}

func newCounts(spec Spec, now time.Time) *counts {
	c := &counts{spec: spec, most: maxKnown, daily: dailyKnown, alike: map[string]*alike{}, filled: now}
	if spec.strangers {
		c.most, c.daily = maxStrange, dailyStrange
	}
	c.budget = c.daily
	c.others.values = map[string]string{othersName: "too many different ones to be told apart"}

	return c
}

// alike are events of which all values are the same.
type alike struct {
	values      map[string]string
	first, last time.Time
	count       uint64    // that are not written yet
	due         time.Time // when they are to be
}

func newSummary() *summary { return &summary{kinds: map[Kind]*counts{}} }

// add counts n events that are alike.
func (s *summary) add(now time.Time, spec Spec, n int, values map[string]string) {
	var key strings.Builder
	for _, name := range spec.Values {
		v := values[name]
		if len(v) > maxPart {
			v = clean(v[:maxPart])
			values[name] = v
		}
		key.WriteString(v)
		key.WriteByte(0) // which no value has, see clean
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.kinds[spec.Kind]
	if c == nil {
		c = newCounts(spec, now)
		s.kinds[spec.Kind] = c
	}
	a := c.alike[key.String()]
	switch {
	case a != nil:
	case len(c.alike) < c.most:
		a = &alike{values: values}
		c.alike[key.String()] = a
	default:
		a = &c.others
	}
	if a.due.IsZero() {
		a.due = now.Add(firstAfter)
	}
	a.add(uint64(max(1, n)), now, now)
}

func (a *alike) add(n uint64, first, last time.Time) {
	if a.count == 0 {
		a.first = first
	}
	a.count += n
	a.last = last
}

// entry returns what is to be written.
func (a *alike) entry(kind Kind) entry {
	values := maps.Clone(a.values)
	if a.count > 1 {
		values[ValueCount] = strconv.FormatUint(a.count, 10)
		values[ValueSince] = stamp(a.first).Format(time.RFC3339)
	}

	return entry{at: a.last, kind: kind, values: values}
}

// flush writes what is due, or, with all set, everything. If write fails, all
// of that book is due again. There is one flush at a time, and it holds nobody
// up who adds.
func (s *summary) flush(now time.Time, all bool, write func(Book, ...entry) error) error {
	var errs []error
	for _, b := range []Book{Acts, Access} {
		for {
			entries, written := s.collect(now, b, all)
			if len(entries) == 0 {
				break
			}
			if err := write(b, entries...); err != nil {
				errs = append(errs, err)
				break
			}
			s.mu.Lock()
			for _, f := range written {
				f()
			}
			s.mu.Unlock()
		}
	}

	return errors.Join(errs...)
}

// collect returns what is to be written into a book, and what is to be done then.
func (s *summary) collect(now time.Time, b Book, all bool) (entries []entry, written []func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.kinds {
		if c.spec.Book != b {
			continue
		}
		c.fill(now)
		budget := c.budget
		take := func(a *alike) {
			e, n := a.entry(c.spec.Kind), a.count
			cost := e.size()
			budget -= cost
			entries = append(entries, e)
			written = append(written, func() {
				c.budget -= cost
				a.count, a.first, a.due = a.count-n, now, c.nextDue(now)
			})
		}
		for key, a := range c.alike {
			switch {
			case len(entries) >= maxTogether || !all && !c.isDue(a, now):
			case a.count == 0: // silent for a whole window
				delete(c.alike, key)
			case budget < 0:
				c.others.add(a.count, a.first, a.last)
				delete(c.alike, key)
			default:
				take(a)
			}
		}
		// That is one record in a window, whatever the budget.
		if o := &c.others; o.count > 0 && (all || c.isDue(o, now)) {
			take(o)
		}
	}

	return entries, written
}

// isDue tells whether something is to be written, also where the clock was set
// back since that was decided.
func (c *counts) isDue(a *alike, now time.Time) bool {
	return !now.Before(a.due) || a.due.Sub(now) > max(firstAfter, c.spec.Window)
}

// nextDue is the end of the window that now is in, so that many share a write.
func (c *counts) nextDue(now time.Time) time.Time {
	return now.Truncate(c.spec.Window).Add(c.spec.Window)
}

// fill adds to the budget what the time since the last call is worth.
func (c *counts) fill(now time.Time) {
	c.budget = min(c.daily, c.budget+c.daily*float64(max(0, now.Sub(c.filled)))/float64(day))
	c.filled = now
}

// size is about what an entry takes on the disk, in octets.
func (e *entry) size() float64 {
	n := 64 + len(e.kind)
	for name, value := range e.values {
		n += len(name) + len(value) + 3
	}

	return float64(n)
}
