// Package syslog carries checkpoints of the audit record to a log server,
// where the box cannot change them: as RFC 5424 has it, over UDP (RFC 5426), TCP
// (RFC 6587, section 3.4.1) or TLS (RFC 5425).
//
// A checkpoint is signed and tells nothing of people, so that reading it on
// its way helps nobody; but whoever stands between can keep it from arriving.
// Only TLS says who took it, and no form of syslog acknowledges a message: UDP
// may lose one without a word. The next checkpoint covers what the lost one did.
package syslog
