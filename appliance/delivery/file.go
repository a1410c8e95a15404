package delivery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/emersion/go-imap/v2"

	"pillarbox/storage"
)

// maxAhead is how far in the future a Date field is believed.
const maxAhead = 24 * time.Hour

// Filed is a message to be filed as it is.
type Filed struct {
	Body  *storage.Staged
	Flags []imap.Flag
	Date  time.Time // zero: that of the message's Date field, or now
}

// Stage receives a message that is to be filed.
func (p *Pipeline) Stage(ctx context.Context, r io.Reader) (*storage.Staged, error) {
	s, err := p.store.Stage(ctx, r)

	return s, p.stageError(err)
}

// stageError names the limit where a message exceeds it. What storage says of
// other errors needs nothing more.
func (p *Pipeline) stageError(err error) error {
	if errors.Is(err, storage.ErrTooBig) {
		return fmt.Errorf("%w: the limit is %s", storage.ErrTooBig, sizeText(p.store.MaxMessage()))
	}

	return err
}

// sizeText returns "50 MiB" for what can be said so, otherwise octets.
func sizeText(n int64) string {
	for _, unit := range []struct {
		shift int
		name  string
	}{{30, "GiB"}, {20, "MiB"}, {10, "KiB"}} {
		if n > 0 && n%(1<<unit.shift) == 0 {
			return fmt.Sprintf("%d %s", n>>unit.shift, unit.name)
		}
	}

	return fmt.Sprintf("%d octets", n)
}

// File puts messages, with the octets they have, into a mailbox of a
// recipient, which is created if it is missing. The results stand in the
// order of the messages, which is also the order of their UIDs. Where the
// recipient is an alias of several accounts, each gets them.
func (p *Pipeline) File(ctx context.Context, recipient, mailbox string, msgs []Filed) []Result {
	results := make([]Result, len(msgs))
	for i := range results {
		results[i].Recipient = recipient
	}
	accounts, err := p.resolve(ctx, recipient)
	if err != nil {
		failAll(results, err)
		return results
	}

	batch := make([]storage.AppendMessage, len(msgs))
	for i, m := range msgs {
		batch[i] = storage.AppendMessage{Body: m.Body, Flags: m.Flags, InternalDate: p.internalDate(&m)}
	}
	for _, acct := range accounts {
		places, err := p.put(ctx, acct, mailbox, batch)
		if err == nil {
			for i := range results {
				results[i].Places = append(results[i].Places, places[i])
			}
			continue
		}
		// All or none, and it was none: find out which can be taken.
		for i := range batch {
			if len(batch) > 1 {
				places, err = p.put(ctx, acct, mailbox, batch[i:i+1])
			}
			if err != nil {
				results[i].Err = fmt.Errorf("file for %s: %w", acct.Address, err)
				continue
			}
			results[i].Places = append(results[i].Places, places...)
		}
	}

	return results
}

func (p *Pipeline) internalDate(m *Filed) time.Time {
	if !m.Date.IsZero() {
		return m.Date
	}
	date := m.Body.Message().Date
	if date.Unix() <= 0 || date.After(p.now().Add(maxAhead)) {
		return p.now()
	}

	return date
}
