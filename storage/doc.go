// Package storage keeps everything that must outlive a power cut: the system
// database and one folder of mail per account. It is the only room that
// imports bbolt. It knows nothing of IMAP sessions, SMTP, TLS or people: an
// account is an opaque identifier here, and who may open it is decided
// elsewhere.
//
// # On disk
//
//	DIR/LOCK                          held (flock) by the one process that owns DIR
//	DIR/system.db                     bbolt: key/value sections for the rooms above (directory, certificates, …)
//	DIR/system.bak                    a copy of system.db's records, for repairs
//	DIR/reserve                       room for deleting on a full disk
//	DIR/staging/                      bodies being received; emptied at start
//	DIR/pool/hh/HASH                  hard links to bodies by SHA-256, so that the same mail is kept once
//	DIR/accounts/ID/index.db          bbolt: mailboxes, messages, mod-sequences, traces of expunges, parsed data, small bodies
//	DIR/accounts/ID/index.bak         a copy of the index's records, for repairs
//	DIR/accounts/ID/owner             whose it is, should system.db and its copy be lost
//	DIR/accounts/ID/bodies/hh/N-HASH  larger bodies: N is the data identifier, HASH the SHA-256, both in hexadecimal
//
// A body is immutable. One that several accounts share is one inode with one
// hard link in each account's folder, so an account can be removed, backed up
// or checked by itself and the file system counts the references.
//
// Package ledger keeps what is only ever added, in DIR/audit.
//
// # Order of writes
//
// Body file: write, fsync, link into the account's folder, fsync the folder,
// commit the index. A crash leaves at most an unreferenced file, which the
// next start collects. Writers of one account share a commit (group commit);
// nothing is published to readers, and no caller returns, before the commit
// is on the disk.
//
// # Damage
//
// A database is walked page by page before bbolt may open it (package pages).
// [Store.Check] compares all of this, and a repair mends it: the index with
// its pages, records with their checksums; of each mailbox the counts, sizes,
// UIDs, UIDNEXT, mod-sequences, keywords, traces of expunges and its name; of
// each message its data, structure, size and body; reference counts, the
// account's numbers, and body files that nobody has.
//
// A repair makes a new index out of what can be read, the first of these that
// has a record: the old index in its place; other pages of its file, which
// still hold older versions; index.bak, a copy made once a day; the bodies.
// Where the header of the last change is damaged, that change is found in the
// pages by its mod-sequences. The newer version of a message counts, and where a bucket was read without
// a fault, what is not in it is gone. Messages that no mailbox lists go to a
// mailbox "Recovered". Nothing is deleted: the files that were there and a
// report lie in DIR/accounts/ID/damaged-TIME/.
//
// system.db is read wholly when it is opened. Each record of a section, whoever
// keeps it, has a checksum and a stamp, and the file has a head that tells how
// many there are and the sum of their fingerprints, so that also an older page
// in the place of a newer one is found. One with a fault, or one that is older
// than system.bak or missing beside accounts, is refused (ErrSystemDamaged):
// opened from what is left it would bounce the mail of whom it lacks, while a
// server that is not there makes others keep their mail and try again.
// [RepairSystem] builds it anew in the same way, from the same kinds of places,
// and the rooms above mend what only they can know. system.bak is made anew
// within seconds of a change, and by Close, but never so often that a day's
// copies are more than 16 MiB.
//
// # Reading
//
// Readers never lock. Each mailbox has an immutable [Snapshot], replaced as a
// whole after a commit; two snapshots share the chunks that did not change,
// so telling what is new costs what changed, not what is there.
package storage
