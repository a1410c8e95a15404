package access

import (
	"sync"
	"time"
)

// maxRates bounds the sources whose new connections are counted: some 80 octets
// each. One that is forgotten begins with a full bucket, as one that was quiet
// for some seconds does anyway.
const maxRates = 32_768

// rates bounds how fast each source opens connections: a token bucket for each.
type rates struct {
	now   func() time.Time
	rate  float64 // connections a second
	burst float64

	mu  sync.Mutex
	use *recent[source, bucket]
}

type bucket struct {
	tokens float32
	at     int64 // Unix time in nanoseconds
}

func newRates(now func() time.Time, perMinute, burst int) *rates {
	return &rates{now: now, rate: float64(perMinute) / 60, burst: float64(burst), use: newRecent[source, bucket](maxRates)}
}

// take tells whether a source may open another connection now.
func (r *rates) take(from source) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now().UnixNano()
	b, ok := r.use.get(from)
	if !ok {
		b = bucket{tokens: float32(r.burst), at: now}
	}
	passed := max(0, time.Duration(now-b.at).Seconds())
	tokens := min(r.burst, float64(b.tokens)+passed*r.rate)
	may := tokens >= 1
	if may {
		tokens--
	}
	r.use.put(from, bucket{tokens: float32(tokens), at: now})
	return may
}
