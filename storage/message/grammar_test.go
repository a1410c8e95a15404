package message_test

import (
	"fmt"
	"strconv"
	"strings"
)

// grammar is a parser of envelopes and body structures that takes nothing but
// what RFC 9051, section 9 allows: one space where it has one, NIL only in an
// nstring, no empty list.
type grammar struct {
	in  string
	pos int
	err error
}

// checkEnvelope tells what is wrong with an envelope.
func checkEnvelope(s []byte) error {
	g := &grammar{in: string(s)}
	g.envelope()
	return g.finish()
}

// checkBody tells what is wrong with a body structure, with extension data or without.
func checkBody(s []byte, extended bool) error {
	g := &grammar{in: string(s)}
	g.body(extended)
	return g.finish()
}

func (g *grammar) finish() error {
	if g.err == nil && g.pos != len(g.in) {
		g.fail("nothing more")
	}
	return g.err
}

func (g *grammar) fail(want string) {
	if g.err == nil {
		end := min(len(g.in), g.pos+40)
		g.err = fmt.Errorf("at octet %d: want %s, got %q", g.pos, want, g.in[min(g.pos, len(g.in)):end])
	}
}

func (g *grammar) peek() byte {
	if g.err != nil || g.pos >= len(g.in) {
		return 0
	}
	return g.in[g.pos]
}

func (g *grammar) expect(s string) {
	if g.err != nil {
		return
	}
	if !strings.HasPrefix(g.in[g.pos:], s) {
		g.fail(strconv.Quote(s))
		return
	}
	g.pos += len(s)
}

func (g *grammar) isNIL() bool {
	if g.err == nil && strings.HasPrefix(g.in[g.pos:], "NIL") {
		g.pos += len("NIL")
		return true
	}
	return false
}

func (g *grammar) nstring() (s string, ok bool) {
	if g.isNIL() {
		return "", false
	}
	return g.str(), true
}

// str reads a quoted string or a literal.
func (g *grammar) str() string {
	switch g.peek() {
	case '"':
		return g.quoted()
	case '{':
		return g.literal()
	}
	g.fail("a string")
	return ""
}

func (g *grammar) quoted() string {
	var b strings.Builder
	for g.pos++; g.pos < len(g.in); g.pos++ {
		switch c := g.in[g.pos]; {
		case c == '"':
			g.pos++
			return b.String()
		case c == '\\':
			g.pos++
			if c := g.peek(); c != '"' && c != '\\' {
				g.fail("a quoted special")
				return ""
			}
			b.WriteByte(g.in[g.pos])
		case c == 0 || c >= 0x80 || c == '\r' || c == '\n':
			g.fail("a text character")
			return ""
		default:
			b.WriteByte(c)
		}
	}
	g.fail("a closing quote")
	return ""
}

func (g *grammar) literal() string {
	g.expect("{")
	n := g.number()
	g.expect("}\r\n")
	if g.err != nil || g.pos+n > len(g.in) {
		g.fail("the octets of a literal")
		return ""
	}
	s := g.in[g.pos : g.pos+n]
	g.pos += n
	if strings.Contains(s, "\x00") {
		g.fail("a literal without NUL")
	}
	return s
}

func (g *grammar) number() int {
	start := g.pos
	for c := g.peek(); '0' <= c && c <= '9'; c = g.peek() {
		g.pos++
	}
	n, err := strconv.Atoi(g.in[start:g.pos])
	if err != nil {
		g.fail("a number")
	}
	return n
}

func (g *grammar) envelope() {
	g.expect("(")
	g.nstring()
	g.expect(" ")
	g.nstring()
	for range 6 {
		g.expect(" ")
		g.addresses()
	}
	g.expect(" ")
	g.nstring()
	g.expect(" ")
	g.nstring()
	g.expect(")")
}

// addresses reads an address list; groups have to be opened and closed.
func (g *grammar) addresses() {
	if g.isNIL() {
		return
	}
	g.expect("(")
	inGroup := false
	for first := true; g.err == nil && (first || g.peek() != ')'); first = false {
		g.expect("(")
		_, hasName := g.nstring()
		g.expect(" ")
		g.nstring()
		g.expect(" ")
		_, hasMailbox := g.nstring()
		g.expect(" ")
		_, hasHost := g.nstring()
		g.expect(")")
		switch {
		case hasHost && !hasMailbox:
			g.fail("a mailbox beside the host")
		case !hasHost && (inGroup == hasMailbox || hasName):
			g.fail("the begin or the end of a group")
		case !hasHost:
			inGroup = hasMailbox
		}
	}
	if inGroup {
		g.fail("the end of a group")
	}
	g.expect(")")
}

func (g *grammar) body(extended bool) {
	g.expect("(")
	if g.peek() == '(' {
		for g.err == nil && g.peek() == '(' {
			g.body(extended)
		}
		g.expect(" ")
		g.token()
		if extended {
			g.expect(" ")
			g.params()
			g.extension(extended)
		}
		g.expect(")")
		return
	}
	typ := g.token()
	g.expect(" ")
	subtype := g.token()
	g.expect(" ")
	g.params()
	g.expect(" ")
	g.nstring()
	g.expect(" ")
	g.nstring()
	g.expect(" ")
	if enc := g.str(); enc != strings.ToLower(enc) || enc == "" {
		g.fail("an encoding in lower case")
	}
	g.expect(" ")
	g.number()
	switch {
	case typ == "multipart":
		g.fail("parts in a multipart")
	case typ == "message" && (subtype == "rfc822" || subtype == "global"):
		g.expect(" ")
		g.envelope()
		g.expect(" ")
		g.body(extended)
		g.expect(" ")
		g.number()
	case typ == "text":
		g.expect(" ")
		g.number()
	}
	if extended {
		g.expect(" ")
		g.nstring()
		g.extension(extended)
	}
	g.expect(")")
}

func (g *grammar) extension(extended bool) {
	g.expect(" ")
	if !g.isNIL() {
		g.expect("(")
		g.str()
		g.expect(" ")
		g.params()
		g.expect(")")
	}
	g.expect(" ")
	if !g.isNIL() {
		if g.peek() != '(' {
			g.str()
		} else {
			g.expect("(")
			g.str()
			for g.err == nil && g.peek() == ' ' {
				g.expect(" ")
				g.str()
			}
			g.expect(")")
		}
	}
	g.expect(" ")
	g.nstring()
}

func (g *grammar) token() string {
	s := g.str()
	if s == "" || s != strings.ToLower(s) {
		g.fail("a type in lower case")
	}
	return s
}

func (g *grammar) params() {
	if g.isNIL() {
		return
	}
	g.expect("(")
	for first := true; g.err == nil && (first || g.peek() == ' '); first = false {
		if !first {
			g.expect(" ")
		}
		if g.str() == "" {
			g.fail("a parameter's name")
		}
		g.expect(" ")
		g.str()
	}
	g.expect(")")
}
