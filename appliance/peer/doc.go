// Package peer tells who is at the other end of a unix socket, and keeps others
// than root and the own user from the sockets by which the box takes orders. It
// is a second lock: the socket's mode is the first.
package peer
