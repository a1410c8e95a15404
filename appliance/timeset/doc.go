// Package timeset tells when somebody sets the machine's clock.
//
// A machine without a battery behind its clock starts with a time that is only
// not too early. It is right when a time server was asked, and whoever asks one
// sets the clock; the kernel tells that to those who wait for it. Small steps
// count too, slewing by adjtimex(2) does not.
//
// The package only observes: it needs no permission.
package timeset
