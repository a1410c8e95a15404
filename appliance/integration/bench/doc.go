// Package bench measures the real binary from outside, over TLS on loopback,
// with a client that only counts octets: client and server share the
// machine's cores, and what the client does costs as little as possible.
//
// The office has an account with 10,000 messages (239 MB). Sub-benchmarks are
// named workload/variant; their times can be compared by benchstat. Beside
// ns/op each reports what people ask for: messages, octets or log-ins per
// second.
//
// TestPeers (make bench-peers) measures the same work done by the box and by
// Dovecot, with the same client, mail, certificate and durability, one after
// the other in each round, since what a machine gives changes by the minute.
package bench
