package storage

import (
	"iter"
	"slices"
	"sort"

	"github.com/emersion/go-imap/v2"
)

// chunkSize is the number of messages a chunk holds at most. A flag change
// rewrites one chunk: 128 records take about 2.5 KiB on disk, less than a
// bbolt page, and 8 KiB in memory.
const chunkSize = 128

// chunk is a run of a mailbox's messages. It is immutable once published.
type chunk struct {
	base imap.UID // key on disk; at most the UID of msgs[0]
	high ModSeq   // the highest of msgs; 0 until a snapshot holds the chunk
	msgs []Message
}

// Snapshot is the content of a mailbox at one moment, sorted by UID. It is
// immutable and safe to keep.
type Snapshot struct {
	mailbox  *Mailbox
	keywords []string
	chunks   []*chunk
	starts   []int // position of each chunk's first message
	n        int
}

func newSnapshot(mb *Mailbox, keywords []string, chunks []*chunk) *Snapshot {
	s := &Snapshot{mailbox: mb, keywords: keywords, chunks: chunks, starts: make([]int, len(chunks))}
	for i, c := range chunks {
		s.starts[i] = s.n
		s.n += len(c.msgs)
		if c.high == 0 { // else another snapshot has it, and others read it
			for k := range c.msgs {
				c.high = max(c.high, c.msgs[k].ModSeq)
			}
		}
	}
	return s
}

// Mailbox returns the mailbox as it was then.
func (s *Snapshot) Mailbox() *Mailbox { return s.mailbox }

// Len returns the number of messages.
func (s *Snapshot) Len() int { return s.n }

// At returns message i, counted from 0; it must not be changed.
func (s *Snapshot) At(i int) *Message {
	c := s.chunkAt(i)
	return &s.chunks[c].msgs[i-s.starts[c]]
}

// chunkAt returns the index of the chunk that holds position i.
func (s *Snapshot) chunkAt(i int) int {
	return sort.Search(len(s.starts), func(c int) bool { return s.starts[c] > i }) - 1
}

// Find returns the position of a UID, or where it would stand, and whether it is there.
func (s *Snapshot) Find(uid imap.UID) (int, bool) {
	c := chunkFor(s.chunks, uid)
	if c < 0 {
		return 0, false
	}
	i, ok := findUID(s.chunks[c].msgs, uid)
	return s.starts[c] + i, ok
}

// All iterates over positions and messages from position i on. It is cheaper than At in a loop.
func (s *Snapshot) All(i int) iter.Seq2[int, *Message] {
	return func(yield func(int, *Message) bool) {
		if i < 0 || i >= s.n {
			return
		}
		pos := i
		for c := s.chunkAt(i); c < len(s.chunks); c++ {
			msgs := s.chunks[c].msgs
			for k := pos - s.starts[c]; k < len(msgs); k++ {
				if !yield(pos, &msgs[k]) {
					return
				}
				pos++
			}
		}
	}
}

// ChangedSince iterates as All does over the messages with a higher
// mod-sequence. It passes over the others many at a time.
func (s *Snapshot) ChangedSince(i int, since ModSeq) iter.Seq2[int, *Message] {
	return func(yield func(int, *Message) bool) {
		if i < 0 || i >= s.n {
			return
		}
		for c := s.chunkAt(i); c < len(s.chunks); c++ {
			if s.chunks[c].high <= since {
				continue
			}
			msgs := s.chunks[c].msgs
			for k := max(i-s.starts[c], 0); k < len(msgs); k++ {
				if msgs[k].ModSeq > since && !yield(s.starts[c]+k, &msgs[k]) {
					return
				}
			}
		}
	}
}

// Keywords returns the mailbox's keywords; their index is their bit.
func (s *Snapshot) Keywords() []string { return s.keywords }

// systemFlagNames has the name of each system flag at its bit's position.
var systemFlagNames = [...]imap.Flag{imap.FlagSeen, imap.FlagAnswered, imap.FlagFlagged, imap.FlagDeleted, imap.FlagDraft}

// AppendFlags appends a message's flags as IMAP writes them between the
// parentheses ("\Seen $Forwarded").
func (s *Snapshot) AppendFlags(b []byte, m *Message) []byte {
	first := true
	for i, name := range systemFlagNames {
		if m.Flags&(1<<i) != 0 {
			if !first {
				b = append(b, ' ')
			}
			b, first = append(b, name...), false
		}
	}
	if m.Keywords == (Keywords{}) {
		return b
	}
	for i, name := range s.keywords {
		if m.Keywords.Has(i) {
			if !first {
				b = append(b, ' ')
			}
			b, first = append(b, name...), false
		}
	}
	return b
}

// Diff is what happened between two snapshots of a mailbox.
type Diff struct {
	Vanished []imap.UID // in old but not in new, ascending
	Changed  []imap.UID // in both, with other flags (higher mod-sequence), ascending
	Added    int        // messages of new that are above all of old
}

// Since compares s with an older snapshot of the same mailbox. Chunks that
// both share are skipped, so it costs what changed.
func (s *Snapshot) Since(old *Snapshot) Diff {
	var d Diff
	if s == old {
		return d
	}
	o, n := cursor{chunks: old.chunks}, cursor{chunks: s.chunks}
	for {
		o.skipEmpty()
		n.skipEmpty()
		// Chunks partition the UIDs, so cursors that stand before the same
		// chunk have both passed everything below it.
		if o.m == 0 && n.m == 0 && o.c < len(o.chunks) && n.c < len(n.chunks) && o.chunks[o.c] == n.chunks[n.c] {
			o.c++
			n.c++
			continue
		}
		a, b := o.message(), n.message()
		switch {
		case a == nil && b == nil:
			return d
		case b == nil || a != nil && a.UID < b.UID:
			d.Vanished = append(d.Vanished, a.UID)
			o.m++
		case a == nil || b.UID < a.UID:
			d.Added++
			n.m++
		default:
			if a.ModSeq != b.ModSeq {
				d.Changed = append(d.Changed, b.UID)
			}
			o.m++
			n.m++
		}
	}
}

// cursor walks the messages of a list of chunks.
type cursor struct {
	chunks []*chunk
	c, m   int
}

func (c *cursor) skipEmpty() {
	for c.c < len(c.chunks) && c.m >= len(c.chunks[c.c].msgs) {
		c.c, c.m = c.c+1, 0
	}
}

func (c *cursor) message() *Message {
	if c.c >= len(c.chunks) {
		return nil
	}
	return &c.chunks[c.c].msgs[c.m]
}

// chunkFor returns the index of the chunk that holds or would hold uid, -1 if
// it lies below all of them.
func chunkFor(chunks []*chunk, uid imap.UID) int {
	return sort.Search(len(chunks), func(i int) bool { return chunks[i].base > uid }) - 1
}

func findUID(msgs []Message, uid imap.UID) (int, bool) {
	return slices.BinarySearchFunc(msgs, uid, func(m Message, uid imap.UID) int {
		switch {
		case m.UID < uid:
			return -1
		case m.UID > uid:
			return 1
		}
		return 0
	})
}
