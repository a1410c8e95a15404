// Package scram is the server's side of SCRAM-SHA-256 and SCRAM-SHA-256-PLUS
// (RFC 5802, RFC 7677): the client proves that it knows the password without
// sending it, the server proves that it knows its keys, and by -PLUS both prove
// that they are the two ends of one TLS connection, with nobody in between.
//
//	client-first   n,,n=anna@office.example,r=CLIENT
//	server-first   r=CLIENT+SERVER,s=SALT,i=ITERATIONS
//	client-final   c=HEADER,r=CLIENT+SERVER,p=PROOF
//	server-final   v=SIGNATURE
//
// [Server] reads and writes these messages and knows nobody: whose name it is,
// which salt goes with it and which [Keys] may match is for the caller to say.
// There may be several, as a person has several passwords: [Proof.Matches] is
// asked of each, which is possible because they share their salt.
//
// # Channel binding
//
// The caller says which bindings the connection has. Those that are safe are
// tls-exporter (RFC 9266), and before TLS 1.3 also tls-unique (RFC 5929) where
// the handshake had an extended master secret. A client that could bind, but was
// made to believe that the server cannot, says so ("y"), and is refused: somebody
// has changed the list of mechanisms.
//
// # Threats
//
// Messages come from strangers: they are bounded, and nothing of them is kept
// beyond the exchange. Who steals the keys can guess at the password behind them
// at the price of [Iterations]; he cannot sign in with them, but could pass for
// the server.
//
// The package does not know IMAP, accounts or TLS.
package scram
