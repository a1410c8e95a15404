package importer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/emersion/go-imap/v2"

	"pillarbox/storage"
)

// boxNote is the state of a mailbox of the source at the end of its last run:
// the note under [Origin.mailbox].
type boxNote struct {
	Mailbox    storage.MailboxID `json:"mailbox"`
	Validity   uint32            `json:"validity,omitempty"`
	Mark       string            `json:"mark,omitempty"`
	Listed     int64             `json:"listed,omitempty"` // Unix seconds
	UIDNext    imap.UID          `json:"uid_next,omitempty"`
	Subscribed bool              `json:"subscribed,omitempty"`
	KeepsUIDs  bool              `json:"keeps_uids,omitempty"`
	Messages   int64             `json:"messages"`
	Bytes      int64             `json:"bytes"`
	Bad        int64             `json:"bad,omitempty"`
	Done       bool              `json:"done,omitempty"`     // it was listed to its end
	Expunged   bool              `json:"expunged,omitempty"` // what was gone then is gone here
}

func decodeBoxNote(b []byte) (*boxNote, error) {
	var n boxNote
	if err := json.Unmarshal(b, &n); err != nil {
		return nil, fmt.Errorf("read the state of a mailbox: %w", err)
	}
	return &n, nil
}

// readBox returns the state of a mailbox, nil if it has none. One that cannot
// be read is none: everything is compared again then.
func readBox(a *storage.Account, o Origin) (*boxNote, error) {
	var n *boxNote
	err := a.Notes(o.mailbox(), func(_, v []byte) error {
		n, _ = decodeBoxNote(v)
		return nil
	})
	if errors.Is(err, storage.ErrCorrupt) {
		return nil, nil
	}
	return n, err
}

func (n *boxNote) write(ctx context.Context, a *storage.Account, o Origin) error {
	b, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("encode the state of a mailbox: %w", err)
	}
	return a.PutNotes(ctx, []storage.Note{{Key: o.mailbox(), Value: b}})
}

// known is what is needed of a Record to find differences.
type known struct {
	flags string // shared
	box   storage.MailboxID
	uid   imap.UID
	fate  Fate
	seen  bool // in this listing
	stale bool // of another UIDVALIDITY
}

// readRecords returns what is known of a mailbox's messages by their keys.
// Records that cannot be read are as if they were not there.
func readRecords(a *storage.Account, o Origin, validity uint32) (map[string]*known, error) {
	out := map[string]*known{}
	texts := map[string]string{}
	prefix := o.prefix()
	err := a.Notes(prefix, func(k, v []byte) error {
		r, err := DecodeRecord(v)
		if err != nil {
			return nil
		}
		flags, ok := texts[r.Flags]
		if !ok {
			flags = r.Flags
			texts[flags] = flags
		}
		key := string(k[len(prefix):])
		out[key] = &known{flags: flags, box: r.Mailbox, uid: r.UID, fate: r.Fate, stale: validity != 0 && len(key) == 8 && !hasValidity(key, validity)}
		return nil
	})
	return out, err
}

// hasValidity tells whether a key is one of an IMAP mailbox with this
// UIDVALIDITY. Those are 8 octets long; those of files are longer, and stay the
// same when files get other UIDs.
func hasValidity(key string, validity uint32) bool {
	return len(key) == 8 && key[:4] == keyOf(validity, 0)[:4]
}

// readRecord returns the record of one message.
func readRecord(a *storage.Account, o Origin, key string) (Record, bool, error) {
	var r Record
	found := false
	want := o.key(key)
	err := a.Notes(want, func(k, v []byte) error {
		if !bytes.Equal(k, want) {
			return errStop // a longer one
		}
		var err error
		if r, err = DecodeRecord(v); err == nil {
			found = true
		}
		return errStop
	})
	if errors.Is(err, errStop) {
		err = nil
	}
	return r, found, err
}

var errStop = errors.New("enough")
