// Package state says what the network should be, what it is, and what must be
// done to get from one to the other. It is data and arithmetic alone: it knows
// neither the kernel nor the file system, so that every decision can be tested
// and shown before anything is touched.
//
//	Desired    what a person wants: interfaces by name, by hardware address or
//	           "the first wired one"; DHCP, static, SLAAC; bridges and VLANs
//	Observed   what the kernel has
//	Acquired   what a DHCP server gave for one interface
//	Advertised what routers say on one link beside addresses
//	Resolve    Desired + Observed + Acquired + Advertised = Target: concrete
//	           links, addresses and routes
//	Diff       Target - Observed = Plan: steps in the order in which they can
//	           be done; an empty plan means that all is as it should be
//
// An interface that Desired names is managed as a whole: what it has and should
// not have is removed. All other interfaces are left alone, and so are the
// routes and addresses that the kernel makes by itself (link-local, connected
// networks, router advertisements where SLAAC is wanted).
package state
