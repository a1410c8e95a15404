// Package ports knows who uses which port: so that an office learns whose scanner
// still comes by 990, and what would break if it were closed.
//
//	Inventory  is told of connections, handshakes and sign-ins, and remembers
//	           clients, strangers and totals
//	Visit      is one connection on its way through the box
//	Client     a device or program of somebody's that signed in; it has Uses, one
//	           for each port, version of TLS and mechanism that it came by, with
//	           counts by day, and Risks in words
//	Stranger   an address from which nobody signed in
//	Forecast   what a Scenario would break, counted from what was seen
//
// The caller's view:
//
//	inv, err := ports.Open(&ports.Config{…})
//	err = inv.Run(ctx)                       // settles, writes, finds names
//	v := inv.Visit(&ports.Connection{…})     // a handshake is done
//	v.Named(id); v.SignedIn(&ports.SignIn{…}); v.Refused(…); v.End()
//	inv.HandshakeFailed(&ports.FailedHandshake{…})
//
// and of who looks (none of these does I/O):
//
//	inv.Clients(ports.Query{Port: ports.Legacy})     // []Client, those seen last first
//	inv.Client(id)                                   // Client, ErrUnknown
//	inv.Strangers(ports.Query{})                     // []Stranger
//	inv.Ports()                                      // []Port, with totals by day
//	inv.Traffic(ports.Legacy, from, to)              // Totals to the minute, of the last day of this run
//	inv.Simulate(ports.Scenario{Change: ports.Close, Port: ports.Legacy}) // Forecast, ErrScenario
//	inv.Since()                                      // from when on there are records
//
// # What it costs
//
// All that is told of a session takes about 3 µs (BenchmarkSession) and does no
// I/O. It waits for a lock that is held for one account at a time, or for all
// strangers. What changed is written every 15 minutes and at the end, strangers
// once an hour: a crash or a power cut loses what was seen since, and nothing of
// what was there before. A client that has come for the first time is written
// within a minute. An office of 20 people with three clients each that all come in
// each quarter of an hour writes 13 MB a day, one of 200 writes 84 MB
// (BenchmarkWrite).
//
// # Bounds
//
// A client is remembered only when it has signed in, so that nobody without a
// password can make there be more; of an account the newest 32, in all 8,192, each
// with its newest eight addresses and six ways. Strangers are 1,024 from the
// office's networks and 1,024 from elsewhere, the oldest going first, and a scan
// adds a few in a minute at most: the rest it adds to totals alone. What was not
// seen for Config.Keep days is forgotten.
//
// # Privacy
//
// It holds personal data: which account was used with which program, when and
// from which address, by day; not what was read, and of sign-ins that failed only
// names of accounts that exist, because people type passwords into the wrong
// field. It is for administrators alone, goes with the account, and with the
// credential of a device that is revoked.
//
// # Threats
//
// Names that programs, DNS and neighbours tell are whatever somebody wants them to
// be: they are cut, cleaned of control characters and used for nothing but being
// shown. Names of machines are asked for in the background, a few at a time, and
// for strangers only in the office's own networks, so that nobody can make the box
// send questions by connecting.
//
// The package does not know IMAP, TLS, storage or the directory: it is told.
package ports
