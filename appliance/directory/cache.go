package directory

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"

	"pillarbox/storage"
)

const (
	cacheTTL  = 5 * time.Minute
	cacheHad  = 24 * time.Hour // for which it is known that a password was right
	cacheSize = 4096           // entries of about 150 octets
)

// cache remembers passwords that were verified; package doc says why that is
// safe. An entry is believed for cacheTTL from its verification, however often it
// is used, and stays until it is pushed out.
type cache struct {
	now func() time.Time
	key [sha256.Size]byte

	mu      sync.Mutex
	entries map[mac]verified
	ring    []mac // in the order they came; the oldest is at head once it is full
	head    int
}

type mac [sha256.Size]byte

type verified struct {
	account storage.AccountID
	at      time.Time
}

func newCache(now func() time.Time) *cache {
	c := &cache{now: now, entries: map[mac]verified{}}
	rand.Read(c.key[:]) // never fails
	return c
}

// sum is the HMAC of its three parts; lengths keep their borders apart.
func (c *cache) sum(id storage.AccountID, credential, password string) (m mac) {
	h := hmac.New(sha256.New, c.key[:])
	for _, s := range [...]string{string(id), credential, password} {
		var n [4]byte
		binary.BigEndian.PutUint32(n[:], uint32(len(s)))
		h.Write(n[:])
		h.Write([]byte(s))
	}
	h.Sum(m[:0])
	return m
}

func (c *cache) has(id storage.AccountID, credential, password string) bool {
	return c.within(id, credential, password, cacheTTL)
}

// had tells whether a password was right within a day. It opens nothing.
func (c *cache) had(id storage.AccountID, credential, password string) bool {
	return c.within(id, credential, password, cacheHad)
}

func (c *cache) within(id storage.AccountID, credential, password string, most time.Duration) bool {
	m := c.sum(id, credential, password)
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.entries[m]
	// The wall clock may have jumped back; then nothing can be said.
	age := c.now().Sub(v.at)
	return ok && age >= 0 && age < most
}

func (c *cache) put(id storage.AccountID, credential, password string) {
	m := c.sum(id, credential, password)
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.entries[m]; !ok {
		c.place(m)
	}
	c.entries[m] = verified{account: id, at: c.now()}
}

// place finds room in the ring for a new entry.
func (c *cache) place(m mac) {
	if len(c.ring) < cacheSize {
		c.ring = append(c.ring, m)
		return
	}
	delete(c.entries, c.ring[c.head])
	c.ring[c.head] = m
	c.head = (c.head + 1) % cacheSize
}

// drop forgets an account. Safety does not hang on it, since entries of a
// credential that is gone are never asked for; secrets just do not stay.
func (c *cache) drop(id storage.AccountID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for m, v := range c.entries {
		if v.account == id {
			delete(c.entries, m)
		}
	}
}
