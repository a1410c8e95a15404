// Package imap speaks IMAP4rev1 (RFC 3501), IMAP4rev2 (RFC 9051) and the
// extensions that [Server] tells of, on connections whose TLS is done. It knows
// IMAP and storage; it knows nothing of bbolt, TLS, ports or passwords.
//
// # Why our own engine
//
// go-imap/v2 gives us its types, and its imapclient is the independent client
// of our tests. Its imapserver cannot carry this product, and since the codec
// is internal to the library it cannot be mended from outside:
//
//   - a message that is refused for its size is not drained when it comes as a
//     non-synchronising literal: its text is carried out as commands;
//   - multiparts without parts panic in FETCH, one malformed header line makes
//     BODY[] empty, and NUL goes out inside literals;
//   - nothing bounds failed log-ins; there is no context, no shutdown and no
//     hook around a command; EXAMINE and CLOSE expunge;
//   - CONDSTORE, QRESYNC, OBJECTID, SAVEDATE, ID, QUOTA and MULTIAPPEND have no
//     server side;
//   - LIST matches wildcards by backtracking, in exponential time.
//
// # A session
//
// A session is one goroutine (two during IDLE): it waits for a command, carries
// it out, tells what other sessions did to the selected mailbox, and writes the
// tagged answer. Handlers return an error: nil is "OK completed", a *reply is
// any other tagged answer, an *ending is BYE, and errors of storage are turned
// into response codes in errors.go alone.
//
// Answers are collected in a buffer and leave when it is full or when the
// session has to wait for the client, so a pipeline of commands is answered in
// order, in as few writes as possible. While a client is idle the session holds
// no output buffer.
//
// # Invariants
//
//   - An OK is written after what it promises is durable.
//   - Nothing of storage is held while bytes go to a client: no lock, no read
//     transaction. A stalled client costs its own connection only.
//   - The client's sequence numbers change by EXPUNGE and EXISTS and by
//     nothing else, and never while it is answered by sequence numbers
//     (RFC 9051, section 7.5.1). See the type view.
//   - What a client means as data is never carried out: where a command ends
//     is decided in package wire.
//   - EXAMINE changes nothing.
//
// # Threats
//
// Anyone may connect, and any octets may come. Before log-in a client has
// little time and little room, and wrong passwords cost it seconds that cost
// us nothing. After log-in a command is bounded in size, each read and write
// has a deadline, and a command that makes no progress is given up. Commands
// that are not valid are bounded in a row, sessions are bounded per account.
// (Connections per address are the business of package access.)
//
// A panic in a handler answers its command with NO [SERVERBUG], is logged with
// its stack and counted; where an answer was half out, or the view or the
// input half read, it ends the session, and never the process.
//
// # Choices
//
// LITERAL+ is told of and LITERAL- is not: RFC 7888, section 5 forbids both,
// and LITERAL+ promises everything that LITERAL- does.
//
// A client that comes back with QRESYNC is told of expunges by the storage's
// traces, and where they do not reach back far enough of all that is absent.
// While an expunge must be held back, it is also told that it is not up to
// date, so that a connection that breaks then loses nothing.
//
// THREADID is worked out of the message alone, see objectid.go.
//
// A mailbox that another session deletes ends the sessions that have it
// selected; a session that deletes what it has selected itself goes on without.
//
// IDLE has no time limit. A sign of life every two minutes keeps NAT boxes
// from forgetting the connection, and shows us when it is gone.
package imap
