package storage

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	bolt "go.etcd.io/bbolt"
)

// indexWriter fills a new index in transactions of bounded size. Nothing is
// durable before finish.
type indexWriter struct {
	db   *bolt.DB
	tx   *bolt.Tx
	size int
}

// writeBatch is the number of octets after which a transaction is committed.
const writeBatch = 4 << 20

func newIndexWriter(path string) (*indexWriter, error) {
	if err := removeIfThere(path); err != nil {
		return nil, err
	}
	o := boltOptions()
	o.NoSync, o.NoGrowSync = true, true
	db, err := bolt.Open(path, 0o600, o)
	if err != nil {
		return nil, err
	}
	db.AllocSize = growBy
	w := &indexWriter{db: db}
	if w.tx, err = db.Begin(true); err == nil {
		err = (&fileHead{format: formatVersion}).write(w.tx)
	}
	for _, name := range ourBuckets() {
		if err == nil {
			_, err = w.tx.CreateBucketIfNotExists(name)
		}
	}
	if err != nil {
		return nil, errors.Join(err, w.discard())
	}
	return w, nil
}

func (w *indexWriter) put(bucket, k, v []byte) error {
	if w.size >= writeBatch {
		if err := w.next(); err != nil {
			return err
		}
	}
	w.size += len(k) + len(v) + 64
	b := w.tx.Bucket(bucket)
	b.FillPercent = sequentialFill
	return b.Put(k, bytes.Clone(v))
}

// next commits and begins again.
func (w *indexWriter) next() error {
	if err := w.tx.Commit(); err != nil {
		return err
	}
	tx, err := w.db.Begin(true)
	w.size = 0
	if err == nil {
		w.tx = tx
	}
	return err
}

func (w *indexWriter) get(bucket, k []byte) []byte { return w.tx.Bucket(bucket).Get(k) }

func (w *indexWriter) remove(bucket, k []byte) error { return w.tx.Bucket(bucket).Delete(k) }

// finish makes the index durable under its temporary name.
func (w *indexWriter) finish() error {
	err := w.tx.Commit()
	return errors.Join(err, w.db.Sync(), w.db.Close())
}

func (w *indexWriter) discard() error {
	if w.tx != nil {
		_ = w.tx.Rollback()
	}
	return w.db.Close()
}

// write puts the mailboxes into the new index.
func (r *repair) write() error {
	ids := slices.Sorted(maps.Keys(r.boxes))
	names := map[string]bool{}
	if r.boxes[1] == nil {
		r.box(1)
		ids = append([]MailboxID{1}, ids...)
	}
	for _, id := range ids {
		if err := r.writeBox(id, r.boxes[id], names); err != nil {
			return err
		}
	}
	if err := r.writeRecovered(names); err != nil {
		return err
	}
	for name := range r.subs {
		if err := r.out.put(subscriptionsBucket, []byte(name), nil); err != nil {
			return err
		}
	}
	for id, d := range r.data {
		var err error
		switch _, lost := r.lost[id]; {
		case lost && d.record:
			err = errors.Join(r.out.remove(dataBucket, dataKey(id)), r.out.remove(bodiesBucket, dataKey(id)))
		case lost:
		case d.refs > 1:
			err = r.out.put(refsBucket, dataKey(id), binary.AppendUvarint(nil, d.refs))
		case d.refs == 0 && d.record:
			err = errors.Join(r.out.remove(dataBucket, dataKey(id)), r.out.remove(bodiesBucket, dataKey(id)))
		}
		if err != nil {
			return err
		}
	}
	for id, h := range r.garbage {
		if d := r.data[id]; d != nil && d.refs > 0 {
			continue
		}
		if err := r.out.put(garbageBucket, append(dataKey(id), h[:]...), nil); err != nil {
			return err
		}
	}
	return r.out.put(metaBucket, countersKey, r.next.append(nil))
}

// nextUIDValidity gives a value that no mailbox of the account had.
func (r *repair) nextUIDValidity() uint32 {
	r.next.uidValidity = max(r.next.uidValidity+1, uint32(r.now))
	return r.next.uidValidity
}

// describe returns a mailbox's record, or makes one where it is lost.
func (r *repair) describe(id MailboxID, b *foundBox, names map[string]bool) *mailboxRecord {
	rec := b.record
	switch {
	case rec == nil:
		name := fmt.Sprintf("%s/Mailbox %d", recoveredName, id)
		if id == 1 {
			name = Inbox
		}
		rec = &mailboxRecord{Mailbox: Mailbox{ID: id, Name: name, UIDNext: 1, Created: r.now, UIDValidity: r.nextUIDValidity()}, recent: 1}
		r.tell(name, 0, "its description was lost; it has a new UIDVALIDITY, and its own flags have no names")
		rec.keywords = nil
	case b.old:
		rec.UIDValidity = r.nextUIDValidity()
		r.tell(rec.Name, 0, "its description is an older one%s; it has a new UIDVALIDITY", r.ofBackup())
	}
	name := rec.Name
	if id == 1 {
		rec.Name = Inbox // it is the first and can be neither deleted nor renamed
	}
	for n := 2; names[rec.Name] || rec.Name == ""; n++ {
		rec.Name = fmt.Sprintf("%s (%d)", cmp.Or(name, recoveredName), n)
	}
	if rec.Name != name {
		r.tell(rec.Name, 0, "it was called %q", name)
	}
	names[rec.Name] = true
	return rec
}

func (r *repair) writeBox(id MailboxID, b *foundBox, names map[string]bool) error {
	had := -1
	if b.record != nil && !b.old {
		had = int(b.record.NumMessages)
	}
	rec := r.describe(id, b, names)
	var msgs, moved []Message
	for _, uid := range slices.Sorted(maps.Keys(b.msgs)) {
		m := b.msgs[uid]
		switch now, why := r.settleMessage(&m); {
		case !now:
			r.tell(rec.Name, uid, "it is lost: %s", why)
			r.missing++
		case why != "":
			r.tell(rec.Name, uid, "it has a new UID: %s", why)
			moved = append(moved, m)
		default:
			msgs = append(msgs, m)
		}
	}
	for _, m := range b.twins {
		if ok, why := r.settleMessage(&m); !ok {
			r.tell(rec.Name, m.UID, "it is lost: %s", why)
			r.missing++
			continue
		}
		r.tell(rec.Name, m.UID, "two messages had this UID; one has a new one")
		moved = append(moved, m)
	}
	if n := len(b.msgs) + len(b.twins); had > n {
		r.tell(rec.Name, 0, "%d messages of %d are no longer listed; those whose text is left are in %s", had-n, had, recoveredName)
	} else if had >= 0 && had < n && r.anyBroken(chunksBucket) {
		r.tell(rec.Name, 0, "%d messages may have been deleted before, and are back", n-had)
	}
	return r.writeMessages(rec, msgs, moved)
}

// writeMessages writes a mailbox: msgs, which ascend, keep their UIDs.
func (r *repair) writeMessages(rec *mailboxRecord, msgs, moved []Message) error {
	changed := int(rec.NumMessages) != len(msgs) || len(moved) > 0
	if n := len(msgs); n > 0 && msgs[n-1].UID >= rec.UIDNext {
		rec.UIDNext = msgs[n-1].UID + 1
	}
	for _, m := range moved {
		m.UID, m.ModSeq = rec.UIDNext, r.next.modSeq
		rec.UIDNext++
		msgs = append(msgs, m)
	}
	count := &box{mb: rec.Mailbox}
	count.mb.NumMessages, count.mb.NumUnseen, count.mb.NumDeleted, count.mb.Size, count.mb.DeletedSize = 0, 0, 0, 0, 0
	for i := range msgs {
		m := &msgs[i]
		for bit := len(rec.keywords); bit < MaxKeywords; bit++ {
			m.Keywords = m.Keywords.Without(bit)
		}
		count.mb.NumMessages++
		count.mb.Size += m.Size
		count.mb.HighestModSeq = max(count.mb.HighestModSeq, m.ModSeq)
		count.count(m, 1)
	}
	if changed {
		count.mb.HighestModSeq = r.next.modSeq
	}
	rec.Mailbox = count.mb
	// A client learns what is gone from what is there.
	rec.traces = traces{floor: rec.HighestModSeq}
	r.next.quota.UsedMessages += int64(rec.NumMessages)
	r.next.quota.UsedBytes += rec.Size
	if err := r.out.put(mailboxesBucket, mailboxKey(rec.ID), rec.append(nil)); err != nil {
		return err
	}
	for c := range slices.Chunk(msgs, chunkSize) {
		ch := &chunk{base: c[0].UID, msgs: c}
		if err := r.out.put(chunksBucket, chunkKey(rec.ID, ch.base), appendChunk(nil, ch)); err != nil {
			return err
		}
	}
	return nil
}

// writeRecovered puts what belongs to no mailbox into one of its own.
func (r *repair) writeRecovered(names map[string]bool) error {
	if len(r.orphans) == 0 {
		return nil
	}
	name := recoveredName
	for n := 2; names[name]; n++ {
		name = fmt.Sprintf("%s (%d)", recoveredName, n)
	}
	rec := &mailboxRecord{
		Mailbox: Mailbox{ID: r.next.nextMailbox, Name: name, UIDNext: 1, Created: r.now, UIDValidity: r.nextUIDValidity()}, recent: 1,
	}
	r.next.nextMailbox++
	for i := range r.orphans {
		r.data[r.orphans[i].Data].refs++
	}
	slices.SortFunc(r.orphans, func(a, b Message) int { return cmp.Compare(a.Data, b.Data) })
	r.tell(name, 0, "%d messages that no mailbox listed are here; some may have been deleted before", len(r.orphans))
	r.subs[name] = true
	return r.writeMessages(rec, nil, r.orphans)
}

// settleMessage brings a message in line with its data. It tells whether there
// is any, and why the message is no longer what its UID stood for.
func (r *repair) settleMessage(m *Message) (ok bool, why string) {
	if why, lost := r.lost[m.Data]; lost {
		return false, why
	}
	old := m.Data
	if id, ok := r.replaced[old]; ok {
		m.Data = id
		r.data[id].refs++
		r.data[old].refs--
		why = "its text has changed by damage"
	}
	d := r.data[m.Data]
	size := d.size + d.prefix
	if m.Size != size && d.rebuilt && why == "" {
		why = "the header fields that were added at its delivery are lost"
	}
	m.Size = size
	return true, why
}
