// Package files gives mail that lies in files to the importer: a Maildir, a
// folder of Maildirs, mboxes or Cyrus's spool, as package mailfile finds it.
//
// [Open] reads on this machine. [Serve] and [Remote] carry a source over a
// connection: a command reads the files as the person who called it, and the
// server, which may see no files but its own, takes what comes.
//
// # Keys
//
// A message in a file of its own is known by the file's name without flags,
// which mail servers never give twice. One in an mbox is known by the SHA-256 of
// its octets without the fields in which programs keep flags (Status and such),
// and of several that are alike by how many came before it.
//
// # On the wire
//
// The two ends speak HTTP/1.1 in JSON, in which the server of the box is the
// client: GET /mailboxes, POST /messages (a mailbox → one line for each
// message), POST /read (a mailbox and keys → frames, each a line of JSON and as
// many octets as it says, in pieces). The answers are bounded like any stranger's.
//
// # Must not know
//
// Accounts and storage.
package files
