package storage

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-imap/v2"
	bolt "go.etcd.io/bbolt"
)

// The buckets of index.db.
var (
	mailboxesBucket     = []byte("mailboxes")     // MailboxID → mailboxRecord
	chunksBucket        = []byte("chunks")        // MailboxID, base UID → chunk
	vanishedBucket      = []byte("vanished")      // MailboxID, ModSeq → expunged UIDs, see trace.go
	dataBucket          = []byte("data")          // DataID → dataRecord
	bodiesBucket        = []byte("bodies")        // DataID → small body
	refsBucket          = []byte("refs")          // DataID → number of messages, where it is not 1
	subscriptionsBucket = []byte("subscriptions") // name → nothing
	garbageBucket       = []byte("garbage")       // DataID, hash → nothing: body files to be unlinked

	countersKey = []byte("counters")
)

// Account is an opened account. Its methods may be called from several goroutines.
type Account struct {
	store *Store
	id    AccountID
	dir   string
	db    *database
	tree  atomic.Pointer[tree]
	quota atomic.Pointer[Quota]
	epoch atomic.Uint64
	queue commitQueue

	// writing is held from the start of a transaction until it is published.
	writing  sync.Mutex
	closed   bool // under writing
	doubtful bool // under writing: a commit failed, so memory and disk may differ
	counters counters
	held     time.Duration // for which the last compaction held writers up; upkeep's alone
	looked   time.Time     // at which state of the index compaction looked; upkeep's alone
	cleared  [][]byte      // keys of garbageBucket whose files are gone; under writing

	// sweeping is held while an expunged body is unlinked.
	sweeping sync.Mutex
	ended    bool // under sweeping: the folder may be another account's by now
}

// indexFile is the name of an account's database in its folder.
const indexFile = "index.db"

// tree is the set of mailboxes. It is immutable; the entries' content is not.
type tree struct {
	entries       []*entry // INBOX first, then by name, parents before children
	byName        map[string]*entry
	byID          map[MailboxID]*entry
	subscriptions []string // sorted
}

// entry is one mailbox's published state.
type entry struct {
	id      MailboxID
	mailbox atomic.Pointer[Mailbox]
	content atomic.Pointer[Snapshot] // nil until it is asked for
	recent  atomic.Uint32            // lowest UID that no session was told of
	used    atomic.Int64             // when the content was last asked for, for the cache

	keywords []string // under Account.writing
	traces   traces   // under Account.writing

	mu       sync.Mutex
	watchers map[chan struct{}]struct{}
}

// wake tells the watchers that something changed.
func (e *entry) wake() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for ch := range e.watchers {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

func (e *entry) watched() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.watchers) > 0
}

func openAccount(s *Store, id AccountID, dir string) (*Account, error) {
	a := &Account{store: s, id: id, dir: dir}
	for _, unfinished := range []string{indexFile + ".new", indexFile + compactSuffix, backupFile + ".new"} {
		if err := removeIfThere(filepath.Join(dir, unfinished)); err != nil {
			return nil, err
		}
	}
	db, err := openDatabase(filepath.Join(dir, indexFile))
	if errors.Is(err, fs.ErrNotExist) {
		// A new one would know no mail, and all bodies would be collected.
		err = fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if err != nil {
		return nil, err
	}
	a.db = db
	if err := a.load(); err != nil {
		db.close()
		return nil, err
	}
	return a, nil
}

// view runs f in a read transaction.
func (a *Account) view(f func(*bolt.Tx) error) error { return a.db.view(f) }

// setupIndex fills a new index: the buckets and INBOX.
func setupIndex(tx *bolt.Tx, when time.Time) error {
	if err := (&fileHead{format: formatVersion}).write(tx); err != nil {
		return err
	}
	for _, name := range [][]byte{
		mailboxesBucket, chunksBucket, vanishedBucket, dataBucket, bodiesBucket, refsBucket, subscriptionsBucket, garbageBucket,
	} {
		if _, err := tx.CreateBucket(name); err != nil {
			return err
		}
	}
	now := when.Unix()
	// UIDVALIDITY must not be 0, which is when a box without a clock starts.
	c := counters{epoch: newEpoch(), modSeq: 1, nextMailbox: 2, nextData: 1, uidValidity: max(uint32(now), 1)}
	inbox := mailboxRecord{
		Mailbox: Mailbox{ID: 1, Name: Inbox, UIDValidity: c.uidValidity, UIDNext: 1, HighestModSeq: 1, Created: now},
		recent:  1,
	}
	return errors.Join(
		tx.Bucket(metaBucket).Put(countersKey, c.append(nil)),
		tx.Bucket(mailboxesBucket).Put(mailboxKey(1), inbox.append(nil)),
	)
}

// newEpoch returns a number that no other index has. It is random, as a box
// without a clock may start at the same time twice.
func newEpoch() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint64(b[:])
}

// load reads what stays in memory and removes what a crash left.
func (a *Account) load() error {
	if err := a.db.view(checkFormat); err != nil {
		return err
	}
	if err := upgrade(a.db, formatVersion, nil); err != nil {
		return err
	}
	bodies := filepath.Join(a.dir, "bodies")
	// A process that was killed may have left entries of these unsynced.
	if err := errors.Join(syncDir(a.dir), syncDir(bodies)); err != nil {
		return err
	}
	var entries []*entry
	subscribed := map[string]bool{}
	var garbage [][]byte
	err := a.view(func(tx *bolt.Tx) error {
		var err error
		if a.counters, err = decodeCounters(tx.Bucket(metaBucket).Get(countersKey)); err != nil {
			return err
		}
		if err := tx.Bucket(subscriptionsBucket).ForEach(func(k, _ []byte) error {
			subscribed[string(k)] = true
			return nil
		}); err != nil {
			return err
		}
		if err := tx.Bucket(garbageBucket).ForEach(func(k, _ []byte) error {
			garbage = append(garbage, bytes.Clone(k))
			return nil
		}); err != nil {
			return err
		}
		return tx.Bucket(mailboxesBucket).ForEach(func(k, v []byte) error {
			id, ok := keyMailbox(k)
			if !ok {
				return fmt.Errorf("read mailboxes: %w", ErrCorrupt)
			}
			r, err := decodeMailbox(id, v)
			if err != nil {
				return err
			}
			entries = append(entries, a.entry(r, subscribed[r.Name]))
			return nil
		})
	})
	if err != nil {
		return err
	}
	a.tree.Store(newTree(entries, subscribed))
	quota := a.counters.quota
	a.quota.Store(&quota)
	a.epoch.Store(a.counters.epoch)
	if err := a.collectBodies(); err != nil {
		return err
	}
	a.cleared = slices.DeleteFunc(garbage, func(k []byte) bool {
		err := a.removeGarbage(k)
		if err != nil { // no reason to refuse the account
			a.store.log.Error("removing an expunged body", "account", a.id, "err", err)
		}
		return err != nil
	})
	if err := a.syncGarbage(a.cleared); err != nil {
		a.store.log.Error("removing expunged bodies", "account", a.id, "err", err)
		a.cleared = nil
	}
	return nil
}

// entry makes the entry of a mailbox read from the disk, or brings the one
// that sessions watch up to date.
func (a *Account) entry(r *mailboxRecord, subscribed bool) *entry {
	var e *entry
	if t := a.tree.Load(); t != nil {
		e = t.byID[r.ID]
	}
	if e == nil {
		e = newEntry(r.ID)
	}
	a.store.cache.forgotten(e.content.Swap(nil))
	e.keywords, e.traces = r.keywords, r.traces
	mb := r.Mailbox
	mb.Subscribed = subscribed
	e.mailbox.Store(&mb)
	e.recent.Store(uint32(r.recent))
	return e
}

func newEntry(id MailboxID) *entry {
	return &entry{id: id, watchers: map[chan struct{}]struct{}{}}
}

func newTree(entries []*entry, subscribed map[string]bool) *tree {
	t := &tree{byName: make(map[string]*entry, len(entries)), byID: make(map[MailboxID]*entry, len(entries))}
	t.entries = slices.Clone(entries)
	slices.SortFunc(t.entries, func(a, b *entry) int { return compareNames(a.mailbox.Load().Name, b.mailbox.Load().Name) })
	for _, e := range t.entries {
		t.byName[e.mailbox.Load().Name] = e
		t.byID[e.id] = e
	}
	for name := range subscribed {
		t.subscriptions = append(t.subscriptions, name)
	}
	slices.SortFunc(t.subscriptions, compareNames)
	return t
}

// close ends the account: writes that run are finished, later ones get ErrClosed.
func (a *Account) close() error {
	a.writing.Lock()
	defer a.writing.Unlock()
	if a.closed {
		return nil
	}
	a.closed = true
	a.sweeping.Lock()
	a.ended = true
	a.sweeping.Unlock()
	for _, e := range a.tree.Load().entries {
		a.store.cache.forgotten(e.content.Swap(nil))
		e.wake()
	}
	if err := a.db.close(); err != nil {
		return fmt.Errorf("close account %s: %w", a.id, err)
	}
	return nil
}

// ID returns the account's identifier.
func (a *Account) ID() AccountID { return a.id }

// Epoch returns a number that belongs to this index of the account's mail and
// no other: together with it a DataID or MailboxID is never used again, even
// where the account was removed and made anew.
func (a *Account) Epoch() uint64 { return a.epoch.Load() }

// Quota returns the account's use and limit.
func (a *Account) Quota() Quota { return *a.quota.Load() }

// Watch returns a channel that gets a value (without blocking; capacity 1)
// after each commit that touched the mailbox, or removed it. stop ends it.
func (a *Account) Watch(id MailboxID) (ch <-chan struct{}, stop func()) {
	c := make(chan struct{}, 1)
	e := a.tree.Load().byID[id]
	if e == nil {
		c <- struct{}{}
		return c, func() {}
	}
	e.mu.Lock()
	e.watchers[c] = struct{}{}
	e.mu.Unlock()
	if a.tree.Load().byID[id] != e { // removed meanwhile, and nobody will tell
		e.wake()
	}
	return c, func() {
		e.mu.Lock()
		delete(e.watchers, c)
		e.mu.Unlock()
	}
}

// TakeRecent returns the lowest UID that no session was told of as \Recent
// and, unless peek, marks all present ones as told (RFC 3501, section 2.3.2).
// It reaches the disk with the mailbox's next change: losing it in a crash
// only makes messages recent again.
func (a *Account) TakeRecent(id MailboxID, peek bool) imap.UID {
	e := a.tree.Load().byID[id]
	if e == nil {
		return 0
	}
	if peek {
		return imap.UID(e.recent.Load())
	}
	return imap.UID(e.recent.Swap(uint32(e.mailbox.Load().UIDNext)))
}

// Snapshot returns the present content of a mailbox. ErrNoMailbox if it is gone.
func (a *Account) Snapshot(_ context.Context, id MailboxID) (*Snapshot, error) {
	e := a.tree.Load().byID[id]
	if e == nil {
		return nil, fmt.Errorf("open mailbox: %w", ErrNoMailbox)
	}
	if s := e.content.Load(); s != nil {
		e.used.Store(a.store.now().UnixNano())
		return s, nil
	}
	a.writing.Lock()
	defer a.writing.Unlock()
	if a.closed {
		return nil, fmt.Errorf("open mailbox: %w", ErrClosed)
	}
	if a.tree.Load().byID[id] != e {
		return nil, fmt.Errorf("open mailbox: %w", ErrNoMailbox)
	}
	s, err := a.loadContent(e)
	if err != nil {
		return nil, fmt.Errorf("open mailbox %q: %w", e.mailbox.Load().Name, err)
	}
	return s, nil
}

// loadContent reads a mailbox's chunks. The caller holds writing.
func (a *Account) loadContent(e *entry) (*Snapshot, error) {
	if s := e.content.Load(); s != nil {
		return s, nil
	}
	var chunks []*chunk
	mb := e.mailbox.Load()
	var last imap.UID
	prefix := mailboxKey(e.id)
	err := a.view(func(tx *bolt.Tx) error {
		c := tx.Bucket(chunksBucket).Cursor()
		for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = c.Next() {
			base, ok := keyUID(k)
			if !ok {
				return ErrCorrupt
			}
			ch, err := decodeChunk(base, v)
			if err != nil {
				return err
			}
			if base <= last || len(ch.msgs) == 0 {
				return fmt.Errorf("messages from UID %d: %w", base, ErrCorrupt)
			}
			last = ch.msgs[len(ch.msgs)-1].UID
			chunks = append(chunks, ch)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	s := newSnapshot(mb, e.keywords, chunks)
	// A client that is shown fewer messages deletes its own copies of the rest.
	if s.Len() != int(mb.NumMessages) || last >= mb.UIDNext {
		return nil, fmt.Errorf("%d messages up to UID %d instead of %d below %d: %w", s.Len(), last, mb.NumMessages, mb.UIDNext, ErrCorrupt)
	}
	e.used.Store(a.store.now().UnixNano())
	e.content.Store(s)
	a.store.cache.loaded(a.store, e, s.Len())
	return s, nil
}
