// Package audit keeps the record of who did what: sign-ins, refused
// handshakes, administrator's acts, versions of the configuration,
// certificates, bans, updates and exports. Records are only ever added, and
// each carries the hash of the one before, so that a change of what was written
// shows.
//
// # Two books
//
// What people's devices do is written often, is personal data and is kept for
// 90 days; what an administrator does is written seldom and is kept for three
// years, unless the settings say otherwise. So there are two chains, and neither a flood of sign-ins nor the end
// of the one's time takes records from the other:
//
//	DIR/audit/acts/      administrator's acts, configuration, certificates, starts, …
//	DIR/audit/access/    sign-ins, handshakes, bans
//	DIR/audit/key        the box's private key for checkpoints (Ed25519), for the service only
//	DIR/audit/key.pub    its public key
//	DIR/audit/checkpoint the newest checkpoint, one line
//
// [Kinds] says of each kind of record in which book it is, how severe it is,
// which values it has and whether they are personal data.
//
// # Order of writes
//
// [Log.Record] returns when an act is on the disk: callers answer only then.
// An act that was done and could not be recorded is an error to the one who
// asked for it. Kinds that are summarised (sign-ins, handshakes) cost no write
// each: those alike in all their values are counted. The first is written
// within a minute, together with others; those that follow are written as a
// count when the kind's window is over, and at the stop. A power cut costs
// those counts. What is held is bounded: above that many different ones, and
// above what a kind may write in a day, only their number is recorded.
//
// # Why not system.db
//
// An act by itself writes 4.4 KB to files to which one only appends, and 37 KB
// as a key of system.db with 1,000 records in it (storage/ledger,
// BenchmarkWear, ext4, November 2026; what the file system's journal adds not
// counted). A whole file is removed at once when its time is over, and a torn
// end is plain to see.
//
// # The chain
//
// A record's octets (version 1, see [Record]) begin with the version and the
// SHA-256 of the octets of the record before; 32 zeros are before the first.
// There is one encoding of a record and no other is read. A checkpoint names of
// each book the number and hash of the last record and is signed; the box makes
// one after 256 records, an hour after a record, when it stops, and when it is
// asked. [Log.Verify] walks both books and compares with the newest checkpoint
// on the disk and with any that somebody kept elsewhere.
//
// Retention removes whole files from the beginning. Before that it writes an
// anchor into the book: number and hash of the last record that goes, signed.
//
// # Threats
//
// Who can write the data folder can remove records that are newer than the last
// checkpoint, and who can also read the key can write another history and sign
// it. Only a checkpoint that is kept elsewhere finds that: `pillarbox audit
// checkpoint` prints one, syslog can carry them away (package syslog), and one can
// be put into somebody's mailbox each day (package bymail). A power cut in the
// middle of a write leaves a torn end, which is told apart from damage and is
// recorded; cutting the file in the middle of a record looks the same, but not
// if a checkpoint names the record.
//
// Names, addresses and texts in records come from the network: they are cut at
// a bound, control characters are replaced, and exports for spreadsheets mark
// what could be a formula. Passwords never come here.
//
// The package does not know IMAP, HTTP or the directory.
package audit
