package message

import "bytes"

// What is longer, in octets, is taken as ordinary text: looking further for
// its end would cost a hostile list the square of its length.
const (
	maxLiteral = 64  // "[IPv6:…]"
	maxRoute   = 256 // "@a,@b:"
)

// addressParser reads an address list (RFC 5322, section 3.4) with all that
// is obsolete, and what is not an address at all, and writes it as IMAP does.
// Nothing of a list is dropped but what exceeds max.
type addressParser struct {
	out []byte // what is written
	max int    // no address is begun once out is as long

	in  []byte
	pos int

	// The entry being read.
	text    []byte // words without quoting, one space between them
	word    int    // where the last word of text begins
	gap     bool   // blanks were read since
	at      int    // where the last "@" outside of quotes stands in text; -1
	atWord  int    // where the word with that "@" begins
	comment []byte // the last comment
	angle   bool   // an address between angle brackets was read into route, mailbox, host
	route   []byte
	mailbox []byte
	host    []byte

	inGroup  bool
	noQuotes bool // no quote in the rest of in has a closing one
}

// appendAddresses appends the addresses of a field's value to out, without
// the parentheses around them.
func (p *addressParser) appendAddresses(out, value []byte, max int) []byte {
	p.out, p.max, p.in, p.pos = out, max, value, 0
	p.inGroup, p.noQuotes = false, false
	p.clear()
	for p.pos < len(p.in) && len(p.out) < p.max {
		p.next()
	}
	if len(p.out) < p.max {
		p.flush()
	}
	if p.inGroup {
		p.endGroup()
	}
	p.in = nil
	return p.out
}

func (p *addressParser) clear() {
	p.text, p.comment = p.text[:0], p.comment[:0]
	p.word, p.at, p.atWord = 0, -1, 0
	p.gap, p.angle = false, false
}

// next reads one token.
func (p *addressParser) next() {
	c := p.in[p.pos]
	switch {
	case c == ' ' || c == '\t' || c == '\r' || c == '\n':
		p.gap = true
		p.pos++
	case c == '(':
		p.comment = p.readComment(p.comment[:0])
		p.gap = true
	case c == '"':
		p.joinWord()
		if p.isClosed() {
			p.text = p.readQuoted(p.text)
		} else {
			p.pos++
		}
	case c == '<':
		if p.angle {
			p.flush() // the comma between two addresses was forgotten
		}
		p.readAngle()
		p.gap = true
	case c == ',':
		p.pos++
		p.flush()
	case c == ';':
		p.pos++
		p.flush()
		if p.inGroup {
			p.endGroup()
		}
	case c == ':' && !p.inGroup && !p.angle && p.at < 0:
		p.pos++
		p.beginGroup()
	case c == '@' && !p.angle:
		if p.at >= 0 && p.word > p.at {
			p.splitEntry()
		}
		if p.at < 0 {
			p.atWord = p.word
		}
		p.at = len(p.text)
		p.text = append(p.text, '@')
		p.gap = false
		p.pos++
	default:
		p.joinWord()
		p.readAtom()
	}
}

// splitEntry writes an address that is followed by another one without a
// comma, and leaves the words from the last one on.
func (p *addressParser) splitEntry() {
	last := bytes.Clone(p.text[p.word:])
	p.text = p.text[:p.word-1]
	p.flush()
	p.text = append(p.text, last...)
}

// joinWord makes text ready for more: after blanks a new word begins, except
// around the "@" and the dots of an address (RFC 5322, section 4.4).
func (p *addressParser) joinWord() {
	n := len(p.text)
	if p.gap && n > 0 && !(p.at >= 0 && p.text[n-1] == '@') {
		p.text = append(p.text, ' ')
		p.word = n + 1
	}
	p.gap = false
}

// readAtom reads up to the next octet that has a meaning here. An encoded
// word is taken whole, since some senders leave specials in it unencoded.
func (p *addressParser) readAtom() {
	if n := encodedWordLen(p.in[p.pos:]); n > 0 {
		p.text = append(p.text, p.in[p.pos:p.pos+n]...)
		p.pos += n
		return
	}
	start := p.pos
	if p.in[p.pos] == '[' { // a domain literal holds colons
		rest := p.in[p.pos:min(len(p.in), p.pos+maxLiteral)]
		if i := bytes.IndexAny(rest, "],<> "); i > 0 && rest[i] == ']' {
			p.pos += i + 1
			p.text = append(p.text, p.in[start:p.pos]...)
			return
		}
	}
	p.pos++
	for p.pos < len(p.in) {
		switch c := p.in[p.pos]; c {
		case ' ', '\t', '\r', '\n', '(', '"', '<', ',', ';', ':', '@', '[':
			p.text = append(p.text, p.in[start:p.pos]...)
			return
		case '=':
			if encodedWordLen(p.in[p.pos:]) > 0 {
				p.text = append(p.text, p.in[start:p.pos]...)
				return
			}
		}
		p.pos++
	}
	p.text = append(p.text, p.in[start:p.pos]...)
}

// isClosed tells whether the quote at hand has a closing one. If it has none,
// it is passed over, lest it swallow the addresses behind it; as there are no
// others either, nobody looks again.
func (p *addressParser) isClosed() bool {
	for i := p.pos + 1; !p.noQuotes && i < len(p.in); i++ {
		switch p.in[i] {
		case '"':
			return true
		case '\\':
			i++
		}
	}
	p.noQuotes = true
	return false
}

// readQuoted appends a quoted string without its quoting.
func (p *addressParser) readQuoted(b []byte) []byte {
	for p.pos++; p.pos < len(p.in); p.pos++ {
		switch c := p.in[p.pos]; {
		case c == '"':
			p.pos++
			return b
		case c == '\\' && p.pos+1 < len(p.in):
			p.pos++
			b = append(b, p.in[p.pos])
		default:
			b = append(b, c)
		}
	}
	return b
}

// readComment appends a comment without its outer parentheses.
func (p *addressParser) readComment(b []byte) []byte {
	depth := 0
	for ; p.pos < len(p.in); p.pos++ {
		c := p.in[p.pos]
		switch {
		case c == '\\' && p.pos+1 < len(p.in):
			p.pos++
			c = p.in[p.pos]
		case c == '(':
			depth++
			if depth == 1 {
				continue
			}
		case c == ')':
			depth--
			if depth == 0 {
				p.pos++
				return bytes.TrimSpace(b)
			}
		}
		b = append(b, c)
	}
	return bytes.TrimSpace(b)
}

// readAngle reads an address between angle brackets, with a route before it
// (RFC 5322, section 4.4: "<@a,@b:c@d>"). Where the closing bracket is
// missing it ends at a comma or a semicolon.
func (p *addressParser) readAngle() {
	p.angle = true
	p.route, p.mailbox, p.host = p.route[:0], p.mailbox[:0], p.host[:0]
	p.pos++
	p.readRoute()
	at := -1
	b := p.mailbox
	for p.pos < len(p.in) {
		c := p.in[p.pos]
		switch c {
		case '>':
			p.pos++
			p.setAddress(b, at)
			return
		case ',', ';':
			p.setAddress(b, at)
			return
		case '"':
			if p.isClosed() {
				b = p.readQuoted(b)
				continue
			}
		case '(':
			p.comment = p.readComment(p.comment[:0])
			continue
		case '@':
			at = len(b)
			b = append(b, c)
		case ' ', '\t', '\r', '\n', '<':
		default:
			b = append(b, c)
		}
		p.pos++
	}
	p.setAddress(b, at)
}

func (p *addressParser) readRoute() {
	for p.pos < len(p.in) && isSpace(p.in[p.pos]) {
		p.pos++
	}
	rest := p.in[p.pos:]
	if len(rest) == 0 || rest[0] != '@' {
		return
	}
	colon := bytes.IndexAny(rest[:min(len(rest), maxRoute)], ":>")
	if colon < 0 || rest[colon] != ':' {
		return
	}
	for _, c := range rest[:colon] {
		if !isSpace(c) {
			p.route = append(p.route, c)
		}
	}
	p.pos += colon + 1
}

func (p *addressParser) setAddress(b []byte, at int) {
	p.mailbox = b
	if at >= 0 {
		p.host = append(p.host, b[at+1:]...)
		p.mailbox = b[:at]
	}
}

// flush writes the entry that was read, if there is one.
func (p *addressParser) flush() {
	defer p.clear()
	switch {
	case p.angle:
		p.write(p.name(p.text), p.route, p.mailbox, p.host)
	case p.at >= 0:
		p.flushPlain()
	case len(p.text) > 0:
		p.write(p.name(nil), nil, p.text, nil)
	case len(p.comment) > 0:
		p.write(p.comment, nil, nil, nil)
	}
}

// flushPlain writes an address without angle brackets. Words around it are
// no syntax, but somebody meant them as a name.
func (p *addressParser) flushPlain() {
	mailbox, host := p.text[p.atWord:p.at], p.text[p.at+1:]
	var after []byte
	if i := bytes.IndexByte(host, ' '); i >= 0 {
		host, after = host[:i], host[i+1:]
	}
	host = bytes.TrimSuffix(host, []byte(">"))
	before := bytes.TrimSuffix(p.text[:p.atWord], []byte(" "))
	switch {
	case len(before) == 0:
		p.write(p.name(after), nil, mailbox, host)
	case len(after) == 0:
		p.write(p.name(before), nil, mailbox, host)
	default:
		p.write(bytes.Join([][]byte{before, after}, []byte(" ")), nil, mailbox, host)
	}
}

// name returns the display name: text, or the comment beside the address
// (the form that RFC 822 had), or nil.
func (p *addressParser) name(text []byte) []byte {
	if len(text) > 0 {
		return text
	}
	if len(p.comment) > 0 {
		return p.comment
	}
	return nil
}

func (p *addressParser) beginGroup() {
	p.inGroup = true
	p.out = append(p.out, "(NIL NIL "...)
	p.out = appendString(p.out, p.text)
	p.out = append(p.out, " NIL)"...)
	p.clear()
}

func (p *addressParser) endGroup() {
	p.inGroup = false
	p.out = append(p.out, "(NIL NIL NIL NIL)"...)
}

// write appends one address. RFC 9051, section 7.5.2: a NIL host or mailbox
// means a group, so what is missing is empty.
func (p *addressParser) write(name, route, mailbox, host []byte) {
	p.out = append(p.out, '(')
	p.out = appendNString(p.out, name)
	if len(route) == 0 {
		route = nil
	}
	p.out = append(p.out, ' ')
	p.out = appendNString(p.out, route)
	p.out = append(p.out, ' ')
	p.out = appendString(p.out, mailbox)
	p.out = append(p.out, ' ')
	p.out = appendString(p.out, host)
	p.out = append(p.out, ')')
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }
