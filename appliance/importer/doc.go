// Package importer moves whole accounts in: a person's mailboxes with their
// messages, flags, dates and subscriptions, from an IMAP server, a Maildir or an
// mbox, and keeps what is here in step with what is there until the cut-over.
//
// A [Source] lists mailboxes and messages and gives Readers, one for each
// worker. The [Engine] compares what a source lists with what it took before,
// fetches what is new over several Readers, and puts it into storage in the
// source's order, many messages to a commit.
//
// # What is kept of a message
//
// A [Record] of each message taken is a note of the account's index, committed
// in the same transaction as the message itself. So there is no moment at which
// a message is there without its record or the other way round: whenever the
// process dies, the next run goes on where the last commit was, and nothing is
// taken twice. The notes go with the account when it is removed or backed up.
//
// Where there is no record (the source gave its mailbox a new UIDVALIDITY, the
// index was repaired, somebody copied the mail by another program before), a
// message that the mailbox has here with the same octets and date counts as
// taken. It is claimed by one message of the source only, so real doubles stay
// doubles.
//
// # What moves again
//
// A flag that the source set or removed since the last run is set or removed
// here; what was changed here meanwhile stays. Nothing is ever written to the
// source: mailboxes are opened by EXAMINE, bodies are fetched by PEEK. A message
// that was expunged at the source is expunged here only if that is asked for,
// and one that was deleted or moved here does not come back.
//
// # What cannot be taken
//
// A message that is too big, that the source cannot give, or that storage
// refuses is quarantined: named in the report with the reason, and kept as a
// file where its octets could be had. It does not hold up the rest. A keyword
// that is not valid, or too many for the mailbox, is left off the message and
// listed.
//
// # What is uploaded
//
// A file that somebody uploads ([Jobs.Upload]) is unpacked beside its job, in a
// folder whose name the job's ID gives and nobody else. It goes when all mail is
// here, or the job is cancelled or removed; what a crash leaves, at the next start.
//
// # Threats
//
// The server is not ours and may be broken or hostile: what it announces is
// bounded (mailboxes, names, flags, sizes), nothing of a message is held in
// memory beyond what storage stages, and every wait has a time limit. Passwords
// are kept in memory for as long as the job runs, and at rest only where the
// administrator wants a job that resumes by itself; they are in no log and no
// report.
//
// # Must not know
//
// Who may have an account, HTTP, the command line. Where mail comes from other
// than by IMAP, rooms of their own know (files).
package importer
