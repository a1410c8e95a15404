package importer

import (
	"pillarbox/storage"
)

// A batch is fetched over one connection and committed at once. More messages
// save syncs of the disk, fewer keep a transaction small: with bodies up to 4 KiB
// in it, this is half a megabyte.
const (
	batchMessages = 128
	batchBytes    = 4 << 20
)

// batch is some messages of a mailbox, or its end.
type batch struct {
	place   *target
	msgs    []Message
	slots   []slot
	done    chan struct{}     // closed when it is fetched
	ending  *boxNote          // not nil: the mailbox is at its end, and this is its state
	records map[string]*known // with ending: what was known, with what was seen
	bytes   int64
}

// slot is what became of a message.
type slot struct {
	staged *storage.Staged
	bad    error  // why it is to be quarantined
	file   string // with its octets
	size   int64  // of a bad one, -1 if not known
	gone   bool   // at the source
	tries  int    // by itself
	again  bool   // it was quarantined before
}

func newBatch(t *target) *batch { return &batch{place: t, done: make(chan struct{})} }

func (b *batch) add(m Message) {
	b.msgs = append(b.msgs, m)
	b.slots = append(b.slots, slot{size: m.Size})
	b.bytes += max(m.Size, 0)
}

func (b *batch) full() bool { return len(b.msgs) >= batchMessages || b.bytes >= batchBytes }

// drop lets go of what was staged.
func (b *batch) drop() {
	for i := range b.slots {
		b.slots[i].drop()
	}
}

func (s *slot) drop() {
	if s.staged != nil {
		_ = s.staged.Close() // the next start of the server removes what is left
		s.staged = nil
	}
}
