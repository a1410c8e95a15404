// Package command holds the IMAP commands as values, and reads them from the
// wire. It knows the grammar of RFC 3501, RFC 9051 and of the extensions
// served, and nothing of sessions, mailboxes or storage: whether a command is
// allowed in a state, or a name exists, is for others to say.
//
// A [Reader] returns a [Command], or an [Error] that says how the command is
// to be answered; either way the next call finds the next command. Where a
// command ends is decided by the wire package alone, so no mistake of a parser
// here can make the octets of a literal a command.
//
// What a client may repeat is bounded: search keys and their nesting, sections
// and header fields of a FETCH, items of a list, messages of an APPEND. An
// APPEND's messages are not read here; they are handed to the session as they
// come, one after the other.
//
// Beyond the grammar are taken, because clients send them: lower case, more
// spaces than one and spaces before a line's end, RFC822.PEEK, CHANGEDSINCE 0,
// \Recent in flags (which is left out), quoted strings with octets beyond
// US-ASCII, mailbox names in raw UTF-8.
//
// A new command is a line in table.go, a parser, and a type in command.go. A
// new parameter is a case in the switch of its list.
package command
