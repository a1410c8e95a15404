package command

import (
	"errors"

	"github.com/emersion/go-imap/v2"

	"pillarbox/appliance/imap/wire"
)

// Error is a command that cannot be carried out as it was sent. It is
// answered, and the next command is read; other errors of a Reader end the
// connection: a [wire.FatalError] with BYE, those of the connection silently.
type Error struct {
	Tag  string // "" if none could be read: the answer is untagged
	Name string // "" if it could not be read or is not known
	Type imap.StatusResponseType
	Code imap.ResponseCode // with its arguments, without brackets; may be ""
	Text string
	Save bool // a SEARCH whose result was to be kept as "$"
}

func (e *Error) Error() string { return e.Text }

// Reader reads commands. It is used by one goroutine at a time.
type Reader struct {
	dec     *wire.Decoder
	utf8    bool
	refusal *Error // why a command of correct grammar is refused all the same
	keys    int    // search keys read so far
}

// NewReader returns a Reader that takes its tokens from dec.
func NewReader(dec *wire.Decoder) *Reader { return &Reader{dec: dec} }

// SetUTF8 tells that the client has enabled UTF8=ACCEPT or IMAP4rev2, so that
// its mailbox names are UTF-8.
func (r *Reader) SetUTF8(on bool) { r.utf8 = on }

// Read reads one command, skipping what is left of the one before. Of an
// APPEND it reads up to the mailbox. The error is an *[Error] if the command
// is to be answered without being carried out, and io.EOF if the client has
// gone.
func (r *Reader) Read() (*Command, error) {
	r.refusal, r.keys = nil, 0
	began := r.dec.Begin()
	if began != nil && !answerable(began) {
		return nil, began
	}
	if began == nil && r.dec.Peek() == 0 {
		return nil, r.wrap("", "", &wire.SyntaxError{Text: "an empty line is not a command"})
	}
	tag := r.dec.Tag()
	if r.dec.Err() != nil {
		tag = ""
	}
	if began != nil {
		return nil, r.wrap(tag, "", began)
	}
	r.dec.Space()
	entry := r.entry()
	if err := r.dec.Err(); err != nil {
		return nil, r.wrap(tag, entry.name, err)
	}
	args := entry.parse(r)
	if _, ok := args.(*Append); !ok {
		r.dec.End()
	}
	if err := r.dec.Err(); err != nil {
		return nil, r.wrap(tag, entry.name, err)
	}
	if r.refusal != nil {
		r.refusal.Tag, r.refusal.Name = tag, entry.name
		return nil, r.refusal
	}
	if a, ok := args.(*Append); ok {
		a.Next = (&appending{reader: r, tag: tag}).next
	}
	return &Command{Tag: tag, Name: entry.name, Args: args}, nil
}

// entry takes a command's name.
func (r *Reader) entry() entry {
	word := r.dec.Word()
	if string(word) == "UID" {
		r.dec.Space()
		word = r.dec.Word()
		if e, ok := uidEntries[string(word)]; ok {
			return e
		}
		r.dec.Fail("there is no command UID %s", wire.Printable(string(word)))
		return entry{}
	}
	if e, ok := entries[string(word)]; ok {
		return e
	}
	r.dec.Fail("there is no command %s", wire.Printable(string(word)))
	return entry{}
}

// wrap makes an answer of the decoder's errors that have one.
func (r *Reader) wrap(tag, name string, err error) error {
	e := &Error{Tag: tag, Name: name, Type: imap.StatusResponseTypeBad, Text: err.Error()}
	var limit *wire.LimitError
	switch {
	case !answerable(err):
		return err
	case errors.As(err, &limit):
		// RFC 7888, section 4 and RFC 7889, section 4: NO, since the grammar is right.
		e.Type, e.Code = imap.StatusResponseTypeNo, imap.ResponseCodeTooBig
	case tag != "":
		e.Code = imap.ResponseCodeClientBug
	}
	return e
}

func answerable(err error) bool {
	var syntax *wire.SyntaxError
	var limit *wire.LimitError
	return errors.As(err, &syntax) || errors.As(err, &limit)
}
