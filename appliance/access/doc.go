// Package access decides who may connect and how fast somebody may guess
// passwords. It owns the accept loop of every TLS port: a session begins only
// after the handshake, so that what speaks on the port before that never
// reaches a protocol engine.
//
// # Threats
//
//   - Many connections: they are counted for each IPv4 address, for each IPv6
//     /64 (what one customer gets, RFC 6177) and in all; above a bound a
//     connection is closed at once. Half-open handshakes are counted apart, so
//     that silent connections cannot take all places. Counts span every Serve
//     of one Listener.
//   - Slow or silent clients: the handshake has a deadline.
//   - Filled logs: lines about refused connections and failed handshakes are
//     bounded in rate; what was left out is counted in the next line.
//   - Guessing: see [Throttle].
//
// A handshake that fails is logged with its reason in words, because "tls:
// first record does not look like a TLS handshake" helps no administrator whose
// scanner is set to "no encryption". Plain text spoken to a TLS port is answered
// with one line of plain text where the Config has one.
//
// The package does not know IMAP, SMTP, accounts or certificates.
package access
