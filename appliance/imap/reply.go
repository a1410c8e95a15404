package imap

import (
	"github.com/emersion/go-imap/v2"

	"pillarbox/appliance/imap/command"
)

// reply is a tagged answer other than the plain "OK … completed". It is an
// error so that handlers can return it from any depth; nil means plain OK.
type reply struct {
	Type imap.StatusResponseType
	Code string // without brackets, with its arguments: "COPYUID 1 2 3"; "" for none
	Text string // for people; one line
}

// Error implements error.
func (r *reply) Error() string {
	if r.Code == "" {
		return string(r.Type) + " " + r.Text
	}
	return string(r.Type) + " [" + r.Code + "] " + r.Text
}

// ok answers OK with a response code; an empty text means "<NAME> completed".
func ok(code, text string) error {
	return &reply{Type: imap.StatusResponseTypeOK, Code: code, Text: text}
}

// no answers NO.
func no(code imap.ResponseCode, text string) error {
	return &reply{Type: imap.StatusResponseTypeNo, Code: string(code), Text: text}
}

// bad answers BAD.
func bad(text string) error {
	return &reply{Type: imap.StatusResponseTypeBad, Text: text}
}

// replyTo makes the answer to a command that could not be read.
func replyTo(e *command.Error) *reply {
	return &reply{Type: e.Type, Code: string(e.Code), Text: e.Text}
}

// ending is an error that ends the session: an untagged BYE with its text is
// the last thing the client hears, without a tagged answer.
type ending struct {
	code imap.ResponseCode
	text string
}

// Error implements error.
func (e *ending) Error() string { return "session ended: " + e.text }
