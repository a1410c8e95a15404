package imap

import (
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"

	"pillarbox/appliance/imap/command"
	"pillarbox/storage"
)

// verdict is what is known about a message and a key.
type verdict int8

const (
	fails verdict = iota
	holds
	undecided // more of the message must be read
)

// stage is what must be read of a message to decide a key, cheapest first.
type stage int8

const (
	fromSnapshot stage = iota // flags, dates and sizes
	fromRecord                // the stored parse
	fromBody                  // the message itself
)

// key is a search key made ready: a node of a tree whose branches are sorted
// by what they cost.
type key struct {
	op    keyOp
	stage stage // of the dearest leaf below
	keys  []*key
	test  func(*candidate) bool // of a leaf
}

type keyOp int8

const (
	isLeaf keyOp = iota
	isAnd
	isOr
	isNot
)

// eval decides a key as far as what was read of the message goes.
func (k *key) eval(c *candidate) verdict {
	switch k.op {
	case isNot:
		switch k.keys[0].eval(c) {
		case holds:
			return fails
		case fails:
			return holds
		}
		return undecided
	case isAnd, isOr:
		// One child with this verdict decides.
		decisive := fails
		if k.op == isOr {
			decisive = holds
		}
		result := holds - decisive // what remains if no child decides
		for _, child := range k.keys {
			switch v := child.eval(c); v {
			case decisive:
				return decisive
			case undecided:
				result = undecided
			}
		}
		return result
	}
	if k.stage > c.stage {
		return undecided
	}
	if k.test(c) {
		return holds
	}
	return fails
}

// branch joins keys; the cheap ones come first.
func branch(op keyOp, keys []*key) *key {
	k := &key{op: op, keys: keys}
	slices.SortStableFunc(k.keys, func(a, b *key) int { return int(a.stage) - int(b.stage) })
	for _, child := range k.keys {
		k.stage = max(k.stage, child.stage)
	}
	return k
}

func constant(v bool) *key { return &key{test: func(*candidate) bool { return v }} }

var branchOps = map[command.SearchOp]keyOp{
	command.SearchAnd: isAnd,
	command.SearchOr:  isOr,
	command.SearchNot: isNot,
}

// compile makes a key ready. Its depth and number are bounded by the parser.
func (p *program) compile(k *command.SearchKey) *key {
	sel := p.sel
	switch k.Op {
	case command.SearchAll:
		return constant(true)
	case command.SearchAnd, command.SearchOr, command.SearchNot:
		keys := make([]*key, len(k.Keys))
		for i, child := range k.Keys {
			keys[i] = p.compile(child)
		}
		return branch(branchOps[k.Op], keys)
	case command.SearchSet:
		set := sel.named(k.Set)
		return &key{test: func(c *candidate) bool { return set.contains(c.pos) }}
	case command.SearchOlder: // RFC 5032, section 3
		limit := p.now.Add(-k.Age).Unix()
		return &key{test: func(c *candidate) bool { return c.m.InternalDate <= limit }}
	case command.SearchYounger:
		limit := p.now.Add(-k.Age).Unix()
		return &key{test: func(c *candidate) bool { return c.m.InternalDate >= limit }}
	case command.SearchSavedBefore: // RFC 8514, section 4.3; the save date is told in UTC
		day := dayOf(k.Day)
		return &key{test: func(c *candidate) bool { return dayAt(c.m.SaveDate, 0) < day }}
	case command.SearchSavedSince:
		day := dayOf(k.Day)
		return &key{test: func(c *candidate) bool { return dayAt(c.m.SaveDate, 0) >= day }}
	case command.SearchEmailID: // RFC 8474, section 6
		data, ok := p.s.emailData(k.ID)
		return &key{test: func(c *candidate) bool { return ok && c.m.Data == data }}
	case command.SearchThreadID:
		var id []byte
		return p.recordLeaf(func(c *candidate) bool {
			id = p.s.appendThreadID(id[:0], c.m.Data, c.fields)
			return string(id) == k.ID
		})
	case command.SearchRecent:
		return &key{test: func(c *candidate) bool { return sel.isRecent(c.m.UID) }}
	case command.SearchOld:
		return &key{test: func(c *candidate) bool { return !sel.isRecent(c.m.UID) }}
	case command.SearchNew:
		return &key{test: func(c *candidate) bool {
			return c.m.Flags&storage.Seen == 0 && sel.isRecent(c.m.UID)
		}}
	}
	return p.leaf(&k.Leaf)
}

// named finds the messages of a set that is a search key. What does not
// exist does not match, and is no mistake.
func (sel *selected) named(set imap.NumSet) messages {
	m, _ := sel.view.resolve(set, sel.saved)
	return m
}

// leaf makes a criterion ready. There is one, and as several fields of the
// library's type would have to hold together, all are taken.
func (p *program) leaf(l *imap.SearchCriteria) *key {
	keys := append(p.leafOfSnapshot(l), p.leafOfContent(l)...)
	if len(keys) == 1 {
		return keys[0]
	}
	return branch(isAnd, keys)
}

func (p *program) leafOfSnapshot(l *imap.SearchCriteria) []*key {
	var keys []*key
	add := func(test func(c *candidate) bool) { keys = append(keys, &key{test: test}) }
	for _, f := range l.Flag {
		keys = append(keys, p.flag(f))
	}
	for _, f := range l.NotFlag {
		keys = append(keys, branch(isNot, []*key{p.flag(f)}))
	}
	if !l.Since.IsZero() {
		day := dayOf(l.Since)
		add(func(c *candidate) bool { return dayAt(c.m.InternalDate, int(c.m.Zone)) >= day })
	}
	if !l.Before.IsZero() {
		day := dayOf(l.Before)
		add(func(c *candidate) bool { return dayAt(c.m.InternalDate, int(c.m.Zone)) < day })
	}
	if n := l.Larger; n > 0 {
		add(func(c *candidate) bool { return c.m.Size > n })
	}
	if n := l.Smaller; n > 0 {
		add(func(c *candidate) bool { return c.m.Size < n })
	}
	if l.ModSeq != nil {
		p.modSeq = true
		n := storage.ModSeq(l.ModSeq.ModSeq)
		add(func(c *candidate) bool { return c.m.ModSeq >= n })
	}
	return keys
}

// flag makes the key for a flag or keyword.
func (p *program) flag(f imap.Flag) *key {
	sel := p.sel
	name := strings.ToLower(string(f))
	if bit, ok := systemBits[name]; ok {
		return &key{test: func(c *candidate) bool { return c.m.Flags&bit != 0 }}
	}
	if name == `\recent` {
		return &key{test: func(c *candidate) bool { return sel.isRecent(c.m.UID) }}
	}
	if i := keywordIndex(sel.snap, string(f)); i >= 0 {
		return &key{test: func(c *candidate) bool { return c.m.Keywords.Has(i) }}
	}
	return constant(false)
}

// dayOf counts the days to a date whose time does not matter.
func dayOf(t time.Time) int64 {
	y, m, d := t.Date()
	return dayAt(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix(), 0)
}

// dayAt counts the days to a moment, by the calendar of its own zone
// (RFC 9051, section 6.4.4: disregarding time and time zone).
func dayAt(unix int64, zoneMinutes int) int64 {
	const day = 24 * 60 * 60
	local := unix + int64(zoneMinutes)*60
	if local < 0 {
		local -= day - 1
	}
	return local / day
}
