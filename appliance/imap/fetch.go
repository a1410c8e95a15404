package imap

import (
	"context"
	"errors"

	"github.com/emersion/go-imap/v2"

	"pillarbox/appliance/imap/command"
	"pillarbox/storage"
)

const (
	// fetchBatch is how many messages are looked up at a time.
	fetchBatch = 256
	// decodeChunk is how many octets of a part are decoded at a time.
	decodeChunk = 32 << 10
)

// fetcher carries one FETCH out.
type fetcher struct {
	s    *session
	c    *command.Fetch
	snap *storage.Snapshot

	listed []section // HEADER.FIELDS that the stored fields answer
	bodies []section // all others
	record bool      // the stored parse is needed for each message

	modSeq bool
	marked messages // which of them this command gives \Seen

	batch   []fetched
	ids     []storage.DataID // of batch
	one     [1]storage.DataID
	header  []byte // a header that fields are picked from
	scratch []byte // the fields picked
	chunk   []byte // decoded octets on their way
	bare    bool   // the present answer has no item yet
	sent    bool   // the buffer was flushed since the present answer began

	gone   bool  // some messages' data is no longer there
	failed error // why others could not be read
}

// fetched is a message of a batch.
type fetched struct {
	pos int
	m   *storage.Message
}

// fetch is FETCH and UID FETCH.
func (s *session) fetch(ctx context.Context, c *command.Fetch) error {
	if c.Vanished && !s.enabled.qresync {
		return errNoQResync()
	}
	if c.Items.ModSeq || c.Items.ChangedSince > 0 {
		// RFC 7162, section 3.1: asking for mod-sequences is being aware of them.
		s.enabled.condstore = true
	}
	// With VANISHED, what the client still counts must be told of as such and
	// not as expunged earlier (RFC 7162, section 3.2.10.2).
	if err := s.sync(ctx, c.Vanished); err != nil {
		return err
	}
	set, err := s.sel.resolve(c.Set)
	if err != nil {
		return err
	}
	if c.Vanished {
		if err := s.tellEarlier(s.sel.fixed(c.Set), storage.ModSeq(c.Items.ChangedSince)); err != nil {
			return err
		}
	}
	f := newFetcher(s, c)
	chosen := messages{spans: set.spans}
	if since := storage.ModSeq(c.Items.ChangedSince); since > 0 {
		chosen = s.sel.changedSince(set, since)
	}
	if f.marks() {
		if chosen, err = f.mark(ctx, chosen); err != nil {
			return err
		}
	}
	f.snap = s.sel.snap
	write := f.writeListed
	if len(f.bodies) > 0 {
		write = f.writeBodies
	}
	if err = f.each(ctx, chosen, write); err != nil {
		return err
	}
	switch {
	case f.failed != nil:
		told, _ := answer(f.failed) // fail has logged it
		return told
	case f.gone, set.ghosts && !c.UID:
		return someGone()
	}
	return nil
}

func newFetcher(s *session, c *command.Fetch) *fetcher {
	f := &fetcher{s: s, c: c, modSeq: c.Items.ModSeq || c.Items.ChangedSince > 0}
	f.record = c.Items.Envelope || c.Items.BodyStructure != nil || c.ThreadID
	for _, sec := range sectionsOf(c) {
		if sec.stored() {
			f.listed = append(f.listed, sec)
		} else {
			f.bodies = append(f.bodies, sec)
		}
		if len(sec.part) > 0 || sec.spec != imap.PartSpecifierNone || sec.fields {
			f.record = true
		}
	}
	return f
}

// filter returns the messages of a set that keep holds for.
func (sel *selected) filter(set messages, keep func(m *storage.Message) bool) messages {
	var out messages
	for _, sp := range set.spans {
		for pos, m := range sel.snap.All(sp.lo) {
			if pos >= sp.hi {
				break
			}
			if keep(m) {
				out.push(pos)
			}
		}
	}
	return out
}

// changedSince returns the messages of a set with a mod-sequence above since.
func (sel *selected) changedSince(set messages, since storage.ModSeq) messages {
	var out messages
	for _, sp := range set.spans {
		for pos := range sel.snap.ChangedSince(sp.lo, since) {
			if pos >= sp.hi {
				break
			}
			out.push(pos)
		}
	}
	return out
}

// marks tells whether the command gives messages \Seen.
func (f *fetcher) marks() bool {
	if f.s.sel.readOnly {
		return false
	}
	if f.c.RFC822 || f.c.RFC822Text {
		return true
	}
	for _, item := range f.c.Items.BodySection {
		if !item.Peek {
			return true
		}
	}
	for _, item := range f.c.Items.BinarySection {
		if !item.Peek {
			return true
		}
	}
	return false
}

// mark gives \Seen to those of the chosen messages that have not got it, all
// in one commit and before any answer claims it. It returns the chosen
// messages in the view that knows of the change. Where the mark cannot be
// made, as on a full disk, the mail can be read all the same.
func (f *fetcher) mark(ctx context.Context, chosen messages) (messages, error) {
	s, sel := f.s, f.s.sel
	unseen := sel.filter(chosen, func(m *storage.Message) bool { return m.Flags&storage.Seen == 0 })
	if len(unseen.spans) == 0 {
		return chosen, nil
	}
	uids, all := sel.uidSet(unseen), sel.uidSet(chosen)
	op := storage.FlagOp{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagSeen}}
	if _, err := s.acct.Store(ctx, sel.id, uids, op); err != nil {
		if ctx.Err() != nil || errors.Is(err, storage.ErrNoMailbox) {
			return messages{}, err
		}
		s.log.WarnContext(ctx, "messages are served without marking them seen", "mailbox", sel.snap.Mailbox().Name, "err", err)
		return chosen, nil
	}
	changed, _, err := s.advance(ctx, false)
	if err != nil {
		return messages{}, err
	}
	f.marked = sel.uids(uids)
	return sel.uids(all), s.tellFlags(changed, f.marked.contains)
}

// each answers for the chosen messages, a batch at a time. While one buffer
// with bodies is on its way to the client the next is being filled; listings
// are made faster than another thread wakes up.
func (f *fetcher) each(ctx context.Context, chosen messages, write func(context.Context) error) (err error) {
	if len(f.bodies) > 0 {
		f.s.out.Begin()
		defer func() { err = errors.Join(err, f.s.out.End()) }()
	}
	f.batch = make([]fetched, 0, min(fetchBatch, chosen.count()))
	for _, sp := range chosen.spans {
		for pos, m := range f.snap.All(sp.lo) {
			if pos >= sp.hi {
				break
			}
			f.batch = append(f.batch, fetched{pos, m})
			if len(f.batch) == fetchBatch {
				if err := write(ctx); err != nil {
					return err
				}
				f.batch = f.batch[:0]
			}
		}
	}
	return write(ctx)
}

// writeListed answers for the messages of the batch from what the index holds:
// the flags of the snapshot and the stored parse. Nothing is parsed and nothing
// allocated per message.
func (f *fetcher) writeListed(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if !f.record && len(f.listed) == 0 {
		for _, x := range f.batch {
			f.appendMessage(x, nil)
			if err := f.fill(); err != nil {
				return err
			}
		}
		return nil
	}
	f.ids = f.ids[:0]
	for _, x := range f.batch {
		f.ids = append(f.ids, x.m.Data)
	}
	for done := 0; done < len(f.ids); {
		rest := f.batch[done:]
		first := done
		// The buffer leaves only after Read has returned: a client that does
		// not take it must not hold a transaction open.
		err := f.s.acct.Read(f.ids[done:], func(i int, d *storage.Data) bool {
			done = first + i + 1
			if d == nil {
				f.gone = true
				return true
			}
			f.appendMessage(rest[i], d)
			return !f.s.out.Full()
		})
		if err != nil {
			if errors.Is(err, storage.ErrClosed) {
				return err
			}
			if done < len(f.ids) { // the one that could not be decoded
				f.fail(ctx, f.batch[done].m, err)
				done++
			}
		}
		if err := f.fill(); err != nil {
			return err
		}
	}
	return nil
}

// fail notes that a message could not be read; the others are answered.
func (f *fetcher) fail(ctx context.Context, m *storage.Message, err error) {
	if errors.Is(err, storage.ErrNoMessage) {
		f.gone = true
		return
	}
	var told *reply
	if !errors.As(err, &told) {
		f.s.log.ErrorContext(ctx, "a message cannot be read", "mailbox", f.snap.Mailbox().Name, "uid", m.UID, "err", err)
	}
	if f.failed == nil {
		f.failed = err
	}
}

// fill sends the buffer once it is worth a write.
func (f *fetcher) fill() error {
	have := len(f.s.out.Buf)
	err := f.s.out.Spill()
	f.sent = f.sent || len(f.s.out.Buf) < have
	return err
}

// appendMessage appends the whole answer for a message without bodies.
func (f *fetcher) appendMessage(x fetched, d *storage.Data) {
	f.s.out.Buf = append(f.appendItems(f.s.out.Buf, x, d), ")\r\n"...)
}
