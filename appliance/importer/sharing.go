package importer

import "context"

// Allow says that an answer of so many octets is asked for; without it a server
// may send one mebibyte.
func (c *Session) Allow(octets int64) { c.wire.allow(octets) }

// Bind lets ctx end what the session is doing, by ending its connection. The
// caller calls the result when that is done.
func (c *Session) Bind(ctx context.Context) (stop func() bool) { return c.bind(ctx) }

// Abort ends the connection without a word.
func (c *Session) Abort() { c.abort() }

// AsBusy turns an answer by which a server wants to be left alone for a while
// into a *BusyError, and leaves all other errors as they are.
func AsBusy(err error) error { return asBusy(err) }

// PlainText makes what a server says fit for a log and a report.
func PlainText(s string) string { return plainText(s) }
