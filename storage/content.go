package storage

import (
	"slices"

	"github.com/emersion/go-imap/v2"
)

// content is a transaction's working copy of a mailbox's messages. Chunks are
// copied when they are first changed; those of the published snapshot are
// never touched.
type content struct {
	chunks []*chunk
	fresh  map[*chunk]bool   // made by this transaction, to be written
	gone   map[imap.UID]bool // bases of chunks to be removed from the disk
}

func newContent(s *Snapshot) *content {
	return &content{chunks: s.chunks, fresh: map[*chunk]bool{}, gone: map[imap.UID]bool{}}
}

// own makes the list of chunks this transaction's.
func (c *content) own() {
	if len(c.fresh) == 0 && len(c.gone) == 0 {
		c.chunks = slices.Clone(c.chunks)
	}
}

// mutable returns chunk i ready to be changed.
func (c *content) mutable(i int) *chunk {
	old := c.chunks[i]
	if c.fresh[old] {
		return old
	}
	c.own()
	n := &chunk{base: old.base, msgs: slices.Clone(old.msgs)}
	c.chunks[i] = n
	c.fresh[n] = true
	return n
}

// add appends a message, whose UID is above all others.
func (c *content) add(m Message) {
	if n := len(c.chunks); n > 0 && len(c.chunks[n-1].msgs) < chunkSize {
		last := c.mutable(n - 1)
		last.msgs = append(last.msgs, m)
		return
	}
	c.own()
	n := &chunk{base: m.UID, msgs: make([]Message, 1, 8)}
	n.msgs[0] = m
	c.chunks = append(c.chunks, n)
	c.fresh[n] = true
}

// each calls f for each message in uids, in order, with its place.
func (c *content) each(uids imap.UIDSet, f func(ci, mi int, m *Message)) {
	for _, r := range c.ranges(uids) {
		for ci := max(chunkFor(c.chunks, r.Start), 0); ci < len(c.chunks); ci++ {
			msgs := c.chunks[ci].msgs
			mi, _ := findUID(msgs, r.Start)
			for ; mi < len(msgs) && msgs[mi].UID <= r.Stop; mi++ {
				f(ci, mi, &msgs[mi])
			}
			if ci+1 < len(c.chunks) && c.chunks[ci+1].base > r.Stop {
				break
			}
		}
	}
}

// ranges returns a UID set as ascending, disjoint ranges with "*" resolved.
func (c *content) ranges(uids imap.UIDSet) []imap.UIDRange {
	var last imap.UID
	for i := len(c.chunks) - 1; i >= 0 && last == 0; i-- {
		if msgs := c.chunks[i].msgs; len(msgs) > 0 {
			last = msgs[len(msgs)-1].UID
		}
	}
	out := make([]imap.UIDRange, 0, len(uids))
	for _, r := range uids {
		if r.Start == 0 {
			r.Start = last
		}
		if r.Stop == 0 {
			r.Stop = last
		}
		if r.Start > r.Stop {
			r.Start, r.Stop = r.Stop, r.Start
		}
		if r.Start > 0 {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b imap.UIDRange) int {
		if a.Start < b.Start {
			return -1
		}
		if a.Start > b.Start {
			return 1
		}
		return 0
	})
	merged := out[:0]
	for _, r := range out {
		if n := len(merged); n > 0 && r.Start <= merged[n-1].Stop {
			merged[n-1].Stop = max(merged[n-1].Stop, r.Stop)
			continue
		}
		merged = append(merged, r)
	}
	return merged
}

// remove takes out the messages for which f is true of those in uids (nil:
// all) and returns copies of them, in order.
func (c *content) remove(uids imap.UIDSet, f func(*Message) bool) []Message {
	if uids == nil {
		uids = imap.UIDSet{{Start: 1, Stop: 1<<32 - 1}}
	}
	var out []Message
	var places []int // chunk of each
	c.each(uids, func(ci, _ int, m *Message) {
		if f(m) {
			out, places = append(out, *m), append(places, ci)
		}
	})
	for i := 0; i < len(out); {
		j := i
		for j < len(out) && places[j] == places[i] {
			j++
		}
		doomed := out[i:j]
		ch := c.mutable(places[i])
		k := 0
		ch.msgs = slices.DeleteFunc(ch.msgs, func(m Message) bool {
			if k < len(doomed) && doomed[k].UID == m.UID {
				k++
				return true
			}
			return false
		})
		i = j
	}
	if len(out) > 0 {
		c.tidy()
	}
	return out
}

// tidy drops empty chunks and joins small neighbours, so that a mailbox that
// was thinned out does not keep a chunk for every few messages.
func (c *content) tidy() {
	kept := make([]*chunk, 0, len(c.chunks))
	for _, ch := range c.chunks {
		if len(ch.msgs) == 0 {
			c.drop(ch)
			continue
		}
		if n := len(kept); n > 0 && (c.fresh[ch] || c.fresh[kept[n-1]]) && len(kept[n-1].msgs)+len(ch.msgs) <= chunkSize/2 {
			prev := kept[n-1]
			joined := &chunk{base: prev.base, msgs: slices.Concat(prev.msgs, ch.msgs)}
			c.drop(prev)
			c.drop(ch)
			c.fresh[joined] = true
			kept[n-1] = joined
			continue
		}
		kept = append(kept, ch)
	}
	c.chunks = kept
}

func (c *content) drop(ch *chunk) {
	delete(c.fresh, ch)
	c.gone[ch.base] = true
}
