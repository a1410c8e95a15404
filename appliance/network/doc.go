// Package network is the service that keeps the firmware's network and clock.
// It runs in a process of its own, the privileged part of the product, so that
// the mail server needs no right to change the network; what it did it writes
// into a status file, which everybody may read.
//
// It only puts together: netcfg does the work on the network, timesync that on
// the clock. It must not know mail.
package network
