// Package wire is the lexical layer of IMAP: it takes the tokens of RFC 3501
// and RFC 9051 (section 9) from a connection and appends them to a buffer. It
// knows no command, no session and no mailbox.
//
// # Why our own
//
// go-imap's codec is internal to that library, so it can be neither extended
// nor mended from here, and its server parses the bytes of a refused
// non-synchronising literal as commands: a mail that contains the line
// "X DELETE VICTIM", appended beyond the size limit, deletes a mailbox. What a
// client means as data must never be carried out, so the rule that decides
// where a command ends lives in one place, [Decoder.Skip], and everything else
// goes through it.
//
// # Reading
//
// A command is a line, or several lines joined by literals: a line that ends
// with a literal's announcement ("{5}", "{5+}", "~{5}") is continued by that
// many octets and then by another line. The [Decoder] loads one line at a time
// and takes the tokens out of it. After a mistake it needs no knowledge of the
// grammar to find the next command:
//
//   - a line that ends with "{n+}" is followed by n octets, whether or not the
//     announcement stood where a literal is allowed: they are discarded, and
//     so is the line after them, to which the same rule applies;
//   - a line that ends with "{n}" waits for a continuation request that is
//     never sent, so the next line is the next command. If octets have come
//     regardless, nobody can tell what they are, and the connection ends;
//   - what is discarded after a refusal is bounded by [Limits].Drain; beyond
//     it the connection ends too.
//
// A line may end with a bare LF, as other servers allow.
//
// # Threats
//
// Every octet is hostile. A line, a literal, a command and what is discarded
// are bounded by [Limits]; lists and sets are bounded in count and nothing
// here recurses. Errors never quote more than a few printable octets of the
// input.
//
// # Writing
//
// Functions called Append… append a token to a []byte, as strconv's do, and
// allocate nothing beyond the slice's growth. [Writer] owns the slice that a
// connection's answers are collected in; it holds none while idle.
package wire
