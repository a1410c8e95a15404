package wire

import (
	"strings"

	"github.com/emersion/go-imap/v2"
)

// maxFlags bounds the flags of one list; a mailbox holds fewer keywords.
const maxFlags = 256

// Flag takes a flag. A system flag is returned in its usual spelling; \Recent,
// which no client may set but some try to, is returned as "".
func (d *Decoder) Flag() imap.Flag {
	if !d.Take('\\') {
		return imap.Flag(d.Atom())
	}
	name := d.Atom()
	for _, f := range [...]imap.Flag{imap.FlagSeen, imap.FlagAnswered, imap.FlagFlagged, imap.FlagDeleted, imap.FlagDraft} {
		if strings.EqualFold(name, string(f[1:])) {
			return f
		}
	}
	if !strings.EqualFold(name, "Recent") {
		d.Fail(`there is no flag \%s`, strings.Trim(Printable(name), `"`))
	}
	return ""
}

// FlagList takes a parenthesised list of flags.
func (d *Decoder) FlagList() []imap.Flag {
	d.Want('(')
	d.Spaces()
	flags := []imap.Flag{}
	for d.err == nil && !d.Take(')') {
		flags = d.appendFlag(flags)
		if !d.Spaces() && d.Peek() != ')' {
			d.Fail("expected a space%s", d.found())
		}
	}
	return flags
}

// Flags takes flags with spaces between them up to the end of the line, as
// STORE has them.
func (d *Decoder) Flags() []imap.Flag {
	flags := []imap.Flag{}
	for {
		flags = d.appendFlag(flags)
		if !d.More() {
			return flags
		}
	}
}

func (d *Decoder) appendFlag(flags []imap.Flag) []imap.Flag {
	f := d.Flag()
	if len(flags) == maxFlags {
		d.setErr(&LimitError{Text: "a list has too many flags"})
		return nil
	}
	if f == "" || d.err != nil {
		return flags
	}
	return append(flags, f)
}
