package access

import (
	"math"
	"time"
)

// fading is a sum of which half is left after each half-life.
type fading struct {
	sum float64
	at  int64 // Unix time in nanoseconds at which it was sum; 0 means never
}

func (f *fading) now(now time.Time, halfLife time.Duration) float64 {
	age := max(0, time.Duration(now.UnixNano()-f.at))
	return f.sum * math.Exp2(-age.Seconds()/halfLife.Seconds())
}

// add returns the sum with what was added.
func (f *fading) add(now time.Time, halfLife time.Duration, weight float64) float64 {
	f.sum = f.now(now, halfLife) + weight
	f.at = now.UnixNano()
	return f.sum
}
