package ports

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"time"
)

const daySeconds = 24 * 60 * 60

// dayOf returns the day of UTC, counted from 1970.
func dayOf(t time.Time) int { return int(t.Unix() / daySeconds) }

func dateOf(day int) time.Time { return time.Unix(int64(day)*daySeconds, 0).UTC() }

// days counts by day, the oldest first.
type days []dayCount

type dayCount struct {
	day      int
	sessions uint32
	failures uint32
}

// at returns the counts of a day. However a clock jumps, there are not more than
// maxKeep of them: the oldest goes, or counts for one that is older still.
func (d *days) at(day int) *dayCount {
	i, found := slices.BinarySearchFunc(*d, day, func(c dayCount, day int) int { return c.day - day })
	switch {
	case found:
	case len(*d) < maxKeep:
		*d = slices.Insert(*d, i, dayCount{day: day})
	case i > 0:
		i--
		copy((*d)[:i], (*d)[1:i+1])
		(*d)[i] = dayCount{day: day}
	}
	return &(*d)[i]
}

// since forgets the days before one.
func (d *days) since(day int) {
	i, _ := slices.BinarySearchFunc(*d, day, func(c dayCount, day int) int { return c.day - day })
	if i > 0 {
		*d = slices.Delete(*d, 0, i)
	}
}

// sum returns the counts from a day on, and on how many days there were any.
func (d days) sum(from int) (sessions, failures, n int) {
	for _, c := range d {
		if c.day >= from {
			sessions, failures, n = sessions+int(c.sessions), failures+int(c.failures), n+1
		}
	}
	return sessions, failures, n
}

func (d days) shown() []Day {
	all := make([]Day, len(d))
	for i, c := range d {
		all[i] = Day{Date: dateOf(c.day), Sessions: int(c.sessions), Failures: int(c.failures)}
	}
	return all
}

var errDays = errors.New("not days")

// MarshalText implements encoding.TextMarshaler: of each day the distance from
// the one before and the counts, as varints, in base64.
func (d days) MarshalText() ([]byte, error) {
	var b []byte
	last := 0
	for _, c := range d {
		b = binary.AppendUvarint(b, uint64(c.day-last))
		b = binary.AppendUvarint(b, uint64(c.sessions))
		b = binary.AppendUvarint(b, uint64(c.failures))
		last = c.day
	}
	return base64.RawStdEncoding.AppendEncode(nil, b), nil
}

// maxDay is far away, and no product of it overflows.
const maxDay = 1 << 20

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *days) UnmarshalText(text []byte) error {
	if base64.RawStdEncoding.DecodedLen(len(text)) > maxKeep*3*binary.MaxVarintLen32 {
		return errDays
	}
	b, err := base64.RawStdEncoding.AppendDecode(nil, text)
	if err != nil {
		return errDays
	}
	*d = nil
	next := func(limit uint64) (v uint64) {
		v, n := binary.Uvarint(b)
		if n <= 0 || v > limit {
			err, b = errDays, nil
			return 0
		}
		b = b[n:]
		return v
	}
	last := 0
	for len(b) > 0 {
		step := next(maxDay)
		c := dayCount{last + int(step), uint32(next(math.MaxUint32)), uint32(next(math.MaxUint32))}
		if err != nil || step == 0 || c.day > maxDay || len(*d) >= maxKeep {
			return errDays
		}
		*d, last = append(*d, c), c.day
	}
	return nil
}

// more adds one, and stays at what fits.
func more(n *uint32) {
	if *n < math.MaxUint32 {
		*n++
	}
}
