package storage

import (
	"slices"
	"sync"
	"sync/atomic"
)

// maxCached is the number of messages whose listing data stays in memory
// though no session has their mailbox open: 64 octets each, so 32 MiB.
const maxCached = 512 << 10

// cache bounds the memory of mailboxes' content over all accounts.
type cache struct {
	messages atomic.Int64
	evicting sync.Mutex
}

// loaded counts a mailbox's content and makes room for it.
func (c *cache) loaded(s *Store, keep *entry, n int) {
	if c.messages.Add(int64(n)) <= maxCached || !c.evicting.TryLock() {
		return
	}
	defer c.evicting.Unlock()
	for _, e := range s.idleEntries(keep) {
		if c.messages.Load() <= maxCached*3/4 {
			return
		}
		if had := e.content.Swap(nil); had != nil {
			c.messages.Add(int64(-had.Len()))
		}
	}
}

// grown counts the difference a commit made.
func (c *cache) grown(had, has *Snapshot) {
	n := has.Len()
	if had != nil {
		n -= had.Len()
	}
	c.messages.Add(int64(n))
}

// forgotten counts content that is gone.
func (c *cache) forgotten(had *Snapshot) {
	if had != nil {
		c.messages.Add(int64(-had.Len()))
	}
}

// idleEntries lists the mailboxes in memory that nobody watches, those not
// used for longest first.
func (s *Store) idleEntries(keep *entry) []*entry {
	s.mu.Lock()
	slots := make([]*slot, 0, len(s.accounts))
	for _, sl := range s.accounts {
		slots = append(slots, sl)
	}
	s.mu.Unlock()
	var idle []*entry
	for _, sl := range slots {
		// An account that is being opened or removed has nothing to give.
		if !sl.mu.TryLock() {
			continue
		}
		a := sl.account
		sl.mu.Unlock()
		if a == nil {
			continue
		}
		for _, e := range a.tree.Load().entries {
			if e != keep && e.content.Load() != nil && !e.watched() {
				idle = append(idle, e)
			}
		}
	}
	slices.SortFunc(idle, func(a, b *entry) int { return int(a.used.Load() - b.used.Load()) })
	return idle
}
