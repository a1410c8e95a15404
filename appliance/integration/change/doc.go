// Package change tries changes of the settings from outside, with the box's two
// processes as the firmware runs them, in a network of their own with an
// administrator at the other end of a cable. Whatever is killed in the middle of
// a change, what was confirmed holds again.
package change
