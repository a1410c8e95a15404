// Package mailfile reads messages that people have as files: a single message
// (.eml, or whatever comes on standard input), an mbox, a Maildir folder, or a
// mailbox of Cyrus's spool; and finds all mailboxes of a person in a folder of
// such ([OpenTree]).
//
// What comes out is the message's octets with CRLF line ends, as Internet
// mail has them (RFC 5322, section 2.1). A file whose first line ends in a
// bare LF was written by a Unix program: its bare LFs become CRLF. Any other
// file is taken octet for octet, whatever is in it, as are those of Cyrus.
//
// # mbox
//
// An mbox has four dialects that cannot be told apart for certain (RFC 4155,
// appendix A). This package reads them as mboxrd: a message begins at a line
// that starts with "From ", carries a date as asctime writes it, or is nothing
// but a sender and a date as a header field or ISO 8601 has it, and follows an
// empty line; ">From " loses one ">". Of mboxo, where ">From " may have been in
// the message, that is as good as anything. Content-Length (mboxcl2, where
// nothing is quoted) is believed where a message ends just there, and only if
// that is so of the first message: files are edited after it was written, and
// senders write it, too.
//
// Flags, keywords and UIDs come from Status, X-Status, X-Keywords, X-UID, X-IMAP
// and X-Mozilla-Status; the fields stay in the message. What our own export
// writes in front of a message ([Exported]) does not: it comes back octet for
// octet. A sender can write that, too: it is believed where the message that
// follows has the size and the hash that it tells ([Source.Settle]).
//
// # Maildir
//
// Flags come from the file name, keywords from dovecot-keywords, UIDs from
// dovecot-uidlist (versions 1 and 3) or Courier's courierimapuiddb, the date of
// arrival from the file's time. Not read: Dovecot's index files (and with them
// keywords beyond the 26 that have a letter) and Courier's courierimapkeywords.
// What our own export wrote has its hashes in pillarbox-sums.
//
// # Cyrus
//
// Messages are the files "1.", "2." and so on. Keywords' names and the mailbox's
// come from cyrus.header; flags, dates and what is expunged from cyrus.index,
// versions 12 to 17 (Cyrus 2.4 to 3.6); of others the file's time is the date
// and there are no flags. Not read: cyrus.cache, cyrus.annotations, and what
// Cyrus keeps outside of the spool (subscriptions, and \Seen of people to whom a
// mailbox does not belong).
//
// # Bounds
//
// Nothing is held in memory but one line (up to 64 KiB of it) of each message
// being read, and of a Maildir or a folder of Cyrus the file names with their
// UIDs and flags.
//
// # Threats
//
// Whoever wrote a Maildir or a spool may be allowed to see less than who reads
// it here: links are followed within a mailbox's folder only, pipes are not
// opened. The package knows nothing of accounts or storage.
package mailfile
