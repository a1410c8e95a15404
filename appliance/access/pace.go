package access

import (
	"sync"
	"time"
)

// pace is a token bucket that keeps a log from being filled by strangers.
type pace struct {
	now   func() time.Time
	rate  float64 // tokens a second
	burst float64

	mu      sync.Mutex
	tokens  float64
	last    time.Time
	leftOut int
}

func newPace(now func() time.Time, rate, burst float64) *pace {
	return &pace{now: now, rate: rate, burst: burst, tokens: burst, last: now()}
}

// take tells whether a line may be written, and how many were left out before it.
func (p *pace) take() (leftOut int, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	p.tokens = min(p.burst, p.tokens+max(0, now.Sub(p.last).Seconds())*p.rate)
	p.last = now
	if p.tokens < 1 {
		p.leftOut++
		return 0, false
	}
	p.tokens--
	leftOut, p.leftOut = p.leftOut, 0
	return leftOut, true
}
