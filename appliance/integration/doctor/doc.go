// Package doctor holds tests that let the doctor examine real servers, each
// healthy and then broken in one way after the other: Dovecot, Postfix, Cyrus
// and the box itself, with a real name server. They run in a network namespace
// of their own, where they have the ports and addresses of a mail server.
package doctor
