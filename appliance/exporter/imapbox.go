package exporter

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"pillarbox/appliance/importer"
)

// Bounds of what is on its way to a server at once.
const (
	window      = 8
	windowBytes = 4 << 20 // octets beyond which no further message is sent before answers come
	maxRefusals = 25      // in a row, after which nobody believes that it is the messages
	perMessage  = 4 << 10 // octets that a server may say of one, without its octets
)

// octets are what identifies a message.
type octets struct {
	id      string // Message-ID
	size    int64
	sum     [32]byte
	virtual int64    // as size, with CRLF at each line's end
	crlf    [32]byte // as sum, with CRLF at each line's end
}

// imapBox is one mailbox at the target.
type imapBox struct {
	name    string
	mailbox *Mailbox
	job     *Job

	moved   bool                  // something got on since it was last reset
	counted map[imap.UID]bool     // of ours, that were counted as done
	absent  map[imap.UID]bool     // of ours, that need not be there: refused, or deleted here meanwhile
	taken   map[imap.UID]imap.UID // of ours, that the server has taken in this run; its UID there, 0 if not told
	sums    map[imap.UID]octets   // of ours, as far as they were read
	keep    func(imap.Flag) bool
	lost    map[imap.Flag]int // keywords that the server cannot keep
	refused int               // in a row
}

// there is a message of the target.
type there struct {
	uid   imap.UID
	flags []imap.Flag
	date  int64
	size  int64
	id    string
	used  bool
}

func (b *imapBox) put(ctx context.Context, c *importer.Session, msgs []Message) error {
	c.Allow(1 << 20)
	selected, err := c.Select(b.name, nil).Wait()
	if err != nil {
		return fmt.Errorf("open the mailbox %q: %w", b.name, err)
	}
	b.permanent(selected.PermanentFlags)
	list, err := b.list(c, selected.NumMessages)
	if err != nil {
		return err
	}
	pairs, err := b.match(ctx, c, msgs, list)
	if err != nil {
		return err
	}
	var missing []Message
	for i := range msgs {
		m := &msgs[i]
		switch {
		case pairs[m.UID] == nil:
			if !b.counted[m.UID] {
				missing = append(missing, *m)
			}
		case !b.counted[m.UID]:
			b.job.box.Known++
			b.done(m)
		}
	}
	if err := b.setFlags(c, msgs, pairs); err != nil {
		return err
	}
	if err := b.append(ctx, c, missing); err != nil {
		return err
	}
	if err := b.verify(ctx, c, msgs); err != nil {
		return err
	}
	for name, n := range b.lost {
		b.job.remark("the server cannot keep the keyword %s, which %d messages have", name, n)
	}

	return nil
}

func (b *imapBox) done(m *Message) {
	b.counted[m.UID], b.moved = true, true
	b.job.done(m)
}

// permanent takes what flags the mailbox can keep.
func (b *imapBox) permanent(flags []imap.Flag) {
	b.lost = map[imap.Flag]int{}
	any := slices.Contains(flags, imap.FlagWildcard) || len(flags) == 0
	have := map[string]bool{}
	for _, f := range flags {
		have[strings.ToLower(string(f))] = true
	}
	b.keep = func(f imap.Flag) bool {
		return any && f[0] != '\\' || len(flags) == 0 || have[strings.ToLower(string(f))]
	}
}

func (b *imapBox) flags(m *Message) (kept []imap.Flag) {
	for _, f := range m.Flags {
		if b.keep(f) {
			kept = append(kept, f)
		}
	}

	return kept
}

// list lists the mailbox.
func (b *imapBox) list(c *importer.Session, n uint32) ([]*there, error) {
	if n == 0 {
		return nil, nil
	}
	c.Allow(int64(n) * perMessage)
	section := &imap.FetchItemBodySection{Specifier: imap.PartSpecifierHeader, HeaderFields: []string{"Message-ID"}, Peek: true}
	cmd := c.Fetch(imap.UIDSet{imap.UIDRange{Start: 1}}, &imap.FetchOptions{
		UID: true, Flags: true, InternalDate: true, RFC822Size: true, BodySection: []*imap.FetchItemBodySection{section},
	})
	var all []*there
	for {
		data := cmd.Next()
		if data == nil {
			break
		}
		m, err := data.Collect()
		if err != nil {
			return nil, errors.Join(fmt.Errorf("list %q: %w", b.name, err), cmd.Close())
		}
		if m.UID == 0 {
			continue // the server tells of a flag that somebody else has changed
		}
		all = append(all, &there{
			uid: m.UID, flags: m.Flags, date: m.InternalDate.Unix(), size: m.RFC822Size, id: messageID(m.FindBodySection(section)),
		})
	}
	if err := cmd.Close(); err != nil {
		return nil, fmt.Errorf("list %q: %w", b.name, err)
	}

	return all, nil
}

// messageID finds the Message-ID in a header.
func messageID(header []byte) string {
	inside := false
	var value []byte
	for line := range bytes.Lines(header) {
		line = bytes.TrimRight(line, "\r\n")
		switch {
		case len(line) == 0:
			return strings.Join(strings.Fields(string(value)), "")
		case inside && (line[0] == ' ' || line[0] == '\t'):
			value = append(value, line...)
		case inside:
			return strings.Join(strings.Fields(string(value)), "")
		case len(line) > 11 && strings.EqualFold(string(line[:11]), "Message-ID:"):
			inside, value = true, slices.Clone(line[11:])
		}
	}

	return strings.Join(strings.Fields(string(value)), "")
}

// maxHeader is how much of a message is searched for its Message-ID, in octets.
const maxHeader = 256 << 10

// identify reads what identifies a message.
func identify(body io.ReaderAt, size int64) (octets, error) {
	o := octets{size: size, virtual: size}
	head := make([]byte, min(size, maxHeader))
	if _, err := body.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return o, err
	}
	o.id = messageID(head)
	sum, crlf := sha256.New(), &crlfWriter{w: sha256.New()}
	if _, err := io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(sum, crlf)}, io.NewSectionReader(body, 0, size), make([]byte, pieceSize)); err != nil {
		return o, err
	}
	sum.Sum(o.sum[:0])
	crlf.w.Sum(o.crlf[:0])
	o.virtual = size + crlf.added

	return o, nil
}

// crlfWriter ends each line by CRLF.
type crlfWriter struct {
	w interface {
		io.Writer
		Sum(b []byte) []byte
	}
	last  byte
	added int64
}

func (w *crlfWriter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			w.w.Write(p)
			w.last = p[len(p)-1]
			break
		}
		if i > 0 {
			w.last = p[i-1]
		}
		w.w.Write(p[:i])
		if w.last != '\r' {
			w.w.Write([]byte{'\r'})
			w.added++
		}
		w.w.Write([]byte{'\n'})
		w.last, p = '\n', p[i+1:]
	}

	return n, nil
}

// read identifies messages of ours that were not yet.
func (b *imapBox) read(ctx context.Context, msgs []Message) error {
	var unread []Message
	for i := range msgs {
		if _, ok := b.sums[msgs[i].UID]; !ok {
			unread = append(unread, msgs[i])
		}
	}
	for part := range slices.Chunk(unread, batch) {
		err := b.job.mail.Read(ctx, dataOf(part), func(i int, body io.ReaderAt, size int64, err error) error {
			var o octets
			if err == nil {
				o, err = identify(body, size)
			}
			if err == nil {
				b.sums[part[i].UID] = o
			}
			return nil // what cannot be read is told of when it is to be sent
		})
		if err != nil {
			return fmt.Errorf("%w: %w", errBox, err)
		}
	}

	return nil
}

// match finds for our messages what the target has of them, each once.
func (b *imapBox) match(ctx context.Context, c *importer.Session, msgs []Message, list []*there) (map[imap.UID]*there, error) {
	pairs := map[imap.UID]*there{}
	if len(list) == 0 {
		return pairs, nil
	}
	if err := b.read(ctx, msgs); err != nil {
		return nil, err
	}
	type key struct {
		id   string
		date int64
		size int64
	}
	pass := func(of func(id string, date, size int64) (key, bool)) {
		index := map[key][]*there{}
		for _, t := range list {
			if k, ok := of(t.id, t.date, t.size); ok && !t.used {
				index[k] = append(index[k], t)
			}
		}
		for i := range msgs {
			m := &msgs[i]
			o, ok := b.sums[m.UID]
			if !ok || pairs[m.UID] != nil {
				continue
			}
			for _, size := range []int64{o.size, o.virtual} {
				k, ok := of(o.id, m.Date.Unix(), size)
				if found := index[k]; ok && len(found) > 0 {
					pairs[m.UID], index[k] = found[0], found[1:]
					found[0].used = true
					break
				}
			}
		}
	}
	told := map[imap.UID]*there{}
	for _, t := range list {
		told[t.uid] = t
	}
	for ours, theirs := range b.taken {
		if t := told[theirs]; t != nil {
			pairs[ours], t.used = t, true
		}
	}
	pass(func(id string, date, size int64) (key, bool) { return key{id, date, size}, id != "" })
	if err := b.matchByOctets(ctx, c, msgs, list, pairs); err != nil {
		return nil, err
	}
	// A server that changes what it is given, and one that gives its own dates.
	pass(func(id string, date, _ int64) (key, bool) { return key{id, date, 0}, id != "" })
	pass(func(id string, _, size int64) (key, bool) { return key{id, 0, size}, id != "" })
	b.matchBySize(msgs, list, pairs)

	return pairs, nil
}

// almost is by how much a server may change the size of a message without
// Message-ID, for it to be known again.
func almost(size int64) int64 { return 64 + size/100 }

// matchBySize finds messages without Message-ID that the server has changed, as
// Dovecot does with a NUL, by their date and about their size.
func (b *imapBox) matchBySize(msgs []Message, list []*there, pairs map[imap.UID]*there) {
	left := map[int64][]*there{}
	for _, t := range list {
		if !t.used && t.id == "" {
			left[t.date] = append(left[t.date], t)
		}
	}
	for i := range msgs {
		m := &msgs[i]
		o, ok := b.sums[m.UID]
		if !ok || o.id != "" || pairs[m.UID] != nil {
			continue
		}
		var best *there
		for _, t := range left[m.Date.Unix()] {
			if !t.used && abs(t.size-o.size) <= almost(o.size) && (best == nil || abs(t.size-o.size) < abs(best.size-o.size)) {
				best = t
			}
		}
		if best != nil {
			pairs[m.UID], best.used = best, true
		}
	}
}

func abs(n int64) int64 { return max(n, -n) }

// matchByOctets compares the octets of messages with the same date and size.
func (b *imapBox) matchByOctets(ctx context.Context, c *importer.Session, msgs []Message, list []*there, pairs map[imap.UID]*there) error {
	type key struct{ date, size int64 }
	index := map[key][]*Message{}
	for i := range msgs {
		m := &msgs[i]
		if o, ok := b.sums[m.UID]; ok && pairs[m.UID] == nil {
			index[key{m.Date.Unix(), o.size}] = append(index[key{m.Date.Unix(), o.size}], m)
			if o.virtual != o.size {
				index[key{m.Date.Unix(), o.virtual}] = append(index[key{m.Date.Unix(), o.virtual}], m)
			}
		}
	}
	var ask []*there
	for _, t := range list {
		if !t.used && len(index[key{t.date, t.size}]) > 0 {
			ask = append(ask, t)
		}
	}
	byUID := map[imap.UID]*there{}
	for _, t := range ask {
		byUID[t.uid] = t
	}

	return b.fetch(ctx, c, ask, func(uid imap.UID, sum [32]byte) {
		t := byUID[uid]
		if t == nil || t.used {
			return
		}
		for _, m := range index[key{t.date, t.size}] {
			o := b.sums[m.UID]
			if pairs[m.UID] == nil && (o.sum == sum || o.crlf == sum) {
				pairs[m.UID], t.used = t, true
				return
			}
		}
	})
}

// fetch hashes messages of the target.
func (b *imapBox) fetch(ctx context.Context, c *importer.Session, list []*there, take func(uid imap.UID, sum [32]byte)) error {
	for part := range slices.Chunk(list, batch) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var set imap.UIDSet
		var size int64
		for _, t := range part {
			set.AddNum(t.uid)
			size += t.size + perMessage
		}
		c.Allow(size)
		cmd := c.Fetch(set, &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{{Peek: true}}})
		for {
			data := cmd.Next()
			if data == nil {
				break
			}
			uid, sum, err := hashFetched(data)
			if err != nil {
				return errors.Join(fmt.Errorf("read back: %w", err), cmd.Close())
			}
			if uid != 0 {
				take(uid, sum)
			}
		}
		if err := cmd.Close(); err != nil {
			return fmt.Errorf("read back: %w", err)
		}
	}

	return nil
}

func hashFetched(data *imapclient.FetchMessageData) (uid imap.UID, sum [32]byte, err error) {
	whole := false
	for {
		switch item := data.Next().(type) {
		case nil:
			if !whole {
				uid = 0
			}
			return uid, sum, nil
		case imapclient.FetchItemDataUID:
			uid = item.UID
		case imapclient.FetchItemDataBodySection:
			if item.Literal == nil {
				continue
			}
			if sum, _, err = sumOf(item.Literal); err != nil {
				return 0, sum, err
			}
			whole = true
		}
	}
}

// setFlags sets flags as they are on the box, many messages at once.
func (b *imapBox) setFlags(c *importer.Session, msgs []Message, pairs map[imap.UID]*there) error {
	groups := map[string]imap.UIDSet{}
	sets := map[string][]imap.Flag{}
	n := int64(0)
	for i := range msgs {
		t := pairs[msgs[i].UID]
		if t == nil {
			continue
		}
		want := b.flags(&msgs[i])
		have := slices.DeleteFunc(slices.Clone(t.flags), func(f imap.Flag) bool { return strings.EqualFold(string(f), `\Recent`) })
		if sameFlags(want, have) {
			continue
		}
		key := strings.Join(foldFlags(want), " ")
		set := groups[key]
		set.AddNum(t.uid)
		groups[key], sets[key] = set, want
		n++
	}
	for key, set := range groups {
		c.Allow(1 << 20)
		if err := c.Store(set, &imap.StoreFlags{Op: imap.StoreFlagsSet, Silent: true, Flags: sets[key]}, nil).Close(); err != nil {
			return fmt.Errorf("set flags: %w", err)
		}
	}
	b.job.box.Flagged += n

	return nil
}

// verify compares what is there with what is here.
func (b *imapBox) verify(ctx context.Context, c *importer.Session, msgs []Message) error {
	c.Allow(1 << 20)
	selected, err := c.Select(b.name, &imap.SelectOptions{ReadOnly: true}).Wait()
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	list, err := b.list(c, selected.NumMessages)
	if err != nil {
		return err
	}
	pairs, err := b.match(ctx, c, msgs, list)
	if err != nil {
		return err
	}
	ours := map[imap.UID]*Message{} // by the UID there
	var back []*there
	for i := range msgs {
		m := &msgs[i]
		t := pairs[m.UID]
		if t == nil {
			if !b.absent[m.UID] {
				b.job.differs("message %d is not there", m.UID)
			}
			continue
		}
		if t.date != m.Date.Unix() {
			b.job.differs("message %d has another date", m.UID)
		}
		have := slices.DeleteFunc(slices.Clone(t.flags), func(f imap.Flag) bool { return strings.EqualFold(string(f), `\Recent`) })
		if !sameFlags(b.flags(m), have) {
			b.job.differs("message %d has the flags %v, not %v", m.UID, have, b.flags(m))
		}
		for _, f := range m.Flags {
			if !b.keep(f) {
				b.lost[f]++
			}
		}
		if _, ok := b.taken[m.UID]; ok || b.job.o.VerifyAll {
			ours[t.uid] = m
			back = append(back, t)
		}
	}
	b.job.box.Left = int64(len(list) - len(pairs))
	changed := 0
	err = b.fetch(ctx, c, back, func(uid imap.UID, sum [32]byte) {
		m := ours[uid]
		if m == nil {
			return
		}
		delete(ours, uid)
		switch o := b.sums[m.UID]; sum {
		case o.sum:
			b.job.box.Verified++
		case o.crlf:
			changed++
			b.job.box.Verified++
		default:
			b.job.differs("message %d: the server has changed its octets", m.UID)
		}
	})
	if err != nil {
		return err
	}
	for _, m := range ours {
		b.job.differs("message %d cannot be read back", m.UID)
	}
	if changed > 0 {
		b.job.remark("in %d messages the server ends lines by CRLF that end otherwise on the box", changed)
	}

	return nil
}
