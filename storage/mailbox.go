package storage

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
)

// maxMailboxes bounds what one account can make the box keep in memory.
const maxMailboxes = 10000

// Mailboxes returns all mailboxes, INBOX first, then by name with parents
// before children.
func (a *Account) Mailboxes() []*Mailbox {
	entries := a.tree.Load().entries
	out := make([]*Mailbox, len(entries))
	for i, e := range entries {
		out[i] = e.mailbox.Load()
	}
	return out
}

// Mailbox finds a mailbox by name. INBOX is matched in any case; a localised
// name of a special-use mailbox ("Gesendete Elemente", "Deleted Items") finds
// that mailbox where no mailbox has the name itself. Nil if there is none.
func (a *Account) Mailbox(name string) *Mailbox {
	name, err := CanonicalName(name)
	if err != nil {
		return nil
	}
	if e := find(a.tree.Load().byName, name, func(e *entry) *Mailbox { return e.mailbox.Load() }); e != nil {
		return e.mailbox.Load()
	}
	return nil
}

// find looks a canonical name up, then as a localised name.
func find(byName map[string]*entry, name string, now func(*entry) *Mailbox) *entry {
	if e := byName[name]; e != nil {
		return e
	}
	use := SpecialUseOf(name)
	if use == "" {
		return nil
	}
	var found *entry
	for _, e := range byName {
		if mb := now(e); mb.SpecialUse == use && (found == nil || mb.ID < found.id) {
			found = e
		}
	}
	return found
}

// MailboxByID returns the present state of a mailbox, nil if it is gone.
func (a *Account) MailboxByID(id MailboxID) *Mailbox {
	if e := a.tree.Load().byID[id]; e != nil {
		return e.mailbox.Load()
	}
	return nil
}

// Subscriptions lists the subscribed names, sorted; some may not exist as
// mailboxes. The slice is shared and must not be changed.
func (a *Account) Subscriptions() []string { return a.tree.Load().subscriptions }

// SetSubscribed subscribes a name or takes the subscription back.
func (a *Account) SetSubscribed(ctx context.Context, name string, on bool) error {
	name, err := CanonicalName(name)
	if err == nil {
		err = a.do(ctx, func(t *txn) error { return t.subscribe(name, on) })
	}
	if err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	return nil
}

func (t *txn) subscribe(name string, on bool) error {
	if t.subs == nil {
		t.subs = subscriptionSet(t.a.tree.Load())
	}
	if t.subs[name] == on {
		return nil
	}
	t.writes++
	bucket := t.tx.Bucket(subscriptionsBucket)
	if !on {
		delete(t.subs, name)
		return bucket.Delete([]byte(name))
	}
	if len(t.subs) >= maxMailboxes {
		return ErrTooManyMailboxes
	}
	t.subs[name] = true
	return bucket.Put([]byte(name), nil)
}

// find looks a name up among this transaction's mailboxes.
func (t *txn) find(name string) *entry {
	return find(t.byName, name, func(e *entry) *Mailbox {
		if b := t.boxes[e.id]; b != nil {
			return &b.mb
		}
		return e.mailbox.Load()
	})
}

// ownNames makes the index of names this transaction's.
func (t *txn) ownNames() {
	if !t.names {
		t.byName, t.names = maps.Clone(t.byName), true
	}
	t.writes++
}

// CreateMailbox makes a mailbox and those above it that are missing.
// ErrMailboxExists also answers a localised name of a special-use mailbox
// that exists, so that no second Sent folder comes into being.
func (a *Account) CreateMailbox(ctx context.Context, m NewMailbox) (*Mailbox, error) {
	name, err := CanonicalName(m.Name)
	if err != nil {
		return nil, fmt.Errorf("create mailbox: %w", err)
	}
	m.Name = name
	var id MailboxID
	err = a.do(ctx, func(t *txn) error {
		b, err := t.create(m)
		if err == nil {
			id = b.mb.ID
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("create mailbox: %w", err)
	}
	mb := a.MailboxByID(id)
	if mb == nil {
		return nil, fmt.Errorf("create mailbox: %w", ErrNoMailbox) // deleted in the same moment
	}
	return mb, nil
}

func (t *txn) create(m NewMailbox) (*box, error) {
	if t.find(m.Name) != nil {
		return nil, ErrMailboxExists
	}
	if err := t.createParents(m.Name); err != nil {
		return nil, err
	}
	b, err := t.add(m.Name, m.SpecialUse)
	if err == nil && m.Subscribed {
		err = t.subscribe(m.Name, true)
	}
	return b, err
}

func (t *txn) createParents(name string) error {
	for i := range len(name) {
		if name[i] == Delimiter && t.byName[name[:i]] == nil {
			if _, err := t.add(name[:i], ""); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *txn) add(name string, use imap.MailboxAttr) (*box, error) {
	if len(t.byName) >= maxMailboxes {
		return nil, ErrTooManyMailboxes
	}
	t.ownNames()
	id := t.counters.nextMailbox
	t.counters.nextMailbox++
	// RFC 9051, section 2.3.1.1: a name that is used again must get a higher value.
	t.counters.uidValidity = max(t.counters.uidValidity+1, uint32(t.now))
	e := newEntry(id)
	e.recent.Store(1)
	b := &box{entry: e, created: true, mb: Mailbox{
		ID: id, Name: name, SpecialUse: use, UIDValidity: t.counters.uidValidity, UIDNext: 1,
		HighestModSeq: t.nextModSeq(), Created: t.now,
	}}
	t.boxes[id] = b
	t.byName[name] = e
	t.touch(b)
	return b, nil
}

// DeleteMailbox removes a mailbox and its messages. ErrHasChildren where
// mailboxes lie below it.
func (a *Account) DeleteMailbox(ctx context.Context, name string) error {
	name, err := CanonicalName(name)
	if err == nil {
		err = a.free(ctx, func(t *txn) error { return t.deleteMailbox(name) })
	}
	if err != nil {
		return fmt.Errorf("delete mailbox: %w", err)
	}
	return nil
}

func (t *txn) deleteMailbox(name string) error {
	if name == Inbox {
		return ErrInboxImmutable
	}
	e := t.byName[name]
	if e == nil {
		return ErrNoMailbox
	}
	for other := range t.byName {
		if strings.HasPrefix(other, name+string(Delimiter)) {
			return ErrHasChildren
		}
	}
	b, err := t.messages(e.id)
	if err != nil {
		return err
	}
	t.ownNames()
	delete(t.byName, name)
	b.gone = true
	for _, c := range b.content.chunks {
		for i := range c.msgs {
			t.counters.quota.UsedBytes -= c.msgs[i].Size
			t.counters.quota.UsedMessages--
			if err := t.unref(c.msgs[i].Data); err != nil {
				return err
			}
		}
	}
	prefix := mailboxKey(e.id)
	for _, bucket := range [][]byte{chunksBucket, vanishedBucket} {
		if err := t.deletePrefix(bucket, prefix); err != nil {
			return err
		}
	}
	return t.tx.Bucket(mailboxesBucket).Delete(prefix)
}

func (t *txn) deletePrefix(bucket, prefix []byte) error {
	// Collected first: deleting moves a bbolt cursor.
	var keys [][]byte
	c := t.tx.Bucket(bucket).Cursor()
	for k, _ := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, _ = c.Next() {
		keys = append(keys, bytes.Clone(k))
	}
	for _, k := range keys {
		if err := t.tx.Bucket(bucket).Delete(k); err != nil {
			return err
		}
	}
	return nil
}

// RenameMailbox renames a mailbox and all below it. Renaming INBOX moves its
// messages to a new mailbox (RFC 9051, section 6.3.6). Subscriptions stay
// with the names, as the RFC demands.
func (a *Account) RenameMailbox(ctx context.Context, from, to string) error {
	from, err := CanonicalName(from)
	if err != nil {
		return fmt.Errorf("rename mailbox: %w", err)
	}
	if to, err = CanonicalName(to); err != nil {
		return fmt.Errorf("rename mailbox: %w", err)
	}
	if err := a.do(ctx, func(t *txn) error { return t.rename(from, to) }); err != nil {
		return fmt.Errorf("rename mailbox: %w", err)
	}
	return nil
}

func (t *txn) rename(from, to string) error {
	below := from + string(Delimiter)
	if t.byName[from] == nil {
		return ErrNoMailbox
	}
	if e := t.find(to); e != nil && e != t.byName[from] || from == to {
		return ErrMailboxExists
	}
	if from == Inbox {
		return t.renameInbox(to)
	}
	if strings.HasPrefix(to, below) {
		return fmt.Errorf("%w: a mailbox cannot be put below itself", ErrMailboxName)
	}
	if err := t.createParents(to); err != nil {
		return err
	}
	var names []string
	for name := range t.byName {
		if name == from || strings.HasPrefix(name, below) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	t.ownNames()
	for _, name := range names {
		e := t.byName[name]
		b, err := t.box(e.id)
		if err != nil {
			return err
		}
		b.mb.Name, err = CanonicalName(to + name[len(from):])
		if err != nil {
			return err // too long now
		}
		if other := t.byName[b.mb.Name]; other != nil {
			return ErrMailboxExists
		}
		delete(t.byName, name)
		t.byName[b.mb.Name] = e
		t.touch(b)
	}
	return nil
}

func (t *txn) renameInbox(to string) error {
	dst, err := t.create(NewMailbox{Name: to})
	if err != nil {
		return err
	}
	all := imap.UIDSet{{Start: 1, Stop: 1<<32 - 1}}
	_, err = t.move(t.byName[Inbox].id, all, dst.mb.ID)
	return err
}
