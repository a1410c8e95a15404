// Package doctor finds out what is wrong with a mail server, this box or any
// other, and says what to do about it.
//
// A [Doctor] examines one host: whether it can be reached by IPv4 and IPv6,
// its name and addresses in the DNS, its certificate, which versions and
// ciphers of TLS it takes, whether its STARTTLS can be trusted, what IMAP,
// SMTP and LMTP answer and how fast, and the records of its domain. Of the box
// itself it also looks at what the rest of the appliance tells it ([Box]) and
// at what the kernel says of ports, memory, disk and clock.
//
// The checks are a tree: where one fails, what needs it is not tried, and the
// report says that it was not. So one cause is one [Finding], however much
// follows from it; the same finding on several ports is one, too. A finding's
// ID is stable. What could not be checked is told with the reason and is
// never taken for well.
//
// An examination changes nothing on the server unless [Request.Write] is set:
// mailboxes are opened by EXAMINE, messages read by BODY.PEEK, and mail
// transactions end by RSET before any message.
//
// # Threats
//
// The server examined may be hostile. Lines, literals, replies, chains and
// what certificates refer to are bounded in size, every conversation in time
// and in octets, and text of the server is shown with its control characters
// replaced. A password is sent only inside TLS whose certificate was verified
// for the server's name. The addresses in a certificate (OCSP, CRL, issuer) and
// the MTA-STS policy are fetched by HTTP with a bound; redirects are not followed.
//
// The room imports nothing of ours.
package doctor
