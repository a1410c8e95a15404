package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/emersion/go-imap/v2"
	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// txn is the working state of one transaction of an account: what its
// operations see and change, published as a whole after the commit.
type txn struct {
	a        *Account
	tx       *bolt.Tx
	now      int64
	counters counters
	boxes    map[MailboxID]*box
	byName   map[string]*entry // the tree's, or a copy once it changed
	names    bool              // byName is a copy
	subs     map[string]bool   // nil until changed
	writes   int               // counts changes, so that a failed operation that made none needs no rollback
	linked   []string          // body files given to the account
	folders  map[string]bool   // in which they are
	garbage  [][]byte          // garbageBucket keys of files to be unlinked
	cleared  int               // how many of Account.cleared this transaction takes out
}

// box is a mailbox within a transaction.
type box struct {
	entry    *entry
	mb       Mailbox
	keywords []string
	traces   traces
	wanted   Keywords // looked up by this transaction
	content  *content // nil until messages are looked at
	dirty    bool
	gone     bool
	created  bool
}

func (a *Account) begin() (*txn, error) {
	if a.closed {
		return nil, ErrClosed
	}
	if a.doubtful {
		// Whether the failed commit reached the disk after all, the disk tells.
		if err := a.load(); err != nil {
			return nil, fmt.Errorf("read the account again: %w", err)
		}
		a.doubtful = false
	}
	tx, err := a.db.begin()
	if err != nil {
		return nil, fmt.Errorf("begin: %w", err)
	}
	return &txn{
		a: a, tx: tx, now: a.store.now().Unix(), counters: a.counters, boxes: map[MailboxID]*box{},
		byName: a.tree.Load().byName, folders: map[string]bool{},
	}, nil
}

// box returns a mailbox's working copy.
func (t *txn) box(id MailboxID) (*box, error) {
	if b := t.boxes[id]; b != nil {
		if b.gone {
			return nil, ErrNoMailbox
		}
		return b, nil
	}
	e := t.a.tree.Load().byID[id]
	if e == nil {
		return nil, ErrNoMailbox
	}
	b := &box{entry: e, mb: *e.mailbox.Load(), keywords: e.keywords, traces: e.traces}
	t.boxes[id] = b
	return b, nil
}

// messages returns a mailbox's working copy with its messages.
func (t *txn) messages(id MailboxID) (*box, error) {
	b, err := t.box(id)
	if err != nil || b.content != nil {
		return b, err
	}
	if b.created {
		b.content = newContent(newSnapshot(&b.mb, nil, nil))
		return b, nil
	}
	s, err := t.a.loadContent(b.entry)
	if err != nil {
		return nil, err
	}
	b.content = newContent(s)
	return b, nil
}

// touch marks a mailbox as changed.
func (t *txn) touch(b *box) {
	b.dirty = true
	t.writes++
}

// nextModSeq gives the mod-sequence of one operation.
func (t *txn) nextModSeq() ModSeq {
	t.counters.modSeq++
	t.writes++
	return t.counters.modSeq
}

// keyword returns the position of a keyword in the mailbox's table, -1 if it
// is not there. Case does not matter (RFC 9051, section 2.3.2).
func (b *box) keyword(name string) int {
	i := slices.IndexFunc(b.keywords, func(k string) bool { return equalFoldASCII(k, name) })
	if i >= 0 {
		b.wanted = b.wanted.With(i)
	}
	return i
}

// bit returns the position of a keyword and adds it where it is new.
func (t *txn) bit(b *box, keyword string) (int, error) {
	if i := b.keyword(keyword); i >= 0 {
		return i, nil
	}
	i := len(b.keywords)
	if i < MaxKeywords {
		b.keywords = append(slices.Clip(b.keywords), keyword)
	} else {
		if i = b.unused(); i < 0 {
			return 0, ErrTooManyKeywords
		}
		b.keywords = slices.Clone(b.keywords) // snapshots share the old table
		b.keywords[i] = keyword
	}
	b.wanted = b.wanted.With(i)
	t.touch(b)
	return i, nil
}

// unused returns the position of a keyword that no message has and that this
// transaction has not looked up, -1 if there is none.
func (b *box) unused() int {
	taken := b.wanted
	for _, c := range b.content.chunks {
		for i := range c.msgs {
			k := c.msgs[i].Keywords
			taken[0] |= k[0]
			taken[1] |= k[1]
		}
	}
	for i := range MaxKeywords {
		if !taken.Has(i) {
			return i
		}
	}
	return -1
}

// put adds a message that has its UID to a mailbox.
func (t *txn) put(b *box, m Message) {
	b.content.add(m)
	b.mb.NumMessages++
	b.mb.Size += m.Size
	b.mb.HighestModSeq = max(b.mb.HighestModSeq, m.ModSeq)
	b.count(&m, 1)
	t.counters.quota.UsedBytes += m.Size
	t.counters.quota.UsedMessages++
	t.touch(b)
}

// count adds a message's flags to the mailbox's counters, n times.
func (b *box) count(m *Message, n int) {
	if m.Flags&Seen == 0 {
		b.mb.NumUnseen += uint32(n)
	}
	if m.Flags&Deleted != 0 {
		b.mb.NumDeleted += uint32(n)
		b.mb.DeletedSize += int64(n) * m.Size
	}
}

// remove takes messages out of a mailbox's counters and leaves the trace of
// them. The content has lost them already.
func (t *txn) remove(b *box, gone []Message, seq ModSeq) error {
	uids := make([]imap.UID, len(gone))
	for i := range gone {
		m := &gone[i]
		uids[i] = m.UID
		b.mb.NumMessages--
		b.mb.Size -= m.Size
		b.count(m, -1)
		t.counters.quota.UsedBytes -= m.Size
		t.counters.quota.UsedMessages--
	}
	b.mb.HighestModSeq = max(b.mb.HighestModSeq, seq)
	t.touch(b)
	return t.trace(b, uids, seq)
}

// ref counts n more messages that share a body.
func (t *txn) ref(id DataID, n uint64) error {
	refs, key := t.tx.Bucket(refsBucket), dataKey(id)
	have, err := decodeRefs(id, refs.Get(key))
	if err != nil {
		return err
	}
	t.writes++
	return refs.Put(key, binary.AppendUvarint(nil, have+n))
}

// unref counts one message less, and removes the data with the last one.
func (t *txn) unref(id DataID) error {
	refs, key := t.tx.Bucket(refsBucket), dataKey(id)
	have, err := decodeRefs(id, refs.Get(key))
	if err != nil {
		return err
	}
	t.writes++
	switch {
	case have > 2:
		return refs.Put(key, binary.AppendUvarint(nil, have-1))
	case have == 2:
		return refs.Delete(key)
	}
	data := t.tx.Bucket(dataBucket)
	v := data.Get(key)
	if v == nil {
		return nil // lost before; check tells of it
	}
	var r dataRecord
	if err := decodeData(id, v, &r); err != nil {
		return err
	}
	if r.inline {
		if err := t.tx.Bucket(bodiesBucket).Delete(key); err != nil {
			return err
		}
	} else {
		g := append(dataKey(id), r.hash[:]...)
		if err := t.tx.Bucket(garbageBucket).Put(g, nil); err != nil {
			return err
		}
		t.garbage = append(t.garbage, g)
	}
	return data.Delete(key)
}

// commit writes what changed, makes it durable and publishes it.
func (t *txn) commit() error {
	if t.writes == 0 {
		t.rollback()
		return nil
	}
	if err := t.flush(); err != nil {
		t.rollback()
		return err
	}
	// From here on only the disk can tell whether the body files are needed.
	t.linked = nil
	if err := t.a.db.commit(t.tx); err != nil {
		t.a.doubtful = true
		return err
	}
	t.publish()
	return nil
}

// sequentialFill keeps pages of buckets that grow at their end dense.
const sequentialFill = 0.9

func (t *txn) flush() error {
	for dir := range t.folders {
		if err := syncDir(dir); err != nil {
			return err
		}
	}
	chunks, mailboxes := t.tx.Bucket(chunksBucket), t.tx.Bucket(mailboxesBucket)
	chunks.FillPercent = sequentialFill
	var buf []byte
	for id, b := range t.boxes {
		if !b.dirty || b.gone {
			continue
		}
		rec := mailboxRecord{Mailbox: b.mb, recent: imap.UID(b.entry.recent.Load()), traces: b.traces, keywords: b.keywords}
		if err := mailboxes.Put(mailboxKey(id), rec.append(nil)); err != nil {
			return err
		}
		if b.content == nil {
			continue
		}
		for base := range b.content.gone {
			if err := chunks.Delete(chunkKey(id, base)); err != nil {
				return err
			}
		}
		for c := range b.content.fresh {
			buf = appendChunk(buf[:0], c)
			if err := chunks.Put(chunkKey(id, c.base), slices.Clone(buf)); err != nil {
				return err
			}
		}
	}
	garbage := t.tx.Bucket(garbageBucket)
	for _, k := range t.a.cleared {
		if err := garbage.Delete(k); err != nil {
			return err
		}
	}
	t.cleared = len(t.a.cleared)
	return t.tx.Bucket(metaBucket).Put(countersKey, t.counters.append(nil))
}

// publish shows readers what was committed.
func (t *txn) publish() {
	a := t.a
	a.counters = t.counters
	a.cleared = a.cleared[t.cleared:]
	subs := t.subs
	if t.names && subs == nil {
		subs = subscriptionSet(a.tree.Load())
	}
	for _, b := range t.boxes {
		if b.gone {
			a.store.cache.forgotten(b.entry.content.Swap(nil))
		} else if b.dirty {
			if subs != nil {
				b.mb.Subscribed = subs[b.mb.Name]
			}
			t.publishBox(b)
		}
	}
	if subs != nil {
		t.publishTree(subs)
	}
	quota := t.counters.quota
	a.quota.Store(&quota)
	for _, b := range t.boxes {
		if b.gone || b.dirty {
			b.entry.wake()
		}
	}
	a.store.sweeper.add(a, t.garbage)
}

func (t *txn) publishBox(b *box) {
	mb := b.mb
	// Another account's reader may take the content out of the cache meanwhile.
	if b.content != nil {
		s := newSnapshot(&mb, b.keywords, b.content.chunks)
		t.a.store.cache.grown(b.entry.content.Swap(s), s)
	} else if had := b.entry.content.Load(); had != nil {
		b.entry.content.CompareAndSwap(had, newSnapshot(&mb, b.keywords, had.chunks))
	}
	b.entry.keywords, b.entry.traces = b.keywords, b.traces
	b.entry.mailbox.Store(&mb)
}

// publishTree replaces the tree where names or subscriptions changed.
func (t *txn) publishTree(subs map[string]bool) {
	entries := make([]*entry, 0, len(t.byName))
	for name, e := range t.byName {
		if mb := e.mailbox.Load(); mb.Subscribed != subs[name] {
			n := *mb
			n.Subscribed = subs[name]
			e.mailbox.Store(&n)
		}
		entries = append(entries, e)
	}
	t.a.tree.Store(newTree(entries, subs))
}

func subscriptionSet(t *tree) map[string]bool {
	subs := make(map[string]bool, len(t.subscriptions))
	for _, name := range t.subscriptions {
		subs[name] = true
	}
	return subs
}

// rollback leaves everything as it was.
func (t *txn) rollback() {
	if err := t.tx.Rollback(); err != nil && !errors.Is(err, berrors.ErrTxClosed) {
		t.a.store.log.Error("rolling back", "account", t.a.id, "err", err)
	}
	t.unlink()
}

// unlink takes back the body files of a transaction that was not committed.
func (t *txn) unlink() {
	for _, path := range t.linked {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			// Its number is given out again: the next transaction collects it first.
			t.a.doubtful = true
			t.a.store.log.Error("removing a body that was not committed", "account", t.a.id, "file", filepath.Base(path), "err", err)
		}
	}
	t.linked = nil
}
