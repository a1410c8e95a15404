// Package message parses a message (RFC 5322, MIME) once, when it arrives,
// into what an IMAP server is asked for again and again: envelope, body
// structure, the header fields that clients list, and where each part lies.
// The result is encoded so that a FETCH can be answered by copying bytes.
//
// Whatever the bytes are, there is an answer: a parse fails only if reading
// does. It knows nothing of mailboxes, bbolt or sockets.
package message
