package access

import (
	"container/list"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"math"
	"net"
	"sync"
	"time"
)

// The throttle's measure. Failures count in full at first and half after
// halfLife. Above the free number each further one doubles the time between
// two attempts, beginning with firstDelay.
const (
	halfLife   = 10 * time.Minute
	firstDelay = 500 * time.Millisecond
	// maxDelay is the most that an attempt waits for its turn; clients give
	// up after 20 to 60 s.
	maxDelay = 15 * time.Second

	// An office behind one address mistypes this much in ten minutes.
	freePerAddress = 20
	freePerAccount = 4
	// A phone with a stale password repeats it; that harms nobody but it.
	freePerSecret = 3

	// maxCounters bounds memory: about 250 octets each.
	maxCounters = 16_384
)

// ThrottleConfig says how a Throttle works.
type ThrottleConfig struct {
	Now func() time.Time // nil means time.Now
}

// Throttle slows down who guesses passwords. It counts failed log-ins by
// address (IPv4 address or IPv6 /64), by account and address, and by account,
// address and credential. The same wrong credential counts only once for the
// first two, so that one phone with a stale password does not lock out an
// office behind one address; and a credential that was right from an address
// is never slowed down from there.
//
// It keeps no password: counters are found by an HMAC under a key of this
// process. The least recently used are forgotten, and all of them at a restart.
type Throttle struct {
	now func() time.Time
	key [sha256.Size]byte

	mu       sync.Mutex
	counters map[counterKey]*list.Element // of *counter
	recent   *list.List                   // most recently used first
}

type counterKey [16]byte

type counter struct {
	key   counterKey
	score float64 // failures, fading
	at    time.Time
	next  time.Time // when the next attempt may be made
	good  bool      // of a credential: it was right
}

// NewThrottle returns a Throttle that knows of no failure. c may be nil.
func NewThrottle(c *ThrottleConfig) *Throttle {
	t := &Throttle{now: time.Now, counters: map[counterKey]*list.Element{}, recent: list.New()}
	if c != nil && c.Now != nil {
		t.now = c.Now
	}
	rand.Read(t.key[:]) // never fails
	return t
}

// Delay is asked before a log-in is checked. It says how long to wait before
// that, and reserves the turn, so that parallel attempts gain nothing. If ok is
// false too many wait already and the attempt is to be refused unchecked.
// account is the name as the client gave it, folded to one spelling.
func (t *Throttle) Delay(remote net.Addr, account, credential string) (d time.Duration, ok bool) {
	keys := t.keys(remote, account, credential)
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	if c := t.find(keys.credential); c != nil && c.good {
		return 0, true
	}
	limits := [...]struct {
		key  counterKey
		free float64
	}{
		{keys.address, freePerAddress},
		{keys.account, freePerAccount},
		{keys.credential, freePerSecret},
	}
	var slow [len(limits)]*counter
	for i, l := range limits {
		c := t.find(l.key)
		if c == nil || c.faded(now) < l.free {
			continue
		}
		slow[i] = c
		d = max(d, c.next.Sub(now))
	}
	if d > maxDelay {
		return d, false
	}
	turn := now.Add(d)
	for i, c := range slow {
		if c != nil {
			c.next = turn.Add(gap(c.faded(now) - limits[i].free))
		}
	}
	return d, true
}

// Failed counts a log-in whose name or password was wrong.
func (t *Throttle) Failed(remote net.Addr, account, credential string) {
	keys := t.keys(remote, account, credential)
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	c := t.make(keys.credential)
	first := c.good || c.at.IsZero()
	c.good = false
	c.add(now)
	if first {
		t.make(keys.account).add(now)
		t.make(keys.address).add(now)
	}
}

// OK notes that a credential was right. Earlier failures for the account from
// this address were then somebody's own typing errors. The address keeps its
// own count: whoever has one account could guess at others in between.
func (t *Throttle) OK(remote net.Addr, account, credential string) {
	keys := t.keys(remote, account, credential)
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.make(keys.credential)
	c.good, c.score, c.at = true, 0, t.now()
	if e, ok := t.counters[keys.account]; ok {
		t.drop(e)
	}
}

// Len returns how many counters are held.
func (t *Throttle) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.counters)
}

type throttleKeys struct{ address, account, credential counterKey }

func (t *Throttle) keys(remote net.Addr, account, credential string) throttleKeys {
	from := sourceOf(remote).String()
	return throttleKeys{
		address:    t.sum("address", from),
		account:    t.sum("account", from, account),
		credential: t.sum("credential", from, account, credential),
	}
}

// sum hashes its parts with their lengths, so that their borders are kept apart.
func (t *Throttle) sum(parts ...string) (k counterKey) {
	h := hmac.New(sha256.New, t.key[:])
	for _, p := range parts {
		n := len(p)
		h.Write([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
		h.Write([]byte(p))
	}
	copy(k[:], h.Sum(nil))
	return k
}

// find returns a counter and marks it as used; nil if there is none.
func (t *Throttle) find(k counterKey) *counter {
	e, ok := t.counters[k]
	if !ok {
		return nil
	}
	t.recent.MoveToFront(e)
	return e.Value.(*counter)
}

func (t *Throttle) make(k counterKey) *counter {
	if c := t.find(k); c != nil {
		return c
	}
	if len(t.counters) >= maxCounters {
		t.drop(t.recent.Back())
	}
	c := &counter{key: k}
	t.counters[k] = t.recent.PushFront(c)
	return c
}

func (t *Throttle) drop(e *list.Element) {
	delete(t.counters, e.Value.(*counter).key)
	t.recent.Remove(e)
}

// faded returns the score as it counts now.
func (c *counter) faded(now time.Time) float64 {
	age := max(0, now.Sub(c.at))
	return c.score * math.Exp2(-age.Seconds()/halfLife.Seconds())
}

func (c *counter) add(now time.Time) {
	c.score = c.faded(now) + 1
	c.at = now
}

// gap is the time between two attempts when excess failures are above what is free.
func gap(excess float64) time.Duration {
	d := float64(firstDelay) * math.Exp2(excess)
	return time.Duration(min(d, float64(maxDelay)))
}
