package timesync

import (
	"cmp"
	"errors"
	"slices"
	"time"
)

// Sample is what one server said.
type Sample struct {
	Server string
	// Offset is to be added to the clock; Error bounds how wrong that can be
	// if the server is right.
	Offset, Error time.Duration
	Stratum       int
}

// errDisagree says that no more than half of the servers agree.
var errDisagree = errors.New("the time servers do not agree")

// Agree returns the sample that is the best of those that more than half of all
// agree with: the smallest error among those whose bounds overlap (RFC 5905,
// section 11.2.1). One alone is believed.
func Agree(samples []Sample) (best Sample, agreeing int, err error) {
	if len(samples) == 0 {
		return Sample{}, 0, errors.New("no time server answered")
	}
	// The point that lies within the most bounds is the low end of one.
	var most []Sample
	for _, s := range samples {
		at := s.Offset - s.Error
		var there []Sample
		for _, o := range samples {
			if o.Offset-o.Error <= at && at <= o.Offset+o.Error {
				there = append(there, o)
			}
		}
		if len(there) > len(most) {
			most = there
		}
	}
	if 2*len(most) <= len(samples) {
		return Sample{}, len(most), errDisagree
	}
	best = slices.MinFunc(most, func(a, b Sample) int { return cmp.Compare(a.Error, b.Error) })

	return best, len(most), nil
}
