// Package console talks to the person who stands before the box with a screen
// and keyboard or a serial cable: it tells how the box is and offers a menu for
// the case that the network way is lost.
//
// Whoever can type here can also take the disk away, so nothing is asked for;
// but no secret is ever shown except a password that was just made.
//
// The menu is a list of actions. Each capability of the box adds its own; this
// package knows none of them.
package console
