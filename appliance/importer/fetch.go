package importer

import (
	"context"
	"errors"
	"fmt"
	"io"

	"pillarbox/storage"
)

// alone is how often a message is asked for by itself, when the connection
// ends each time, before it is taken for the cause.
const triesAlone = 3

// maxSlow is how many messages in a row may trickle before it is the server: each
// takes twice as long as it may be silent.
const maxSlow = 6

// fetch takes batches over a connection of its own. Only the first insists on
// having one: the server may not want to give more.
func (r *run) fetch(ctx context.Context, first bool) error {
	f := &fetcher{run: r}
	defer f.close()
	if !first {
		select {
		case <-r.plenty:
		case <-ctx.Done():
			return ctx.Err()
		}
		if r.idle() {
			return nil
		}
		if err := f.open(ctx); err != nil {
			if permanent(err) {
				return err
			}
			r.log.InfoContext(ctx, "the server gives no further connection", "err", err)
			return nil
		}
	}
	for b := range r.work {
		if err := f.take(ctx, b); err != nil {
			return err
		}
		close(b.done)
	}
	return nil
}

// idle tells whether all there is to fetch is on its way over one connection.
func (r *run) idle() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.planned
}

// fetcher is a connection that may have to be made again.
type fetcher struct {
	*run

	reader Reader
}

func (f *fetcher) open(ctx context.Context) error {
	if f.reader != nil {
		return nil
	}
	var err error
	f.reader, err = f.Source.Open(ctx)
	return err
}

func (f *fetcher) close() {
	if f.reader != nil {
		f.reader.Close()
		f.reader = nil
	}
}

// take fetches all messages of a batch.
func (f *fetcher) take(ctx context.Context, b *batch) error {
	singly := false
	failures, slow := 0, 0
	for {
		left := b.left()
		if len(left) == 0 {
			return nil
		}
		if err := f.try(ctx, "connect", func() error { return f.open(ctx) }); err != nil {
			return err
		}
		if singly {
			left = left[:1]
		}
		err := f.read(ctx, b, left)
		if err == nil {
			failures, slow = 0, 0
			continue
		}
		if permanent(err) || ctx.Err() != nil || errors.Is(err, errRenumbered) {
			return err
		}
		f.close()
		if errors.Is(err, errSlow) {
			if slow++; slow >= maxSlow {
				return err
			}
		}
		var busy *BusyError
		if singly && !errors.As(err, &busy) {
			s := &b.slots[left[0]]
			s.tries++
			if (s.tries >= triesAlone || errors.Is(err, errSlow)) && s.empty() {
				s.bad = fmt.Errorf("the connection ends whenever it is asked for: %w", err)
				continue
			}
		}
		singly = singly || !errors.As(err, &busy)
		if failures++; failures >= max(f.tries, triesAlone*len(b.msgs)) {
			return err
		}
		if err := f.rest(ctx, "fetch messages", min(failures, 6), err); err != nil {
			return err
		}
	}
}

// empty tells whether nothing is known of a message yet.
func (s *slot) empty() bool { return s.staged == nil && s.bad == nil && !s.gone }

// left lists the places of those messages.
func (b *batch) left() []int {
	var out []int
	for i := range b.slots {
		if b.slots[i].empty() {
			out = append(out, i)
		}
	}
	return out
}

// read asks for some messages of a batch. Those that the source does not have
// any more are marked as gone.
func (f *fetcher) read(ctx context.Context, b *batch, places []int) error {
	msgs := make([]Message, len(places))
	for i, at := range places {
		msgs[i] = b.msgs[at]
	}
	var s *slot
	err := f.reader.Read(ctx, &b.place.from, msgs, func(i int, in io.Reader, bad error) error {
		s = &b.slots[places[i]]
		if bad != nil {
			s.bad = bad
			return nil
		}
		return f.stage(ctx, b, s, &msgs[i], in)
	})
	if errors.Is(err, errMixedUp) {
		s.drop()
	}
	if err != nil {
		return err
	}
	for _, at := range places {
		if s := &b.slots[at]; s.empty() {
			s.gone = true
		}
	}
	return nil
}

// stage takes a message in.
func (f *fetcher) stage(ctx context.Context, b *batch, s *slot, m *Message, in io.Reader) error {
	if f.pieces != nil {
		if err := f.pieces.Wait(ctx); err != nil {
			return err
		}
	}
	slow := &slowed{ctx: ctx, r: in, l: f.bytes}
	if limit := f.stager.MaxMessage(); m.Size > limit {
		s.bad = tooBig(m.Size, limit)
		var err error
		s.file, s.size, err = f.keep(b.place, m, slow)
		if slow.err != nil {
			s.bad = nil
			return slow.err
		}
		if err != nil {
			s.bad = fmt.Errorf("%w; its octets are not kept: %w", s.bad, err)
		}
		return nil
	}
	staged, err := f.stager.Stage(ctx, slow)
	var bad *MessageError
	switch {
	case err == nil:
		s.staged = staged
		return nil
	case errors.As(slow.err, &bad):
		s.bad = bad
		return nil
	case slow.err != nil:
		return slow.err
	case errors.Is(err, storage.ErrTooBig):
		s.bad, s.size = tooBig(-1, f.stager.MaxMessage()), -1
		return nil
	}
	return fmt.Errorf("%w: %w", errStore, err)
}

func tooBig(size, limit int64) error {
	if size < 0 {
		return fmt.Errorf("it is larger than %d KB", limit>>10)
	}
	return fmt.Errorf("it has %d KB, and a message may have %d", size>>10, limit>>10)
}
