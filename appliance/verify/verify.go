package verify

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/emersion/go-imap/v2"

	"pillarbox/storage"
)

// Report counts what was read.
type Report struct {
	Accounts  int   `json:"accounts"`
	Mailboxes int   `json:"mailboxes"`
	Messages  int   `json:"messages"`
	Bytes     int64 `json:"bytes"`
	Problems  int   `json:"problems"`
}

// Add adds the counts of another report.
func (r *Report) Add(o Report) {
	r.Accounts += o.Accounts
	r.Mailboxes += o.Mailboxes
	r.Messages += o.Messages
	r.Bytes += o.Bytes
	r.Problems += o.Problems
}

// Problem is a message, or a whole mailbox, that is damaged.
type Problem struct {
	Account string   `json:"account"`
	Mailbox string   `json:"mailbox"`
	UID     imap.UID `json:"uid,omitempty"`
	Text    string   `json:"text"`
}

// Account reads all mail of an account.
func Account(ctx context.Context, store *storage.Store, id storage.AccountID, found func(Problem)) (Report, error) {
	acct, err := store.Account(ctx, id)
	if err != nil {
		return Report{}, fmt.Errorf("open account: %w", err)
	}
	c := &checker{acct: acct, found: found, seen: map[storage.DataID]bool{}, buf: make([]byte, 256<<10)}
	c.report.Accounts = 1
	for _, box := range acct.Mailboxes() {
		if err := c.mailbox(ctx, box); err != nil {
			return c.report, err
		}
	}

	return c.report, nil
}

// checker reads one account.
type checker struct {
	acct   *storage.Account
	found  func(Problem)
	report Report
	seen   map[storage.DataID]bool // copies share what was read already
	buf    []byte
}

func (c *checker) mailbox(ctx context.Context, box *storage.Mailbox) error {
	snap, err := c.acct.Snapshot(ctx, box.ID)
	if errors.Is(err, storage.ErrNoMailbox) {
		return nil // deleted meanwhile
	}
	if err != nil {
		c.problem(box, 0, fmt.Sprintf("the mailbox cannot be opened: %v", err))
		return nil
	}
	box = snap.Mailbox()
	c.report.Mailboxes++
	if int(box.NumMessages) != snap.Len() {
		c.problem(box, 0, fmt.Sprintf("it counts %d messages and holds %d", box.NumMessages, snap.Len()))
	}
	var last imap.UID
	for _, m := range snap.All(0) {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("check %s: %w", box.Name, err)
		}
		c.report.Messages++
		if m.UID <= last || m.UID >= box.UIDNext {
			c.problem(box, m.UID, "the UID is out of order")
		}
		last = m.UID
		if c.seen[m.Data] {
			continue
		}
		c.seen[m.Data] = true
		err := c.message(m)
		if errors.Is(err, storage.ErrNoMessage) && c.expunged(ctx, box.ID, m.UID) {
			continue
		}
		if err != nil {
			c.problem(box, m.UID, err.Error())
		}
	}

	return nil
}

// message compares what is stored of a message with what is said of it.
func (c *checker) message(m *storage.Message) error {
	var (
		said   int64
		parsed error
	)
	err := c.acct.Read([]storage.DataID{m.Data}, func(_ int, d *storage.Data) bool {
		if d == nil {
			parsed = fmt.Errorf("read data: %w", storage.ErrNoMessage)
			return false
		}
		said = int64(len(d.Prefix)) + d.BodySize
		if d.Record.HeaderSize() > d.BodySize {
			parsed = errors.New("the header is said to be longer than the message")
		} else if _, err := d.Record.Parts(); err != nil {
			parsed = fmt.Errorf("decode structure: %w", err)
		}
		return false
	})
	if err := errors.Join(err, parsed); err != nil {
		return err
	}
	body, err := c.acct.OpenBody(m.Data)
	if err != nil {
		return fmt.Errorf("open body: %w", err)
	}
	n, err := io.CopyBuffer(onlyWriter{io.Discard}, io.NewSectionReader(body, 0, body.Size+1), c.buf)
	if err := errors.Join(err, body.Close()); err != nil {
		return fmt.Errorf("read body: %w", err)
	}
	c.report.Bytes += n
	if n != m.Size || n != said {
		return fmt.Errorf("the message has %d octets, its listing says %d and its data %d", n, m.Size, said)
	}

	return nil
}

// expunged tells whether a message has gone since the snapshot was taken.
func (c *checker) expunged(ctx context.Context, id storage.MailboxID, uid imap.UID) bool {
	now, err := c.acct.Snapshot(ctx, id)
	if err != nil {
		return errors.Is(err, storage.ErrNoMailbox)
	}
	_, there := now.Find(uid)

	return !there
}

func (c *checker) problem(box *storage.Mailbox, uid imap.UID, text string) {
	c.report.Problems++
	c.found(Problem{Mailbox: box.Name, UID: uid, Text: text})
}

// onlyWriter hides io.Discard's ReadFrom, which would not use the buffer.
type onlyWriter struct{ io.Writer }
