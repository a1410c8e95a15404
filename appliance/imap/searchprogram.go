package imap

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"

	"pillarbox/appliance/imap/command"
	"pillarbox/storage"
	"pillarbox/storage/message"
)

// searchBatch is how many messages are read in one transaction of the storage.
const searchBatch = 256

// program is a search made ready to run over the selected mailbox.
type program struct {
	s      *session
	sel    *selected
	now    time.Time
	root   *key
	within messages // the messages that can match at all
	record bool     // some key is decided by the stored parse
	modSeq bool     // MODSEQ was among the keys

	// BODY and TEXT texts are looked for together: reading is what costs.
	texts [2]texts // by message.Scope

	heard  time.Time // when the client was last told anything
	reader *message.Searcher
	header []byte // of the message whose body is being read
	batch  []pending
	ids    []storage.DataID
}

// texts are what is looked for in one scope.
type texts struct {
	matchers []*message.Matcher
	found    []bool // by matcher, for the message at hand
	searched bool   // found is about the message at hand
}

// pending is a message that the snapshot alone has not ruled out.
type pending struct {
	pos     int
	m       *storage.Message
	verdict verdict
}

// candidate is the message at hand, as far as it has been read.
type candidate struct {
	pos   int
	m     *storage.Message
	stage stage

	// From fromRecord on.
	prefix, fields []byte // header fields: the server's, and those stored
	sentDay        int64
	hasSent        bool

	// From fromBody on.
	headerSize int64 // with the prefix
	parts      []message.Part
	body       *storage.Body
	err        error // what reading the body failed with
}

func newProgram(s *session, k *command.SearchKey) *program {
	p := &program{s: s, sel: s.sel, now: s.srv.now(), heard: time.Now()}
	p.root = p.compile(k)
	for i := range p.texts {
		p.texts[i].found = make([]bool, len(p.texts[i].matchers))
	}
	p.within = messages{spans: []span{{0, s.sel.snap.Len()}}}
	keys := []*command.SearchKey{k}
	if k.Op == command.SearchAnd {
		keys = k.Keys
	}
	for _, child := range keys {
		if child.Op == command.SearchSet {
			p.within = s.sel.named(child.Set)
			break
		}
	}
	return p
}

// leafOfContent makes criteria ready that need more than the snapshot.
func (p *program) leafOfContent(l *imap.SearchCriteria) []*key {
	var keys []*key
	if !l.SentSince.IsZero() {
		day := dayOf(l.SentSince)
		keys = append(keys, p.recordLeaf(func(c *candidate) bool { return c.hasSent && c.sentDay >= day }))
	}
	if !l.SentBefore.IsZero() {
		day := dayOf(l.SentBefore)
		keys = append(keys, p.recordLeaf(func(c *candidate) bool { return c.hasSent && c.sentDay < day }))
	}
	for _, h := range l.Header {
		keys = append(keys, p.headerLeaf(h.Key, h.Value))
	}
	for _, text := range l.Body {
		keys = append(keys, p.textLeaf(message.ScopeBody, text))
	}
	for _, text := range l.Text {
		keys = append(keys, p.textLeaf(message.ScopeText, text))
	}
	return keys
}

func (p *program) recordLeaf(test func(*candidate) bool) *key {
	p.record = true
	return &key{stage: fromRecord, test: test}
}

// headerLeaf looks for a text in a header field; the stored fields answer
// where they can. Every field has the empty text (RFC 9051, section 6.4.4).
func (p *program) headerLeaf(name, text string) *key {
	m := message.NewMatcher(text)
	in := func(header []byte) bool { return inField(header, name, m) }
	if message.Listed(name) {
		return p.recordLeaf(func(c *candidate) bool { return in(c.prefix) || in(c.fields) })
	}
	return &key{stage: fromBody, test: func(c *candidate) bool { return in(p.readHeader(c)) }}
}

// inField tells whether a field of that name has the text.
func inField(header []byte, name string, m *message.Matcher) bool {
	for {
		f, rest, ok := message.NextField(header)
		if !ok {
			return false
		}
		if equalFold(f.Name, name) && m.MatchHeaderValue(f.Value) {
			return true
		}
		header = rest
	}
}

// equalFold compares field names, which are ASCII.
func equalFold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i, c := range b {
		if lower(c) != lower(s[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func (p *program) textLeaf(scope message.Scope, text string) *key {
	t := &p.texts[scope]
	i := len(t.matchers)
	t.matchers = append(t.matchers, message.NewMatcher(text))
	return &key{stage: fromBody, test: func(c *candidate) bool { return p.search(c, scope)[i] }}
}

// search looks for all texts of a scope at once, when the first is asked for.
func (p *program) search(c *candidate, scope message.Scope) []bool {
	t := &p.texts[scope]
	if !t.searched {
		t.searched = true
		if err := p.reader.Search(c.body, int64(len(c.body.Prefix)), c.parts, scope, t.matchers, t.found); err != nil {
			clear(t.found)
			c.err = err
		}
	}
	return t.found
}

// readHeader returns the message's header, read when it is first asked for.
func (p *program) readHeader(c *candidate) []byte {
	if len(p.header) > 0 || c.headerSize == 0 {
		return p.header
	}
	p.header = slices.Grow(p.header, int(min(c.headerSize, headerMax)))[:min(c.headerSize, headerMax)]
	if n, err := c.body.ReadAt(p.header, 0); n < len(p.header) {
		p.header, c.err = p.header[:0], short(err)
	}
	return p.header
}

// run calls hit for each message that matches, in ascending order or, with
// back, from the last to the first, until hit returns false.
func (p *program) run(ctx context.Context, back bool, hit func(pos int) bool) error {
	p.batch = p.batch[:0]
	c := &candidate{}
	var err error
	done := false
	p.walk(back, func(pos int, m *storage.Message) bool {
		*c = candidate{pos: pos, m: m}
		switch v := p.root.eval(c); {
		case v == fails:
		case v == holds && len(p.batch) == 0:
			done = !hit(pos)
		default:
			p.batch = append(p.batch, pending{pos, m, v})
		}
		if len(p.batch) == searchBatch {
			done, err = p.settle(ctx, c, hit)
			p.batch = p.batch[:0]
		}
		return !done && err == nil
	})
	if done || err != nil {
		return err
	}
	_, err = p.settle(ctx, c, hit)
	return err
}

// walk calls f for the messages that can match, until it returns false.
func (p *program) walk(back bool, f func(pos int, m *storage.Message) bool) {
	if back {
		for i := len(p.within.spans) - 1; i >= 0; i-- {
			for pos := p.within.spans[i].hi - 1; pos >= p.within.spans[i].lo; pos-- {
				if !f(pos, p.sel.snap.At(pos)) {
					return
				}
			}
		}
		return
	}
	for _, sp := range p.within.spans {
		for pos, m := range p.sel.snap.All(sp.lo) {
			if pos >= sp.hi {
				break
			}
			if !f(pos, m) {
				return
			}
		}
	}
}

// settle decides the messages of the batch: all by what is stored, then, in
// order, those left by their bodies.
func (p *program) settle(ctx context.Context, c *candidate, hit func(pos int) bool) (done bool, err error) {
	if p.record {
		if err := p.settleRecords(ctx, c); err != nil {
			return false, err
		}
	}
	for i := range p.batch {
		x := &p.batch[i]
		if x.verdict == undecided {
			if err := context.Cause(ctx); err != nil {
				return false, err
			}
			if x.verdict, err = p.settleBody(ctx, c, x); err != nil {
				return false, err
			}
			if err := p.tellProgress(); err != nil {
				return false, err
			}
		}
		if x.verdict == holds && !hit(x.pos) {
			return true, nil
		}
	}
	return false, nil
}

// tellProgress gives a sign of life from time to time: clients give up, and NAT
// boxes forget, a connection on which nothing is said. It also shows that the
// client is still there, so the search may go on.
func (p *program) tellProgress() error {
	if time.Since(p.heard) < p.s.srv.limits.Progress {
		return nil
	}
	p.heard = time.Now()
	p.s.untagged("OK Still searching")
	return p.s.out.Flush()
}

// settleRecords decides what the stored parses can decide.
func (p *program) settleRecords(ctx context.Context, c *candidate) error {
	var open []*pending
	p.ids = p.ids[:0]
	for i := range p.batch {
		if x := &p.batch[i]; x.verdict == undecided {
			open = append(open, x)
			p.ids = append(p.ids, x.m.Data)
		}
	}
	for done := 0; done < len(open); {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		rest := open[done:]
		first := done
		err := p.s.acct.Read(p.ids[done:], func(i int, d *storage.Data) bool {
			done = first + i + 1
			x := rest[i]
			if d == nil {
				x.verdict = fails // expunged meanwhile
				return true
			}
			*c = candidate{pos: x.pos, m: x.m, stage: fromRecord, prefix: d.Prefix, fields: d.Record.Fields()}
			c.setSent(&d.Record)
			x.verdict = p.root.eval(c)
			return true
		})
		if err == nil {
			break
		}
		if errors.Is(err, storage.ErrClosed) {
			return err
		}
		if done < len(open) { // the one that f was not called for
			p.unreadable(ctx, open[done].m, err)
			open[done].verdict = fails
			done++
		}
	}
	return nil
}

func (c *candidate) setSent(r *message.Record) {
	var unix int64
	var zone int
	if unix, zone, c.hasSent = r.Date(); c.hasSent {
		c.sentDay = dayAt(unix, zone)
	}
}

// settleBody decides a message by its body. One that cannot be read does not match.
func (p *program) settleBody(ctx context.Context, c *candidate, x *pending) (verdict, error) {
	if p.reader == nil {
		p.reader = message.NewSearcher()
	}
	p.header = p.header[:0]
	for i := range p.texts {
		p.texts[i].searched = false
	}
	body, err := p.s.acct.OpenBody(x.m.Data)
	if err == nil {
		defer func() { _ = body.Close() }() // it was only read
		err = p.load(c, x, body)
	}
	if err == nil {
		v := p.root.eval(c)
		if err = c.err; err == nil {
			return v, nil
		}
	}
	switch {
	case errors.Is(err, storage.ErrClosed):
		return fails, err
	case !errors.Is(err, storage.ErrNoMessage):
		p.unreadable(ctx, x.m, err)
	}
	return fails, nil
}

// load makes everything of a message known. The stored fields are copied, as
// reading the body takes too long for a transaction.
func (p *program) load(c *candidate, x *pending, body *storage.Body) error {
	*c = candidate{pos: x.pos, m: x.m, stage: fromBody, body: body, prefix: body.Prefix}
	err := storage.ErrNoMessage
	p.ids = append(p.ids[:0], x.m.Data)
	readErr := p.s.acct.Read(p.ids, func(_ int, d *storage.Data) bool {
		if d == nil {
			return true
		}
		c.fields = slices.Clone(d.Record.Fields())
		c.setSent(&d.Record)
		c.headerSize = int64(len(body.Prefix)) + d.Record.HeaderSize()
		c.parts, err = d.Record.Parts()
		return true
	})
	if readErr != nil {
		return readErr
	}
	if err != nil {
		return fmt.Errorf("read structure: %w", err)
	}
	return nil
}

func (p *program) unreadable(ctx context.Context, m *storage.Message, err error) {
	p.s.log.ErrorContext(ctx, "a message cannot be searched",
		"mailbox", p.sel.snap.Mailbox().Name, "uid", m.UID, "err", err)
}
