// Package smtp receives mail from a mail transfer agent on the same machine,
// by LMTP (RFC 2033): on a unix socket, or on a loopback address. LMTP is for
// machines that trust each other and asks for no password, so that an address
// which others could reach is refused ([Listen]).
//
// The conversation follows RFC 5321 as RFC 2033 changes it, with PIPELINING
// (RFC 2920), SIZE (RFC 1870), 8BITMIME (RFC 6152), SMTPUTF8 (RFC 6531) and
// ENHANCEDSTATUSCODES (RFC 2034). After the data each recipient gets an answer
// of its own, and 250 only once the message is durable in the mailbox.
//
// # Why not go-smtp's server
//
// github.com/emersion/go-smtp is the client of this package's tests, but its
// server (v0.25.1) does not carry every message: after CR CR LF it no longer
// sees the start of a line, so that a stuffed dot there stays in the mail, and
// a mail that ends so hides the end of the data, whereupon the following
// commands become part of the mail and the connection hangs; its bound on the
// length of a line holds for the data too and ends the connection, and without
// the bound a command line may grow without limit; it has no context, and its
// Shutdown waits for idle clients.
//
// # Threats
//
// The data may hold anything: NUL, bare CR and LF, lines without end. Only CR
// LF ends a line and only CR LF "." CR LF ends the data (RFC 5321, section
// 2.3.8), so that nothing within a message can pass for a command. A command
// line has a bound, as have recipients, connections, wrong commands, the
// message, and what is read and thrown away after a refusal. Every read and
// write has a deadline.
//
// The sender that the agent names is a claim. A group for the office alone is
// kept from others by nothing else (550 5.7.2), so that the agent must not take
// mail from outside whose sender pretends to be of the office.
package smtp
