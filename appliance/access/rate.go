package access

import (
	"sync"
	"time"
)

// maxRates bounds the keys that are counted: some 100 octets each. One that is
// forgotten begins with a full bucket, as one that was quiet for some seconds
// does anyway.
const maxRates = 32_768

// rates bounds how often each key comes: a token bucket for each.
type rates[K comparable] struct {
	now   func() time.Time
	rate  float64 // a second
	burst float64

	mu  sync.Mutex
	use *recent[K, bucket]
}

type bucket struct {
	tokens float32
	at     int64 // Unix time in nanoseconds
}

func newRates[K comparable](now func() time.Time, perMinute, burst int) *rates[K] {
	return &rates[K]{now: now, rate: float64(perMinute) / 60, burst: float64(burst), use: newRecent[K, bucket](maxRates)}
}

// take tells whether a key may come once more now.
func (r *rates[K]) take(k K) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now().UnixNano()
	b, ok := r.use.get(k)
	if !ok {
		b = bucket{tokens: float32(r.burst), at: now}
	}
	passed := max(0, time.Duration(now-b.at).Seconds())
	tokens := min(r.burst, float64(b.tokens)+passed*r.rate)
	may := tokens >= 1
	if may {
		tokens--
	}
	r.use.put(k, bucket{tokens: float32(tokens), at: now})
	return may
}
