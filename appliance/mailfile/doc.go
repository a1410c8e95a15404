// Package mailfile reads messages that people have as files: a single message
// (.eml, or whatever comes on standard input), an mbox, or a Maildir folder.
//
// What comes out is the message's octets with CRLF line ends, as Internet
// mail has them (RFC 5322, section 2.1). A file whose first line ends in a
// bare LF was written by a Unix program: its bare LFs become CRLF. Any other
// file is taken octet for octet, whatever is in it.
//
// An mbox has four dialects that cannot be told apart for certain (RFC 4155,
// appendix A). This package reads them as mboxrd: a message begins at a line
// that starts with "From ", carries a date as asctime writes it, or is nothing
// but a sender and a date as a header field or ISO 8601 has it, and follows an
// empty line; ">From " loses one ">". Content-Length is not believed, because
// files are edited after it was written.
//
// Flags come from Status, X-Status and X-Mozilla-Status in an mbox and from
// the file name in a Maildir; the fields stay in the message. Nothing is held
// in memory but one line (up to 64 KiB of it) of each message being read, and
// the file names of a Maildir. The package knows nothing of accounts or storage.
package mailfile
