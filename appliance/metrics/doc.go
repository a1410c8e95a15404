// Package metrics counts what the box does, and tells Prometheus.
//
// What happens is told by a call and costs an atomic addition; what is there is
// asked for when somebody looks. No label holds an address, an account or a
// mailbox, and each has few values: whoever connects cannot make there be more.
//
// # Threats
//
// How many sign in and when is nobody's business: the page is behind TLS and a
// token, on a port of its own that is closed until an administrator opens it,
// and that the firewall keeps to the LAN.
//
// It must not know where anything comes from, nor storage, IMAP or TLS.
package metrics
