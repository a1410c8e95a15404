// Package pages reads the files of bbolt without trusting them. bbolt itself
// follows whatever a page says: one that points back to a page above it makes
// a reader run in a circle and eat memory until the machine has none. So a
// file is looked at here first, and one with a fault is never given to bbolt;
// what can still be read of it is read here too.
//
// # The format
//
// A file is a row of pages of one size. Pages 0 and 1 are headers ("meta"),
// of which the valid one with the higher transaction number counts. All else
// hangs below the root page that it names: branch pages with keys and page
// numbers, leaf pages with keys and values, a value being, where marked so,
// another tree (a bucket), which lies in the value itself while it is small.
// A list of free pages accounts for the rest.
//
//	page    number u64, kind u16, count u16, overflow u32 (further pages that belong to it), elements, data
//	branch  position u32, key size u32, page u64
//	leaf    flags u32, position u32, key size u32, value size u32
//	meta    magic u32, version u32, page size u32, flags u32, root u64, sequence u64, free list u64,
//	        number of pages u64, transaction u64, FNV-1a of these u64
//
// Positions count from the element's own first octet; integers have the
// machine's byte order.
//
// # Threats
//
// Every octet may be wrong. Each page is visited at most once, so time and
// memory are bounded by the size of the file, whatever it says. The package
// knows nothing of what keys and values mean.
package pages
