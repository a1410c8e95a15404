// Package message parses a message (RFC 5322, MIME) once, when it arrives,
// into what an IMAP server is asked for again and again: envelope, body
// structure, the header fields that clients list, and where each part lies.
// The result is encoded so that a FETCH can be answered by copying bytes.
//
// Whatever the bytes are, there is an answer: a parse fails only if reading
// does. It knows nothing of mailboxes, bbolt or sockets.
//
// # Leniency
//
// A line ends with LF, with or without a CR before it. A header ends at its
// first empty line, at a line that begins with "--", or where the message
// ends; lines that are no fields are skipped, unless nothing but such lines
// is left: then the separator was forgotten, and they are the body. A folded
// value is unfolded by putting one space where the line ended and blanks
// followed; NULs are dropped; octets above 127 are kept and travel in literals.
//
// What strict clients cannot read is not sent. A multipart in which no part
// is found is a text/plain leaf with all of its text. A message/rfc822 under
// base64 or quoted-printable, and what lies deeper than Limits.Depth, is an
// application/octet-stream leaf. An address without a domain has an empty
// one, since NIL would begin a group (RFC 9051, section 7.5.2).
//
// # Memory
//
// Parse reads in one pass through a small window and keeps one header at a
// time. What it yields is bounded by Limits and by a ceiling on the text of
// the envelope and structure, so a hostile message costs a small multiple of
// the header octets that were looked at, whatever its size.
//
// # Stored form
//
// A record is a version octet (1) and a sequence of fields, each a tag, a
// length (both unsigned varints) and so many octets:
//
//	1 envelope    the text as sent
//	2 structure   the text as sent, with extension data
//	3 extension   for each span within the structure: its distance from the
//	              end of the one before, its length (unsigned varints)
//	4 fields      the listed header fields as they stand
//	5 sizes       octets of the message, of its header (unsigned varints)
//	6 date        Unix seconds, zone in minutes (signed varints); may be missing
//	7 parts       their number; for each: kind and encoding (one octet), parent
//	              plus one, distance of the header from the parent's, octets of
//	              header and of body, lines (unsigned varints), charset and type
//	              (length and octets)
//
// A reader skips tags it does not know, so fields can be added without a new
// version; what is in a field never changes its meaning.
package message
