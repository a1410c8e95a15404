package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"

	"golang.org/x/sync/errgroup"

	"pillarbox/appliance/mailfile"
)

// Bounds of a batch: what is lost in memory when the client dies, and what
// one commit carries.
const (
	batchMessages = 128
	batchBytes    = 4 << 20
)

// Destination says where messages are to go.
type Destination struct {
	To      string  // an address of an account, or an alias
	Mailbox string  // "" means INBOX
	From    *string // where set, the messages have just arrived and this is their envelope sender
}

// Outcome tells what became of one message.
type Outcome struct {
	Name   string
	Bytes  int64 // as Message.Bytes
	Err    error // nil if it was delivered
	Places []Place
}

// batch is what one request carries.
type batch struct {
	sources []Outcome // a Name and Bytes for each message
	body    bytes.Buffer
	large   io.ReadCloser // a message that is not in body, alone and last
}

// Deliver sends messages and reports on each, in their order. It fails as a
// whole where the destination does not exist or the server cannot be reached.
func (c *Client) Deliver(ctx context.Context, d Destination, msgs iter.Seq2[*mailfile.Message, error], report func(Outcome)) error {
	q := url.Values{"to": {d.To}, "mailbox": {d.Mailbox}}
	if d.From != nil {
		q.Set("from", *d.From)
	}
	// While a batch is being stored the next is read.
	batches := make(chan *batch)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(batches)
		return fill(ctx, msgs, batches)
	})
	g.Go(func() error {
		for b := range batches {
			if err := c.send(ctx, "/v1/messages?"+q.Encode(), b, report); err != nil {
				return err
			}
		}
		return nil
	})

	return g.Wait()
}

// fill makes batches of messages.
func fill(ctx context.Context, msgs iter.Seq2[*mailfile.Message, error], out chan<- *batch) error {
	b := &batch{}
	flush := func() error {
		if len(b.sources) == 0 {
			return nil
		}
		select {
		case out <- b:
			b = &batch{}
			return nil
		case <-ctx.Done():
			return errors.Join(ctx.Err(), b.close())
		}
	}
	for m, err := range msgs {
		if err == nil {
			err = b.add(m)
		}
		if err != nil {
			b.sources = append(b.sources, Outcome{Name: m.Name, Bytes: m.Bytes, Err: err})
		}
		if b.large != nil || len(b.sources) >= batchMessages || b.body.Len() >= batchBytes {
			if err := flush(); err != nil {
				return err
			}
		}
	}

	return flush()
}

// add reads a message into the batch, or opens it if it is large.
func (b *batch) add(m *mailfile.Message) error {
	r, err := m.Open()
	if err != nil {
		return err
	}
	var head bytes.Buffer
	n, err := io.CopyN(&head, r, inMemory+1)
	if err != nil && !errors.Is(err, io.EOF) {
		return errors.Join(fmt.Errorf("read message: %w", err), r.Close())
	}
	f := frame{Size: n, Flags: m.Flags, Date: m.Date}
	whole := errors.Is(err, io.EOF)
	if whole {
		if err := r.Close(); err != nil {
			return fmt.Errorf("read message: %w", err)
		}
		if n == 0 {
			return mailfile.ErrEmpty
		}
	} else {
		f.Size, b.large = restOfBody, r
	}
	if err := json.NewEncoder(&b.body).Encode(f); err != nil {
		return errors.Join(fmt.Errorf("encode frame: %w", err), b.close())
	}
	b.body.Write(head.Bytes())
	b.sources = append(b.sources, Outcome{Name: m.Name, Bytes: m.Bytes})

	return nil
}

func (b *batch) close() error {
	if b.large == nil {
		return nil
	}

	return b.large.Close()
}

// send carries a batch to the server and reports what came of it.
func (c *Client) send(ctx context.Context, path string, b *batch, report func(Outcome)) (err error) {
	defer func() { err = errors.Join(err, b.close()) }()
	var results []Result
	if b.body.Len() > 0 {
		body := io.Reader(bytes.NewReader(b.body.Bytes()))
		if b.large != nil {
			body = io.MultiReader(body, b.large)
		}
		res, err := c.do(ctx, http.MethodPost, path, body)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(&results); err != nil {
			return fmt.Errorf("read answer: %w", err)
		}
	}
	for _, o := range b.sources {
		if o.Err == nil {
			if len(results) == 0 {
				return errors.New("the server's answer is too short")
			}
			o.Places = results[0].Places
			if results[0].Reason != "" {
				o.Err = &Error{Code: string(results[0].Reason), Message: results[0].Error}
			}
			results = results[1:]
		}
		report(o)
	}

	return nil
}
