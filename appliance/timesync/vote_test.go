package timesync_test

import (
	"testing"
	"time"

	"pillarbox/appliance/timesync"
)

func TestOnlyWhatMoreThanHalfAgreeOnIsBelieved(t *testing.T) {
	s := func(offset, bound time.Duration) timesync.Sample {
		return timesync.Sample{Offset: offset, Error: bound}
	}
	const ms = time.Millisecond
	for name, c := range map[string]struct {
		samples  []timesync.Sample
		want     time.Duration
		agreeing int
		fails    bool
	}{
		"none":                              {fails: true},
		"one alone":                         {samples: []timesync.Sample{s(time.Hour, ms)}, want: time.Hour, agreeing: 1},
		"two that agree: the better one":    {samples: []timesync.Sample{s(10*ms, 20*ms), s(15*ms, 5*ms)}, want: 15 * ms, agreeing: 2},
		"two that differ":                   {samples: []timesync.Sample{s(0, ms), s(time.Hour, ms)}, fails: true},
		"one liar of three":                 {samples: []timesync.Sample{s(time.Hour, ms), s(1*ms, 5*ms), s(2*ms, 6*ms)}, want: 1 * ms, agreeing: 2},
		"two liars of four":                 {samples: []timesync.Sample{s(time.Hour, ms), s(time.Hour, ms), s(1*ms, 5*ms), s(2*ms, 6*ms)}, fails: true},
		"three that all differ":             {samples: []timesync.Sample{s(0, ms), s(time.Hour, ms), s(-time.Hour, ms)}, fails: true},
		"one that is very unsure, and sure": {samples: []timesync.Sample{s(time.Second, 2*time.Second), s(0, ms), s(1*ms, ms)}, want: 0, agreeing: 3},
	} {
		t.Run(name, func(t *testing.T) {
			best, agreeing, err := timesync.Agree(c.samples)
			if (err != nil) != c.fails {
				t.Fatalf("Agree: %v", err)
			}
			if !c.fails && (best.Offset != c.want || agreeing != c.agreeing) {
				t.Errorf("Agree = %s by %d, want %s by %d", best.Offset, agreeing, c.want, c.agreeing)
			}
		})
	}
}
