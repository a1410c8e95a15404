package command

import (
	"errors"
	"io"

	"pillarbox/appliance/imap/wire"
)

// maxAppend bounds the messages of one APPEND: all of them wait, staged, for
// the last.
const maxAppend = 1000

var errAppendOrder = errors.New("the message before was neither read nor refused")

// appending is the state of an APPEND that is being carried out.
type appending struct {
	reader *Reader
	tag    string
	count  int
	step   appendStep
	lit    wire.Literal
	utf8   bool // a ")" follows the literal
}

type appendStep int

const (
	awaiting appendStep = iota // the next message may be read
	announced
	accepted
	ended
)

// next is Append.Next.
func (a *appending) next() (*AppendMessage, error) {
	dec := a.reader.dec
	switch a.step {
	case announced:
		return nil, errAppendOrder
	case ended:
		return nil, nil
	case accepted:
		dec.Resume()
		if a.utf8 {
			dec.Want(')')
		}
		if !dec.More() {
			dec.End()
			return nil, a.end()
		}
	case awaiting:
		dec.Space()
	}
	if a.count++; a.count > maxAppend {
		dec.Fail("an APPEND of more than %d messages", maxAppend)
	}
	m := a.header()
	if dec.Err() != nil {
		return nil, a.end()
	}
	a.step = announced
	m.Accept, m.Refuse = a.accept, a.refuse
	return m, nil
}

// end ends the command, with the answer to a mistake if there was one.
func (a *appending) end() error {
	a.step = ended
	if err := a.reader.dec.Err(); err != nil {
		return a.reader.wrap(a.tag, "APPEND", err)
	}
	return nil
}

func (a *appending) header() *AppendMessage {
	dec := a.reader.dec
	m := &AppendMessage{}
	if dec.Peek() == '(' {
		m.Flags = dec.FlagList()
		dec.Space()
	}
	if dec.Peek() == '"' {
		m.Time = dec.DateTime()
		dec.Space()
	}
	a.utf8 = false
	if c := dec.Peek(); c == 'U' || c == 'u' { // RFC 6855, section 4
		if w := a.reader.word(); w != "UTF8" {
			a.reader.unknown("argument", w)
		}
		dec.Space()
		dec.Want('(')
		a.utf8 = true
	}
	a.lit = dec.Literal()
	if a.utf8 && !a.lit.Binary {
		dec.Fail("expected a binary literal after UTF8")
	}
	m.Size, m.Binary, m.UTF8 = a.lit.Size, a.lit.Binary, a.utf8
	return m
}

func (a *appending) accept() (io.Reader, error) {
	if a.step != announced {
		return nil, errAppendOrder
	}
	a.step = accepted
	return a.reader.dec.Open(a.lit)
}

func (a *appending) refuse() error {
	if a.step == ended {
		return nil
	}
	a.step = ended
	return a.reader.dec.Skip()
}
