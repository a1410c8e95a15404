package command

import (
	"strings"

	"github.com/emersion/go-imap/v2"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
)

// charset is what the strings of a SEARCH are in; the zero value is UTF-8.
type charset struct{ enc encoding.Encoding }

// charset finds an encoding. If there is none the command is read to its end,
// so that its literals are taken, and refused.
func (r *Reader) charset(name string) charset {
	switch name {
	case "UTF-8", "US-ASCII", "UTF8", "ASCII":
		return charset{}
	}
	enc, err := htmlindex.Get(strings.TrimSpace(name))
	if err == nil {
		// Encodings that browsers must not decode have names there too.
		var canonical string
		if canonical, err = htmlindex.Name(enc); err == nil && canonical != "replacement" && canonical != "x-user-defined" {
			return charset{enc: enc}
		}
	}
	r.refusal = &Error{
		Type: imap.StatusResponseTypeNo,
		Code: imap.ResponseCodeBadCharset + " (US-ASCII UTF-8)", // RFC 9051, section 7.1
		Text: "the charset is not supported",
	}
	return charset{}
}

// decode returns a search string in UTF-8.
func (r *Reader) decode(cs charset, s string) string {
	if cs.enc == nil {
		return s
	}
	// What an encoding decodes to is no longer than three octets for each of
	// its own, and a decoder does not fail: it gives U+FFFD.
	out, err := cs.enc.NewDecoder().String(s)
	if err != nil {
		r.dec.Fail("a search string is not in the charset given")
	}
	return out
}
