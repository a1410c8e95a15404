package importer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

const (
	listChunk    = 1000 // messages of one FETCH that lists
	lineOctets   = 4096 // that one of them may take
	drainOctets  = 4 << 20
	maxUnread    = 50 // messages of a mailbox whose line cannot be read, before it is given up
	searchOctets = 64 << 20
	maxMessages  = 5_000_000 // of a mailbox: each takes memory
)

// Open implements Source.
func (s *IMAP) Open(ctx context.Context) (Reader, error) {
	c, err := s.server.Connect(ctx, &s.way)
	if err != nil {
		return nil, err
	}
	return &imapReader{source: s, c: c, flags: map[string][]imap.Flag{}}, nil
}

// imapReader is a connection.
type imapReader struct {
	source   *IMAP
	c        *Session
	selected string
	state    imap.SelectData
	flags    map[string][]imap.Flag // sets of flags that were seen, so that each is kept once
}

// Close implements Reader.
func (r *imapReader) Close() error {
	r.c.End()
	return nil
}

// keyOf makes a key of UIDVALIDITY and UID that sorts as they do.
func keyOf(validity uint32, uid imap.UID) string {
	b := binary.BigEndian.AppendUint32(nil, validity)
	return string(binary.BigEndian.AppendUint32(b, uint32(uid)))
}

// whereOf tells a person which message a key is of.
func whereOf(key string) string {
	if len(key) == 8 {
		return fmt.Sprintf("UID %d", binary.BigEndian.Uint32([]byte(key[4:])))
	}
	return plainText(key)
}

// open examines a mailbox, anew where fresh.
func (r *imapReader) open(mb *Mailbox, fresh bool) error {
	if r.selected == mb.ID && !fresh {
		return nil
	}
	r.selected = ""
	r.c.wire.allow(1 << 20)
	o := &imap.SelectOptions{ReadOnly: true, CondStore: r.c.Caps().Has(imap.CapCondStore)}
	data, err := r.c.Select(mb.name(), o).Wait()
	if err != nil {
		return fmt.Errorf("open mailbox %q: %w", mb.ID, asBusy(err))
	}
	r.selected, r.state = mb.ID, *data
	return nil
}

// Messages implements Reader.
func (r *imapReader) Messages(ctx context.Context, mb *Mailbox) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		stop := r.c.bind(ctx)
		defer func() { stop() }()
		if err := r.open(mb, true); err != nil {
			yield(Message{}, err)
			return
		}
		d := &r.state
		mb.UIDValidity, mb.UIDNext, mb.ModSeq, mb.Messages = d.UIDValidity, d.UIDNext, d.HighestModSeq, int64(d.NumMessages)
		mb.mark()
		if d.UIDValidity == 0 {
			yield(Message{}, fmt.Errorf("open mailbox %q: %w: the server gives it no UIDVALIDITY", mb.ID, ErrRefused))
			return
		}
		if d.NumMessages == 0 {
			return
		}
		uids, err := r.search(&imap.SearchCriteria{})
		if err != nil {
			yield(Message{}, fmt.Errorf("list mailbox %q: %w", mb.ID, asBusy(err)))
			return
		}
		unread := 0
		for some := range slices.Chunk(uids, listChunk) {
			// What was done with a message may have taken its time: the server may
			// have hung up meanwhile, and the session is another one now.
			list, err := r.lines(ctx, mb, some, &unread, &stop)
			if err != nil {
				yield(Message{}, fmt.Errorf("list mailbox %q: %w", mb.ID, err))
				return
			}
			if !slices.ContainsFunc(list, func(l line) bool { return l.no == nil }) && len(list) > 0 {
				// None at all: that is of the mailbox, and may pass.
				yield(Message{}, fmt.Errorf("list mailbox %q: %w", mb.ID, list[0].no))
				return
			}
			for _, l := range list {
				if !yield(l.Message, l.err) {
					return
				}
			}
		}
	}
}

// search returns the UIDs of messages, ascending.
func (r *imapReader) search(criteria *imap.SearchCriteria) ([]imap.UID, error) {
	r.c.wire.allow(searchOctets)
	var o *imap.SearchOptions
	if caps := r.c.Caps(); caps.Has(imap.CapESearch) || caps.Has(imap.CapIMAP4rev2) {
		o = &imap.SearchOptions{ReturnAll: true}
	}
	found, err := r.c.UIDSearch(criteria, o).Wait()
	if err != nil {
		return nil, err
	}
	n := uint64(0)
	if set, ok := found.All.(imap.UIDSet); ok {
		// A set of few octets may stand for four billion messages.
		for _, r := range set {
			n += uint64(max(r.Start, r.Stop)-min(r.Start, r.Stop)) + 1
		}
		if set.Dynamic() || n > uint64(r.state.NumMessages)+1000 {
			return nil, errTalkative
		}
	}
	if n > maxMessages {
		return nil, fmt.Errorf("%w: a mailbox has more than %d messages", ErrRefused, maxMessages)
	}
	uids := found.AllUIDs()
	slices.Sort(uids)
	return slices.Compact(uids), nil
}

// line is what a server says of a message.
type line struct {
	Message

	err error
	no  *imap.Error // the server's refusal, if that is what err is
}

// lines asks for the lines of some messages. Where one cannot be read, and the
// connection is lost by it, the others are asked for without it.
func (r *imapReader) lines(ctx context.Context, mb *Mailbox, uids []imap.UID, unread *int, stop *func() bool) ([]line, error) {
	list, err := r.fetchLines(mb, uids, "")
	if err == nil {
		// What comes of its own accord, as other flags, says only half.
		list = slices.DeleteFunc(list, func(l line) bool { return l.Date.IsZero() })
		return r.unsaid(mb, uids, list)
	}
	var no *imap.Error
	refused := errors.As(err, &no) && asBusy(err) == err
	if !unreadable(err) && !refused || ctx.Err() != nil {
		return list, asBusy(err)
	}
	if !refused {
		if err := r.renew(ctx, mb, stop); err != nil {
			return nil, err
		}
	}
	if len(uids) > 1 {
		half := len(uids) / 2
		first, err := r.lines(ctx, mb, uids[:half], unread, stop)
		if err != nil {
			return nil, err
		}
		second, err := r.lines(ctx, mb, uids[half:], unread, stop)
		return append(first, second...), err
	}
	if *unread++; *unread > maxUnread {
		if refused {
			return nil, err
		}
		return nil, fmt.Errorf("%w: too many messages of which it says what cannot be read, the last: %w", ErrRefused, err)
	}
	for _, lacks := range []string{"date", "flags", "date and flags"} {
		list, err := r.fetchLines(mb, uids, lacks)
		if err == nil {
			return list, nil
		}
		if refused = errors.As(err, &no); refused {
			continue
		}
		if err := r.renew(ctx, mb, stop); err != nil {
			return nil, err
		}
	}
	if no == nil {
		return []line{badLine(mb, uids[0], fmt.Errorf("what the server says of it cannot be read: %w", err))}, nil
	}
	bad := badLine(mb, uids[0], fmt.Errorf("the server does not list it: %s", plainText(no.Text)))
	bad.no = no
	return []line{bad}, nil
}

func badLine(mb *Mailbox, uid imap.UID, why error) line {
	bad := line{err: &MessageError{why}}
	bad.Key, bad.UID, bad.Size = keyOf(mb.UIDValidity, uid), uid, -1
	return bad
}

// unsaid adds the messages of which the server said nothing, although it has
// them: what was expunged meanwhile it does not find any more.
func (r *imapReader) unsaid(mb *Mailbox, uids []imap.UID, list []line) ([]line, error) {
	said := make(map[imap.UID]bool, len(list))
	for _, l := range list {
		said[l.UID] = true
	}
	missing, err := r.still(slices.DeleteFunc(slices.Clone(uids), func(uid imap.UID) bool { return said[uid] }))
	if err != nil {
		return nil, err
	}
	for _, uid := range missing {
		again, err := r.fetchLines(mb, []imap.UID{uid}, "")
		if err != nil {
			return nil, asBusy(err)
		}
		if len(again) != 1 || again[0].UID != uid {
			again = []line{badLine(mb, uid, errors.New("the server says nothing of it, although it has it"))}
		}
		list = append(list, again...)
	}
	return list, nil
}

// still returns those that the mailbox has now.
func (r *imapReader) still(uids []imap.UID) ([]imap.UID, error) {
	if len(uids) == 0 {
		return nil, nil
	}
	if err := r.c.Noop().Wait(); err != nil { // lets the server tell what was expunged
		return nil, asBusy(err)
	}
	set := imap.UIDSetNum(uids...)
	found, err := r.search(&imap.SearchCriteria{UID: []imap.UIDSet{set}})
	if err != nil {
		return nil, asBusy(err)
	}
	return slices.DeleteFunc(found, func(uid imap.UID) bool { return !set.Contains(uid) }), nil
}

// unreadable tells whether the library could not make sense of an answer.
func unreadable(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "in response-data") || strings.Contains(err.Error(), "imapclient: panic"))
}

// renew connects again and opens the mailbox.
func (r *imapReader) renew(ctx context.Context, mb *Mailbox, stop *func() bool) error {
	(*stop)()
	r.c.abort()
	c, err := r.source.server.Connect(ctx, &r.source.way)
	if err != nil {
		return err
	}
	r.c, r.selected = c, ""
	*stop = c.bind(ctx)
	return r.reopen(mb)
}

var errRenumbered = errors.New("the mailbox was made anew meanwhile: its UIDVALIDITY changed")

// reopen opens a mailbox that was listed before.
func (r *imapReader) reopen(mb *Mailbox) error {
	if err := r.open(mb, false); err != nil {
		return err
	}
	if r.state.UIDValidity != mb.UIDValidity {
		return fmt.Errorf("open mailbox %q: %w", mb.ID, errRenumbered)
	}
	return nil
}

// fetchLines asks for the lines of messages, without what they lack.
func (r *imapReader) fetchLines(mb *Mailbox, uids []imap.UID, lacks string) ([]line, error) {
	r.c.wire.allow(int64(len(uids)) * lineOctets)
	var set imap.UIDSet
	set.AddRange(uids[0], uids[len(uids)-1])
	cmd := r.c.Fetch(set, &imap.FetchOptions{
		UID: true, Flags: !strings.Contains(lacks, "flags"), InternalDate: !strings.Contains(lacks, "date"), RFC822Size: true,
	})
	out := make([]line, 0, len(uids))
	for m := cmd.Next(); m != nil; m = cmd.Next() {
		b, err := m.Collect()
		if err != nil {
			return nil, errors.Join(err, cmd.Close())
		}
		if b.UID == 0 || len(out) > 2*len(uids) {
			continue
		}
		l := line{Message: Message{
			Key: keyOf(mb.UIDValidity, b.UID), UID: b.UID,
			Flags: r.shared(b.Flags), Date: b.InternalDate, Size: b.RFC822Size, Lacks: lacks,
		}}
		out = append(out, l)
	}
	if err := cmd.Close(); err != nil {
		return nil, err
	}
	slices.SortStableFunc(out, func(a, b line) int { return strings.Compare(a.Key, b.Key) })
	return slices.CompactFunc(out, func(a, b line) bool { return a.Key == b.Key }), nil
}

// maxSets bounds the sets of flags that are kept.
const maxSets = 10_000

// shared returns flags, sorted, as a slice that others share.
func (r *imapReader) shared(flags []imap.Flag) []imap.Flag {
	flags = sortedFlags(flags)
	if len(flags) == 0 {
		return nil
	}
	key := joinFlags(flags)
	if had, ok := r.flags[key]; ok {
		return had
	}
	if len(r.flags) < maxSets {
		r.flags[key] = flags
	}
	return flags
}

// Read implements Reader.
func (r *imapReader) Read(ctx context.Context, mb *Mailbox, msgs []Message, take func(i int, r io.Reader, err error) error) error {
	stop := r.c.bind(ctx)
	defer stop()
	if err := r.reopen(mb); err != nil {
		return err
	}
	place := make(map[imap.UID]int, len(msgs))
	var set imap.UIDSet
	for i, m := range msgs {
		place[m.UID] = i
		set.AddNum(m.UID)
	}
	if r.c.early.Load() {
		return r.bySequence(msgs, take)
	}
	r.c.wire.allow(int64(len(msgs)) * lineOctets)
	cmd := r.c.Fetch(set, &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{{Peek: true}}})
	for m := cmd.Next(); m != nil; m = cmd.Next() {
		if err := r.given(m, msgs, place, take); err != nil {
			// The command is not to be touched any more: the library would go on
			// reading the message at the side of its own goroutine.
			r.c.abort()
			return err
		}
	}
	err := cmd.Close()
	if err == nil {
		return r.ungiven(ctx, mb, msgs, place, take)
	}
	var no *imap.Error
	if !errors.As(err, &no) {
		return err
	}
	if busy := asBusy(err); busy != err || len(msgs) > 1 {
		return busy
	}
	if _, left := place[msgs[0].UID]; !left {
		return nil
	}
	return take(0, nil, &MessageError{fmt.Errorf("the server cannot give it: %s", plainText(no.Text))})
}

// errMixedUp says that what came is not what was asked for, after it was taken.
var errMixedUp = errors.New("the server gives another message than was asked for")

// given takes one message of those that were asked for.
func (r *imapReader) given(m *imapclient.FetchMessageData, msgs []Message, place map[imap.UID]int, take func(i int, r io.Reader, err error) error) error {
	var uid imap.UID
	early := false // it was taken before the server said which it is
	for item := m.Next(); item != nil; item = m.Next() {
		if u, ok := item.(imapclient.FetchItemDataUID); ok {
			uid = u.UID
		}
		body, ok := item.(imapclient.FetchItemDataBodySection)
		if !ok {
			continue
		}
		want := uid
		if uid == 0 && len(msgs) == 1 {
			want, early = msgs[0].UID, true
		}
		i, wanted := place[want]
		switch {
		case !wanted && body.Literal != nil:
			if _, err := io.Copy(io.Discard, &counted{r: body.Literal, wire: r.c.wire}); err != nil {
				return err
			}
		case !wanted:
		case body.Literal == nil:
			delete(place, want)
			if err := take(i, nil, &MessageError{errors.New("the server has no text of it")}); err != nil {
				return err
			}
		default:
			delete(place, want)
			if err := r.hand(i, body.Literal, take); err != nil {
				return err
			}
		}
	}
	if early && uid != msgs[0].UID {
		return errMixedUp
	}
	return nil
}

// ungiven asks for those messages again, one by one, that the server has and did
// not give although all went well. The others were expunged meanwhile.
func (r *imapReader) ungiven(ctx context.Context, mb *Mailbox, msgs []Message, place map[imap.UID]int, take func(i int, r io.Reader, err error) error) error {
	uids, err := r.still(slices.Sorted(maps.Keys(place)))
	if err != nil {
		return err
	}
	for _, uid := range uids {
		i := place[uid]
		if r.c.early.Load() {
			err := r.bySequence(msgs[i:i+1], func(_ int, in io.Reader, bad error) error { return take(i, in, bad) })
			if err != nil {
				return err
			}
			continue
		}
		if len(msgs) == 1 {
			return take(i, nil, &MessageError{errors.New("the server does not give it, although it has it")})
		}
		err := r.Read(ctx, mb, msgs[i:i+1], func(_ int, in io.Reader, bad error) error { return take(i, in, bad) })
		if err != nil {
			return err
		}
	}
	return nil
}

// bySequence reads messages one by one, by their numbers in the mailbox: to the
// library an answer that has the message before the UID is none to UID FETCH.
func (r *imapReader) bySequence(msgs []Message, take func(i int, r io.Reader, err error) error) error {
	for i, m := range msgs {
		r.c.wire.allow(searchOctets)
		found, err := r.c.Search(&imap.SearchCriteria{UID: []imap.UIDSet{imap.UIDSetNum(m.UID)}}, nil).Wait()
		if err != nil {
			return asBusy(err)
		}
		numbers := found.AllSeqNums()
		if len(numbers) != 1 {
			continue // it is gone
		}
		one := func(_ int, in io.Reader, bad error) error { return take(i, in, bad) }
		place := map[imap.UID]int{m.UID: 0}
		cmd := r.c.Fetch(imap.SeqSetNum(numbers[0]), &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{{Peek: true}}})
		for got := cmd.Next(); got != nil; got = cmd.Next() {
			if err := r.given(got, msgs[i:i+1], place, one); err != nil {
				r.c.abort()
				return err
			}
		}
		if err := onlyAnswers(cmd.Close()); err != nil {
			return err
		}
		if len(place) > 0 {
			if err := take(i, nil, &MessageError{errors.New("the server does not give it, although it has it")}); err != nil {
				return err
			}
		}
	}
	return nil
}

// hand gives a message to take, and passes over what that leaves of it. With an
// error the connection has ended.
func (r *imapReader) hand(i int, lit imap.LiteralReader, take func(int, io.Reader, error) error) error {
	in := &counted{r: lit, wire: r.c.wire}
	whole := &exactly{r: in, left: lit.Size()}
	err := take(i, whole, nil)
	if err == nil && whole.left > drainOctets {
		err = fmt.Errorf("%d octets of a message were not wanted", whole.left)
	}
	if err != nil {
		r.c.abort()
	}
	// The library goes on when a message was read to its end, or to an error.
	if _, rest := io.Copy(io.Discard, in); err == nil && rest != nil {
		r.c.abort()
		err = rest
	}
	return err
}

// discard drops the error of what was ended on purpose.
func discard(error) error { return nil }

// counted tells the wire what leaves memory, and reads no further than to an error.
type counted struct {
	r     io.Reader
	wire  *wire
	ended error // what Read returned, which is not called again then
}

// Read implements io.Reader.
func (c *counted) Read(p []byte) (int, error) {
	if c.ended != nil {
		return 0, c.ended
	}
	n, err := c.r.Read(p)
	c.wire.read(n)
	c.ended = err
	return n, err
}

// exactly fails where a message ends before its announced length.
type exactly struct {
	r    io.Reader
	left int64
}

// Read implements io.Reader.
func (e *exactly) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	e.left -= int64(n)
	if err == io.EOF && e.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
