package exporter

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"

	"pillarbox/storage"
)

// Mailbox is one mailbox of the box.
type Mailbox struct {
	ID          storage.MailboxID `json:"id"`
	Name        string            `json:"name"` // levels separated by "/"
	SpecialUse  imap.MailboxAttr  `json:"special_use,omitempty"`
	UIDValidity uint32            `json:"uid_validity"`
	UIDNext     imap.UID          `json:"uid_next"`
	Subscribed  bool              `json:"subscribed"`
	Messages    int64             `json:"messages"`
	Bytes       int64             `json:"bytes"`
}

// Message is one message of a mailbox, without its octets.
type Message struct {
	UID   imap.UID       `json:"uid"`
	Data  storage.DataID `json:"data"`
	Flags []imap.Flag    `json:"flags,omitempty"`
	Date  time.Time      `json:"date"`
	Size  int64          `json:"size"`
}

// Mail is one person's mail on the box.
type Mail interface {
	// Mailboxes lists them, INBOX first, parents before children.
	Mailboxes(ctx context.Context) ([]Mailbox, error)
	// Messages lists a mailbox by ascending UID, as it is at this moment.
	Messages(ctx context.Context, id storage.MailboxID) ([]Message, error)
	// Read calls take once for each of data, in their order, with the message's
	// octets, which are good until take returns. With err the one message cannot
	// be read. What take returns ends Read and is returned.
	Read(ctx context.Context, data []storage.DataID, take func(i int, body io.ReaderAt, size int64, err error) error) error
}

// stored is the mail of an account in this process.
type stored struct{ a *storage.Account }

// Stored is the mail of an account that is open in this process.
func Stored(a *storage.Account) Mail { return stored{a} }

// Mailboxes implements Mail.
func (s stored) Mailboxes(context.Context) ([]Mailbox, error) {
	var all []Mailbox
	for _, mb := range s.a.Mailboxes() {
		all = append(all, Mailbox{
			ID: mb.ID, Name: mb.Name, SpecialUse: mb.SpecialUse, UIDValidity: mb.UIDValidity, UIDNext: mb.UIDNext,
			Subscribed: mb.Subscribed, Messages: int64(mb.NumMessages), Bytes: mb.Size,
		})
	}

	return all, nil
}

// Messages implements Mail.
func (s stored) Messages(ctx context.Context, id storage.MailboxID) ([]Message, error) {
	snap, err := s.a.Snapshot(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("list messages: %w", err)
	}
	all := make([]Message, 0, snap.Len())
	var text []byte
	sets := map[string][]imap.Flag{} // most messages have the same few
	for _, m := range snap.All(0) {
		text = snap.AppendFlags(text[:0], m)
		flags, ok := sets[string(text)]
		if !ok {
			for word := range strings.FieldsSeq(string(text)) {
				flags = append(flags, imap.Flag(word))
			}
			sets[string(text)] = flags
		}
		all = append(all, Message{UID: m.UID, Data: m.Data, Flags: flags, Date: m.Date(), Size: m.Size})
	}

	return all, nil
}

// Read implements Mail.
func (s stored) Read(ctx context.Context, data []storage.DataID, take func(i int, body io.ReaderAt, size int64, err error) error) error {
	i := 0
	for body, err := range s.a.Bodies(data) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			err = take(i, nil, 0, err)
		} else {
			err = take(i, body, body.Size, nil)
		}
		if err != nil {
			return err
		}
		i++
	}

	return nil
}
