// Package exporter moves accounts out: a person's mailboxes with their messages,
// flags, keywords, dates and subscriptions, to another IMAP server, a Maildir
// that Dovecot can serve as it is, or a folder of mboxes.
//
// A [Mail] is the person's mail on the box, read in place or through a
// connection; a [Target] is where it goes. [Run] brings the target into line with
// the box: what is there already stays, flags that differ are set as they are
// on the box, and what is missing is added, in the order of the UIDs. A second
// run moves what has changed since. Nothing that the export did not put there
// is changed or removed, and what it put there is removed only if that is
// asked for.
//
// [Moves] run in the background, of one person or of many. They are kept in a
// folder, so that they go on when the server starts again; passwords are kept
// only if that was asked for, otherwise a move waits for them.
//
// # How it knows what is there
//
// No state is kept but in the target itself, so a run that was cut off, or one
// on another machine, goes on where the target is:
//
//   - Maildir: the file's name has UIDVALIDITY and UID. A file comes from "tmp"
//     to "cur" when it is on the disk (fsync).
//   - mbox: a header field in front of each message has its UID, size and hash.
//     A file that is being made has another name until it is whole; what a power
//     cut tore off the end of one is found by the hash, and cut away.
//   - IMAP: Message-ID, date and size; the octets where there is no Message-ID.
//
// # Maildir and Dovecot
//
// UIDs and UIDVALIDITY are in dovecot-uidlist, keywords in dovecot-keywords,
// dates are the files' times. A Maildir has 26 keywords; those that more
// messages have get the letters, and the rest is in pillarbox-keywords, which
// only the importer reads, as it does the hashes in pillarbox-sums, by which it
// tells what was damaged since. Line ends are LF, as Maildir programs expect it,
// unless that would lose something: then the file has the message's octets.
//
// # Durability
//
// A message counts as exported when it is on the target's disk, or when the
// target's server has said so. Then it is read back and compared by its hash.
//
// # Must not know
//
// HTTP, the command line, who may export.
package exporter
