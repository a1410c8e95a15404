// Package model plays random commands of several sessions against the real
// binary and against a plain model of an account in memory, and compares
// every view of both: what each session was told, and what an auditor who
// looks afresh finds: names, subscriptions, counts, UIDs, flags, keywords,
// mod-sequences, dates, search results and octets.
//
// A script is a list of steps; what a step does is drawn from the step's own
// seed and the model's present state, so a script stays meaningful when steps
// are taken out of it. One that fails is shortened like that until no step
// can go, and is then printed as the IMAP lines that a person can send by
// hand, each with the number of the session that sends it.
//
// One thread sends all commands: what concurrent ones do to each other is the
// business of the tests that kill and stop the binary under load. So every
// answer is known beforehand, but for a few numbers which the server chooses
// (UIDVALIDITY, mod-sequences, the date of a delivery). They are learned once
// and held to the rules that they have: a mod-sequence rises above all that
// the mailbox had where something changed, and stays where nothing did.
package model
