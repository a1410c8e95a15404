// Package bymail puts a checkpoint of the audit record into somebody's mailbox
// each day. The mailbox lies on the box, so that by itself it proves nothing
// against who holds the box: what counts is the copy that a mail program fetches,
// or that is forwarded elsewhere.
//
// Each message has one checkpoint, as a line of its own that `pillarbox audit
// verify --kept FILE` finds in the saved message. One comes each day, also if
// nothing was recorded: that none comes is a sign, too.
//
// It must not know accounts, storage or how mail is delivered.
package bymail
