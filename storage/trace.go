package storage

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/emersion/go-imap/v2"
	bolt "go.etcd.io/bbolt"
)

// maxTraces bounds the traces of expunges that one mailbox keeps, in ranges
// of UIDs: some 100 KiB on disk, and months of deleting a hundred messages a
// day one by one. Beyond it the oldest go, a quarter of them at a time.
//
// Without traces a client is told of every UID that is absent, which are no
// more ranges than the mailbox has messages. So nothing is lost with a trace
// but the shortness of an answer.
const maxTraces = 16 << 10

// traces describes what a mailbox keeps of its expunges: one record of
// vanishedBucket for each operation.
type traces struct {
	ranges uint32 // of UIDs, in all records
	floor  ModSeq // expunges up to this one are forgotten
}

// trace notes which messages an operation took out of a mailbox; uids ascend.
func (t *txn) trace(b *box, uids []imap.UID, seq ModSeq) error {
	record, n := appendTrace(nil, uids)
	bucket := t.tx.Bucket(vanishedBucket)
	if err := bucket.Put(vanishedKey(b.mb.ID, seq), record); err != nil {
		return err
	}
	b.traces.ranges += uint32(n)
	if b.traces.ranges <= maxTraces {
		return nil
	}
	var keys [][]byte // collected first: deleting moves a bbolt cursor
	prefix := mailboxKey(b.mb.ID)
	c := bucket.Cursor()
	for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix) && b.traces.ranges > maxTraces*3/4; k, v = c.Next() {
		uids, _ := decodeTrace(v, nil) // one that is damaged goes too
		b.traces.ranges -= min(uint32(len(uids)), b.traces.ranges)
		b.traces.floor, _ = keyModSeq(k)
		keys = append(keys, bytes.Clone(k))
	}
	for _, k := range keys {
		if err := bucket.Delete(k); err != nil {
			return err
		}
	}
	return nil
}

// Vanished returns the UIDs that were expunged from a mailbox after since and
// by the moment of s, its snapshot. Where not all traces that far back are
// kept, exact is false and the UIDs are all those given out that s has not.
func (a *Account) Vanished(s *Snapshot, since ModSeq) (uids imap.UIDSet, exact bool, err error) {
	mb := s.Mailbox()
	err = a.view(func(tx *bolt.Tx) error {
		r, err := readMailbox(tx, mb.ID)
		if err != nil {
			return err
		}
		if exact = since >= r.traces.floor; exact {
			uids, err = readTraces(tx, mb.ID, since, mb.HighestModSeq)
		}
		return err
	})
	if errors.Is(err, ErrCorrupt) {
		// A damaged trace is as good as one that was forgotten.
		a.store.log.Error("reading the traces of expunged messages", "account", a.id, "mailbox", mb.Name, "err", err)
		exact, err = false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("read expunged UIDs: %w", err)
	}
	if !exact {
		return s.absent(), false, nil
	}
	return uids, true, nil
}

func readMailbox(tx *bolt.Tx, id MailboxID) (*mailboxRecord, error) {
	v := tx.Bucket(mailboxesBucket).Get(mailboxKey(id))
	if v == nil {
		return nil, ErrNoMailbox
	}
	return decodeMailbox(id, v)
}

// readTraces returns the UIDs of the traces after since up to until, as
// ranges that ascend and do not touch.
func readTraces(tx *bolt.Tx, id MailboxID, since, until ModSeq) (imap.UIDSet, error) {
	var all imap.UIDSet
	prefix := mailboxKey(id)
	c := tx.Bucket(vanishedBucket).Cursor()
	for k, v := c.Seek(vanishedKey(id, since+1)); bytes.HasPrefix(k, prefix); k, v = c.Next() {
		seq, ok := keyModSeq(k)
		if !ok {
			return nil, fmt.Errorf("trace with the key %x: %w", k, ErrCorrupt)
		}
		if seq > until {
			break
		}
		var err error
		if all, err = decodeTrace(v, all); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(all, func(a, b imap.UIDRange) int { return cmp.Compare(a.Start, b.Start) })
	merged := all[:0]
	for _, r := range all {
		if n := len(merged); n > 0 && uint64(r.Start) <= uint64(merged[n-1].Stop)+1 {
			merged[n-1].Stop = max(merged[n-1].Stop, r.Stop)
			continue
		}
		merged = append(merged, r)
	}
	return merged, nil
}

// absent returns the UIDs below UIDNEXT that no message has.
func (s *Snapshot) absent() imap.UIDSet {
	var out imap.UIDSet
	next := imap.UID(1)
	for _, m := range s.All(0) {
		if m.UID > next {
			out = append(out, imap.UIDRange{Start: next, Stop: m.UID - 1})
		}
		next = m.UID + 1
	}
	if end := s.mailbox.UIDNext; end > next {
		out = append(out, imap.UIDRange{Start: next, Stop: end - 1})
	}
	return out
}

// appendTrace encodes ascending UIDs as version, ranges (gap to the last, then
// length), checksum. It also returns the number of ranges.
func appendTrace(b []byte, uids []imap.UID) ([]byte, int) {
	start := len(b)
	b = append(b, traceVersion)
	var last imap.UID
	n := 0
	for i := 0; i < len(uids); n++ {
		j := i + 1
		for j < len(uids) && uids[j] == uids[j-1]+1 {
			j++
		}
		b = binary.AppendUvarint(b, uint64(uids[i]-last))
		b = binary.AppendUvarint(b, uint64(j-i))
		last = uids[j-1]
		i = j
	}
	return appendSum(b, start), n
}

// decodeTrace appends a trace's ranges, which ascend, to set.
func decodeTrace(b []byte, set imap.UIDSet) (imap.UIDSet, error) {
	d := summed(b)
	d.bad = d.byte() != traceVersion || d.bad
	var last uint64
	for len(d.b) > 0 {
		gap, n := d.uvarint(), d.uvarint()
		const most = 1<<32 - 1
		if d.bad || gap == 0 || n == 0 || gap > most-last || n > most-last-gap+1 {
			d.bad = true
			break
		}
		set = append(set, imap.UIDRange{Start: imap.UID(last + gap), Stop: imap.UID(last + gap + n - 1)})
		last += gap + n - 1
	}
	if d.bad {
		return nil, fmt.Errorf("decode expunged UIDs: %w", ErrCorrupt)
	}
	return set, nil
}

func vanishedKey(id MailboxID, seq ModSeq) []byte {
	return binary.BigEndian.AppendUint64(mailboxKey(id), uint64(seq))
}

func keyModSeq(k []byte) (ModSeq, bool) {
	if len(k) != 12 {
		return 0, false
	}
	return ModSeq(binary.BigEndian.Uint64(k[4:])), true
}

// traces compares a mailbox's traces with its record and with the UIDs of its
// messages, which ascend.
func (c *checker) traces(tx *bolt.Tx, r *mailboxRecord, live []imap.UID) {
	var ranges int
	prefix := mailboxKey(r.ID)
	cur := tx.Bucket(vanishedBucket).Cursor()
	for k, v := cur.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = cur.Next() {
		seq, ok := keyModSeq(k)
		if !ok || seq <= r.traces.floor || seq > r.HighestModSeq {
			c.problem(r.Name, 0, "a trace of expunged messages has the key %x, out of %d to %d", k, r.traces.floor+1, r.HighestModSeq)
			continue
		}
		uids, err := decodeTrace(v, nil)
		if err != nil {
			c.problem(r.Name, 0, "the trace of mod-sequence %d: %v", seq, err)
			continue
		}
		ranges += len(uids)
		for _, u := range uids {
			if u.Stop >= r.UIDNext {
				c.problem(r.Name, u.Stop, "it counts as expunged, but is not below UIDNEXT %d", r.UIDNext)
			}
			if i, _ := slices.BinarySearch(live, u.Start); i < len(live) && live[i] <= u.Stop {
				c.problem(r.Name, live[i], "it counts as expunged, but is there")
			}
		}
	}
	if ranges != int(r.traces.ranges) {
		c.problem(r.Name, 0, "the mailbox counts %d ranges of expunged UIDs, and has %d", r.traces.ranges, ranges)
	}
}
