package importer

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"

	"pillarbox/storage"
)

// claims finds messages that a mailbox has here and that no record knows, or
// only one from before the source numbered its mailbox anew.
type claims struct {
	account *storage.Account

	mu     sync.Mutex
	bySize map[int64][]*candidate
	used   map[string]bool // keys of old records whose message was claimed
}

// candidate is a message that may be claimed, once.
type candidate struct {
	uid    imap.UID
	data   storage.DataID
	date   int64  // Unix seconds
	key    string // of its old record; "" if it has none
	flags  string // of its old record
	hashed bool
	hash   [32]byte
	taken  bool
}

// newClaims lists what may be claimed by a mailbox of a source that has the
// mailboxes ours. There is nothing in a mailbox that was
// taken wholly before, or is empty.
func newClaims(ctx context.Context, a *storage.Account, t *target, records map[string]*known, ours map[Origin]bool) (*claims, error) {
	stale := map[imap.UID]string{}
	for key, k := range records {
		if k.stale && k.box == t.id && k.fate != Quarantined {
			stale[k.uid] = key
		}
	}
	mb := a.MailboxByID(t.id)
	if mb == nil || mb.NumMessages == 0 || t.note.Done && len(stale) == 0 {
		return nil, nil
	}
	// Before the notes: what comes between the two has its note then.
	s, err := a.Snapshot(ctx, t.id)
	if errors.Is(err, storage.ErrNoMailbox) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	owned := map[imap.UID]bool{}
	err = a.Notes([]byte{messageNote}, func(k, v []byte) error {
		// What another source brought may be claimed: it may be the same one by
		// another name.
		if len(k) < 1+len(Origin{}) || !ours[Origin(k[1:1+len(Origin{})])] {
			return nil
		}
		if r, err := DecodeRecord(v); err == nil && r.Mailbox == t.id && r.Fate != Quarantined {
			owned[r.UID] = true
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	c := &claims{account: a, bySize: map[int64][]*candidate{}, used: map[string]bool{}}
	for _, m := range s.All(0) {
		key, old := stale[m.UID]
		flags := ""
		if old {
			flags = records[key].flags
		}
		if owned[m.UID] && !old {
			continue
		}
		c.bySize[m.Size] = append(c.bySize[m.Size], &candidate{uid: m.UID, data: m.Data, date: m.InternalDate, key: key, flags: flags})
	}
	return c, nil
}

// claim returns a message with these octets and this date that nobody else
// has claimed; nil if there is none.
func (c *claims) claim(size int64, hash [32]byte, date time.Time) *candidate {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range c.bySize[size] {
		if d.taken || !date.IsZero() && date.Unix() != d.date {
			continue
		}
		if !d.hashed {
			d.hash, d.hashed = hashOf(c.account, d.data), true
		}
		if d.hash == hash {
			d.taken = true
			if d.key != "" {
				c.used[d.key] = true
			}
			return d
		}
	}
	return nil
}

// took tells whether the message of an old record was claimed.
func (c *claims) took(key string) bool {
	if c == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.used[key]
}

// hashOf returns the SHA-256 of a message's body; zero if it cannot be read,
// which is that of nothing.
func hashOf(a *storage.Account, id storage.DataID) [32]byte {
	b, err := a.OpenBody(id)
	if err != nil {
		return [32]byte{}
	}
	defer b.Close()
	h := sha256.New()
	at := int64(len(b.Prefix))
	piece := make([]byte, min(max(b.Size-at, 1), 32<<10)) // most messages are small
	if _, err := io.CopyBuffer(h, io.NewSectionReader(b, at, b.Size-at), piece); err != nil {
		return [32]byte{}
	}
	return [32]byte(h.Sum(nil))
}
