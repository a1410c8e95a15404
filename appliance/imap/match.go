package imap

import (
	"strings"

	"pillarbox/storage"
)

// pattern is a compiled LIST pattern: "*" stands for anything, "%" for
// anything but the delimiter. It is matched by simulating all ways at once,
// one bit for each position in the pattern, so that the time is that of one
// pass over the name, whatever wildcards a hostile client sends.
type pattern struct {
	literal [256]bits // for each octet, the positions where it stands
	star    bits      // positions of "*"
	percent bits      // positions of "%"
	size    int       // positions; state i means that i of them are matched
}

// bits is a set of positions; nil is the empty set.
type bits []uint64

func (b bits) has(i int) bool { return i>>6 < len(b) && b[i>>6]&(1<<(i&63)) != 0 }

func (b *bits) add(i, words int) {
	if *b == nil {
		*b = make(bits, words)
	}
	(*b)[i>>6] |= 1 << (i & 63)
}

func (b bits) word(w int) uint64 {
	if b == nil {
		return 0
	}
	return b[w]
}

// compile makes a pattern. A run of wildcards counts as one.
func compile(text string) *pattern {
	p := &pattern{}
	words := len(text)>>6 + 1
	for i := 0; i < len(text); {
		if c := text[i]; c != '*' && c != '%' {
			p.literal[c].add(p.size, words)
			p.size++
			i++
			continue
		}
		run := i
		for i < len(text) && (text[i] == '*' || text[i] == '%') {
			i++
		}
		if strings.Contains(text[run:i], "*") {
			p.star.add(p.size, words)
		} else {
			p.percent.add(p.size, words)
		}
		p.size++
	}
	return p
}

// match tells whether the pattern fits all of name.
func (p *pattern) match(name string) bool {
	words := p.size>>6 + 1
	var small [4]uint64 // patterns of up to 255 positions need no allocation
	now := bits(small[:])
	if words > len(small) {
		now = make(bits, words)
	}
	now[0] = 1
	p.pass(now, words)
	for i := 0; i < len(name); i++ {
		if !p.step(now, words, name[i]) {
			return false
		}
		p.pass(now, words)
	}
	return now.has(p.size)
}

// step takes one octet of the name: a literal leads to the next position, a
// wildcard stays where it is. It tells whether any way is left.
func (p *pattern) step(now bits, words int, c byte) bool {
	var carry, left uint64
	for w := range words {
		stay := p.star.word(w)
		if c != storage.Delimiter {
			stay |= p.percent.word(w)
		}
		on := now[w] & p.literal[c].word(w)
		now[w] = now[w]&stay | on<<1 | carry
		carry = on >> 63
		left |= now[w]
	}
	return left != 0
}

// pass adds the positions behind wildcards, which may stand for nothing. Two
// wildcards are never neighbours, so once is enough.
func (p *pattern) pass(now bits, words int) {
	var carry uint64
	for w := range words {
		wild := now[w] & (p.star.word(w) | p.percent.word(w))
		now[w] |= wild<<1 | carry
		carry = wild >> 63
	}
}

// matcher matches mailbox names against the patterns of one LIST.
type matcher struct {
	patterns []*pattern
	inbox    bool // INBOX itself is matched, in whatever case it was asked for
}

// newMatcher joins each pattern with the reference, as a name is joined with
// the folder it lies in.
func newMatcher(reference string, patterns []string) *matcher {
	m := &matcher{}
	for _, text := range patterns {
		text = canonical(reference + text)
		if len(text) > 1 {
			// Some clients end the name of a folder with the delimiter.
			text = strings.TrimSuffix(text, string(storage.Delimiter))
		}
		m.patterns = append(m.patterns, compile(text))
		if n := len(storage.Inbox); len(text) > n && strings.ContainsRune("*%", rune(text[n])) &&
			strings.EqualFold(text[:n], storage.Inbox) {
			m.patterns = append(m.patterns, compile(storage.Inbox+text[n:])) // "inbox*" finds INBOX/a
		}
		m.inbox = m.inbox || compile(strings.ToUpper(text)).match(storage.Inbox)
	}
	return m
}

// match tells whether any pattern fits.
func (m *matcher) match(name string) bool {
	if name == storage.Inbox {
		return m.inbox
	}
	for _, p := range m.patterns {
		if p.match(name) {
			return true
		}
	}
	return false
}

// canonical writes INBOX at the start of a name as storage does
// (RFC 9051, section 5.1: it is the same in any case).
func canonical(name string) string {
	const n = len(storage.Inbox)
	if len(name) < n || !strings.EqualFold(name[:n], storage.Inbox) {
		return name
	}
	if len(name) > n && name[n] != storage.Delimiter {
		return name
	}
	return storage.Inbox + name[n:]
}
