// Package directory knows who the office is: accounts with their addresses and
// credentials, aliases, and what a recipient address leads to. It is the only
// writer of these facts; everyone else asks, or watches for a [Change].
//
// # Stored form
//
// The directory lives in six sections of system.db. Values are JSON.
//
//	directory             "format" → 1; a higher number is refused
//	                      "salts" → 32 octets, the key of SCRAM's salts
//	directory/accounts    account id → {address, name, created, quota, state}
//	directory/credentials account id "/" credential id → {kind, hash, label, created, scram, no_sending}
//	directory/uses        credential id → {at, remote}, of devices, written once an hour at most
//	directory/aliases     address → {targets, created, description, writers}
//	directory/admin       "password" → {kind, hash, created}
//
// Addresses are kept in their canonical form, see [ParseAddress]. All of it is
// also held in memory as one immutable state that each change replaces, so that
// a log-in or a recipient costs no read of the database. An office has some
// hundreds of accounts at most.
//
// # Groups
//
// A group is an alias: an address that leads to people and to other groups, with
// a word on what it is for and on who may write to it. There is no second kind of
// address, so that each has one place. A version that does not know the writers
// of an alias lets everybody write to it, and forgets them when it changes the
// alias; the format stays 1, because an update that is taken back must find a
// directory that it can read. An alias whose last member goes, goes with it:
// mail for nobody is refused, and not lost.
//
// # Order of writes
//
// A power cut between two steps must leave neither half an account nor mail
// without an owner, and must never lose mail:
//
//   - Add writes the record in the state "adding" (it reserves the address but
//     can neither log in nor receive), makes the account's folder, then puts
//     the credential and the state "active" into one transaction.
//   - Remove takes away the credentials, the aliases' references and sets the
//     state "removing" in one transaction, ends the sessions by a Change,
//     deletes the mail, then the record.
//
// New rolls back what is "adding" and finishes what is "removing". A folder
// that no record names is reported and left alone: it may be all that is left
// when system.db was restored from an older backup. A record "adding" of an
// account that has mail, or an owner, is such an older one: the account is kept.
//
// # Damage
//
// system.db is mended by package storage from its own pages and its copy,
// system.bak, which has the credentials too. For the day on which neither is
// left each account's folder says whose it is: accounts/ID/owner is the
// account's record, written when it is whole. [Mend] makes lost accounts anew
// from it. Hashes of passwords are not in it. The folder of an account is what
// gets copied by itself or handed over, and its mail is no secret to who has
// it, but the password may be another thing's as well; and a hash that was left
// there would bring a password back that was changed because it was known. So
// after the loss of both files each account is there with its mail, and by name
// among those that need a new password. Aliases and the administrator's
// password are then lost; Mend cannot know which there were.
//
// # Threats
//
// Passwords are kept as argon2id hashes with their parameters and are rehashed
// at a log-in when the parameters have been raised. A log-in under a name that
// does not exist costs the same work as a wrong password. A device has a
// password that was made here, of 80 random bits, for which a fast hash is
// enough: a telephone that signs in every minute costs nothing. The number of hashes
// computed at once is bounded, because each takes 19 MiB; who waits too long
// for a turn gets ErrBusy, which is not a refusal. One place more is kept for
// passwords that were right within a day, as far as the cache below remembers:
// however many strangers guess, people whose programs sign in get a turn.
//
// Mail programs log in every minute, so a successful verification is remembered
// for five minutes, as an HMAC of account, credential and password under a key
// that this process made and never writes. Who can read the process's memory
// finds the key beside the HMACs and could guess a weak password faster than
// with argon2id; but such a reader also sees the passwords themselves as they
// arrive. On the disk, in a backup and after a restart there is nothing. An
// entry names its credential by an id that is never used twice, so a changed or
// removed password cannot be found in the cache, not even by a log-in that was
// under way when it changed. Failures are not remembered here; slowing down
// guesses is the task of package access.
//
// For SCRAM the keys of each password are kept beside its hash (package scram).
// Who steals them can guess at a person's password at the price of PBKDF2, which
// a graphics card computes some ten times faster than argon2id: that is what it
// costs that no password need be sent. The salt of a name is the same whether an
// account is called so or not, and every sign-in tries as many keys as an account
// can have, so that neither what is answered nor when tells which names exist.
//
// The package does not know IMAP, SMTP or TLS.
package directory
