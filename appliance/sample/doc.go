// Package sample makes mail that looks real: an office of two people for
// `make run` ([Letters]), and a corpus of any length for benchmarks and tests
// ([Corpus]). The same seed always makes the same octets.
//
// All names are invented and all domains are reserved ones (RFC 2606). The
// mail is good mail but for the letters in the mailbox Broken, which are
// wrong in the ways that mail on the Internet is.
package sample
