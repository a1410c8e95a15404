// Package delivery is the one way by which mail comes into a mailbox from
// outside an IMAP session: find out who a recipient address means, stage the
// message once, and put it into each account.
//
// Mail that arrives ([Pipeline.Deliver]) gets three header fields in front, as
// final delivery does (RFC 5321, section 4.4): Return-Path, Delivered-To and
// Received. They are kept beside the message as its prefix, so that one stored
// body serves all recipients. Mail that is filed ([Pipeline.File]: an import of
// old mail) comes out with the octets it went in with.
//
// A message is durable in every mailbox that a [Result] reports without an
// error before Deliver or File return. An account that a message reaches by
// several addresses gets it once. Where an alias leads to several accounts and
// one of them cannot take the message, the recipient as a whole has failed:
// the sender may then send it again and some will have it twice, which is
// better than that one never has it.
//
// # Threats
//
// Everything in an envelope and a message is the sender's choice. What goes
// into a prefix is cut to its allowed characters and length, so that no line
// can be smuggled in. A message that has been here before (a Delivered-To
// field with the account's address), or anywhere a hundred times, is refused
// for good, so that two boxes that forward to each other do not fill up. The
// package holds at most the first 256 KiB of a message in memory.
package delivery
