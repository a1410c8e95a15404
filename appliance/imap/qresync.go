package imap

import (
	"context"

	"github.com/emersion/go-imap/v2"

	"pillarbox/appliance/imap/command"
	"pillarbox/appliance/imap/wire"
	"pillarbox/storage"
)

// errNoQResync: RFC 7162, section 3.2.3.
func errNoQResync() error { return bad("Enable QRESYNC first") }

// resync tells a client that has seen the selected mailbox before what has
// changed since (RFC 7162, section 3.2.5).
func (s *session) resync(ctx context.Context, q *command.QResync) error {
	sel := s.sel
	mb := sel.snap.Mailbox()
	if q.UIDValidity != mb.UIDValidity {
		return nil // the client's UIDs mean other messages
	}
	known := q.Known
	if known == nil {
		known = uidsBelow(mb.UIDNext)
	}
	since := storage.ModSeq(q.ModSeq)
	if since >= mb.HighestModSeq {
		return nil
	}
	if err := s.tellEarlier(above(known, sel.matched(q)), since); err != nil {
		return err
	}
	for _, sp := range sel.changedSince(sel.uids(known), since).spans {
		for pos := sp.lo; pos < sp.hi; pos++ {
			s.appendFlagsAnswer(pos)
			if err := s.out.Spill(); err != nil {
				return err
			}
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
	}
	return nil
}

// matched compares the client's sample of sequence numbers with the mailbox.
// Up to the last that fits the client knows of every expunge, for a single one
// that it does not know of would shift the number (RFC 7162, section 3.2.5.2).
func (sel *selected) matched(q *command.QResync) imap.UID {
	var last imap.UID
	uids := q.MatchUIDs
	var nth imap.UID // of uids[0]
	for _, r := range q.Match {
		for seq := r.Start; ; seq++ {
			uid := uids[0].Start + nth
			if int64(seq) > int64(sel.snap.Len()) || sel.snap.At(int(seq)-1).UID != uid {
				return last
			}
			last = uid
			if nth++; uid == uids[0].Stop {
				uids, nth = uids[1:], 0
			}
			if seq == r.Stop {
				break
			}
		}
	}
	return last
}

// uidsBelow returns all UIDs below next.
func uidsBelow(next imap.UID) imap.UIDSet {
	if next <= 1 {
		return nil
	}
	return imap.UIDSet{{Start: 1, Stop: next - 1}}
}

// above returns the part of a set that is above a UID; 0 is below all.
func above(set imap.UIDSet, uid imap.UID) imap.UIDSet {
	if uid == 0 {
		return set
	}
	if uid == 1<<32-1 {
		return nil
	}
	return intersect(set, imap.UIDSet{{Start: uid + 1, Stop: 1<<32 - 1}})
}

// fixed returns a UID set as the client means it where messages are asked for
// that are no longer there: "*" is the highest UID that was ever given out.
// From the saved search result expunged messages are gone (RFC 5182, section 2.1).
func (sel *selected) fixed(set imap.NumSet) imap.UIDSet {
	if imap.IsSearchRes(set) {
		return nil
	}
	uids, _ := set.(imap.UIDSet)
	if !uids.Dynamic() {
		return uids
	}
	var out imap.UIDSet
	for _, r := range uids {
		lo, hi := bounds(uint32(r.Start), uint32(r.Stop), uint32(sel.snap.Mailbox().UIDNext-1))
		if n := len(out); n > 0 && imap.UID(lo) <= out[n-1].Stop {
			out[n-1].Stop = max(out[n-1].Stop, imap.UID(hi)) // "*" may lie within the ranges before it
		} else if lo > 0 {
			out = append(out, imap.UIDRange{Start: imap.UID(lo), Stop: imap.UID(hi)})
		}
	}
	return out
}

// tellEarlier tells which of the UIDs known were expunged after since, and
// are not part of the view any more.
func (s *session) tellEarlier(known imap.UIDSet, since storage.ModSeq) error {
	if len(known) == 0 || since >= s.sel.snap.Mailbox().HighestModSeq {
		return nil
	}
	gone, _, err := s.acct.Vanished(s.sel.snap, since)
	if err != nil {
		return err
	}
	return s.tellVanished("* VANISHED (EARLIER) ", intersect(gone, known))
}

// vanishedRanges bounds the ranges in one VANISHED response, which are then
// some 10 KiB: clients read it as a line.
const vanishedRanges = 512

// tellVanished sends VANISHED for a set whose ranges ascend.
func (s *session) tellVanished(start string, set imap.UIDSet) error {
	for len(set) > 0 {
		n := min(len(set), vanishedRanges)
		b := append(s.out.Buf, start...)
		for i, r := range set[:n] {
			if i > 0 {
				b = append(b, ',')
			}
			b = wire.AppendUint(b, r.Start)
			if r.Stop > r.Start {
				b = wire.AppendUint(append(b, ':'), r.Stop)
			}
		}
		s.out.Buf = append(b, "\r\n"...)
		if err := s.out.Spill(); err != nil {
			return err
		}
		set = set[n:]
	}
	return nil
}

// intersect returns what two sets have in common. The ranges of each ascend
// and do not overlap.
func intersect(a, b imap.UIDSet) imap.UIDSet {
	var out imap.UIDSet
	for len(a) > 0 && len(b) > 0 {
		r := imap.UIDRange{Start: max(a[0].Start, b[0].Start), Stop: min(a[0].Stop, b[0].Stop)}
		switch n := len(out); {
		case r.Start > r.Stop:
		case n > 0 && out[n-1].Stop+1 == r.Start:
			out[n-1].Stop = r.Stop
		default:
			out = append(out, r)
		}
		if a[0].Stop < b[0].Stop {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return out
}

// tellHeldBack lets a client lose nothing if the connection breaks while
// expunges are held back: what it has been told of in full ends before them,
// whatever mod-sequences it has seen (RFC 7162, sections 3.2 and 6).
func (s *session) tellHeldBack() {
	sel := s.sel
	if !s.enabled.qresync || sel == nil {
		return
	}
	switch held := len(sel.ghosts) > 0; {
	case held:
		s.out.Buf = appendOKNumber(s.out.Buf, "HIGHESTMODSEQ", max(uint64(sel.told), 1), "Expunges are held back")
		sel.heldBack = true
	case sel.heldBack:
		s.out.Buf = appendOKNumber(s.out.Buf, "HIGHESTMODSEQ", uint64(sel.told), "All is told")
		sel.heldBack = false
	}
}
