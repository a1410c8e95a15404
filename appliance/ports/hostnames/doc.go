// Package hostnames asks what a machine at an address is called: first the DNS,
// where routers enter the names of those to whom they lease addresses, then, in
// the office's own networks, the machine itself by multicast DNS, sent to it alone
// (RFC 6762, section 5.5), so that a firewall that follows connections lets the
// answer in.
//
// # Threats
//
// Who answers may say anything. A name that the DNS has for an address elsewhere
// counts only where the name leads back to the address: otherwise anybody could
// be called like one of the office's machines. Answers are bounded in size and
// time, and one that was not asked for is dropped. That a name fits to be shown is
// for the caller to see.
//
// It must not know who asks, nor why.
package hostnames
