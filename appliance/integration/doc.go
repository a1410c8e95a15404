// Package integration drives the real binary from outside, the way an office
// does: over TLS on both ports, by IPv4 and IPv6, with an independent IMAP
// library and with the programs people use (openssl, curl, mbsync, offlineimap, getmail, fetchmail, mutt,
// Python's imaplib, swaks). What went in is compared byte for byte with what
// comes out.
//
// The tests know nothing of the inside: they start `pillarbox serve`, read from
// its log which ports it took, and otherwise use what a person would use. A
// test whose program is missing skips itself, unless CI=true.
//
// Package [pillarbox/appliance/integration/rig] holds what the tests and the
// benchmarks of package bench share.
package integration
