// Package netlab makes networks for tests: the kernel's own, of namespaces and
// virtual cables, so that real programs meet real packets and the machine's
// network is never touched. Only tests import it.
//
// A test binary that calls Main runs as a whole in a namespace of its own, which
// is the box. Peers are further namespaces, each at the other end of a cable.
package netlab
