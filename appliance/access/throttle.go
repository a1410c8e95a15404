package access

import (
	"math"
	"net"
	"strconv"
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
	// Wrong passwords for one account from everywhere, of each address as
	// many as are free there. Beyond it, whoever has not logged in to the
	// account from where he is takes turns with all others like him, at most
	// crowdDelay apart: a new telephone gets in between the guesses of a
	// thousand machines.
	freePerCrowd = 30
	crowdDelay   = 3 * time.Second
	// So many failures by a mechanism that does not show the credential count
	// as the same one repeated: a telephone tries some dozen times an hour.
	sameUnseen = 16

	// Right log-ins to one account, a minute and at once: a program that opens
	// a connection for each page does not come near. Web mail and proxies on
	// this machine may do more.
	loginsPerMinute = 300
	loginsAtOnce    = 200

	// maxCounters and maxGood bound memory: about 100 octets each.
	maxCounters = 16_384
	maxGood     = 16_384
)

// ThrottleConfig says how a Throttle works.
type ThrottleConfig struct {
	Now func() time.Time // nil means time.Now
}

// Throttle slows down who guesses passwords. It counts failed log-ins by
// address (IPv4 address or IPv6 /64), by account and address, by account,
// address and credential, and by account from wherever. The same wrong
// credential counts only once but for itself, so that one phone with a stale
// password does not lock out an office behind one address; a credential that
// was right from an address is never slowed down from there; and where somebody
// logged in to an account, guesses at it from elsewhere slow nobody down.
//
// It keeps no password: counters are found by an HMAC under a key of this
// process. What was used least recently is forgotten, and all at a restart.
type Throttle struct {
	now  func() time.Time
	hash hasher

	mu       sync.Mutex
	counters *recent[counterKey, *counter]
	// good are credentials that were right and accounts that were logged in
	// to, by address. Strangers cannot push anything out of it.
	good *recent[counterKey, struct{}]

	logins *rates[counterKey]
}

type counter struct {
	score  fading
	next   time.Time // when the next attempt may be made
	unseen int       // by mechanisms that do not show the credential
}

// NewThrottle returns a Throttle that knows of no failure. c may be nil.
func NewThrottle(c *ThrottleConfig) *Throttle {
	t := &Throttle{
		now:      time.Now,
		hash:     newHasher(),
		counters: newRecent[counterKey, *counter](maxCounters),
		good:     newRecent[counterKey, struct{}](maxGood),
	}
	if c != nil && c.Now != nil {
		t.now = c.Now
	}
	t.logins = newRates[counterKey](t.now, loginsPerMinute, loginsAtOnce)
	return t
}

// Known tells whether a credential was right from an address, and not refused
// since.
func (t *Throttle) Known(remote net.Addr, account, credential string) bool {
	k := t.keys(remote, account, credential).credential
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.good.get(k)
	return ok
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
	if _, ok := t.good.get(keys.credential); ok {
		return 0, true
	}
	limits := [...]struct {
		key  counterKey
		free float64
		most time.Duration // between two attempts
	}{
		{keys.address, freePerAddress, maxDelay},
		{keys.account, freePerAccount, maxDelay},
		{keys.credential, freePerSecret, maxDelay},
		{keys.crowd, freePerCrowd, crowdDelay},
	}
	_, regular := t.good.get(keys.account)
	var slow [len(limits)]*counter
	for i, l := range limits {
		c, ok := t.counters.get(l.key)
		if !ok || c.score.now(now, halfLife) < l.free || regular && l.key == keys.crowd {
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
			c.next = turn.Add(min(gap(c.score.now(now, halfLife)-limits[i].free), limits[i].most))
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
	t.good.drop(keys.credential)
	_, again := t.counters.get(keys.credential)
	t.count(keys.credential, now)
	if again {
		return
	}
	t.count(keys.address, now)
	// Who is slowed down by himself is no crowd.
	if t.count(keys.account, now) <= freePerAccount {
		t.count(keys.crowd, now)
	}
}

// OK notes that a credential was right. Earlier failures for the account from
// this address were then somebody's own typing errors. The address keeps its
// own count: whoever has one account could guess at others in between. OK is
// false if the account is logged in to faster than any program needs.
func (t *Throttle) OK(remote net.Addr, account, credential string) bool {
	keys := t.keys(remote, account, credential)
	may := addressOf(remote).IsLoopback() || t.logins.take(keys.crowd)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.good.put(keys.credential, struct{}{})
	t.good.put(keys.account, struct{}{})
	t.counters.drop(keys.credential)
	t.counters.drop(keys.account)
	return may
}

// Unseen returns what stands for the credential of a failed log-in by a mechanism
// that does not show it. Nobody can tell a telephone that repeats a stale
// password from one that guesses: the first of a row count as the same one, and
// who goes on for long has guessed. It is called once for each.
func (t *Throttle) Unseen(remote net.Addr, account string) string {
	k := t.hash.sum("unseen", sourceOf(remote).String(), account)
	t.mu.Lock()
	defer t.mu.Unlock()
	c, ok := t.counters.get(k)
	if !ok {
		c = &counter{}
		t.counters.put(k, c)
	}
	c.unseen++
	return "\x00unseen " + strconv.Itoa((c.unseen-1)/sameUnseen)
}

// Len returns how many counters are held.
func (t *Throttle) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counters.len() + t.good.len()
}

type throttleKeys struct{ address, account, credential, crowd counterKey }

func (t *Throttle) keys(remote net.Addr, account, credential string) throttleKeys {
	from := sourceOf(remote).String()
	return throttleKeys{
		address:    t.hash.sum("address", from),
		account:    t.hash.sum("account", from, account),
		credential: t.hash.sum("credential", from, account, credential),
		crowd:      t.hash.sum("crowd", account),
	}
}

// count counts a failure and returns how many there are.
func (t *Throttle) count(k counterKey, now time.Time) float64 {
	c, ok := t.counters.get(k)
	if !ok {
		c = &counter{}
		t.counters.put(k, c)
	}
	return c.score.add(now, halfLife, 1)
}

// gap is the time between two attempts when excess failures are above what is free.
func gap(excess float64) time.Duration {
	d := float64(firstDelay) * math.Exp2(excess)
	return time.Duration(min(d, float64(maxDelay)))
}
