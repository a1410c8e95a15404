package storage

import (
	"bytes"
	"context"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// notesBucket has what the rooms above keep with an account's mail. It is made
// with the first note.
var notesBucket = []byte("notes") // Note.Key → Note.Value, checksum

// Bounds of a note in octets.
const (
	MaxNoteKey   = 512
	MaxNoteValue = 16 << 10
)

// Note is a key and a value that a room above keeps in an account's index. What
// they mean it alone knows; the first octet of the key tells whose it is. A
// repair of the index keeps the notes that can be read, and tells nobody of the
// others.
type Note struct {
	Key   []byte
	Value []byte // nil removes the note
}

// AppendNoted is Append with notes that are committed in the same transaction:
// after a crash either both are there or neither. notes is told where the
// messages go, and may be called more than once.
func (a *Account) AppendNoted(ctx context.Context, id MailboxID, msgs []AppendMessage, notes func(AppendResult) []Note) (AppendResult, error) {
	var res AppendResult
	err := a.do(ctx, func(t *txn) error {
		var err error
		if res, err = t.append(id, msgs); err != nil {
			return err
		}
		return t.note(notes(res))
	})
	if err != nil {
		return AppendResult{}, fmt.Errorf("append: %w", err)
	}
	return res, nil
}

// PutNotes keeps notes, all or none.
func (a *Account) PutNotes(ctx context.Context, notes []Note) error {
	if err := a.do(ctx, func(t *txn) error { return t.note(notes) }); err != nil {
		return fmt.Errorf("keep notes: %w", err)
	}
	return nil
}

// Notes calls f for each note whose key begins with prefix, in the order of
// the keys. Key and value are valid only within the call, and f must not block.
func (a *Account) Notes(prefix []byte, f func(key, value []byte) error) error {
	err := a.view(func(tx *bolt.Tx) error {
		b := tx.Bucket(notesBucket)
		if b == nil {
			return nil
		}
		c := b.Cursor()
		for k, v := c.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix); k, v = c.Next() {
			d := summed(v)
			if d.bad {
				return fmt.Errorf("note %x: %w", k, ErrCorrupt)
			}
			if err := f(k, d.b); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read notes: %w", err)
	}
	return nil
}

func (t *txn) note(notes []Note) error {
	if len(notes) == 0 {
		return nil
	}
	t.writes++
	b, err := t.tx.CreateBucketIfNotExists(notesBucket)
	if err != nil {
		return err
	}
	for _, n := range notes {
		switch {
		case len(n.Key) == 0 || len(n.Key) > MaxNoteKey || len(n.Value) > MaxNoteValue:
			return fmt.Errorf("a note of %d and %d octets is none", len(n.Key), len(n.Value))
		case n.Value == nil:
			err = b.Delete(n.Key)
		default:
			err = b.Put(n.Key, appendSum(bytes.Clone(n.Value), 0))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
