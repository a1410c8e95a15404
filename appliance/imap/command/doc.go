// Package command holds the IMAP commands as values, and reads them from the
// wire. It knows the grammar of RFC 3501, RFC 9051 and of the extensions
// served, and nothing of sessions, mailboxes or storage.
package command
