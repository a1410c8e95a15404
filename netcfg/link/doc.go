// Package link is the kernel's side of the network: it observes links,
// addresses and routes, carries out the steps of a plan, and tells when
// something has changed. It decides nothing.
//
// All work goes through rtnetlink, save five settings, for which the kernel has
// only files below /proc/sys. No program is ever called.
package link
