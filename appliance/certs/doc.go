// Package certs gives every TLS listener its certificate: from a private CA on
// the box, or one that an administrator put there.
//
// # Files
//
// In Config.Dir, all PEM:
//
//	ca.crt      the private CA's certificate; the one file that devices install
//	ca.key      its key, mode 0600
//	server.crt  the leaf, then the CA: the full chain
//	server.key  the leaf's key, mode 0600
//
// A file is written under a temporary name, fsynced, renamed, and the directory
// fsynced; a key before the certificate that needs it. The leaf's key stays
// when the leaf is renewed, so that a renewal replaces exactly one file and no
// crash leaves a pair that does not match. Delete server.crt and server.key for
// a new key.
//
// A server.crt that our CA did not sign is an administrator's. It is never
// overwritten; its expiry is announced in the log. If such a pair cannot be
// used when the process starts, a leaf of our CA is served from memory, so that
// the box stays reachable; while it runs, the pair that was loaded last stays.
//
// # Certificates
//
// The CA is an ECDSA P-256 key, valid for 10 years, CA:TRUE with path length 0:
// it can sign leaves and no further CA. A leaf is valid for 90 days and renewed
// after 60, or when the box is reached by a name it does not hold. Apple's limit
// for leaves of a CA that a user installed is 825 days, for others 398. All
// validity begins a day early, for devices whose clock is slow. If our own clock
// stands before a leaf's beginning it is the clock that is wrong (a board
// without one), and nothing is renewed by it.
//
// The CA has no name constraints, though Go, OpenSSL and Apple know them: they
// would be fixed for 10 years at a time when the box does not know its domain
// yet, each new domain would mean to install a new CA on every device, and one
// global IPv6 address among the leaf's names, as SLAAC gives to every office
// PC, would make the whole leaf invalid under a constraint to private ranges.
// What constraints would limit is the harm of a stolen ca.key; it is on the
// disk of the box only, readable by its one process.
//
// # TLS policy
//
// TLS 1.2 at least; with 1.2 only suites with forward secrecy and AEAD. Curves,
// TLS 1.3 suites and the rotation of session tickets are Go's own. Client
// certificates are not asked for: Gmail presents one when it is asked and a
// handshake must not fail for it. NextProtos stays empty: with "imap" in it Go
// would fail the handshake of each client that offers only other protocols, and
// no mail program needs it.
//
// The certificate is behind an atomic pointer that each handshake reads, so
// that a renewal drops no connection.
package certs
