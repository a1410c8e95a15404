// Package certs gives every TLS listener its certificate, and says how strict
// TLS is. Certificates come from one of three sources: a private CA on the box,
// a CA that speaks ACME, or an upload. Whatever the source, the box's own CA
// serves those who ask for a name that it lacks, and stands in for it when it
// cannot be used, so that the box stays reachable.
//
// # Files
//
// In Config.Dir. All is PEM but for the JSON; what has a key or a credential in
// it has mode 0600.
//
//	ca.crt                 the private CA's certificate; the one file that devices install
//	ca.key                 its key
//	server.crt, server.key the private CA's leaf, then the CA; and the leaf's key
//	server-rsa.crt, .key   the same for RSA, once a client needed it
//	ca.crt.before          the CA that was replaced on somebody's order
//	settings.json          Settings, with the credentials of ACME
//	upload-SHA256.pem      an uploaded chain and its key
//	acme-ID-account.json   the account with the CA whose directory has that ID, and its key
//	acme-ID-ecdsa.pem      what that CA issued and its key; -rsa.pem beside it
//	names-in-use.json      the names by which mail programs connected
//
// A file is written under a temporary name, fsynced, renamed, and the directory
// fsynced; a key before the certificate that needs it, or both in one file. The
// leaf's key stays when the leaf is renewed, so that a renewal replaces exactly
// one file and no crash leaves a pair that does not match. Delete server.crt
// and server.key for a new key.
//
// A server.crt that our CA did not sign is an administrator's. It is never
// overwritten; its expiry is announced in the log. If such a pair cannot be
// used when the process starts, a leaf of our CA is served from memory; while
// it runs, the pair that was loaded last stays.
//
// # A change of source
//
// Check tells what would keep settings from working, Use takes them into use
// and returns those before, and Use with those takes it back. Use first gets
// the certificate, then writes the settings, then swaps: if anything fails,
// nothing has changed. Certificates are behind atomic pointers that each
// handshake reads, so that neither a change nor a renewal drops a connection.
//
// # The private CA
//
// The CA is an ECDSA P-256 key, valid for 10 years, CA:TRUE with path length 0:
// it can sign leaves and no further CA. A leaf is valid for 90 days and renewed
// after 60, or when the box is reached by a name it does not hold. Apple's limit
// for leaves of a CA that a user installed is 825 days, for others 398. All
// validity begins a day early, for devices whose clock is slow. If our own clock
// stands before a leaf's beginning it is the clock that is wrong (a board
// without one), and nothing is renewed by it.
//
// A CA that is made when the office's mail domains are known is limited to
// these, to the box's names, those of local networks and private addresses (RFC
// 5280, section 4.2.1.10), so that a stolen ca.key passes for no bank. The limits
// stay for its 10 years: they cannot be changed without every device having to
// trust another CA. So a CA that is made before a domain is known has none, as
// those of earlier versions; a name that the limits do not allow, of a domain
// that came later, is left out of the leaf, where it would make all of it
// invalid, and is reported; and a new CA is made only when somebody asks for
// it. Of global addresses only those of IPv4 that the box has at the time are
// allowed: IPv6 makes new ones each day.
//
// # ACME
//
// A proof opens port 80 or 443 only while the CA looks; that by TLS is answered
// on all TLS ports besides. TXT records are made by the provider's API or by
// dynamic updates (RFC 2136), and the CA is told to look when all name servers
// of the zone have them. An order is renewed when the CA wants that (RFC 9773),
// at the latest when a third of its life is left; after a failure it waits,
// longer each time, and as long as the CA says.
//
// Where the CA of an ordered or uploaded certificate says by OCSP that it is not
// revoked, that is stapled to handshakes.
//
// # TLS policy
//
// Intermediate: TLS 1.2, with suites that have forward secrecy and AEAD, and
// 1.3; Modern: 1.3. There is nothing older. Curves (with the post-quantum key
// exchange), TLS 1.3 suites and the daily rotation of session ticket keys are
// Go's own. Client certificates are not asked for: Gmail presents one when it
// is asked and a handshake must not fail for it. The protocol imap is agreed to
// with a client that names it (ALPN); one that names only others is served
// without, as Go would fail its handshake otherwise, and no mail program needs
// it.
//
// Of the certificates in use a handshake gets the first that has the client's
// name for us and a key that it can use. For a client that can use RSA alone
// the private CA makes such a leaf when the first one comes, once.
//
// # Threats
//
// Uploads are bounded in size, number and key derivation. What a certificate
// names is fetched only if asked for, and only from public addresses, within
// bounds: whoever wrote the certificate must not reach into the network. A
// stranger can name anything in a handshake: only a name by which somebody
// signed in, or below one of the office's, counts as in use. What a CA answers
// is bounded.
package certs
