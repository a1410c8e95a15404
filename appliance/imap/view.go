package imap

import (
	"errors"
	"slices"
	"sort"

	"github.com/emersion/go-imap/v2"

	"pillarbox/storage"
)

// errBeyond is a sequence number that no message has.
var errBeyond = errors.New("message sequence number beyond the mailbox")

// index is what a view needs of a [storage.Snapshot].
type index interface {
	Len() int
	At(i int) *storage.Message
	Find(uid imap.UID) (pos int, ok bool)
}

// view maps between the client's sequence numbers, UIDs and positions in a
// snapshot.
//
// A server may not tell of an expunge whenever it likes (RFC 9051, section
// 7.5.1), but it may always tell of new mail. So the newest reported snapshot
// is the base, and a message that is gone from it while the client still
// counts it stays behind as a ghost. The client's numbering is that of both
// together, by UID: new messages have higher UIDs than any ghost, therefore
// they come in at the end without shifting anything.
type view struct {
	base   index
	ghosts []ghost // by UID
}

// ghost is an expunged message that the client still counts.
type ghost struct {
	uid imap.UID
	pos int // where it would stand in the base; so ghost j has sequence number pos+j+1
}

// newView returns the view of a client that was told of all of base.
func newView(base index) view { return view{base: base} }

// len returns the number of messages the client counts.
func (v *view) len() int { return v.base.Len() + len(v.ghosts) }

// advance moves the view on to a newer snapshot; vanished are the UIDs that
// the old one had and the new one has not, in ascending order.
func (v *view) advance(next index, vanished []imap.UID) {
	v.base = next
	if len(vanished) > 0 {
		v.ghosts = mergeGhosts(v.ghosts, vanished)
	}
	for i := range v.ghosts {
		v.ghosts[i].pos, _ = next.Find(v.ghosts[i].uid)
	}
}

// mergeGhosts returns old and the new ones, by UID.
func mergeGhosts(old []ghost, uids []imap.UID) []ghost {
	out := make([]ghost, 0, len(old)+len(uids))
	for _, uid := range uids {
		for len(old) > 0 && old[0].uid < uid {
			out, old = append(out, old[0]), old[1:]
		}
		out = append(out, ghost{uid: uid})
	}
	return append(out, old...)
}

// lay takes the ghosts away and calls gone with the sequence number of each
// at that moment: from the last to the first, so that the numbers not yet
// told of do not shift.
func (v *view) lay(gone func(seq uint32, uid imap.UID)) {
	for j := len(v.ghosts) - 1; j >= 0; j-- {
		gone(v.ghosts[j].seq(j), v.ghosts[j].uid)
	}
	v.ghosts = nil
}

// seq returns the sequence number of the ghost that is the j-th of its view.
func (g ghost) seq(j int) uint32 { return uint32(g.pos + j + 1) }

// seq returns the sequence number of the message at a position of the base.
func (v *view) seq(pos int) uint32 {
	return uint32(pos + 1 + v.ghostsUpTo(pos))
}

// ghostsUpTo counts the ghosts in front of the message at a position.
func (v *view) ghostsUpTo(pos int) int {
	if len(v.ghosts) == 0 {
		return 0
	}
	return sort.Search(len(v.ghosts), func(j int) bool { return v.ghosts[j].pos > pos })
}

// ghostsBelow counts the ghosts whose sequence number is below seq.
func (v *view) ghostsBelow(seq uint32) int {
	if len(v.ghosts) == 0 {
		return 0
	}
	return sort.Search(len(v.ghosts), func(j int) bool { return v.ghosts[j].seq(j) >= seq })
}

// span is a run of positions, hi excluded.
type span struct{ lo, hi int }

// messages is a set of messages of a view: spans of the base that ascend and
// do not touch.
type messages struct {
	spans  []span
	ghosts bool // the set that was asked for also names messages that are gone
}

// count returns the number of messages in the set.
func (m *messages) count() int {
	n := 0
	for _, s := range m.spans {
		n += s.hi - s.lo
	}
	return n
}

// contains tells whether the set has a position.
func (m *messages) contains(pos int) bool {
	i := sort.Search(len(m.spans), func(i int) bool { return m.spans[i].hi > pos })
	return i < len(m.spans) && m.spans[i].lo <= pos
}

// resolve finds the messages that a client's set names. The set "$" stands
// for saved (RFC 9051, section 6.4.4.1). A UID that no message has is passed
// over. A sequence number that no message has is errBeyond, and so is "*" in
// an empty mailbox: a client that sends one counts wrongly, and RFC 9051
// (seq-number in section 9) as well as Dovecot and Cyrus answer BAD instead
// of letting it go on with the wrong messages.
//
// It costs O(ranges · log messages).
func (v *view) resolve(set imap.NumSet, saved imap.UIDSet) (messages, error) {
	if imap.IsSearchRes(set) {
		// RFC 5182, section 2.1: what is expunged leaves the result.
		m := v.uids(saved)
		m.ghosts = false
		return m, nil
	}
	if uids, ok := set.(imap.UIDSet); ok {
		return v.uids(uids), nil
	}
	seqs, _ := set.(imap.SeqSet)
	return v.seqs(seqs)
}

// uids finds the messages of a UID set. "*" is the last message that is still
// there: a client that asks for it wants a message, not a ghost.
func (v *view) uids(set imap.UIDSet) messages {
	n := v.base.Len()
	m := messages{spans: make([]span, 0, len(set))}
	var last imap.UID
	if n > 0 {
		last = v.base.At(n - 1).UID
	}
	for _, r := range set {
		lo, hi := bounds(uint32(r.Start), uint32(r.Stop), uint32(last))
		m.ghosts = m.ghosts || v.haunted(imap.UID(lo), imap.UID(hi))
		from, _ := v.base.Find(imap.UID(lo))
		to, found := v.base.Find(imap.UID(hi))
		if found {
			to++
		}
		m.add(from, to)
	}
	m.normalize()
	return m
}

// haunted tells whether a ghost has a UID from lo to hi.
func (v *view) haunted(lo, hi imap.UID) bool {
	if len(v.ghosts) == 0 {
		return false
	}
	j := sort.Search(len(v.ghosts), func(j int) bool { return v.ghosts[j].uid >= lo })
	return j < len(v.ghosts) && v.ghosts[j].uid <= hi
}

// seqs finds the messages of a set of sequence numbers.
func (v *view) seqs(set imap.SeqSet) (messages, error) {
	n := uint32(v.len())
	m := messages{spans: make([]span, 0, len(set))}
	var beyond error
	for _, r := range set {
		lo, hi := bounds(r.Start, r.Stop, n)
		if lo == 0 || hi > n {
			beyond = errBeyond
			hi = min(hi, n)
		}
		if lo == 0 || lo > hi {
			continue
		}
		before, upTo := v.ghostsBelow(lo), v.ghostsBelow(hi+1)
		m.ghosts = m.ghosts || upTo > before
		m.add(int(lo)-1-before, int(hi)-upTo)
	}
	m.normalize()
	return m, beyond
}

// bounds puts a range's ends in order, with last for "*", which the library
// writes as 0.
func bounds(start, stop, last uint32) (lo, hi uint32) {
	if start == 0 {
		start = last
	}
	if stop == 0 {
		stop = last
	}
	return min(start, stop), max(start, stop)
}

// add appends a run of positions, if it is one.
func (m *messages) add(lo, hi int) {
	if lo < hi {
		m.spans = append(m.spans, span{lo, hi})
	}
}

// push appends a position above all others.
func (m *messages) push(pos int) {
	if n := len(m.spans); n > 0 && m.spans[n-1].hi == pos {
		m.spans[n-1].hi++
		return
	}
	m.spans = append(m.spans, span{pos, pos + 1})
}

// normalize sorts the spans and joins those that touch, because clients name
// ranges in any order and more than once.
func (m *messages) normalize() {
	ascending := true
	for i := 1; i < len(m.spans) && ascending; i++ {
		ascending = m.spans[i-1].hi < m.spans[i].lo
	}
	if ascending {
		return
	}
	slices.SortFunc(m.spans, func(a, b span) int { return a.lo - b.lo })
	out := m.spans[:1]
	for _, s := range m.spans[1:] {
		if last := &out[len(out)-1]; s.lo <= last.hi {
			last.hi = max(last.hi, s.hi)
		} else {
			out = append(out, s)
		}
	}
	m.spans = out
}

// uidSet returns the set by UIDs, for storage. A range that spans positions
// next to each other holds no other message of the mailbox: what lay between
// is gone and UIDs are never used again.
func (v *view) uidSet(m messages) imap.UIDSet {
	set := make(imap.UIDSet, 0, len(m.spans))
	for _, s := range m.spans {
		set = append(set, imap.UIDRange{Start: v.base.At(s.lo).UID, Stop: v.base.At(s.hi - 1).UID})
	}
	return set
}
