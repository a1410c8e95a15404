package exporter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"pillarbox/appliance/importer"
)

// sent is a message whose answer has not come.
type sent struct {
	m   *Message
	cmd *imapclient.AppendCommand
}

// append sends messages, some on their way while answers come.
func (b *imapBox) append(ctx context.Context, c *importer.Session, msgs []Message) error {
	var way []sent
	var size int64
	settle := func(most int) error {
		for len(way) > most {
			s := way[0]
			way = way[1:]
			size -= s.m.Size
			data, err := s.cmd.Wait()
			if err := b.answer(s.m, data.UID, err); err != nil {
				return err
			}
		}
		return nil
	}
	for part := range slices.Chunk(msgs, batch) {
		var target error // what ended the reading, if it was not the box
		err := b.job.mail.Read(ctx, dataOf(part), func(i int, body io.ReaderAt, n int64, err error) (out error) {
			defer func() { target = out }()
			m := &part[i]
			if gone(err) {
				b.absent[m.UID] = true
				return nil
			}
			var o octets
			if err == nil {
				o, err = identify(body, n)
			}
			if err != nil {
				b.counted[m.UID], b.absent[m.UID] = true, true
				b.job.bad(m, "it cannot be read on the box: "+err.Error())
				return nil
			}
			b.sums[m.UID] = o
			c.Allow(1 << 20)
			if size += n; size > windowBytes {
				if err := settle(0); err != nil {
					return err
				}
				size = n
			}
			cmd := c.Append(b.name, n, &imap.AppendOptions{Flags: b.flags(m), Time: m.Date})
			_, werr := io.CopyBuffer(struct{ io.Writer }{cmd}, io.NewSectionReader(body, 0, n), make([]byte, pieceSize))
			// A server that refuses before it has seen the message says so in its answer.
			if err := errors.Join(werr, cmd.Close()); err != nil {
				_, answer := cmd.Wait()
				var no *imap.Error
				if !errors.As(answer, &no) {
					return fmt.Errorf("send message: %w", err)
				}
				if err := settle(0); err != nil {
					return err
				}
				return b.answer(m, 0, answer)
			}
			way = append(way, sent{m, cmd})
			return settle(window - 1)
		})
		if err != nil && target == nil {
			return fmt.Errorf("%w: %w", errBox, err)
		}
		if err := errors.Join(err, settle(0)); err != nil {
			return err
		}
	}

	return nil
}

// answer takes what the server says to a message, and the UID that it gave it.
func (b *imapBox) answer(m *Message, uid imap.UID, err error) error {
	var no *imap.Error
	switch {
	case err == nil:
		b.refused = 0
		b.taken[m.UID] = uid
		b.job.box.Put++
		b.job.box.PutBytes += m.Size
		b.done(m)
		return nil
	case !errors.As(err, &no):
		return fmt.Errorf("send message: %w", err)
	case no.Code == imap.ResponseCodeOverQuota:
		return fmt.Errorf("%w: the server says: %s", errFull, importer.PlainText(no.Text))
	}
	var busy *importer.BusyError
	if errors.As(importer.AsBusy(err), &busy) {
		return busy
	}
	if b.refused++; b.refused >= maxRefusals {
		return fmt.Errorf("the server has refused %d messages in a row: %w", b.refused, err)
	}
	b.counted[m.UID], b.absent[m.UID] = true, true
	b.job.bad(m, "the server refuses it: "+importer.PlainText(no.Text))

	return nil
}
