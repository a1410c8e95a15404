package storage

import (
	"encoding/binary"
	"slices"
)

// tornChange looks, where the header of the last change is damaged, for that
// change in the pages that the header before it does not lead to: what has a
// higher mod-sequence than the account had given out by then is of no other.
// Where the commit before had failed, it may be of that one as well; then there
// is a message too many, not one too few.
func (s *scanner) tornChange(rest func(func(k, v []byte)) error) error {
	floor := s.counters.modSeq
	gone := map[MailboxID]uidRanges{}
	changed := map[MailboxID][]*chunk{}
	err := rest(func(k, v []byte) {
		switch {
		case string(k) == string(countersKey):
			if c, err := decodeCounters(v); err == nil && c.modSeq > s.counters.modSeq {
				s.counters = &c
			}
		case len(k) == 4:
			id, _ := keyMailbox(k)
			r, err := decodeMailbox(id, v)
			if err != nil || r.HighestModSeq <= floor {
				return
			}
			if b := s.box(id); b.record == nil || r.HighestModSeq > b.record.HighestModSeq {
				b.record = r
			}
		case len(k) == 12:
			seq, _ := keyModSeq(k)
			if uids, err := decodeTrace(v, nil); err == nil && seq > floor {
				id := MailboxID(binary.BigEndian.Uint32(k))
				gone[id] = append(gone[id], uids...)
			}
		case len(k) == 8:
			id, base, ok := keyChunk(k)
			if !ok {
				return
			}
			c, err := decodeChunk(base, v)
			if err == nil && slices.ContainsFunc(c.msgs, func(m Message) bool { return m.ModSeq > floor }) {
				changed[id] = append(changed[id], c)
			}
		}
	})
	if err != nil {
		return err
	}
	for id, chunks := range changed {
		b := s.boxes[id]
		if b == nil {
			continue // of data, whose keys look alike, or of a mailbox that is gone
		}
		for _, c := range chunks {
			for _, m := range c.msgs {
				if had, ok := b.msgs[m.UID]; m.ModSeq > floor && (!ok || m.ModSeq > had.ModSeq) {
					b.msgs[m.UID] = m
				}
			}
		}
	}
	for id, uids := range gone {
		b := s.boxes[id]
		if b == nil {
			continue
		}
		uids.sort()
		for uid, m := range b.msgs {
			if uids.has(uid) {
				s.expunged[m.Data] = true
				delete(b.msgs, uid)
			}
		}
	}
	return nil
}
