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
//     of one Listener. So is, for each source, how fast new ones come; the
//     firewall does the same where there is one.
//   - Slow or silent clients: the handshake has a deadline.
//   - Filled logs: lines about refused connections and failed handshakes are
//     bounded in rate; what was left out is counted in the next line.
//   - Guessing: [Throttle] slows it down, [Bans] end it. Both count a wrong
//     credential once, however often a telephone repeats it, and neither keeps
//     out a credential that was right from the same address.
//   - Lock-out by the own ban list: an office is one address, and so is the
//     administrator. See [Bans] for what is never banned.
//   - Many addresses: all that is remembered of strangers is bounded, and they
//     cannot push out what is remembered of those who signed in.
//   - A firewall that is gone, or forgets: the Listener enforces all bans by
//     itself, and tells a [Firewall] all of them again and again.
//
// A handshake that fails is logged with its reason in words, because "tls:
// first record does not look like a TLS handshake" helps no administrator whose
// scanner is set to "no encryption". Plain text spoken to a TLS port is answered
// with one line of plain text where the Config has one.
//
// The package does not know IMAP, SMTP, accounts or certificates.
package access
