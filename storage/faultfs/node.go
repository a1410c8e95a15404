package faultfs

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// sector is what a disk writes as a whole, in octets.
const sector = 512

// node is a file or a folder.
type node struct {
	id    uint64
	dir   bool
	links int
	path  string // by which it was last reached, for people

	// Of a folder.
	entries map[string]*node // as readers see it
	stable  map[string]*node // on the disk
	changes []change         // of entries, since the last fsync

	// Of a file.
	data  []byte // as readers see it
	disk  []byte
	dirty []write // since the last fsync
}

// change is one step of a folder that happens or does not.
type change struct {
	names map[string]*node // nil: the name is removed
	move  *move            // of which it is one half, or nil
}

// move is a rename across folders, which happens in both or in none.
type move struct{ from, to *node }

// write is one change of a file's content.
type write struct {
	off  int64
	data []byte // nil where the size was set to off
}

// set changes names of a folder in one step.
func (n *node) set(c change) {
	apply(n.entries, c)
	n.changes = append(n.changes, c)
}

func (m *move) rename(from, to string) {
	child := m.from.entries[from]
	m.from.set(change{map[string]*node{from: nil}, m})
	m.to.set(change{map[string]*node{to: child}, m})
}

// settle makes it durable in a folder.
func (m *move) settle(n *node) {
	n.changes = slices.DeleteFunc(n.changes, func(c change) bool {
		if c.move == m {
			apply(n.stable, c)
		}
		return c.move == m
	})
}

func apply(entries map[string]*node, c change) {
	for name, to := range c.names {
		if to == nil {
			delete(entries, name)
		} else {
			entries[name] = to
		}
	}
}

// put changes a file's content.
func (n *node) put(w write) {
	n.data = w.on(n.data)
	n.dirty = append(n.dirty, w)
}

func (w write) on(b []byte) []byte {
	end := w.off + int64(len(w.data))
	if w.data == nil && end < int64(len(b)) {
		return b[:end:end]
	}
	if grown := end - int64(len(b)); grown > 0 {
		b = append(b, make([]byte, grown)...)
	}
	copy(b[w.off:], w.data)
	return b
}

// sync makes all of it durable.
func (n *node) sync() {
	for _, w := range n.dirty {
		n.disk = w.on(n.disk)
	}
	changes := n.changes
	n.dirty, n.changes = nil, nil
	for _, c := range changes {
		apply(n.stable, c)
		if c.move != nil {
			c.move.settle(c.move.from)
			c.move.settle(c.move.to)
		}
	}
}

// syncFailed makes some of a file's content durable and forgets that the rest
// is not.
func (n *node) syncFailed(keep func() bool) {
	n.disk = n.survivors(keep)
	n.dirty = nil
}

// survivors returns what a power cut leaves of a file.
func (n *node) survivors(keep func() bool) []byte {
	b := append([]byte(nil), n.disk...)
	for _, w := range n.dirty {
		if w.data == nil {
			if keep() {
				b = w.on(b)
			}
			continue
		}
		for off := int64(0); off < int64(len(w.data)); {
			end := min((w.off+off)/sector*sector+sector-w.off, int64(len(w.data)))
			if keep() {
				b = write{w.off + off, w.data[off:end]}.on(b)
			}
			off = end
		}
	}
	return b
}

// names returns what a power cut leaves of a folder. moves has what was drawn
// for the other halves.
func (n *node) names(keep func() bool, moves map[*move]bool) map[string]*node {
	m := maps.Clone(n.stable)
	for _, c := range n.changes {
		kept, drawn := moves[c.move]
		if c.move == nil || !drawn {
			kept = keep()
		}
		if c.move != nil {
			moves[c.move] = kept
		}
		if kept {
			apply(m, c)
		}
	}
	return m
}

// Loss says what a power cut leaves of what was not synced.
type Loss func(*rand.Rand) func() bool

// Everything that was not synced is lost.
func Everything(*rand.Rand) func() bool { return func() bool { return false } }

// Nothing is lost.
func Nothing(*rand.Rand) func() bool { return func() bool { return true } }

// Some of it is lost, by chance, and how much is chance, too.
func Some(r *rand.Rand) func() bool {
	share := r.Float64()
	return func() bool { return r.Float64() < share }
}
