// Package network is the service that keeps the firmware's network, firewall and
// clock. It runs in a process of its own, the privileged part of the product, so
// that the mail server needs no right to change the network; what it did it
// writes into a status file, which everybody may read.
//
// It only puts together: netcfg does the work on the network, timesync that on
// the clock. It must not know mail.
//
// # What holds
//
// The settings that were confirmed last, which lie in StateDir: a power cut
// brings them back, whatever was tried when it came. Others can be tried for a
// while by the socket, and go by themselves at the end of their time, whatever
// has become of whoever asked. Which settings are the right ones is for the mail
// server's configuration to say: it has them held at each of its starts.
//
// What was provisioned on the boot partition is the way back in. When its mark
// is another than it was when settings were confirmed, its network holds, and
// nobody's settings take its place who does not name that mark.
//
// # The firewall
//
// Rules stand before anything else is done, and follow the addresses as they
// change. They stay when the service ends.
//
// # The socket
//
// It takes orders from root and the own user alone: HTTP with JSON, see Client.
// A second process does not get it, and leaves the network alone.
package network
