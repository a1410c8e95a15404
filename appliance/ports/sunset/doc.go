// Package sunset leaves an old way of reading mail behind without cutting anybody
// off who does not expect it: port 990 for 993 (or 993 for 990), TLS 1.2 for 1.3,
// passwords that are sent for mechanisms that do not send them.
//
//	Kind     which way is left, and how one knows who still uses it
//	Spec     what somebody wants: steps with dates and people, words, measures
//	Plan     a Spec with how far it has come, and every decision with who took it
//	Planner  carries plans out, and is asked about each sign-in
//	Report   what an auditor wants to see
//
// # Steps
//
//	dual      both ways work; nobody is told anything
//	announce  whoever comes by the old way is told so, by an ALERT and by mail
//	pilot     chosen people and networks are refused there, with what to change
//	phase     more of them, as often as wanted
//	closed    everybody is: the port greets with the explanation and says BYE
//	silent    the listener and the firewall's rule are gone
//
// A Kind without a port of its own ends with closed, which is then a change of
// the settings. A step begins when its date has come, the window for changes is
// open, and its check finds nobody who would be cut off without having been told.
// A rise in failures pauses a plan, and takes it back to announce if it does not
// end; so does one command. A brown-out refuses everybody for minutes, to see who
// breaks: at the sign-in, because only there it is known who it is.
//
// # Order of writes
//
// What a plan decides is recorded, then durable, and only then has an effect. The
// settings follow the plan, never the other way: each tick compares what a plan
// wants with what holds and changes it by the one way for changes. So it does not
// matter where a crash or a power cut falls in between. What is kept of people
// (when they were seen and told) is written every 15 minutes, and at once when
// somebody is told or refused for the first time.
//
//	plan/KIND            a Plan
//	person/KIND/ADDRESS  a Person
//	owner                the Ownership of port 990
//	seen                 when the planner last looked at the clock
//
// # Invariants
//
//   - Nobody is refused by the old way who cannot come by the new one: because the
//     other port is closed to them, or no other way to sign in is offered there.
//   - A refusal comes after the right password: it counts as no wrong one, and
//     nobody learns of a plan without signing in, but where everybody is refused.
//   - What a person changed by hand is not changed back: the plan pauses.
//   - A brown-out ends by the clock of whoever is asked, not by a timer.
//   - After an absence of two days, or a clock that jumps as far, no step is made
//     up for by itself.
//
// # Threats
//
// The names that programs give themselves end in mails and reports: they are cut,
// cleaned and, in HTML and CSV, escaped. Strangers can make a closed port be
// greeted as often as the listener lets them connect: of them 256 addresses are
// remembered, in memory.
//
// The package knows no IMAP, no TLS, no configuration and no storage: what it
// needs of them it declares.
package sunset
