// Package config keeps the one configuration of the box and the one way in
// which it changes.
//
//	Document  what is configured: network, firewall, ports, and how changes are made
//	Version   a document that was confirmed, with who, when and why
//	Manager   proposes, checks, applies, and keeps or takes back
//
// # A change travels one way
//
// Propose validates a document and has every Applier check it (which tries it
// where that harms nobody), writes it down as pending, and has it applied for
// a while. Confirm makes it a version. If nobody confirms in time, or the box
// stops, crashes or loses its power before that, what was confirmed last holds
// again. There is never more than one change on its way.
//
// A change may have to wait for a window of the week; it is written down, checked
// again when its time comes, and then confirmed like any other. What somebody
// has put onto the box's disk to get back in (see Source) needs no confirmation:
// it becomes a version when it is found, once, and before anything else is held.
//
// Who confirms must show that they can still reach the box: by a connection
// that began after the change was applied, as somebody known. Both are in the
// Proof; an old connection lives on through any firewall and shows nothing. An
// Applier that may have gone back by itself is asked before (see Witness).
//
// # What is written when
//
// The pending record is durable before anything is applied, the confirmed
// version before anybody is told so and before appliers are told to keep it.
// Whatever a start finds pending was not confirmed: it is taken back. Appliers
// are handed the confirmed document at every start, so that it does not matter
// which of them had heard of it.
//
// The package knows neither the kernel nor bbolt nor listeners: what holds a
// document is an Applier, where it is kept a Store.
package config
